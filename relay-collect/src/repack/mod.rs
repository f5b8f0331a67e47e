//! Sealed archives are packed again, as well as they can be, while there is nothing else to do.
//!
//! Rows, runs and control entries stay as they are ([`docs/format/archive.md`], "Packing again"), so
//! readers, the audit and a restarted collector see the same. Neighbouring blocks become one, and
//! compression takes the time that a collector with work to do has not.
//!
//! 1. [`pack`] writes the new archive beside the old one, under a hidden name, and makes it durable;
//! 2. [`Packed::replace`] renames it over the old one, if that is still what it was.
//!
//! Killed in between, either is there, whole; who has the old one open reads on in it.

mod hand;
mod idle;
mod join;
#[cfg(test)]
mod tests;

pub use hand::{Repacked, repack};
pub(crate) use idle::Idle;

use crate::archive_file::{copied, sync_dir};
use crate::read::{ArchiveFd, ArchiveName};
use crate::render::Contents;
use join::Group;
use relay_fmt::archive::{
    self, ArchiveWriter, BlockEntry, Directory, Entry, FileHeader, Opened, REPACKED, read_block,
    read_control, read_filter,
};
use relay_fmt::block::columns::Encoder;
use relay_fmt::block::{
    BlockBuilder, BlockKind, EncodedBlock, Facts, MAX_CONTENT, Sections, decode,
};
use relay_fmt::rows::{ChannelId, Run};
use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The end of the name of what is being packed.
const TEMPORARY: &str = ".repack";
/// Blocks are joined up to so many raw bytes: readers have several in memory.
const JOIN_BYTES: u64 = 8 << 20;

/// Why an archive is not packed again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It has been.
    #[error("it has been packed again already")]
    Already,
    /// It stays as it is, forever.
    #[error("{0}")]
    Unfit(&'static str),
    /// It could not be read, or the new one not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It could not be read.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// Somebody wants it to stop.
    #[error("stopped")]
    Stopped,
}

/// An archive that was packed again and waits to take the old one's place.
#[derive(Debug)]
pub(crate) struct Packed {
    path: PathBuf,
    temporary: PathBuf,
    old: Metadata,
    /// Bytes before.
    pub(crate) before: u64,
    /// Bytes now.
    pub(crate) after: u64,
}

