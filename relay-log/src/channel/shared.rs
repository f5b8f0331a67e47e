//! A channel as all threads of its process share it: leases, growth, waiting, counting.

use super::birth;
use super::describe::Descriptions;
use super::error::{CreateError, WriteError};
use super::layout::{
    self, Counter, HEADER_BYTES, Identity, OnFull, SUB_HEADER_BYTES, State, TickSource, header,
    low, sub, sub_buffer_offset, word,
};
use super::map::{Mapping, ZeroedArray};
use super::os;
use super::slots::{Owned, Slot, Slots};
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::tick;
use relay_fmt::rows::ChannelId;
use relay_fmt::time::Rate;
use rustix::io::Errno;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};
use std::time::Duration;

/// How a channel is to be opened.
///
/// | setting | default |
/// |---|---|
/// | `sub_buffer` | 64 KiB |
/// | `initial` | 4 MiB |
/// | `max` | a quarter of what is free in the file system |
/// | `on_full` | [`OnFull::Block`] |
/// | `mode` | `0o600` |
/// | `keeper` | true |
#[derive(Debug, Clone)]
pub struct Config {
    /// The live directory: files of channels stand directly in it.
    pub dir: PathBuf,
    /// The channel's name.
    pub name: String,
    /// Bytes of a sub-buffer: a power of two from 4 KiB to 8 MiB.
    pub sub_buffer: u32,
    /// Bytes allocated at birth and kept; rounded up to whole sub-buffers, at least two.
    pub initial: u64,
    /// Bytes that may wait for the collector; `None` for the default.
    pub max: Option<u64>,
    /// What a call does when the channel is full.
    pub on_full: OnFull,
    /// Permission bits of the file; directories that have to be made get the matching ones.
    pub mode: u32,
    /// Whether a helper thread allocates ahead and gives back what is idle.
    pub keeper: bool,
}

impl Config {
    /// The defaults, for the channel `name` in the live directory `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            name: name.into(),
            sub_buffer: 64 << 10,
            initial: 4 << 20,
            max: None,
            on_full: OnFull::Block,
            mode: 0o600,
            keeper: true,
        }
    }

    fn check(&self) -> Result<(), CreateError> {
        let size = self.sub_buffer;
        if !layout::is_channel_name(&self.name) {
            return Err(CreateError::Config(format!(
                "{:?} cannot name a channel: letters, digits, - and _, at most {} bytes",
                self.name,
                layout::MAX_NAME
            )));
        }
        if !size.is_power_of_two()
            || !(layout::MIN_SUB_BUFFER..=layout::MAX_SUB_BUFFER).contains(&size)
        {
            return Err(CreateError::Config(format!(
                "a sub-buffer of {size} bytes: it must be a power of two from 4 KiB to 8 MiB"
            )));
        }
        Ok(())
    }
}

/// Whether a call may wait for the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It does what the channel's policy says.
    Policy,
    /// It gets a sub-buffer past the cap: a call inside a call, the collector's own thread,
    /// descriptions of callsites.
    PastTheCap,
}

/// A sub-buffer that is open for the caller to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) index: u32,
    pub(crate) generation: u64,
    /// Bytes committed already: not 0 when a parked sub-buffer is continued.
    pub(crate) committed: u32,
}

/// An open channel. See the [module](super) for the protocol.
#[derive(Debug)]
pub struct Channel {
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    pub(crate) map: ManuallyDrop<Mapping>,
    pub(super) file: birth::GrowFile,
    pub(crate) slots: Slots<ZeroedArray<Slot>>,
    pub(crate) descriptions: Descriptions,
    next_writer: AtomicU64,
    /// Sub-buffers that may wait for the collector.
    cap: AtomicU32,
    /// Bytes of disk that growth leaves alone.
    reserve: u64,
    /// Which process of a line of forks this channel belongs to.
    pub(crate) epoch: u32,
    /// Bytes that are kept allocated, in sub-buffers.
    keep: AtomicU32,
    pub(crate) keeper_word: Arc<AtomicU32>,
    told_waiting: AtomicBool,
}

/// Free disk that growth never eats, in bytes: the larger of this and a hundredth of what was free.
const RESERVE_BYTES: u64 = 16 << 20;

fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn boot_id() -> [u8; 16] {
    let text = text_of("/proc/sys/kernel/random/boot_id").replace('-', "");
    text.parse::<ChannelId>().map_or([0; 16], |id| id.0)
}

fn program_name() -> String {
    let exe = std::env::current_exe().ok();
    exe.and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned())).unwrap_or_default()
}

