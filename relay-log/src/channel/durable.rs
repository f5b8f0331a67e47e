//! Durability on request: everything that is committed survives the loss of power.
//!
//! With a collector, durable is what it has archived and synced: the request is a number in the header
//! page, and the collector answers with the last number that it has fulfilled. Without one, durable is
//! the channel file itself, unless a collector that was killed has handed something back whose archive it
//! had not synced: then only the next one can answer. Once a program has asked, its collector syncs
//! before it hands back, so that what is durable in the file is not overwritten too early. A file system in memory cannot promise anything, and that is said.

use super::layout::header;
use super::os;
use super::shared::Channel;
use super::sync::Ordering::{AcqRel, Acquire};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// Why what is committed could not be made durable. It is in the channel all the same, and survives
/// everything but the loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDurable {
    /// It stands on a file system in memory.
    #[error("it stands on a file system in memory")]
    Memory,
    /// The time was over before the collector had answered.
    #[error("the collector did not answer in time")]
    Timeout,
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

impl Channel {
    /// Makes everything durable that was committed before the call.
    ///
    /// # Errors
    /// When that cannot be had, or not within `timeout`.
    pub fn flush_durable(&self, timeout: Duration) -> Result<(), NotDurable> {
        let deadline = Instant::now() + timeout;
        let wanted = self.map.u64(header::SYNC_WANTED).fetch_add(1, AcqRel) + 1;
        let synced = self.map.u64(header::SYNCED);
        let freed = self.map.u32(header::FREED);
        loop {
            // The order matters: a collector that dies behind this says so before it is seen dead.
            if !self.has_collector() && self.map.u64(header::UNSYNCED).load(Acquire) == 0 {
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

    /// Whether a collector runs: then it holds the lock of the live directory.
    fn has_collector(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let lock = self.config.dir.join(COLLECTOR);
        let Ok(lock) = rustix::fs::open(&lock, flags, Mode::empty()) else { return false };
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// Makes the file durable, and its name.
    fn sync_file(&self) -> Result<(), NotDurable> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&self.config.dir, flags, Mode::empty());
        let dir = dir.map_err(NotDurable::System)?;
        if is_in_memory(&dir) {
            return Err(NotDurable::Memory);
        }
        let sync = |fd: &rustix::fd::OwnedFd| rustix::fs::fdatasync(fd);
        self.file.with(sync).map_err(NotDurable::System)?;
        rustix::fs::fsync(&dir).map_err(NotDurable::System)
    }
}
