//! An open archive as a file: appended to, synced, sealed.
//!
//! While it is open its name ends in `.part`; sealing is directory, fsync, rename, fsync of the
//! directory. What is written and not yet synced stays in memory, so that it can be written elsewhere
//! when the kernel says that it could not keep it: an fsync that failed once is never believed again.

use crate::read::ArchiveFd;
use relay_fmt::archive::{
    self, ArchiveWriter, BlockEntry, Entry, FileHeader, Scan, read_body, read_filter,
};
use relay_fmt::block::{BlockKind, EncodedBlock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The end of a sealed archive's name.
const SEALED: &str = ".relay.zst";
/// The end of an open archive's name.
const PART: &str = ".relay.zst.part";
/// So much may be written and not synced, in bytes.
const UNSYNCED: u64 = 16 << 20;

/// Syncs a directory, so that names in it are durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// What an archive was given, to be given to another one if it fails.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A block.
    Block(Box<EncodedBlock>),
    /// Entries, without positions: every archive begins with its own.
    Control(Vec<Entry>),
}

/// An archive that is being written.
#[derive(Debug)]
pub(crate) struct ArchiveFile {
    dir: PathBuf,
    pub(crate) name: String,
    file: File,
    writer: ArchiveWriter,
    pub(crate) since: Instant,
    /// Bytes that the writer counts and the file may not have yet, and where they belong.
    unwritten: Option<(u64, Vec<u8>)>,
    /// Bytes of its header and first positions.
    began: u64,
    unsynced: Vec<Piece>,
    unsynced_bytes: u64,
    runs: usize,
    /// From where on nothing is synced.
    pub(crate) synced_to: u64,
}

/// An archive that nothing is added to any more: it gets its directory and its final name.
#[derive(Debug)]
pub(crate) struct Sealing {
    dir: PathBuf,
    pub(crate) name: String,
    file: File,
    offset: u64,
    bytes: Vec<u8>,
}

impl Sealing {
    /// Writes the directory and renames. What failed for want of room can be tried again.
    pub(crate) fn finish(&self) -> io::Result<String> {
        self.file.write_all_at(&self.bytes, self.offset)?;
        self.file.set_len(self.offset + self.bytes.len() as u64)?;
        self.file.sync_all()?;
        let sealed = self.name.replace(PART, SEALED);
        std::fs::rename(self.dir.join(&self.name), self.dir.join(&sealed))?;
        sync_dir(&self.dir)?;
        Ok(sealed)
    }
}

impl ArchiveFile {
    /// Begins an archive that starts with these entries. Nothing is in the file system if it fails.
    ///
    /// A hidden one is not seen by anybody until [`ArchiveFile::show`].
    pub(crate) fn create(
        dir: &Path,
        header: FileHeader,
        entries: &[Entry],
        mode: u32,
        hidden: bool,
    ) -> io::Result<Self> {
        let start = jiff::Timestamp::from_nanosecond(header.created_ns.into())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let start = start.strftime("%Y%m%dT%H%M%SZ");
        // Hidden until its positions are in it: a write can be cut short by SIGKILL, and an archive
        // without its positions would be an archive without a memory.
        let name = format!(".{}-{start}-{}{PART}", header.channel, header.number);
        let path = dir.join(&name);
        // Of an attempt that was killed.
        let _ = std::fs::remove_file(&path);
        let (mut writer, mut bytes) = ArchiveWriter::create(header).map_err(io::Error::other)?;
        bytes.extend(writer.control(entries).map_err(io::Error::other)?);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        if let Err(error) = file.write_all_at(&bytes, 0) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let mut archive = Self::with(dir, name, file, writer);
        if !hidden {
            archive.rename()?;
        }
        Ok(archive)
    }

    fn with(dir: &Path, name: String, file: File, writer: ArchiveWriter) -> Self {
        Self {
            dir: dir.to_owned(),
            name,
            file,
            since: Instant::now(),
            unwritten: None,
            began: writer.offset(),
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            runs: 0,
            synced_to: 0,
            writer,
        }
    }

    /// Goes on with an archive whose torn tail was cut. What is in it is made durable first: no
    /// memory has it. With the error comes the archive, to be superseded: what could be read of it,
    /// `scan` and `bytes`, is in its memory then.
    pub(crate) fn resume(
        dir: &Path,
        name: String,
        file: File,
        (scan, bytes): (&Scan, &ArchiveFd),
    ) -> io::Result<(Self, Option<io::Error>)> {
        let writer = ArchiveWriter::resume(scan).map_err(io::Error::other)?;
        let mut archive = Self::with(dir, name, file, writer);
        archive.began = 0;
        let facts = scan.directory.blocks.iter().filter_map(|block| block.facts().ok());
        archive.runs = facts.map(|facts| facts.runs.len()).sum();
        let error = archive.sync().err();
        if error.is_some() {
            archive.unsynced = pieces(scan, bytes).map_err(io::Error::other)?;
        }
        Ok((archive, error))
    }

    /// Gives a hidden archive its name, once all of it is durable.
    pub(crate) fn show(&mut self) -> io::Result<()> {
        self.sync()?;
        self.rename()?;
        sync_dir(&self.dir)
    }