fn new_id() -> Result<ChannelId, CreateError> {
    let mut id = [0u8; 16];
    let got = rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(16) => Ok(ChannelId(id)),
        Ok(_) => Err(CreateError::Config("the kernel gave too few random bytes".into())),
        Err(errno) => {
            Err(CreateError::System { what: "get random bytes", dir: "the kernel".into(), errno })
        }
    }
}

impl Channel {
    /// Opens a new channel.
    ///
    /// # Errors
    /// When the configuration cannot be, the directory cannot be written, or there is no room for
    /// the initial size.
    pub fn create(mut config: Config) -> Result<Self, CreateError> {
        config.check()?;
        // The program may go to another directory, as daemons do.
        if let Ok(dir) = std::path::absolute(&config.dir) {
            config.dir = dir;
        }
        os::watch_forks();
        if os::epoch() == 0 {
            // A forked child that has not logged yet. It says what it is before the channel belongs
            // to it, or the channel's first writer would take it for the parent's.
            super::thread::after_fork();
        }
        let ticks = tick::choose();
        let opened = tick::anchor(ticks);
        let dir = birth::open_dir(&config.dir, config.mode)?;
        let free = birth::free_bytes(&dir);
        let size = u64::from(config.sub_buffer);
        let initial = config.initial.div_ceil(size).max(2);
        let identity = Identity {
            id: new_id()?,
            boot: boot_id(),
            pid: std::process::id(),
            sub_buffer: config.sub_buffer,
            ticks,
            on_full: config.on_full,
            opened,
            initial: initial * size,
            name: config.name.clone(),
            program: program_name(),
            host: text_of("/proc/sys/kernel/hostname"),
        };
        let born = birth::bear(&config.dir, &dir, &identity, config.mode)?;
        let most = (born.map.len() - HEADER_BYTES) / config.sub_buffer as usize;
        let slots = ZeroedArray::slots(most).map_err(|_| CreateError::System {
            what: "map the table of sub-buffers",
            dir: config.dir.display().to_string(),
            errno: Errno::NOMEM,
        })?;
        let channel = Self {
            map: ManuallyDrop::new(born.map),
            file: born.grow,
            slots: Slots::new(slots),
            descriptions: Descriptions::new(),
            next_writer: AtomicU64::new(1),
            cap: AtomicU32::new(0),
            reserve: RESERVE_BYTES.max(free / 100),
            epoch: os::epoch(),
            keep: AtomicU32::new(initial as u32),
            keeper_word: Arc::default(),
            told_waiting: AtomicBool::new(false),
            identity,
            config,
        };
        for _ in 0..initial {
            let Some(index) = channel.slots.begin_growth() else {
                break;
            };
            channel.slots.grown_free(index);
        }
        channel.set_cap(channel.config.max.unwrap_or(free / 4));
        channel.store(header::RATE, tick::first_rate(ticks, opened).per_tick_q32);
        Ok(channel)
    }

    /// What the channel says of itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bytes of a sub-buffer that hold records.
    pub(crate) fn room(&self) -> u32 {
        self.identity.sub_buffer - SUB_HEADER_BYTES as u32
    }

