//! One collector for a directory: a lock that goes with the process, however it ends.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

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
        let fd = rustix::fs::open(dir.join(".collector"), flags, Mode::from_raw_mode(0o600))
            .map_err(std::io::Error::from)?;
        let mut file = File::from(fd);
        match exclusive(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::Held(holder.trim().to_owned()));
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
