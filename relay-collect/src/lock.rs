//! One collector for a directory: a lock that goes with the process, however it ends.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The file that is locked.
const FILE: &str = ".collector";

/// Held by the collector for as long as it runs.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The mapping holds the lock: a forked child does not get it, so it cannot hold it longer.
    _mapping: memmap2::MmapRaw,
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

impl Lock {
    /// Takes the lock of a directory.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(dir.join(FILE), flags, Mode::from_raw_mode(0o600))
            .map_err(std::io::Error::from)?;
        let mut file = File::from(fd);
        match exclusive(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut said = String::new();
                let _ = file.read_to_string(&mut said);
                let holder = said.lines().next().unwrap_or_default();
                return Err(LockError::Held(holder.to_owned()));
            }
            Err(errno) => return Err(LockError::Io(errno.into())),
        }
        // For people only. On a full disk the lock holds all the same, and a collector must start
        // there: nobody else makes room.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        let mapping = memmap2::MmapOptions::new().len(4096).map_raw(&file)?;
        mapping.advise(memmap2::Advice::DontFork)?;
        Ok(Self { _mapping: mapping })
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
    /// Its process.
    pub pid: u32,
    /// The zstd level of each channel's blocks, where it is not the one that was asked for.
    pub levels: Vec<(String, i32)>,
}

/// The collector that works on the archives of `dir`; `None` when there is none.
#[must_use]
pub fn holder(dir: &Path) -> Option<Holder> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let path = dir.join("archive").join(FILE);
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) != Err(Errno::WOULDBLOCK) {
        return None;
    }
    let mut said = String::new();
    file.read_to_string(&mut said).ok()?;
    let mut lines = said.lines();
    let pid = lines.next()?.parse().ok()?;
    let level = |line: &str| {
        let (level, channel) = line.strip_prefix("level ")?.split_once(' ')?;
        Some((channel.to_owned(), level.parse().ok()?))
    };
    Some(Holder { pid, levels: lines.filter_map(level).collect() })
}
