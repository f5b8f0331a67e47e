//! Where benches put their files.

use std::path::Path;
use tempfile::TempDir;

/// A directory on the disk that this program stands on.
///
/// # Panics
/// When it cannot be made: then there is nothing to measure.
#[must_use]
pub fn on_disk() -> TempDir {
    let program = std::env::current_exe().expect("this program has a path");
    let beside = program.parent().unwrap_or(Path::new("."));
    tempfile::tempdir_in(beside).expect("a directory beside this program")
}

/// A directory in memory, or a temporary one where there is none.
///
/// # Panics
/// When neither can be made.
#[must_use]
pub fn in_memory() -> TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    dir.expect("a temporary directory")
}

/// The path of a directory as an argument.
#[must_use]
pub fn argument(dir: &TempDir) -> String {
    dir.path().to_string_lossy().into_owned()
}
