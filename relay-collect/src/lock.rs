//! One collector for a directory: a lock that goes with the process, however it ends.

use crate::read::at;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file that is locked.
const FILE: &str = ".collector";

/// Held by the collector for as long as it runs.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The mapping holds the lock: a forked child does not get it, so it cannot hold it longer.
    _mapping: memmap2::MmapRaw,
    /// Device and inode.
    at: (u64, u64),
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another collector has it.
    #[error("{0}")]
    Held(String),
    /// It could not be tried.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Programs that ask whether there is a collector hold it for a moment.
fn exclusive(file: &File) -> Result<(), Errno> {
    let take = || rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    for _ in 0..20 {
        match take() {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(std::time::Duration::from_millis(1)),
            done => return done,
        }
    }
    take()
}

fn place(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether this is still the file that has this name: a cleaner may remove it at any moment.
fn is_named(at: (u64, u64), path: &Path) -> std::io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(at == place(&named)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Lock {
    /// Takes the lock of a directory.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        loop {
            if let Some(lock) = Self::try_take(dir)? {
                return Ok(lock);
            }
        }
    }

    /// `None` where the file was removed before it was locked.
    fn try_take(dir: &Path) -> Result<Option<Self>, LockError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = dir.join(FILE);
        let fd = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))
            .map_err(std::io::Error::from)?;
        let mut file = File::from(fd);
        // Before the lock, and the descriptor closed right behind it: a child that is forked in between
        // would have a part in the lock.
        let mapping = memmap2::MmapOptions::new().len(4096).map_raw(&file)?;
        mapping.advise(memmap2::Advice::DontFork)?;
        match exclusive(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut said = String::new();
                let _ = file.read_to_string(&mut said);
                // On a full disk it could not write itself down.
                let holder = said.lines().next().unwrap_or("unknown");
                return Err(LockError::Held(holder.to_owned()));
            }
            Err(errno) => return Err(LockError::Io(errno.into())),
        }
        let at = file.metadata().map(|metadata| place(&metadata));
        drop(file);
        let at = at?;
        if !is_named(at, &path)? {
            return Ok(None);
        }
        // For people only. On a full disk the lock holds all the same, and a collector must start
        // there: nobody else makes room.
        say(dir, &[]);
        Ok(Some(Self { _mapping: mapping, at }))
    }

    /// Whether somebody has removed the file: then others find nothing that is locked.
    pub(crate) fn is_gone(&self, dir: &Path) -> bool {
        is_named(self.at, &dir.join(FILE)).is_ok_and(|named| !named)
    }
}

/// Writes down what the collector that holds the lock of `dir` is at, for [`holder`]. What cannot be
/// written is not.
pub(crate) fn say(dir: &Path, levels: &[(String, i32)]) {
    // A descriptor that stayed open would be inherited by a forked child, and the lock with it.
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(fd) = rustix::fs::open(dir.join(FILE), flags, Mode::empty()) else { return };
    let mut text = format!("{}\n", std::process::id());
    for (channel, level) in levels {
        text.push_str(&format!("level {level} {channel}\n"));
    }
    let _ = File::from(fd).write_all(text.as_bytes());
}

/// A collector that works on a directory, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process; `None` where it could not write that down, as on a full disk.
    pub pid: Option<u32>,
    /// The zstd level of each channel's blocks, where it is not the one that was asked for.
    pub levels: Vec<(String, i32)>,
}

/// The collector that works on the archives of `dir`; `None` when there is none.
///
/// # Errors
/// When the system does not let anybody know.
pub fn holder(dir: &Path) -> io::Result<Option<Holder>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let path = dir.join("archive").join(FILE);
    let mut file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => File::from(file.map_err(|errno| at(&path, &errno.into()))?),
    };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) != Err(Errno::WOULDBLOCK) {
        // Not only closed: a child that is forked just now has the descriptor too.
        let _ = rustix::fs::flock(&file, FlockOperation::Unlock);
        return Ok(None);
    }
    let mut said = String::new();
    file.read_to_string(&mut said).map_err(|error| at(&path, &error))?;
    let mut lines = said.lines();
    let pid = lines.next().and_then(|line| line.parse().ok());
    let level = |line: &str| {
        let (level, channel) = line.strip_prefix("level ")?.split_once(' ')?;
        Some((channel.to_owned(), level.parse().ok()?))
    };
    Ok(Some(Holder { pid, levels: lines.filter_map(level).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_whose_file_was_removed_is_known_to_hold_nobody_off() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(!lock.is_gone(dir.path()));
        assert!(matches!(Lock::take(dir.path()), Err(LockError::Held(_))));
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(lock.is_gone(dir.path()));
        let again = Lock::take(dir.path()).unwrap();
        assert!(lock.is_gone(dir.path()) && !again.is_gone(dir.path()));
    }
}
