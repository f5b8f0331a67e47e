//! The keeper: a helper thread that allocates ahead of need, makes ready what is leased next, gives
//! back what is idle, and carries out resize requests.
//!
//! It only accelerates: everything it does a log call can do itself, and does in forked children, in
//! a dying process, or where threads cannot be started. It blocks all signals and never logs through
//! a path that could wait.

use super::layout::header;
use super::os;
use super::shared::Channel;
use super::sync::Ordering::Relaxed;
use super::tick;
use super::waiting::tell;
use parking_lot::Mutex;
use relay_fmt::time::Rate;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Is told when the allocated size has settled after a change: channel, bytes before, bytes now.
pub(crate) type OnChange = fn(&Channel, u64, u64);

/// While there is traffic it looks this often.
const TICK: Duration = Duration::from_millis(1);
/// Without traffic it looks this often: only for resize requests, which do not wake it.
const IDLE: Duration = Duration::from_secs(1);
/// So many ticks without a closed sub-buffer are idleness: then the tail is given back.
const IDLE_TICKS: u32 = 1_000;
/// The most that it gives back in one tick.
const SHRINK_AT_ONCE: u32 = 64;
/// The most that it allocates in one tick because it was asked to: other duties and later requests
/// do not wait for gigabytes.
const GROW_AT_ONCE: u32 = 64;
/// So long at most who drops a channel waits for it: a disk may hang.
const SETTLE: Duration = Duration::from_secs(1);

/// Who drops it waits until the keeper has let go of the channel, where nobody else holds that: its file
/// looks dead from then on, and not only when the keeper has done what it is at.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    channel: Weak<Channel>,
    tended: Arc<Mutex<()>>,
    epoch: u32,
}

impl Settle {
    pub(crate) fn new(channel: &Arc<Channel>) -> Self {
        let tended = Arc::clone(&channel.tended);
        Self { channel: Arc::downgrade(channel), tended, epoch: channel.epoch }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        // In a forked child there is no keeper, and what it held when the child came to be stays held. With none
        // left the keeper may be the one that is just unmapping it.
        if self.epoch == os::epoch() && self.channel.strong_count() <= 1 {
            drop(self.tended.try_lock_for(SETTLE));
        }
    }
}

/// Starts the keeper of a channel, unless its configuration says otherwise. When no thread can be
/// started, there is none.
pub(crate) fn start(channel: &Arc<Channel>, on_change: Option<OnChange>) {
    if !channel.config.keeper {
        return;
    }
    let mut keeper = Keeper::new(channel, on_change);
    let _ = os::with_signals_blocked(|| {
        let thread = std::thread::Builder::new().name("relay-keeper".into());
        thread.stack_size(256 << 10).spawn(move || keeper.run())
    });
}

struct Keeper {
    channel: Weak<Channel>,
    /// 1 while the keeper sleeps; a lease makes it 0 and wakes it, the end of the channel makes it 2.
    word: Arc<AtomicU32>,
    /// Held as long as it holds the channel: see [`Settle`].
    tended: Arc<Mutex<()>>,
    on_change: Option<OnChange>,
    closings: u64,
    /// Ticks without a closed sub-buffer.
    quiet: u32,
    resizes: u64,
    /// Whether what was asked to be kept is not allocated yet.
    growing: bool,
    /// The allocated size that was told last.
    told: u64,
    next_rate_ns: u64,
    next_sync: Option<Instant>,
    /// The oldest request for durability that is not fulfilled, and when it was made.
    sync_asked: Option<(u64, Instant)>,
    /// When the file's name was looked for last; `None` once it was said that it is gone.
    named: Option<Instant>,
}

impl Keeper {
    fn new(channel: &Arc<Channel>, on_change: Option<OnChange>) -> Self {
        Self {
            channel: Arc::downgrade(channel),
            word: Arc::clone(&channel.keeper_word),
            tended: Arc::clone(&channel.tended),
            on_change,
            closings: 0,
            quiet: 0,
            resizes: 0,
            growing: false,
            told: channel.allocated_bytes(),
            next_rate_ns: 100_000_000,
            next_sync: channel.config.sync_every.map(|every| Instant::now() + every),
            sync_asked: None,
            named: Some(Instant::now()),
        }
    }

    fn run(&mut self) {
        super::thread::never_wait();
        let tended = Arc::clone(&self.tended);
        loop {
            let held = tended.lock();
            let Some(channel) = self.channel.upgrade() else {
                return;
            };
            if channel.epoch != os::epoch() {
                return;
            }
            let busy = self.tend(&channel);
            let idle = self.sync(&channel);
            self.see_name(&channel);
            drop(channel);
            drop(held);
            if busy {
                std::thread::sleep(TICK);
            } else if self.word.compare_exchange(0, 1, Relaxed, Relaxed).is_ok() {
                os::futex_wait(&self.word, 1, idle);
                let _ = self.word.compare_exchange(1, 0, Relaxed, Relaxed);
            }
        }
    }

