//! Durability on request: everything that is committed survives the loss of power.
//!
//! With a collector, durable is what it has archived and synced: the request is a number in the header
//! page, and the collector answers with the last number that it has fulfilled. Without one, durable is
//! the channel file itself, unless a collector that was killed has handed something back whose archive it
//! had not synced: then only the next one can answer. Once a program has asked, its collector syncs
//! before it hands back, so that what is durable in the file is not overwritten too early. A file system
//! in memory cannot promise anything, and that is said.
//!
//! Nothing here takes a lock or allocates: a signal handler may ask.

use super::layout::{header, sub};
use super::os;
use super::shared::Channel;
use super::sync::Ordering::{AcqRel, Acquire, Relaxed};
use super::tick;
use super::waiting::tell;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// Why what is committed could not be made durable. It is in the channel all the same, and survives
/// everything but the loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDurable {
    /// It stands on a file system in memory.
    #[error("it stands on a file system in memory")]
    Memory,
    /// The time was over before a collector had answered.
    #[error("no collector answered in time")]
    Timeout,
    /// Somebody has removed the file's name, and no collector runs.
    #[error("the channel's file was deleted")]
    Deleted,
    /// The file system said no.
    #[error("it cannot be synced: {0}")]
    System(Errno),
}

/// `f_type` of tmpfs and of ramfs.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Whether a file system keeps nothing when the power goes.
pub fn is_in_memory(dir: impl std::os::fd::AsFd) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|fs| MEMORY.contains(&(fs.f_type as u64)))
}

/// The name of the lock that a running collector holds in the live directory.
const COLLECTOR: &str = ".collector";
/// The longest single wait; then the collector's life is looked at again.
const BOUND: Duration = Duration::from_millis(100);
/// A call that wants to be durable waits so long before it says that nobody syncs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Once that was said, the next calls wait so long: long enough to find out that it is over.
#[cfg(feature = "log")]
const SHORT: Duration = Duration::from_millis(20);

/// What a channel keeps in mind about durability.
#[derive(Debug)]
pub(super) struct Durability {
    /// The live directory, and the collector's lock in it.
    dir: Option<CString>,
    lock: Option<CString>,
    /// Whether it was said that records are not made durable.
    told: AtomicBool,
    /// The sum of all `committed` words at the last request of the keeper's.
    asked: AtomicU64,
}

impl Durability {
    pub(super) fn of(dir: &Path) -> Self {
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).ok();
        let (told, asked) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { dir: name(dir), lock: name(&dir.join(COLLECTOR)), told, asked }
    }
}

