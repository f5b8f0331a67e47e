//! Where the demo works: a directory that it may empty, because it is its own.

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::{DirEntry, File};
use std::path::{Path, PathBuf};

/// Says that a demo has made the directory, and is locked while one works in it.
const MARKER: &str = "made-by-the-demo";
/// What a demo leaves beside it; also notes of what has returned, `returned.N`.
const LEFT: [&str; 3] = [MARKER, "archive", "live"];

/// Why the demo does not work there.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A directory for one demo, which nobody else empties meanwhile.
#[derive(Debug)]
pub(crate) struct Place {
    _lock: File,
}

impl Place {
    /// Makes the directory, or empties it where an earlier demo has made it and nothing else is there.
    ///
    /// # Errors
    /// [`Refused`] when something is there that no demo has made, or a demo works in it; otherwise
    /// when the system does not let it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let entries = std::fs::read_dir(dir)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .with_context(|| format!("cannot read {}", dir.display()))?;
        let shown = dir.display();
        let marker = dir.join(MARKER);
        if !entries.is_empty() && !marker.is_file() {
            return Err(Refused(format!(
                "{shown} is not empty, and no demo has made it: name another directory, or remove it yourself"
            ))
            .into());
        }
        if let Some(foreign) = entries.iter().find(|entry| !is_of_a_demo(entry)) {
            let foreign = foreign.path();
            return Err(Refused(format!(
                "{} is nothing that a demo leaves: {shown} is left as it is",
                foreign.display()
            ))
            .into());
        }
        let write = || format!("cannot write {}", marker.display());
        let lock = File::options().create(true).append(true).open(&marker).with_context(write)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Refused(format!("a demo works in {shown}")).into());
        }
        for entry in entries.iter().map(DirEntry::path).filter(|path| *path != marker) {
            remove(&entry).with_context(|| format!("cannot remove {}", entry.display()))?;
        }
        Ok(Self { _lock: lock })
    }
}

fn is_of_a_demo(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_str().unwrap_or_default();
    let number = name.strip_prefix("returned.");
    LEFT.contains(&name) || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn remove(path: &PathBuf) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn refused(dir: &Path) -> String {
        Place::take(dir).unwrap_err().downcast::<Refused>().unwrap().to_string()
    }

    #[test]
    fn what_no_demo_has_made_is_left_as_it_is() {
        let outer = tempfile::tempdir().unwrap();
        // Files of somebody, also of a directory of logs.
        for names_there in [&["thesis.txt"][..], &["archive", "live"], &["returned.0"]] {
            let dir = outer.path().join("home");
            std::fs::create_dir(&dir).unwrap();
            names_there.iter().for_each(|name| std::fs::write(dir.join(name), b"x").unwrap());
            assert!(refused(&dir).contains("is not empty"), "{names_there:?}");
            assert_eq!(names(&dir), names_there);
            std::fs::remove_dir_all(&dir).unwrap();
        }
        let file = outer.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        assert!(Place::take(&file).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }

    #[test]
    fn what_a_demo_has_made_is_emptied_unless_something_else_came_there() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("a/b");
        let first = Place::take(&dir).unwrap();
        assert_eq!(refused(&dir), format!("a demo works in {}", dir.display()));
        drop(first);
        let leave = || {
            for name in ["archive", "live"] {
                std::fs::create_dir_all(dir.join(name)).unwrap();
                std::fs::write(dir.join(name).join("x"), b"x").unwrap();
            }
            std::fs::write(dir.join("returned.2"), b"x").unwrap();
        };
        leave();
        drop(Place::take(&dir).unwrap());
        assert_eq!(names(&dir), [MARKER]);
        leave();
        std::fs::write(dir.join("thesis.txt"), b"x").unwrap();
        assert!(refused(&dir).contains("thesis.txt"));
        assert_eq!(names(&dir), ["archive", "live", MARKER, "returned.2", "thesis.txt"]);
    }

    #[test]
    fn an_empty_directory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        drop(Place::take(dir.path()).unwrap());
        assert_eq!(names(dir.path()), [MARKER]);
    }
}
