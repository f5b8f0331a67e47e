//! A directory of archives and live channels, opened while others move things in it.

use super::files::{ArchiveFd, ArchiveName, stem};
use super::shelves::{self, Shelves};
use crate::catalogue;
use relay_fmt::archive::{
    self, BlockEntry, Damage, DamageKind, Directory, Entry, Opened, ReadAt, ScanOptions, Summary,
    read_control,
};
use relay_fmt::block::Times;
use relay_log::channel::{ChannelReader, OpenError};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where archives and live channels are.
#[derive(Debug, Clone)]
pub struct Store {
    archive_dir: PathBuf,
    live_dir: PathBuf,
    uid: Option<u32>,
    copied_at_once: u64,
    threads: Option<usize>,
    held: usize,
    temporary: Option<PathBuf>,
}

/// What waits in live channels is copied out at once up to so many bytes; more is read in pieces.
const COPIED_AT_ONCE: u64 = 32 << 20;
/// No more threads than this read blocks, unless told otherwise: each has some of them in memory.
const THREADS: usize = 4;

/// An archive that was opened, and what it consists of.
#[derive(Debug)]
pub struct Archive {
    /// The parts of the name that it had then.
    pub name: ArchiveName,
    /// Its bytes.
    pub bytes: ArchiveFd,
    /// What it consists of.
    pub directory: Directory,
    /// What its control frames say, and where each stands.
    pub entries: Vec<(u64, Entry)>,
    /// What is known to be damaged. The torn end of an open archive is not: it is being written.
    pub damages: Vec<Damage>,
    /// Blocks and entries at this offset and behind it are void: they are in another archive.
    pub void_from: u64,
}

impl Archive {
    /// The blocks that count.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockEntry> {
        let blocks = self.directory.blocks.iter();
        blocks.take_while(|block| block.offset < self.void_from)
    }

    /// Forgets all blocks but these, by their places among all, and what else it said.
    pub(crate) fn keep(&mut self, blocks: &[usize]) {
        let mut wanted = blocks.iter().copied().peekable();
        let mut at = 0..;
        self.directory.blocks.retain(|_| wanted.next_if_eq(&at.next().unwrap_or(0)).is_some());
        self.directory.blocks.shrink_to_fit();
        (self.entries, self.damages) = (Vec::new(), Vec::new());
        self.directory.controls = Vec::new();
    }
}

/// An archive that was listed, and is opened when it is needed: the catalogue says when.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The parts of the name that it had then.
    pub(crate) name: ArchiveName,
    bytes: ArchiveFd,
    /// Its place among all.
    pub(crate) place: usize,
    /// Between these its rows are, by the order they sort in.
    pub(crate) times: Times,
    pub(crate) blocks: u64,
    pub(crate) rows: u64,
}

impl Closed {
    /// Opens it; `None` when there is nothing in it.
    pub(crate) fn open(&self, voids: &Voids) -> Result<Option<Archive>, archive::Error> {
        let opened = archive(self.name.clone(), self.bytes.clone(), Depth::Quick);
        let mut opened = opened.map_err(|(_, error)| error)?;
        opened.iter_mut().for_each(|archive| voids.apply(archive));
        Ok(opened)
    }
}

/// When an archive is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    /// When a row of it may be next.
    Later,
    Never,
}

/// All archives, of which some were opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) opened: Archives,
    /// The places of the opened ones among all.
    pub(crate) places: Vec<usize>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) voids: Voids,
}

/// All archives, and what could not be opened.
#[derive(Debug, Default)]
pub struct Archives {
    /// Those that were opened, by channel and number.
    pub archives: Vec<Archive>,
    /// Those that could not be, and why not.
    pub unreadable: Vec<(ArchiveName, String)>,
    /// Those that were left out, see [`Store::archives_with`].
    pub skipped: usize,
}

