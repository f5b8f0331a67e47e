//! The streams of a thread, one for each logger's channel, reached without a lock and without lazy
//! initialisation: also in a signal handler, also after the thread's destructors have run.

use super::handover::Who;
use super::lease::Patience;
use super::os;
use super::payload::Payload;
use super::shared::Channel;
use super::stream::{Pending, Stream};
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::tick;
use super::waiting::tell;
use relay_fmt::record::Kind;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, compiler_fence};

/// How many channels loggers of one process can have.
pub(crate) const MAX_CHANNELS: usize = 8;

static CHANNELS: [AtomicPtr<Channel>; MAX_CHANNELS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_CHANNELS];

/// The channel in a slot.
pub(crate) fn channel(slot: usize) -> Option<&'static Channel> {
    let channel = CHANNELS.get(slot)?.load(Acquire);
    // SAFETY: what is put there is leaked and never freed.
    (!channel.is_null()).then(|| unsafe { &*channel })
}

/// Puts a channel into a slot, for the life of the process.
pub(crate) fn install(slot: usize, channel: Arc<Channel>) {
    let channel = Arc::into_raw(channel);
    if let Some(at) = CHANNELS.get(slot) {
        at.store(channel.cast_mut(), Release);
    }
}

/// A writer of calls inside a call, between such calls.
#[derive(Clone, Copy)]
struct Nested {
    /// Which process of a line of forks it belongs to; 0 where there is none.
    epoch: u32,
    writer: u64,
    sequence: u64,
    /// The number of its next record.
    number: u64,
}

impl Nested {
    const NONE: Self = Self { epoch: 0, writer: 0, sequence: 0, number: 0 };
}

struct Thread {
    /// How many calls of this thread are under way: more than one when a signal handler logs.
    depth: Cell<u32>,
    /// Its destructors have run: leases are given back after every record.
    late: Cell<bool>,
    /// Its sub-buffers are given back when it ends.
    watched: Cell<bool>,
    /// The most that its calls have: none where it is the collector.
    patience: Cell<Patience>,
    /// Its number among the threads with early records; 0 for none.
    early: Cell<u32>,
    /// What the kernel said of it: epoch, when (0: not there), what.
    who: (Cell<u32>, Cell<u64>, Cell<Who>),
    streams: UnsafeCell<[Stream; MAX_CHANNELS]>,
    /// By channel and depth.
    nested: [[Cell<Nested>; NESTED]; MAX_CHANNELS],
}

/// Calls in the middle of each other whose writers are kept; a deeper one gets a writer for itself.
const NESTED: usize = 4;

thread_local! {
    // Const and without a destructor: there from the thread's first instruction to its last.
    static THREAD: Thread = const {
        Thread {
            depth: Cell::new(0),
            late: Cell::new(false),
            watched: Cell::new(false),
            patience: Cell::new(Patience::Policy),
            early: Cell::new(0),
            who: (Cell::new(0), Cell::new(0), Cell::new(Who { tid: 0, name: [0; 16] })),
            streams: UnsafeCell::new([const { Stream::new(0) }; MAX_CHANNELS]),
            nested: [const { [const { Cell::new(Nested::NONE) }; NESTED] }; MAX_CHANNELS],
        }
    };
    static REAPER: Reaper = const { Reaper };
    // As `THREAD`: a signal handler allocates nothing for it.
    static BYTES: RefCell<[u8; DESK]> = const { RefCell::new([0; DESK]) };
}

/// Bytes of [`desk`].
pub(crate) const DESK: usize = 2048;

/// Memory of the calling thread to put values together in; `None` while a call further up has it.
#[cfg(feature = "log")]
#[inline(always)]
pub(crate) fn desk() -> Option<std::cell::RefMut<'static, [u8; DESK]>> {
    let bytes: *const RefCell<[u8; DESK]> = BYTES.with(std::ptr::from_ref);
    // SAFETY: it is in the thread's static memory and has no destructor, so that it is there for as
    // long as the thread runs; neither a `RefCell` nor its guard leaves the thread.
    let bytes: &'static RefCell<[u8; DESK]> = unsafe { &*bytes };
    bytes.try_borrow_mut().ok()
}

/// Gives a thread's sub-buffers back when it ends.
struct Reaper;

impl Drop for Reaper {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.late.set(true);
            thread.alone(|streams| {
                for (slot, stream) in streams.iter_mut().enumerate() {
                    if stream.epoch() == os::epoch()
                        && let Some(channel) = channel(slot)
                    {
                        stream.park(channel);
                    }
                }
            });
        });
    }
}

impl Thread {
    /// Runs `f` with the thread's streams. A signal handler meanwhile sees that they are in use.
    #[inline(always)]
    fn alone<R>(&self, f: impl FnOnce(&mut [Stream; MAX_CHANNELS]) -> R) -> R {
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        compiler_fence(Acquire);
        // SAFETY: only this thread reaches its streams, and only where `depth` was 0: here and, for
        // the reaper, where no call is under way. A handler in between finds it not 0.
        let result = f(unsafe { &mut *self.streams.get() });
        compiler_fence(Release);
        // What handlers added in between they have taken away again.
        self.depth.set(depth);
        result
    }
}

