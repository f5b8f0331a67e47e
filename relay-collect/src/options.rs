//! How a collector is set up.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When sealed archives are packed again, which makes them smaller and changes nothing that they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repack {
    /// While there is no backlog, in a thread of the lowest priority.
    Idle,
    /// Never.
    Never,
}

/// How a collector is set up.
///
/// | option | default |
/// |---|---|
/// | `live_dir` | `<dir>/live` |
/// | `rotate_size` | 64 MiB |
/// | `rotate_age` | 1 h |
/// | `keep_size`, `keep_age`, `keep_count` | everything is kept |
/// | `block_bytes` | 6 MiB of channel bytes |
/// | `block_age` | 1 s |
/// | `level` | 1 |
/// | `micros` | nanoseconds are kept |
/// | `repack` | [`Repack::Idle`] |
/// | `repack_level` | 16 |
/// | `uid` | only one's own channels |
/// | `mode` | `0o600` |
/// | `full_wait` | it waits for as long as it takes |
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    /// The directory shared with the programs.
    pub dir: PathBuf,
    /// Where channels live.
    pub live_dir: PathBuf,
    /// An archive that is larger is sealed, in bytes.
    pub rotate_size: u64,
    /// An archive that is older is sealed.
    pub rotate_age: Duration,
    /// Oldest archives go while all together are larger, in bytes.
    pub keep_size: Option<u64>,
    /// Archives go when their newest record is older.
    pub keep_age: Option<Duration>,
    /// Oldest archives of a channel go while it has more.
    pub keep_count: Option<usize>,
    /// A block is closed when so many bytes of channels wait for it.
    pub block_bytes: u64,
    /// A block is closed when the first record in it is so old.
    pub block_age: Duration,
    /// The zstd level of blocks; while a backlog grows they are compressed less.
    pub level: i32,
    /// Whether times are kept to the microsecond only.
    pub micros: bool,
    /// When sealed archives are packed again.
    pub repack: Repack,
    /// The zstd level of blocks that are packed again.
    pub repack_level: i32,
    /// Another user whose channels are trusted.
    pub uid: Option<u32>,
    /// Permission bits of archives.
    pub mode: u32,
    /// How long it waits for room on a full disk before it gives up; `None`: until there is some.
    pub full_wait: Option<Duration>,
}

impl Options {
    /// The defaults, for the directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            live_dir: dir.join("live"),
            dir,
            rotate_size: 64 << 20,
            rotate_age: Duration::from_secs(3600),
            keep_size: None,
            keep_age: None,
            keep_count: None,
            block_bytes: 6 << 20,
            block_age: Duration::from_secs(1),
            level: 1,
            micros: false,
            repack: Repack::Idle,
            repack_level: 16,
            uid: None,
            mode: 0o600,
            full_wait: None,
        }
    }

    /// Where archives stand.
    #[must_use]
    pub fn archive_dir(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// Where what does not parse is kept.
    #[must_use]
    pub fn quarantine_dir(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    /// Makes a directory where it is missing, for those whom `mode` lets in.
    pub(crate) fn make_dir(&self, dir: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let mode = self.mode | 0o100 | (self.mode & 0o444) >> 2;
        if dir.is_dir() {
            return Ok(());
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
        // Something of that name is there, and is none.
        made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
            _ => error,
        })
    }
}