impl Channel {
    /// Makes everything durable that was committed before the call.
    ///
    /// # Errors
    /// When that cannot be had, or not within `timeout`.
    pub fn flush_durable(&self, timeout: Duration) -> Result<(), NotDurable> {
        let deadline = Instant::now() + timeout;
        let wanted = self.want_durable();
        let synced = self.map.u64(header::SYNCED);
        let freed = self.map.u32(header::FREED);
        self.nudge_collector();
        loop {
            if self.is_alone() {
                return self.sync_file();
            }
            let before = freed.load(Acquire);
            match synced.load(Acquire) {
                u64::MAX => return Err(NotDurable::Memory),
                done if done >= wanted => return Ok(()),
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotDurable::Timeout);
            }
            let waiters = self.map.u32(header::WAITERS);
            waiters.fetch_add(1, AcqRel);
            self.wake_collector();
            os::futex_wait(freed, before, left.min(BOUND));
            waiters.fetch_sub(1, AcqRel);
        }
    }

    /// Whether the file itself is what has to be made durable. A collector that comes now finds the
    /// request before it hands anything back.
    fn is_alone(&self) -> bool {
        // The order matters: a collector that dies behind this says so before it is seen dead.
        !self.has_collector() && self.map.u64(header::UNSYNCED).load(Acquire) == 0
    }

    fn want_durable(&self) -> u64 {
        self.map.u64(header::SYNC_WANTED).fetch_add(1, AcqRel) + 1
    }

    /// Has a record of this thread's made durable before its call returns. When nobody does it within
    /// some seconds that is said, once until it is over, and the call returns all the same.
    #[cfg(feature = "log")]
    #[cold]
    pub(crate) fn insist_durable(&self) {
        if !super::thread::may_wait() {
            return;
        }
        let told = self.durability.told.load(Relaxed);
        self.say(self.flush_durable(if told { SHORT } else { PATIENCE }));
    }

    fn say(&self, done: Result<(), NotDurable>) {
        let told = &self.durability.told;
        let name = &self.config.name;
        match done {
            Ok(()) if told.load(Relaxed) && told.swap(false, Relaxed) => {
                tell(format_args!("relay: channel {name}: records are durable again"));
            }
            Err(why) if !told.swap(true, Relaxed) => {
                tell(format_args!(
                    "relay: channel {name}: records survive SIGKILL and are not made durable: {why}"
                ));
            }
            _ => {}
        }
    }

    /// The keeper's part of `sync_every`: asks the collector, and does not wait; without one, syncs
    /// the file. `since` is when the oldest request was made that was not fulfilled.
    pub(crate) fn ask_durable(&self, since: &mut Option<(u64, Instant)>) {
        if let Some((wanted, at)) = *since {
            match self.map.u64(header::SYNCED).load(Acquire) {
                u64::MAX => self.say(Err(NotDurable::Memory)),
                done if done >= wanted => {
                    *since = None;
                    self.say(Ok(()));
                }
                _ if at.elapsed() > PATIENCE => self.say(Err(NotDurable::Timeout)),
                _ => {}
            }
        }
        let committed = self.committed_sum();
        if self.durability.asked.swap(committed, Relaxed) == committed && since.is_none() {
            return;
        }
        let wanted = self.want_durable();
        if self.is_alone() {
            *since = None;
            let done = self.sync_file();
            if done.is_err_and(|why| why != NotDurable::System(Errno::IO)) {
                // Asked again although nothing new may be committed. Not after EIO: the kernel may have
                // given up the pages, and would say of the next sync that all is well.
                self.durability.asked.store(committed.wrapping_sub(1), Relaxed);
            }
            self.say(done);
        } else {
            since.get_or_insert_with(|| (wanted, Instant::now()));
            self.nudge_collector();
        }
    }

    /// A number that changes when something is committed.
    fn committed_sum(&self) -> u64 {
        let committed = |index| self.map.u64(self.offset(index) + sub::COMMITTED).load(Relaxed);
        self.slots.indexes().fold(0, |sum: u64, index| sum.wrapping_add(committed(index)))
    }

    /// Whether a collector runs: then it holds the lock of the live directory.
    fn has_collector(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Some(lock) = &self.durability.lock else { return false };
        match rustix::fs::open(lock.as_c_str(), flags, Mode::empty()) {
            Ok(lock) => {
                let probe = FlockOperation::NonBlockingLockShared;
                let held = rustix::fs::flock(&lock, probe) == Err(Errno::WOULDBLOCK);
                // Not only closed: a child that is forked just now has the descriptor too, and would
                // keep every collector out for as long as it lives.
                let _ = rustix::fs::flock(&lock, FlockOperation::Unlock);
                held
            }
            Err(Errno::NOENT) => false,
            // Without descriptors nobody can tell: then a collector is waited for.
            Err(_) => true,
        }
    }

    /// Makes the file durable, and its name. Then it says until when, and makes that durable too: what
    /// came later is not believed after a loss of power.
    fn sync_file(&self) -> Result<(), NotDurable> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = self.durability.dir.as_deref().ok_or(NotDurable::System(Errno::INVAL))?;
        let dir = rustix::fs::open(dir, flags, Mode::empty()).map_err(NotDurable::System)?;
        if is_in_memory(&dir) {
            return Err(NotDurable::Memory);
        }
        let now = tick::real_ns();
        self.sync_data()?;
        self.map.u64(header::KEPT_NS).fetch_max(now, AcqRel);
        self.sync_data()?;
        rustix::fs::fsync(&dir).map_err(NotDurable::System)
    }

    fn sync_data(&self) -> Result<(), NotDurable> {
        let links = self.file.with(|fd| {
            rustix::fs::fdatasync(fd)?;
            rustix::fs::fstat(fd).map(|stat| stat.st_nlink)
        });
        match links {
            Ok(0) => Err(NotDurable::Deleted),
            Ok(_) => Ok(()),
            Err(errno) => Err(NotDurable::System(errno)),
        }
    }
}