/// So long after the kernel was asked for a thread's name it is asked again, in nanoseconds.
const NAME_HOLDS_NS: u64 = 100_000_000;

/// The calling thread, as every lease names it, at a time of CLOCK_MONOTONIC. One system call when it
/// has been asked for long ago: a thread can be given another name. Two when it never was.
pub(crate) fn who(now_ns: u64) -> Who {
    let (epoch, asked_ns, known) = &here().who;
    let asked = asked_ns.get() != 0 && epoch.get() == os::epoch();
    if asked && now_ns.wrapping_sub(asked_ns.get()) < NAME_HOLDS_NS {
        return known.get();
    }
    let who = if asked { known.get().renamed() } else { Who::here() };
    // A signal handler that comes in between finds nothing, and asks for itself.
    asked_ns.set(0);
    compiler_fence(Release);
    known.set(who);
    epoch.set(os::epoch());
    compiler_fence(Release);
    asked_ns.set(now_ns);
    who
}

/// The calling thread's. The hot path does not use `LocalKey::with`: what is done in its closure is
/// compiled apart, with everything passed in memory.
#[inline(always)]
fn here<'a>() -> &'a Thread {
    let thread: *const Thread = THREAD.with(std::ptr::from_ref);
    // SAFETY: it is in the thread's static memory and has no destructor, so that it is there for as
    // long as the thread runs; it is not `Sync`, so that no reference leaves the thread.
    unsafe { &*thread }
}

/// Whether a record was written. See [`append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the channel.
    Yes,
    /// The channel discarded it, and counted it.
    Discarded,
    /// There is no channel in this slot.
    NoChannel,
}