/// All live channels, and what could not be opened.
#[derive(Debug, Default)]
pub struct Channels {
    /// Those that were opened, with the names of their files.
    pub channels: Vec<(String, ChannelReader)>,
    /// The others, and why not.
    pub refused: Vec<(String, OpenError)>,
}

/// What the system said of a path, with the path.
pub(crate) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// How thoroughly archives are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The directories of sealed ones are believed.
    Quick,
    /// Every frame is walked, and every checksum is checked.
    Whole,
}

/// Directories are listed so often at most until a listing stays as it is.
const LISTINGS: u32 = 50;

impl Store {
    /// The archives in `dir`, and the channels in `live_dir`; `None`: `live` in `dir`.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn open(dir: &Path, live_dir: Option<&Path>) -> io::Result<Self> {
        for dir in std::iter::once(dir).chain(live_dir) {
            let metadata = std::fs::metadata(dir).map_err(|error| at(dir, &error))?;
            if !metadata.is_dir() {
                return Err(at(dir, &io::ErrorKind::NotADirectory.into()));
            }
        }
        Ok(Self {
            archive_dir: dir.join("archive"),
            live_dir: live_dir.map_or_else(|| dir.join("live"), Path::to_owned),
            uid: None,
            copied_at_once: COPIED_AT_ONCE,
            threads: None,
            held: shelves::HELD,
            temporary: None,
        })
    }

    /// Whether it is a directory of logs: there is one for archives in it, or one for channels.
    ///
    /// # Errors
    /// When the system does not let anybody know.
    pub fn is_there(&self) -> io::Result<bool> {
        for dir in [&self.archive_dir, &self.live_dir] {
            match std::fs::metadata(dir) {
                Ok(metadata) if metadata.is_dir() => return Ok(true),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(dir, &error));
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Also trusts channels of this user.
    #[must_use]
    pub const fn allow_uid(mut self, uid: Option<u32>) -> Self {
        self.uid = uid;
        self
    }

    /// Copies out at most so many bytes of live channels before archives are read; of channels that
    /// hold more, the bytes are read when they are shown. Default: 32 MiB.
    #[must_use]
    pub const fn copy_at_once(mut self, bytes: u64) -> Self {
        self.copied_at_once = bytes;
        self
    }

    /// Blocks are read by at most so many threads, and by at least one. Default: as many as the machine
    /// can run at a time, up to 4; each has some blocks in memory.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Holds about so many bytes of decoded rows in memory, and half as many again, while they wait for the
    /// turn of others that overlap with them in time; more are put into a temporary file. Knows a quarter as
    /// many bytes about blocks that are not due yet. Default: 64 MiB.
    #[must_use]
    pub const fn hold_at_most(mut self, bytes: usize) -> Self {
        self.held = bytes;
        self
    }

    /// Puts that file into this directory. It has no name there. Default: what `TMPDIR` says; `/var/tmp`, or
    /// where that cannot be, `/tmp`.
    #[must_use]
    pub fn temporary_in(mut self, dir: &Path) -> Self {
        self.temporary = Some(dir.to_owned());
        self
    }

    pub(crate) fn shelves(&self) -> Shelves {
        Shelves::new(self.held, self.temporary.as_deref())
    }

    pub(crate) fn most_threads(&self) -> usize {
        let usual = || std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        self.threads.unwrap_or_else(usual).max(1)
    }

    pub(crate) const fn copied_at_once(&self) -> u64 {
        self.copied_at_once
    }

    /// Where archives stand.
    #[must_use]
    pub fn archive_dir(&self) -> &Path {
        &self.archive_dir
    }

    /// Where channels live.
    #[must_use]
    pub fn live_dir(&self) -> &Path {
        &self.live_dir
    }

    /// Opens all live channels. One that goes meanwhile is in the archives.
    ///
    /// # Errors
    /// When the directory cannot be read; that it is not there is no error.
    pub fn channels(&self) -> io::Result<Channels> {
        let entries = match std::fs::read_dir(&self.live_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Channels::default());
            }
            entries => entries.map_err(|error| at(&self.live_dir, &error))?,
        };
        let mut found = Channels::default();
        for entry in entries {
            let name = entry?.file_name();
            let Some(file) = name.to_str().filter(|name| name.ends_with(".relay")) else {
                continue;
            };
            match self.channel(file) {
                Ok(Some(reader)) => found.channels.push((file.to_owned(), reader)),
                Ok(None) => {}
                Err(error) => found.refused.push((file.to_owned(), error)),
            }
        }
        found.channels.sort_by(|a, b| a.0.cmp(&b.0));
        found.refused.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Opens one live channel; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn channel(&self, file: &str) -> Result<Option<ChannelReader>, OpenError> {
        match ChannelReader::open(&self.live_dir, file.as_ref(), self.uid) {
            Err(OpenError::System { errno, .. }) if errno == Errno::NOENT => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens all archives.
    ///
    /// What is sealed, begun or deleted meanwhile is seen once: the directory is listed until a
    /// listing stays as it is, and only then anything is read, older archives first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn archives(&self, depth: Depth) -> io::Result<Archives> {
        self.archives_with(depth, &mut |_| true)
    }

    /// Opens all archives but those that `wanted` does not want by what the catalogue says of them.
    /// Those that it says nothing of, or that matter to others, are always opened.
    ///
    /// # Errors
    /// As [`Store::archives`].
    pub fn archives_with(
        &self,
        depth: Depth,
        wanted: &mut dyn FnMut(&Summary) -> bool,
    ) -> io::Result<Archives> {
        let when = &mut |summary: &Summary| if wanted(summary) { When::Now } else { When::Never };
        Ok(self.find(depth, when)?.opened)
    }

    /// Opens those archives that are to be opened now, by what the catalogue says of them; others are only
    /// found.
    pub(crate) fn find(
        &self,
        depth: Depth,
        when: &mut dyn FnMut(&Summary) -> When,
    ) -> io::Result<Found> {
        let mut all = Found::default();
        let found = &mut all.opened;
        let descriptors = self.descriptors(found)?;
        let catalogue = match depth {
            // After the listing: what it was made of since is looked at again.
            Depth::Quick => catalogue::read(&self.archive_dir),
            Depth::Whole => HashMap::new(),
        };
        for (place, (name, bytes)) in descriptors.into_iter().enumerate() {
            if let Some(summary) = catalogue.get(&name.file).filter(|s| !s.supersedes)
                && catalogue::identity(&name.file, &bytes.metadata()?) == summary.identity
            {
                match (when(summary), summary.times) {
                    (When::Never, _) => {
                        found.skipped += 1;
                        continue;
                    }
                    (When::Later, Some(times)) => {
                        let (blocks, rows) = (summary.blocks, summary.rows);
                        all.closed.push(Closed { name, bytes, place, times, blocks, rows });
                        continue;
                    }
                    _ => {}
                }
            }
            match archive(name, bytes, depth) {
                Ok(Some(archive)) => {
                    found.archives.push(archive);
                    all.places.push(place);
                }
                Ok(None) => {}
                Err((name, error)) => found.unreadable.push((*name, error.to_string())),
            }
        }
        all.voids = Voids::of(&found.archives);
        found.archives.iter_mut().for_each(|archive| all.voids.apply(archive));
        Ok(all)
    }

    fn descriptors(&self, found: &mut Archives) -> io::Result<Vec<(ArchiveName, ArchiveFd)>> {
        let mut open: HashMap<String, (ArchiveName, ArchiveFd)> = HashMap::new();
        let mut before: Vec<String> = Vec::new();
        for _ in 0..LISTINGS {
            let names = ArchiveName::list(&self.archive_dir)?;
            let mut stems: Vec<String> = names.iter().map(|n| n.stem().to_owned()).collect();
            stems.dedup();
            let mut went = false;
            found.unreadable.clear();
            for name in names {
                if open.contains_key(name.stem()) {
                    continue;
                }
                match ArchiveFd::open(&self.archive_dir.join(&name.file)) {
                    Ok(fd) => drop(open.insert(name.stem().to_owned(), (name, fd))),
                    // Sealed under another name, or deleted.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => went = true,
                    Err(error) => found.unreadable.push((name, error.to_string())),
                }
            }
            if !went && stems == before {
                break;
            }
            before = stems;
        }
        let mut all: Vec<_> = open.into_values().collect();
        all.sort_by(|(a, _), (b, _)| {
            (&a.channel, a.number, &a.file).cmp(&(&b.channel, b.number, &b.file))
        });
        Ok(all)
    }
}

/// Reads what an archive consists of; `None` when it was just being begun.
pub(crate) fn archive(
    name: ArchiveName,
    bytes: ArchiveFd,
    depth: Depth,
) -> Result<Option<Archive>, (Box<ArchiveName>, archive::Error)> {
    let opened = match depth {
        Depth::Quick => archive::open(&bytes),
        Depth::Whole => {
            archive::scan(&bytes, &ScanOptions { all_bodies: true }).map(Opened::Scanned)
        }
    };
    match opened {
        Ok(Opened::Sealed(directory)) => Ok(Some(sealed(name, bytes, directory))),
        Ok(Opened::Scanned(scan)) => {
            let places = scan.directory.controls.iter().map(|place| place.offset);
            let entries = places
                .zip(scan.entries)
                .flat_map(|(at, entries)| entries.into_iter().map(move |entry| (at, entry)));
            let open = !name.sealed;
            let mut damages = scan.damages;
            damages.retain(|damage| !(open && damage.kind == DamageKind::TornTail));
            Ok(Some(Archive {
                entries: entries.collect(),
                name,
                bytes,
                directory: scan.directory,
                damages,
                void_from: u64::MAX,
            }))
        }
        Err(archive::Error::TornHeader) if !name.sealed => Ok(None),
        // Nothing is in it yet.
        Err(archive::Error::NotAnArchive) if !name.sealed && bytes.is_empty().unwrap_or(false) => {
            Ok(None)
        }
        Err(error) => Err((Box::new(name), error)),
    }
}

fn sealed(name: ArchiveName, bytes: ArchiveFd, directory: Directory) -> Archive {
    let (mut entries, mut damages) = (Vec::new(), Vec::new());
    for place in &directory.controls {
        match read_control(&bytes, &directory, *place) {
            Ok(read) => entries.extend(read.into_iter().map(|entry| (place.offset, entry))),
            Err(error) => damages.push(Damage {
                offset: place.offset,
                len: place.len,
                kind: DamageKind::Frame,
                error: match error {
                    archive::Error::Frame { error, .. } | archive::Error::Block { error, .. } => {
                        error
                    }
                    _ => relay_fmt::Error::new("a control frame cannot be read").into(),
                },
                block: None,
            }),
        }
    }
    let void_from = u64::MAX;
    Archive { name, bytes, directory, entries, damages, void_from }
}

/// From where on archives are void, by what other archives say: they are superseded there.
#[derive(Debug, Default)]
pub(crate) struct Voids(HashMap<String, u64>);

impl Voids {
    /// What these say of any.
    pub(crate) fn of(archives: &[Archive]) -> Self {
        let mut from: HashMap<String, u64> = HashMap::new();
        for (_, entry) in archives.iter().flat_map(|archive| &archive.entries) {
            if let Entry::Supersedes(supersedes) = entry {
                let at = from.entry(stem(&supersedes.file).to_owned()).or_insert(u64::MAX);
                *at = supersedes.offset.min(*at);
            }
        }
        Self(from)
    }

    /// Marks what is void of an archive.
    pub(crate) fn apply(&self, archive: &mut Archive) {
        if let Some(offset) = self.0.get(archive.name.stem()) {
            archive.void_from = *offset;
            archive.entries.retain(|(at, _)| at < offset);
        }
    }
}