impl Packed {
    /// Takes the old archive's place; `false` when that is not there any more. Only who holds the
    /// collector's lock may do this: retention must not delete it meanwhile.
    pub(crate) fn replace(self) -> io::Result<bool> {
        let now = match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            now => now?,
        };
        let same = |m: &Metadata| (m.dev(), m.ino(), m.len());
        if same(&now) != same(&self.old) {
            return Ok(false);
        }
        std::fs::rename(&self.temporary, &self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(true)
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // Not there after it took the old one's place.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Deletes what killed attempts left.
pub(crate) fn tidy(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let left = name.to_str().is_some_and(|n| n.starts_with('.') && n.ends_with(TEMPORARY));
        if left {
            std::fs::remove_file(dir.join(&name))?;
        }
    }
    Ok(())
}

/// Sealed archives that no other one supersedes: offsets in one that is superseded have a meaning.
pub(crate) fn candidates(dir: &Path) -> io::Result<Vec<String>> {
    let names = ArchiveName::list(dir)?;
    let mut superseded = HashSet::new();
    for name in &names {
        let Ok(bytes) = ArchiveFd::open(&dir.join(&name.file)) else { continue };
        let Ok(opened) = archive::open(&bytes) else { continue };
        let directory = opened.directory();
        for place in &directory.controls {
            for entry in read_control(&bytes, directory, *place).unwrap_or_default() {
                if let Entry::Supersedes(of) = entry {
                    superseded.insert(of.file.trim_end_matches(".part").to_owned());
                }
            }
        }
    }
    let fit = names.into_iter().filter(|n| n.sealed && !superseded.contains(n.stem()));
    Ok(fit.map(|name| name.file).collect())
}

/// Packs an archive again at this zstd level. `go_on` is asked before each block, and may wait.
pub(crate) fn pack(
    dir: &Path,
    file: &str,
    level: i32,
    go_on: &dyn Fn() -> bool,
) -> Result<Packed, Refused> {
    let path = dir.join(file);
    let bytes = ArchiveFd::open(&path)?;
    let old = std::fs::symlink_metadata(&path)?;
    let Opened::Sealed(directory) = archive::open(&bytes)? else {
        return Err(Refused::Unfit("it is damaged"));
    };
    fit(&directory.header)?;
    let numbered = (0u64..).zip(&directory.blocks).all(|(n, block)| block.header.sequence == n);
    if !numbered {
        return Err(Refused::Unfit("blocks are missing"));
    }
    let temporary = dir.join(format!(".{file}{TEMPORARY}"));
    // Removed when it is dropped.
    let mut packed = Packed { path, temporary, before: old.len(), after: 0, old };
    let out = create(&packed)?;
    let mut packer = Packer::begin(&bytes, &directory, out, level)?;
    packer.all(go_on)?;
    packed.after = packer.seal()?;
    check(&packed.temporary, (&bytes, &directory))?;
    Ok(packed)
}

fn fit(header: &FileHeader) -> Result<(), Refused> {
    if header.compatible & !archive::COMPATIBLE != 0 {
        return Err(Refused::Unfit("a newer version wrote it"));
    }
    if header.compatible & REPACKED != 0 {
        return Err(Refused::Already);
    }
    Ok(())
}

/// The file to write, with the permissions of the old one.
fn create(packed: &Packed) -> io::Result<File> {
    let _ = std::fs::remove_file(&packed.temporary);
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(flags).mode(0o600);
    let file = options.open(&packed.temporary)?;
    file.set_permissions(packed.old.permissions())?;
    Ok(file)
}

/// Writes the new archive.
struct Packer<'a> {
    bytes: &'a ArchiveFd,
    directory: &'a Directory,
    writer: ArchiveWriter,
    out: File,
    builder: BlockBuilder,
    contents: Contents,
    encoder: Encoder,
    /// What is to become one block: the old ones, and their rows.
    old: Vec<&'a BlockEntry>,
    group: Group,
}

impl<'a> Packer<'a> {
    fn begin(
        bytes: &'a ArchiveFd,
        directory: &'a Directory,
        mut out: File,
        level: i32,
    ) -> Result<Self, Refused> {
        let mut header = directory.header.clone();
        header.compatible |= REPACKED;
        let (writer, begin) = ArchiveWriter::create(header)?;
        out.write_all(&begin)?;
        Ok(Self {
            bytes,
            directory,
            writer,
            out,
            builder: BlockBuilder::new(),
            contents: Contents::default(),
            encoder: Encoder::new(level).map_err(io::Error::other)?,
            old: Vec::new(),
            group: Group::default(),
        })
    }

    /// All blocks and control frames, in their order.
    fn all(&mut self, go_on: &dyn Fn() -> bool) -> Result<(), Refused> {
        let directory = self.directory;
        let mut controls = directory.controls.iter().peekable();
        for block in &directory.blocks {
            if !go_on() {
                return Err(Refused::Stopped);
            }
            while let Some(place) = controls.next_if(|place| place.offset < block.offset) {
                self.control(*place)?;
            }
            self.take(block)?;
        }
        for place in controls {
            self.control(*place)?;
        }
        self.flush()
    }

    fn control(&mut self, place: archive::ControlPlace) -> Result<(), Refused> {
        self.flush()?;
        let frame = self.writer.copy_control(self.bytes, self.directory, place)?;
        self.out.write_all(&frame)?;
        Ok(())
    }

    /// Adds a block to those that become one, or begins with it anew.
    fn take(&mut self, block: &'a BlockEntry) -> Result<(), Refused> {
        let raw = |block: &&BlockEntry| block.header.facts.raw_bytes;
        if self.old.iter().map(raw).sum::<u64>() + raw(&block) > JOIN_BYTES {
            self.flush()?;
        }
        let mut rows = read_block(self.bytes, block)?;
        if let Err(refused) = self.group.add(rows) {
            self.flush()?;
            rows = *refused;
            // Nothing is refused by an empty group.
            let _ = self.group.add(rows);
        }
        self.old.push(block);
        Ok(())
    }