    /// One look. Returns whether there is reason to look again soon.
    fn tend(&mut self, channel: &Channel) -> bool {
        if channel.reclaim(u32::MAX) > 0 {
            channel.handed_back();
        }
        let closings = channel.slots.closings();
        let closed = closings - self.closings;
        self.closings = closings;
        self.quiet = if closed > 0 { 0 } else { self.quiet.saturating_add(1) };
        self.requests(channel);
        self.measure_rate(channel);
        // Enough for two ticks at the rate of the last one.
        let spare = u32::try_from(closed.saturating_mul(2)).unwrap_or(64).clamp(2, 64);
        let mut grown = self.growing;
        self.growing = self.growing && channel.grow_to_keep(GROW_AT_ONCE);
        // When idle it gives back, and would do so with these, without end.
        while self.quiet <= IDLE_TICKS
            && channel.may_grow()
            && channel.slots.free_up_to(spare) < spare
            && channel.grow_ahead()
        {
            grown = true;
        }
        channel.keep_warm(spare);
        let shrunk = self.quiet > IDLE_TICKS && {
            let give = |_: &u32| channel.shrink(channel.keep());
            (0..SHRINK_AT_ONCE).take_while(give).count() > 0
        };
        if !grown && !shrunk {
            self.tell(channel);
        }
        self.quiet <= IDLE_TICKS + 2 || shrunk || grown
    }

    /// Has what is due made durable. Returns how long nothing is.
    fn sync(&mut self, channel: &Channel) -> Duration {
        let (Some(every), Some(next)) = (channel.config.sync_every, self.next_sync) else {
            return IDLE;
        };
        let now = Instant::now();
        if now < next {
            return IDLE.min(next - now);
        }
        channel.ask_durable(&mut self.sync_asked);
        self.next_sync = Some(now + every);
        IDLE.min(every)
    }

    /// Says once when somebody has removed the file: cleaners do.
    fn see_name(&mut self, channel: &Channel) {
        if self.named.is_none_or(|at| at.elapsed() < IDLE) {
            return;
        }
        self.named = Some(Instant::now());
        if channel.file.is_nameless() {
            self.named = None;
            tell(format_args!(
                "relay: the file of channel {} was deleted: a collector that has it open archives it, and without one its records end with the process",
                channel.config.name
            ));
        }
    }

    fn requests(&mut self, channel: &Channel) {
        let asked = channel.map.u64(header::RESIZE_COUNT).load(Relaxed);
        if asked != self.resizes {
            self.resizes = asked;
            channel.set_keep(channel.map.u64(header::RESIZE).load(Relaxed));
            self.growing = true;
        }
    }

    /// The longer the channel lives, the better its rate: measured again whenever the distance has
    /// grown tenfold.
    fn measure_rate(&mut self, channel: &Channel) {
        let opened = channel.identity.opened;
        if tick::mono_ns().saturating_sub(opened.mono_ns) < self.next_rate_ns {
            return;
        }
        self.next_rate_ns = self.next_rate_ns.saturating_mul(10);
        if let Some(rate) = Rate::between(opened, tick::anchor(channel.ticks())) {
            channel.store(header::RATE, rate.per_tick_q32);
        }
    }

    fn tell(&mut self, channel: &Channel) {
        let now = channel.allocated_bytes();
        // What it says needs room; where there is none, it is said later, and once.
        if now != self.told && channel.takes_more() {
            if let Some(on_change) = self.on_change {
                on_change(channel, self.told, now);
            }
            self.told = now;
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::{ChannelReader, Config};
    use super::*;

    #[test]
    fn what_is_asked_later_takes_the_place_of_growth_that_is_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "app");
        (config.sub_buffer, config.initial, config.keeper) = (4096, 16 * 4096, false);
        let channel = Arc::new(Channel::create(config).unwrap());
        let file = channel.identity().file_name();
        let reader = ChannelReader::open(dir.path(), file.as_ref(), None).unwrap();
        let mut keeper = Keeper::new(&channel, None);
        keeper.tend(&channel);
        assert_eq!(channel.allocated_bytes(), 16 * 4096);
        reader.request_resize(1000 * 4096).unwrap();
        for ticks in 1..4 {
            assert!(keeper.tend(&channel), "it does not sleep meanwhile");
            assert_eq!(channel.allocated_bytes(), (16 + ticks * u64::from(GROW_AT_ONCE)) * 4096);
        }
        let grown = channel.allocated_bytes();
        reader.request_resize(8 * 4096).unwrap();
        for _ in 0..IDLE_TICKS - 10 {
            keeper.tend(&channel);
        }
        assert_eq!(channel.allocated_bytes(), grown, "not grown, and not idle yet");
        while keeper.tend(&channel) {}
        assert_eq!(channel.allocated_bytes(), 8 * 4096);
        // What was reached is left alone.
        reader.request_resize(100 * 4096).unwrap();
        while keeper.tend(&channel) {}
        assert_eq!(channel.allocated_bytes(), 100 * 4096);
    }
}