    pub(crate) fn offset(&self, index: u32) -> usize {
        sub_buffer_offset(index, self.identity.sub_buffer) as usize
    }

    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.map.u64(offset).store(value, Relaxed);
    }

    pub(crate) fn count(&self, counter: Counter, by: u64) {
        self.map.u64(counter.offset()).fetch_add(by, Relaxed);
    }

    /// What a counter says.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.map.u64(counter.offset()).load(Relaxed)
    }

    pub(crate) fn rate(&self) -> Rate {
        Rate { per_tick_q32: self.map.u64(header::RATE).load(Relaxed) }
    }

    pub(crate) fn ticks(&self) -> TickSource {
        self.identity.ticks
    }

    /// A number for a new writer, never used again in this channel.
    pub(crate) fn new_writer(&self) -> u64 {
        self.count(Counter::Writers, 1);
        self.next_writer.fetch_add(1, Relaxed)
    }

    /// Sets how many bytes may wait for the collector; at least one sub-buffer.
    pub fn set_cap(&self, bytes: u64) {
        let subs = (bytes / u64::from(self.identity.sub_buffer)).clamp(1, u64::from(u32::MAX / 2));
        self.cap.store(subs as u32, Relaxed);
        self.store(header::CAP, subs * u64::from(self.identity.sub_buffer));
        self.handed_back();
    }

    /// Sets the size that is kept allocated, in bytes; at least two sub-buffers. A larger one is
    /// allocated now, as far as the disk allows; what is beyond a smaller one is given back when it
    /// is idle. The cap is raised to it where it is lower.
    pub fn resize(&self, bytes: u64) {
        let size = u64::from(self.identity.sub_buffer);
        let subs = u32::try_from(bytes.div_ceil(size)).unwrap_or(u32::MAX / 2).max(2);
        self.keep.store(subs, Relaxed);
        if subs > self.cap.load(Relaxed) {
            self.set_cap(u64::from(subs) * size);
        }
        let missing = subs.saturating_sub(self.slots.allocated());
        let _ = (0..missing).take_while(|_| self.grow_ahead()).count();
        self.count(Counter::Resized, 1);
        self.handed_back();
    }

    /// Sub-buffers that stay allocated.
    pub(crate) fn keep(&self) -> u32 {
        self.keep.load(Relaxed)
    }

    /// Whether what waits for the collector leaves room to grow.
    pub(crate) fn may_grow(&self) -> bool {
        self.slots.backlog() < self.cap.load(Relaxed)
    }

    /// Whether somebody who waits could have a sub-buffer now.
    fn has_room(&self) -> bool {
        self.may_grow() && self.slots.free_up_to(1) > 0
    }

    /// Bytes that are allocated now.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        u64::from(self.slots.allocated()) * u64::from(self.identity.sub_buffer)
    }

    fn archived(&self, index: u32) -> u64 {
        self.map.u64(self.offset(index) + sub::ARCHIVED).load(Acquire)
    }

    /// Looks at up to `most` sub-buffers for those that the collector has archived.
    pub(crate) fn reclaim(&self, most: u32) -> u32 {
        self.slots.reclaim(most, |index| self.archived(index))
    }

    /// Tells waiting threads of this process that it is worth another try.
    pub(crate) fn handed_back(&self) {
        let freed = self.map.u32(header::FREED);
        freed.fetch_add(1, Release);
        if self.map.u32(header::WAITERS).load(Acquire) != 0 {
            os::futex_wake(freed.as_ptr(), u32::MAX >> 1);
        }
    }

    /// Wakes the collector if it sleeps: it watches the directory for changed attributes.
    #[cold]
    pub(crate) fn wake_collector(&self) {
        if self.map.u32(header::ASLEEP).swap(0, Relaxed) != 0 {
            let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
            let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
            // When this fails the collector looks by itself within a second.
            let _ = self.file.with(|fd| rustix::fs::futimens(fd, &times));
        }
    }

    /// Wakes the keeper if it sleeps.
    pub(crate) fn wake_keeper(&self) {
        if self.keeper_word.load(Relaxed) == 1 && self.keeper_word.swap(0, Relaxed) == 1 {
            os::futex_wake(self.keeper_word.as_ptr(), 1);
        }
    }

    /// A sub-buffer with room for `need` bytes, or with all its room.
    pub(crate) fn open(&self, need: u32, patience: Patience) -> Result<Opened, WriteError> {
        if let Some(opened) = self.continue_parked(need) {
            return Ok(opened);
        }
        let owned = self.acquire(patience)?;
        self.wake_keeper();
        Ok(self.begin(owned, State::Owned))
    }

    fn continue_parked(&self, need: u32) -> Option<Opened> {
        while let Some(owned) = self.slots.unpark() {
            let base = self.offset(owned.index);
            let committed = || self.map.u64(base + sub::COMMITTED).load(Acquire);
            if !self.is_there(owned) || layout::generation(committed()) != owned.generation {
                self.slots.vanished(owned);
                continue;
            }
            let committed = low(committed());
            let opened = Opened { index: owned.index, generation: owned.generation, committed };
            if committed.saturating_add(need) <= self.room() {
                self.set_state(opened.index, opened.generation, State::Owned);
                return Some(opened);
            }
            self.close(opened, 0);
        }
        None
    }

    fn acquire(&self, patience: Patience) -> Result<Owned, WriteError> {
        let mut waiting: Option<Waiting<'_>> = None;
        let mut vanished = 0;
        loop {
            if let Some(owned) = self.try_acquire(patience) {
                if self.is_there(owned) {
                    return Ok(owned);
                }
                self.slots.vanished(owned);
                vanished += 1;
                // Another one may be there, or this one can be had again. Where nothing helps (a
                // file system that allocates and does not mean it), it is a full disk.
                if vanished <= self.slots.high() {
                    continue;
                }
            }
            if patience == Patience::Policy {
                match self.config.on_full {
                    OnFull::Overwrite => {
                        if let Some(owned) = self.slots.overwrite() {
                            self.count(Counter::Overwritten, 1);
                            return Ok(owned);
                        }
                    }
                    OnFull::Discard => return Err(WriteError::Discarded),
                    OnFull::Block => {}
                }
            }
            waiting.get_or_insert_with(|| Waiting::begin(self)).wait();
        }
    }

    /// Faults a sub-buffer's pages in at once. `false` where a store would be a SIGBUS: somebody has
    /// cut the file or punched a hole into it, and the disk is full.
    fn is_there(&self, owned: Owned) -> bool {
        let (at, size) = (self.offset(owned.index), self.identity.sub_buffer as usize);
        let populated = self.map.populate(at, size);
        // Other errors only say that the kernel does not know the question.
        let fault = populated.is_err_and(|e| Errno::from_io_error(&e) == Some(Errno::FAULT));
        // In the page where a file ends, stores go nowhere without a signal.
        !fault && self.file.len().is_none_or(|len| len >= (at + size) as u64)
    }

    /// One try to get a sub-buffer, without waiting for anybody.
    fn try_acquire(&self, patience: Patience) -> Option<Owned> {
        let cap = self.cap.load(Relaxed);
        if patience == Patience::Policy && self.slots.backlog() >= cap {
            self.reclaim(u32::MAX);
            if self.slots.backlog() >= cap {
                return None;
            }
        }
        self.slots
            .lease()
            .or_else(|| (self.reclaim(16) > 0).then(|| self.slots.lease()).flatten())
            .or_else(|| self.grow(patience))
            .or_else(|| (self.reclaim(u32::MAX) > 0).then(|| self.slots.lease()).flatten())
    }

    /// Allocates one more sub-buffer and leases it.
    fn grow(&self, patience: Patience) -> Option<Owned> {
        let index = self.slots.begin_growth()?;
        if self.allocate(index, patience) {
            return Some(self.slots.grown_leased(index));
        }
        self.slots.not_grown(index);
        None
    }

    /// Allocates one more sub-buffer for whoever comes; the keeper's way of growing.
    pub(crate) fn grow_ahead(&self) -> bool {
        let Some(index) = self.slots.begin_growth() else {
            return false;
        };
        if !self.allocate(index, Patience::Policy) {
            self.slots.not_grown(index);
            return false;
        }
        let _ = self.map.populate(self.offset(index), self.identity.sub_buffer as usize);
        self.slots.grown_free(index);
        true
    }

    fn allocate(&self, index: u32, patience: Patience) -> bool {
        let size = u64::from(self.identity.sub_buffer);
        let done = self.file.with(|fd| {
            let enough = patience == Patience::PastTheCap
                || birth::free_bytes(fd) >= self.reserve.saturating_add(size);
            let room = if enough { Ok(()) } else { Err(Errno::NOSPC) };
            room.and_then(|()| birth::allocate(fd, self.offset(index) as u64, size))
        });
        let done = done.is_ok();
        self.count(if done { Counter::Grown } else { Counter::AllocFailed }, 1);
        done
    }

    /// Gives the blocks of the highest sub-buffer back if it is free and not among the first `keep`.
    pub(crate) fn shrink(&self, keep: u32) -> bool {
        use rustix::fs::FallocateFlags as Flags;
        let Some(index) = self.slots.begin_retirement(keep) else {
            return false;
        };
        let size = u64::from(self.identity.sub_buffer);
        // The length stays: whoever maps or reads the file finds a hole, not an end.
        let punch = Flags::PUNCH_HOLE | Flags::KEEP_SIZE;
        let at = self.offset(index) as u64;
        let punched = self.file.with(|fd| rustix::fs::fallocate(fd, punch, at, size));
        if punched.is_ok() {
            self.count(Counter::Shrunk, 1);
        }
        self.slots.retired(index);
        punched.is_ok()
    }

    fn set_state(&self, index: u32, generation: u64, state: State) {
        let at = self.offset(index) + sub::STATE;
        self.map.u64(at).store(word(generation, state as u32), Release);
    }

    /// Opens a new generation: state, lease slot, then `committed`, which makes it so.
    fn begin(&self, owned: Owned, state: State) -> Opened {
        let Owned { index, generation, prior } = owned;
        let base = self.offset(index);
        self.map.u64(base + sub::STATE).store(word(generation, state as u32), Relaxed);
        fence(Release); // open:A, pairs with the reader's fence: state before slot before committed
        let slot = base + sub::slot(generation);
        self.store(slot, generation);
        self.store(slot + 8, prior);
        self.store(slot + 16, tick::now(self.ticks()));
        // commit:B, generation g+1 with nothing in it. Until here generation g was readable.
        self.map.u64(base + sub::COMMITTED).store(word(generation, 0), Release);
        // commit:B before the bytes of this generation: a reader that copied any of them while it
        // took them for generation g's sees g+1 when it looks again. A release store alone holds
        // back only what comes before it.
        fence(Release);
        Opened { index, generation, committed: 0 }
    }

    /// Opens a sub-buffer for descriptions: it is never handed back.
    pub(crate) fn open_meta(&self) -> Result<Opened, WriteError> {
        let owned = self.acquire(Patience::PastTheCap)?;
        Ok(self.begin(owned, State::Meta))
    }

    /// Closes a sub-buffer to which the caller has added `records` numbered records since it was
    /// opened or continued.
    pub(crate) fn close(&self, opened: Opened, records: u64) {
        // The word in the file first: once the table says Ready, another thread may take it.
        self.set_state(opened.index, opened.generation, State::Ready);
        self.slots.close(opened.index, opened.generation, records);
    }

    /// Leaves a sub-buffer for the next lease to continue.
    pub(crate) fn park(&self, opened: Opened, records: u64) {
        self.set_state(opened.index, opened.generation, State::Parked);
        self.slots.park(opened.index, opened.generation, records);
    }

    /// Says that the process ends in order; what is committed is there either way.
    pub fn announce_end(&self) {
        self.map.u64(header::CLOSED).store(1, Release);
        self.wake_collector();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.keeper_word.store(2, Relaxed);
        os::futex_wake(self.keeper_word.as_ptr(), 1);
        // A forked child never had the mapping; something else may lie there by now.
        if self.epoch == os::epoch() {
            // SAFETY: the field is not used again.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}

/// A thread that waits for the collector.
struct Waiting<'a> {
    channel: &'a Channel,
    since_ns: u64,
    told: bool,
}

impl<'a> Waiting<'a> {
    /// A wait longer than this is said on stderr, once for all threads, in nanoseconds.
    const TELL_AFTER: u64 = 1_000_000_000;
    /// The longest single wait: then the waiter looks for itself.
    const BOUND: Duration = Duration::from_millis(100);

    fn begin(channel: &'a Channel) -> Self {
        channel.count(Counter::Waits, 1);
        Self { channel, since_ns: tick::mono_ns(), told: false }
    }

    fn wait(&mut self) {
        let channel = self.channel;
        let freed = channel.map.u32(header::FREED);
        let waiters = channel.map.u32(header::WAITERS);
        let before = freed.load(Acquire);
        waiters.fetch_add(1, Release);
        channel.wake_collector();
        channel.wake_keeper();
        // Between reading `freed` and here something may have come back, or another thread may have
        // taken back all that did and left some of it: look once more.
        if channel.reclaim(u32::MAX) == 0 && !channel.has_room() {
            os::futex_wait(freed, before, Self::BOUND);
        }
        waiters.fetch_sub(1, Release);
        let waited = tick::mono_ns().saturating_sub(self.since_ns);
        if waited > Self::TELL_AFTER && !self.told && !channel.told_waiting.swap(true, Relaxed) {
            self.told = true;
            tell(format_args!(
                "relay: channel {} is full and waits for its collector (relay-collect --dir …); nothing is lost",
                channel.config.name
            ));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = tick::mono_ns().saturating_sub(self.since_ns);
        self.channel.count(Counter::WaitNanos, waited);
        if self.told {
            self.channel.told_waiting.store(false, Relaxed);
            tell(format_args!(
                "relay: channel {} goes on after {:.1} s",
                self.channel.config.name,
                waited as f64 / 1e9
            ));
        }
    }
}

/// One line on stderr, in one write, without memory or locks: this may run in a signal handler.
pub(crate) fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let mut buffer = [0u8; 256];
    let mut rest = &mut buffer[..];
    let _ = rest.write_fmt(line);
    let _ = rest.write_all(b"\n");
    let written = 256 - rest.len();
    // SAFETY: stderr is a number; a closed one is answered with EBADF.
    let stderr = unsafe { rustix::fd::BorrowedFd::borrow_raw(2) };
    let _ = rustix::io::write(stderr, &buffer[..written]);
}