    /// Writes what was gathered: as one block, or as it was where that is no gain.
    fn flush(&mut self) -> Result<(), Refused> {
        let (group, old) = (std::mem::take(&mut self.group), std::mem::take(&mut self.old));
        if group.is_empty() {
            return Ok(());
        }
        group.fill(&mut self.builder);
        let before = old.iter().map(|block| block.end() - block.offset).sum::<u64>();
        let mut filters = 0;
        for block in &old {
            filters += read_filter(self.bytes, block)?.bytes.len();
        }
        let encoded = self.encode(filters);
        self.builder.clear();
        match encoded {
            Some(block) if ((block.body.len() + block.filter.bytes.len()) as u64) < before => {
                self.out.write_all(self.writer.block(&block)?)?;
            }
            _ => {
                for block in old {
                    let block = copied(self.bytes, block)?;
                    self.out.write_all(self.writer.block(&block)?)?;
                }
            }
        }
        Ok(())
    }

    /// The block of what is in the builder; `None` when it does not come back as it was.
    fn encode(&mut self, filters: usize) -> Option<EncodedBlock> {
        let rows = self.builder.rows();
        self.contents.see(rows);
        // It is to tell as much as theirs did.
        let filter = self.contents.finish(filters);
        let (kind, mut body, mut sections) = (BlockKind::Columns, Vec::new(), Sections::default());
        self.encoder.encode(rows, &mut body).ok()?;
        sections.push(body.len()).ok()?;
        let back = decode(kind as u8, &body, MAX_CONTENT).ok()?;
        let facts = Facts::of(rows);
        (back == *rows).then_some(EncodedBlock { kind, facts, sections, filter, body })
    }

    /// Ends the new archive and makes it durable. Returns its length.
    fn seal(mut self) -> Result<u64, Refused> {
        self.out.write_all(&self.writer.seal()?)?;
        self.out.sync_all()?;
        Ok(self.out.metadata()?.len())
    }
}

/// Checks that an archive says of itself what another one does.
fn check(path: &Path, (bytes, old): (&ArchiveFd, &Directory)) -> Result<(), Refused> {
    let differs = Err(Refused::Unfit("it would not be the same"));
    let new_bytes = ArchiveFd::open(path)?;
    let Opened::Sealed(new) = archive::open(&new_bytes)? else { return differs };
    if !same_runs(old, &new)? || old.controls.len() != new.controls.len() {
        return differs;
    }
    for (was, is) in old.controls.iter().zip(&new.controls) {
        if read_control(bytes, old, *was)? != read_control(&new_bytes, &new, *is)? {
            return differs;
        }
    }
    Ok(())
}

/// Whether two archives claim the same, in the same order, however it is divided into blocks.
fn same_runs(old: &Directory, new: &Directory) -> Result<bool, Refused> {
    let (mut failed, mut failed_new) = (None, None);
    let same = runs(old, &mut failed).eq(runs(new, &mut failed_new));
    failed.or(failed_new).map_or(Ok(same), |error| Err(error.into()))
}

/// The claims of an archive, in their order, up to a block that cannot be read.
fn runs<'a>(
    directory: &'a Directory,
    failed: &'a mut Option<archive::Error>,
) -> impl Iterator<Item = (Option<ChannelId>, Run)> + 'a {
    let facts = directory.blocks.iter().map_while(|block| {
        let bad = |error| *failed = Some(archive::Error::Block { offset: block.offset, error });
        block.facts().map_err(bad).ok()
    });
    facts.flat_map(|facts| {
        let Facts { sources, runs, .. } = facts;
        runs.into_iter().map(move |run| {
            let id = sources.get(run.source as usize).map(|source| source.id);
            (id, Run { source: 0, ..run })
        })
    })
}