    /// Takes an archive back that could not be written to its end. Returns its name if readers may
    /// have seen it: then it must be superseded.
    pub(crate) fn give_up(self) -> Option<String> {
        let removed = std::fs::remove_file(self.dir.join(&self.name)).is_ok();
        (!removed && !self.name.starts_with('.')).then_some(self.name)
    }

    fn rename(&mut self) -> io::Result<()> {
        let name = self.name.trim_start_matches('.').to_owned();
        std::fs::rename(self.dir.join(&self.name), self.dir.join(&name))?;
        self.name = name;
        Ok(())
    }

    pub(crate) fn number(&self) -> u64 {
        self.writer.directory().header.number
    }

    /// Its length, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.writer.offset()
    }

    /// Its length without what it began with.
    pub(crate) fn grown(&self) -> u64 {
        self.len() - self.began
    }

    pub(crate) fn blocks(&self) -> usize {
        self.writer.directory().blocks.len()
    }

    /// How many runs its blocks list: the directory has each of them when the archive is sealed.
    pub(crate) const fn runs(&self) -> usize {
        self.runs
    }

    /// Appends a block. When this fails the block is not there, and [`ArchiveFile::retry`] tries
    /// again; nothing else can be appended before.
    pub(crate) fn append(&mut self, block: EncodedBlock) -> io::Result<()> {
        let offset = self.writer.offset();
        let bytes = self.writer.block(&block).map_err(unwritable)?.to_vec();
        self.unsynced_bytes += bytes.len() as u64;
        self.runs += block.facts.runs.len();
        self.unsynced.push(Piece::Block(Box::new(block)));
        self.unwritten = Some((offset, bytes));
        self.retry()
    }

    /// Appends entries, as [`ArchiveFile::append`].
    pub(crate) fn control(&mut self, entries: &[Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let offset = self.writer.offset();
        let bytes = self.writer.control(entries).map_err(unwritable)?;
        let others = entries.iter().filter(|entry| !matches!(entry, Entry::Positions(_)));
        let others: Vec<Entry> = others.cloned().collect();
        if !others.is_empty() {
            self.unsynced_bytes += bytes.len() as u64;
            self.unsynced.push(Piece::Control(others));
        }
        self.unwritten = Some((offset, bytes));
        self.retry()
    }

    /// Writes what could not be written.
    pub(crate) fn retry(&mut self) -> io::Result<()> {
        if let Some((offset, bytes)) = &self.unwritten {
            self.file.write_all_at(bytes, *offset)?;
            self.unwritten = None;
        }
        Ok(())
    }

    /// Whether so much is not synced that it must be.
    pub(crate) fn must_sync(&self) -> bool {
        self.unsynced_bytes >= UNSYNCED
    }

    /// Whether anything is not synced.
    pub(crate) fn is_dirty(&self) -> bool {
        self.synced_to < self.writer.offset()
    }

    /// Makes everything durable. When this fails, what was written since the last time may be gone:
    /// [`ArchiveFile::take_unsynced`] has it.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("somebody has deleted it"));
        }
        if self.synced_to == 0 {
            sync_dir(&self.dir)?;
        }
        self.synced_to = self.writer.offset();
        self.unsynced.clear();
        self.unsynced_bytes = 0;
        Ok(())
    }

    /// What may be gone.
    pub(crate) fn take_unsynced(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.unsynced)
    }

    /// Ends the archive. Everything in it should be synced: only its directory is at stake then.
    pub(crate) fn into_sealing(self) -> io::Result<Sealing> {
        let offset = self.writer.offset();
        let bytes = self.writer.seal().map_err(unwritable)?;
        Ok(Sealing { dir: self.dir, name: self.name, file: self.file, offset, bytes })
    }
}

/// What the format cannot hold: no other file would take it either, so nothing is to be retried.
fn unwritable(error: relay_fmt::archive::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What an archive consists of.
fn pieces(scan: &Scan, bytes: &ArchiveFd) -> Result<Vec<Piece>, archive::Error> {
    let mut pieces = Vec::new();
    for entries in &scan.entries {
        let others = entries.iter().filter(|entry| !matches!(entry, Entry::Positions(_)));
        pieces.push(Piece::Control(others.cloned().collect()));
    }
    for block in &scan.directory.blocks {
        pieces.push(Piece::Block(Box::new(copied(bytes, block)?)));
    }
    Ok(pieces)
}

/// A block of an archive, to be put into another one as it is.
pub(crate) fn copied(
    bytes: &ArchiveFd,
    block: &BlockEntry,
) -> Result<EncodedBlock, archive::Error> {
    let header = &block.header;
    let kind = BlockKind::from_u8(header.kind);
    Ok(EncodedBlock {
        kind: kind.map_err(|error| archive::Error::Block { offset: block.offset, error })?,
        facts: block
            .facts()
            .map_err(|error| archive::Error::Block { offset: block.offset, error })?,
        sections: header.sections.clone(),
        filter: read_filter(bytes, block)?,
        body: read_body(bytes, block)?,
    })
}