/// The short way: writes one record into this thread's stream of the channel in `slot`, if nothing
/// stands in the way and the era is still `era`; `false` and nothing written otherwise.
///
/// `fill` as in [`append`].
#[inline(always)]
pub(crate) fn append_in(
    era: u32,
    slot: usize,
    kind: Kind,
    callsite: u32,
    len: usize,
    fill: impl Fn(&mut Payload<'_>),
) -> bool {
    let thread = here();
    thread.depth.get() == 0
        && thread.alone(|streams| {
            let stream = &mut streams[slot % MAX_CHANNELS];
            stream.era == era && os::era() == era && stream.append(kind, callsite, len, fill)
        })
}

/// Writes one record into this thread's stream of the channel in `slot`.
///
/// `fill` gets exactly `len` bytes, must fill them all, must not run anybody else's code (no
/// `Display`, no allocation), and may be called once.
#[inline(always)]
pub(crate) fn append(
    slot: usize,
    kind: Kind,
    callsite: u32,
    len: usize,
    fill: impl Fn(&mut Payload<'_>),
) -> Appended {
    if append_in(os::era(), slot, kind, callsite, len, &fill) {
        return Appended::Yes;
    }
    slow(here(), slot, kind, callsite, len, &fill)
}

#[cold]
#[inline(never)]
fn slow(
    thread: &Thread,
    slot: usize,
    kind: Kind,
    callsite: u32,
    len: usize,
    fill: &dyn Fn(&mut Payload<'_>),
) -> Appended {
    let Some(channel) = own_channel(slot) else {
        return Appended::NoChannel;
    };
    let tick = tick::now(channel.ticks());
    let record = Pending { tick, kind, callsite, len, fill };
    if thread.depth.get() > 0 {
        return nested(thread, slot, channel, &record);
    }
    if thread.early.get() != 0 {
        continue_early(thread);
    }
    if !thread.watched.get() && !thread.late.get() {
        let there = REAPER.try_with(|_| ()).is_ok();
        thread.watched.set(there);
        thread.late.set(!there);
    }
    let patience = patience(thread, Patience::Policy);
    thread.alone(|streams| {
        let Some(stream) = streams.get_mut(slot) else {
            return Appended::NoChannel;
        };
        if stream.epoch() != 0 && stream.epoch() != channel.epoch {
            // A forked child: the parent's stream is the parent's.
            *stream = Stream::new(0);
        }
        let done = stream.append_slow(channel, patience, &record);
        stream.era = os::era();
        if thread.late.get() {
            stream.park(channel);
        }
        done.map_or(Appended::Discarded, |()| Appended::Yes)
    })
}

fn patience(thread: &Thread, usual: Patience) -> Patience {
    thread.patience.get().max(usual)
}

/// The thread's first call with channels: its streams go on where its early records ended.
#[cold]
fn continue_early(thread: &Thread) {
    let Some(positions) = super::handover::continuation(thread.early.get()) else {
        return;
    };
    thread.early.set(0);
    thread.alone(|streams| {
        for (stream, position) in streams.iter_mut().zip(positions) {
            if let Some((writer, sequence, number)) = position
                && stream.writer() == 0
            {
                *stream = Stream::resume(0, writer, sequence, number);
            }
        }
    });
}

/// This thread's number among those with early records; it has one from here on.
pub(crate) fn early_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    THREAD.with(|thread| {
        if thread.early.get() == 0 {
            thread.early.set(NEXT.fetch_add(1, Relaxed));
        }
        thread.early.get()
    })
}

/// Runs `f` as if it were in the middle of a call: a signal handler meanwhile takes the nested way.
pub(crate) fn busy<R>(f: impl FnOnce() -> R) -> R {
    THREAD.with(|thread| {
        let depth = thread.depth.get();
        thread.depth.set(depth + 1);
        compiler_fence(Acquire);
        let result = f();
        compiler_fence(Release);
        thread.depth.set(depth);
        result
    })
}

/// A call inside a call, or after the thread's end: it takes a lease for this record alone, past the
/// cap, and never touches what the interrupted call may be in the middle of.
///
/// It takes the writer of its depth away and puts it back with the number after its own: a call that
/// is left for good by `siglongjmp` takes its writer with it, and no number is missing or there twice.
fn nested(thread: &Thread, slot: usize, channel: &Channel, record: &Pending<'_>) -> Appended {
    let depth = thread.depth.get();
    let Some(levels) = thread.nested.get(slot) else {
        return Appended::NoChannel;
    };
    // Before the writer is taken: whoever interrupts that takes another one.
    thread.depth.set(depth + 1);
    compiler_fence(Acquire);
    let own = levels.get(depth as usize - 1);
    let last = own.map_or(Nested::NONE, |own| own.replace(Nested::NONE));
    let last = if last.epoch == channel.epoch { last } else { Nested::NONE };
    let level = u8::try_from(depth).unwrap_or(u8::MAX);
    let mut stream = Stream::resume(level, last.writer, last.sequence, last.number);
    channel.count(super::layout::Counter::OneShot, 1);
    let done = stream.append_slow(channel, patience(thread, Patience::PastTheCap), record);
    stream.park(channel);
    if let Some(own) = own {
        own.set(Nested {
            epoch: channel.epoch,
            writer: stream.writer(),
            sequence: stream.sequence(),
            number: stream.next_number(),
        });
    }
    compiler_fence(Release);
    // Not one less than it is: a handler may have left a call inside this one by siglongjmp.
    thread.depth.set(depth);
    done.map_or(Appended::Discarded, |()| Appended::Yes)
}

/// Whether this thread is in the middle of a call: then it may not wait for a lock.
pub(crate) fn is_nested() -> bool {
    THREAD.with(|thread| thread.depth.get() > 0)
}

/// Says that this thread never waits for the collector, because it is the collector.
pub fn never_wait() {
    THREAD.with(|thread| thread.patience.set(Patience::Never));
}

/// Runs `f`, whose calls get a sub-buffer past the cap: what they say is not to wait for a collector
/// that may never come.
pub(crate) fn past_the_cap(f: impl FnOnce()) {
    THREAD.with(|thread| {
        let usual = thread.patience.replace(patience(thread, Patience::PastTheCap));
        f();
        thread.patience.set(usual);
    });
}

/// Whether this thread may wait for the collector.
pub(crate) fn may_wait() -> bool {
    THREAD.with(|thread| thread.patience.get() != Patience::Never)
}

/// This process's channel in a slot. A forked child gets its own here: its parent's is not mapped.
/// Where the parent's is still found, another thread is just making the child's.
pub(crate) fn own_channel(slot: usize) -> Option<&'static Channel> {
    if os::epoch() == 0 {
        after_fork();
    }
    let own = |channel: &&Channel| channel.epoch == os::epoch();
    let there = channel(slot)?;
    if own(&there) {
        return Some(there);
    }
    os::with_signals_blocked(|| drop(os::lock(os::Lock::Forking)));
    channel(slot).filter(own)
}

/// The first call in a forked child: it gets channels of its own, and no helper threads.
///
/// Signals are blocked meanwhile: a handler that logs would wait for the call that it interrupts.
pub(crate) fn after_fork() {
    os::with_signals_blocked(|| {
        let _one = os::lock(os::Lock::Forking);
        if os::epoch() == 0 {
            replace_channels();
        }
    });
}

fn replace_channels() {
    let parents: [Option<&Channel>; MAX_CHANNELS] = std::array::from_fn(channel);
    os::new_epoch();
    for (slot, parent) in parents.iter().enumerate() {
        let Some(parent) = parent else { continue };
        match Channel::create(parent.config.of_child()) {
            Ok(channel) => install(slot, Arc::new(channel)),
            Err(error) => {
                if let Some(at) = CHANNELS.get(slot) {
                    at.store(std::ptr::null_mut(), Release);
                }
                tell(format_args!("relay: a forked child has no channel: {error}"));
            }
        }
    }
}
