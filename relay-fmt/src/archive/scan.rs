//! What an archive consists of, whatever state it is in.

use super::block_header::BlockEntry;
use super::control::Entry;
use super::directory::Directory;
use super::error::Result;
use super::read::ReadAt;
use super::walk::Walk;
use crate::block;

/// How an archive is walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// Whether the checksum of every body is checked; default: only those that a torn tail may have
    /// harmed.
    pub all_bodies: bool,
}

/// What is wrong with a part of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The end of the file is no whole frame: its writer died, or the power failed. What is cut off at
    /// [`Scan::valid_len`] was never acknowledged, unless the power failed.
    TornTail,
    /// Bytes in the middle are no frame. Whole frames follow.
    Frame,
    /// A block's body does not have the checksum that its header says.
    Body,
    /// The file header cannot be read.
    Header,
}

/// A part of an archive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length, in bytes.
    pub len: u64,
    /// What kind of damage.
    pub kind: DamageKind,
    /// What is wrong.
    pub error: block::Error,
    /// The header of the block that is lost, when that can be read: it says which records those are.
    pub block: Option<Box<BlockEntry>>,
}

/// What a walk over an archive found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What the archive consists of. Blocks in the middle whose bodies are damaged are among its blocks.
    pub directory: Directory,
    /// What the control frames say, in the order of [`Directory::controls`].
    pub entries: Vec<Vec<Entry>>,
    /// Where the last whole frame ends: a torn tail must be cut here before anything is appended.
    pub valid_len: u64,
    /// Whether the archive ends with its directory.
    pub sealed: bool,
    /// What cannot be read, by offset.
    pub damages: Vec<Damage>,
}

/// Walks an archive forward. Damage in the middle costs what is damaged alone; the walk goes on at the
/// next whole frame.
///
/// # Errors
/// When the file cannot be read, is no archive, or is one that this version cannot read.
pub fn scan<R: ReadAt + ?Sized>(source: &R, options: &ScanOptions) -> Result<Scan> {
    finish(Walk::begin(source)?, options)
}

/// Goes on where an earlier scan of the same file ended: the file has grown since. Blocks that were
/// found before are not looked at again, unless all bodies are asked for.
///
/// # Errors
/// When the file cannot be read.
pub fn rescan<R: ReadAt + ?Sized>(source: &R, scan: Scan, options: &ScanOptions) -> Result<Scan> {
    finish(Walk::again(source, scan)?, options)
}

fn finish<R: ReadAt + ?Sized>(mut walk: Walk<'_, R>, options: &ScanOptions) -> Result<Scan> {
    walk.frames()?;
    walk.cut_torn_blocks()?;
    if options.all_bodies {
        walk.check_bodies()?;
    }
    walk.scan.damages.sort_by_key(|damage| damage.offset);
    Ok(walk.scan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::frame::{FrameKind, put_frame};
    use crate::archive::{ArchiveWriter, Error, FileHeader, verify};

    #[test]
    fn frames_of_later_kinds_are_skipped() {
        let header = FileHeader { uuid: [1; 16], ..FileHeader::default() };
        let (_, mut file) = ArchiveWriter::create(header).unwrap();
        let offset = file.len() as u64;
        put_frame(&mut file, FrameKind::Other, &[1; 16], offset, b"of a later kind").unwrap();
        let scanned = scan(&file[..], &ScanOptions::default()).unwrap();
        assert_eq!((scanned.valid_len, &scanned.damages[..]), (file.len() as u64, &[][..]));
        let writer = ArchiveWriter::resume(&scanned).unwrap();
        file.extend(writer.seal().unwrap());
        assert!(verify(&file[..]).unwrap().is_sound());
    }

    /// Frames that check out from the outside and not from the inside do not make a walk endless.
    #[test]
    fn a_file_full_of_lies_ends() {
        let (_, mut file) = ArchiveWriter::create(FileHeader::default()).unwrap();
        let start = file.len();
        for _ in 0..4_000 {
            let offset = file.len() as u64;
            put_frame(&mut file, FrameKind::Block, &[0; 16], offset, &[0; 100]).unwrap();
            // The content is changed after its checksum was made.
            *file.last_mut().unwrap() = 1;
        }
        let scanned = scan(&file[..], &ScanOptions::default()).unwrap();
        assert_eq!(scanned.valid_len, start as u64);
        assert!(matches!(scan(&file[1..], &ScanOptions::default()), Err(Error::NotAnArchive)));
    }
}
