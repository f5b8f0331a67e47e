//! Packing again because somebody says so.

use super::{Refused, candidates, pack, tidy};
use crate::collector::{CollectError, lock};
use std::io;
use std::path::Path;

/// What became of an archive that was to be packed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repacked {
    /// It was, from so many bytes to so many.
    Done {
        /// Bytes before.
        before: u64,
        /// Bytes now.
        after: u64,
    },
    /// It had been already.
    Already,
    /// It is as it was, and why.
    Left(String),
}

/// Packs the sealed archives in `dir/archive` again at a zstd level, and tells `each` of every one: its
/// file name, and what became of it.
///
/// # Errors
/// When a collector works on the directory (it does this by itself when it is idle), or the directory
/// cannot be read.
pub fn repack(
    dir: &Path,
    level: i32,
    each: &mut dyn FnMut(&str, Repacked),
) -> Result<(), CollectError> {
    let dir = dir.join("archive");
    let _lock = lock(&dir)?;
    tidy(&dir)?;
    for file in candidates(&dir)? {
        each(&file, one(&dir, &file, level));
    }
    crate::catalogue::refresh(&dir)?;
    Ok(())
}

fn one(dir: &Path, file: &str, level: i32) -> Repacked {
    let replace = |packed: super::Packed| -> Result<Repacked, Refused> {
        let (before, after) = (packed.before, packed.after);
        if packed.replace()? {
            return Ok(Repacked::Done { before, after });
        }
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    };
    match pack(dir, file, level, &|| true).and_then(replace) {
        Ok(done) => done,
        Err(Refused::Already) => Repacked::Already,
        Err(refused) => Repacked::Left(refused.to_string()),
    }
}
