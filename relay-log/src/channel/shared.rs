//! A channel as all threads of its process share it: leases, growth, waiting, counting.

use super::birth;
use super::config::Config;
use super::describe::Descriptions;
use super::durable::{Durability, is_in_memory};
use super::error::CreateError;
use super::identity::{Identity, TickSource};
use super::layout::{Counter, HEADER_BYTES, SUB_HEADER_BYTES, header, sub, sub_buffer_offset};
use super::map::{Mapping, ZeroedArray};
use super::os;
use super::slots::{Slot, Slots};
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::tick;
use relay_fmt::rows::ChannelId;
use relay_fmt::time::Rate;
use rustix::io::Errno;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// An open channel. See the [module](super) for the protocol.
#[derive(Debug)]
pub struct Channel {
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    pub(crate) map: ManuallyDrop<Mapping>,
    pub(crate) file: birth::GrowFile,
    pub(crate) slots: Slots<ZeroedArray<Slot>>,
    pub(crate) descriptions: Descriptions,
    next_writer: AtomicU64,
    /// Sub-buffers that may wait for the collector.
    pub(super) cap: AtomicU32,
    /// Bytes of disk that growth leaves alone.
    pub(super) reserve: u64,
    /// Which process of a line of forks this channel belongs to.
    pub(crate) epoch: u32,
    /// Bytes that are kept allocated, in sub-buffers.
    pub(super) keep: AtomicU32,
    pub(crate) keeper_word: Arc<AtomicU32>,
    /// Held by the keeper while it holds the channel.
    pub(crate) tended: Arc<parking_lot::Mutex<()>>,
    pub(super) told_waiting: AtomicBool,
    /// The tick when the keeper saw to the spare sub-buffers last; 0 for never.
    pub(super) warmed: AtomicU64,
    pub(super) durability: Durability,
}

/// Free disk that growth leaves alone unless calls would wait for ever, in bytes, where so much was free.
pub(super) fn reserve_bytes(free: u64) -> u64 {
    (free / 100).max(16 << 20)
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The kernel's id of this run of the machine; zero where it has none.
#[must_use]
pub fn boot_id() -> [u8; 16] {
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
        let ticks = if config.counter { tick::choose() } else { TickSource::Monotonic };
        let opened = tick::anchor(ticks);
        let dir = birth::open_dir(&config.dir, config.mode)?;
        let mut free = birth::free_bytes(&dir);
        if is_in_memory(&dir) {
            free = free.min(super::memory::limit().unwrap_or(u64::MAX));
        }
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
            initial: initial.saturating_mul(size),
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
            reserve: reserve_bytes(free),
            epoch: os::epoch(),
            keep: AtomicU32::new(initial as u32),
            keeper_word: Arc::default(),
            tended: Arc::default(),
            told_waiting: AtomicBool::new(false),
            warmed: AtomicU64::new(0),
            durability: Durability::of(&config.dir),
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

    /// Bytes that are allocated now.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        u64::from(self.slots.allocated()) * u64::from(self.identity.sub_buffer)
    }

    pub(super) fn archived(&self, index: u32) -> u64 {
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
        let asleep = self.map.u32(header::ASLEEP);
        if asleep.load(Relaxed) != 0 && asleep.swap(0, Relaxed) != 0 {
            self.nudge_collector();
        }
    }

    /// Wakes the collector also from the short sleeps that it takes while there is traffic.
    pub(super) fn nudge_collector(&self) {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        // When this fails the collector looks by itself within a second.
        let _ = self.file.with(|fd| rustix::fs::futimens(fd, &times));
    }

    /// Wakes the keeper if it sleeps.
    pub(crate) fn wake_keeper(&self) {
        if self.keeper_word.load(Relaxed) == 1 && self.keeper_word.swap(0, Relaxed) == 1 {
            os::futex_wake(self.keeper_word.as_ptr(), 1);
        }
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
