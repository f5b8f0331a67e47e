//! A directory in memory, the same one for every input.

use std::path::Path;
use tempfile::TempDir;

/// Hands `then` an empty directory with an `archive` and a `live` one in it.
pub fn with_store<T>(then: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static DIR: TempDir = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
    }
    DIR.with(|dir| {
        for part in ["archive", "live"] {
            let part = dir.path().join(part);
            std::fs::create_dir_all(&part).unwrap();
            for file in std::fs::read_dir(&part).unwrap() {
                std::fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        then(dir.path())
    })
}
