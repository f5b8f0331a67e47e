//! Pieces that wait on disk for their turn, where there are more of them than memory is for.
//!
//! A stream by time needs a row of every piece that overlaps at a moment. Up to [`HELD`] bytes of pieces are
//! held as they are. Of a piece beyond that only one portion is in memory at a time, the one that has its
//! next row; all of it lies in a file, compressed, in portions in the order in which they are needed. The
//! more pieces are shelved, the smaller portions are: 32 MiB of them, and 8 KiB for each piece, is the most
//! that they take, but for rows that are larger.
//!
//! The other way would have been to decode a block again for each portion: no disk, and as many times the
//! work as there are portions. Compressing what was decoded and rendered once costs a fraction of that.
//!
//! The file has no name, and goes with the process. Where it cannot be written, pieces are held as before,
//! which is said once: whatever memory it takes, the answer is whole.

use super::chunks;
use super::loaded::Loaded;
use super::merge::Turn;
use super::plan::Plan;
use relay_fmt::block::MAX_CONTENT;
use rustix::process::{Resource, getrlimit};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// Pieces that are whole take no more than so many bytes of memory, unless told otherwise.
pub(crate) const HELD: usize = 64 << 20;
/// It is written and read once.
const LEVEL: i32 = 1;
/// What stands in front of a portion: how long its frame is, and how long what is in it. Zeros end a piece.
const HEAD: usize = 8;

/// All pieces of a command that wait, in memory and in its file.
#[derive(Debug, Clone)]
pub(crate) struct Shelves(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    dirs: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    extents: Extents,
    /// Why there is no more shelving.
    failed: Option<io::Error>,
    said: bool,
    /// What whole pieces take in memory, in bytes.
    whole: usize,
    /// The same of portions.
    portions: usize,
    /// How large portions may be, over all pieces that are shelved.
    promised: usize,
    counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    held: u64,
    pieces: u64,
    file: u64,
}

/// Where temporary files may be put: where somebody says, else on a disk before memory, which `/tmp` often
/// is; `/var/tmp` is to outlast a restart. Where only `/tmp` can be written, it is compressed there at least.
fn usual_dirs() -> Vec<PathBuf> {
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    named.map_or_else(|| vec!["/var/tmp".into(), "/tmp".into()], |dir| vec![dir.into()])
}

/// A file without a name in the first of these directories that takes one; else why the first did not.
fn file_in(dirs: &[PathBuf]) -> io::Result<File> {
    let mut made = dirs.iter().map(tempfile::tempfile_in);
    let first = made.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
    first.or_else(|error| made.find_map(Result::ok).ok_or(error))
}

impl Shelves {
    /// None yet: whole pieces may take `most` bytes of memory. The file would be in `dir`; `None`: where
    /// temporary files usually are.
    pub(crate) fn new(most: usize, dir: Option<&Path>) -> Self {
        let dirs = dir.map_or_else(usual_dirs, |dir| vec![dir.to_owned()]);
        Self(Arc::new(Inner { most, dirs, state: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many blocks may be known of archives that are open: about a kB is known of each.
    pub(crate) fn blocks(&self) -> usize {
        self.0.most / 4096
    }

    /// Whether a piece that takes so many bytes may be held whole.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.lock().whole.saturating_add(bytes) <= self.0.most
    }

    /// Counts what is held, until it goes: a whole piece, or a portion.
    pub(crate) fn hold(&self, bytes: usize, whole: bool) -> Held {
        let mut state = self.lock();
        *state.held(whole) += bytes;
        state.counts.held = state.counts.held.max((state.whole + state.portions) as u64);
        drop(state);
        Held { shelves: self.clone(), bytes, whole }
    }

    /// Puts the rows of a piece into the file, to be had from its [`Shelf`]. Where that cannot be done, they
    /// stay where they are.
    pub(crate) fn shelve(&self, loaded: &mut Loaded, turn: Turn) {
        let Some(promise) = self.promise() else { return };
        match self.write(loaded, turn, promise) {
            Ok(shelf) => loaded.put_away(shelf),
            Err(error) => {
                let mut state = self.lock();
                // What is in it already is still read.
                state.file = None;
                state.failed.get_or_insert(error);
            }
        }
    }

    /// How large the portions of one more piece may be; `None` where none is shelved any more.
    fn promise(&self) -> Option<Promise> {
        let mut state = self.lock();
        if state.failed.is_some() {
            return None;
        }
        let most = self.0.most;
        let left = (most / 2).saturating_sub(state.promised);
        let bytes = (left / 128).max(most / 8192);
        state.promised += bytes;
        drop(state);
        Some(Promise { shelves: self.clone(), bytes })
    }

    fn write(&self, loaded: &Loaded, turn: Turn, promise: Promise) -> io::Result<Shelf> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        let (mut plain, mut bytes, mut first) = (Vec::new(), Vec::new(), None);
        for rows in chunks::portions(loaded, turn, promise.bytes) {
            plain.clear();
            chunks::put(loaded, rows, &mut plain).map_err(io::Error::other)?;
            let frame = compressor.compress(&plain)?;
            let head = Head::of(frame.len(), plain.len())?;
            first.get_or_insert(head);
            bytes.extend_from_slice(&head.bytes());
            bytes.extend_from_slice(&frame);
        }
        bytes.extend_from_slice(&[0; HEAD]);
        let (file, extent) = self.extent(bytes.len() as u64)?;
        let (at, next) = (extent.at + HEAD as u64, first.unwrap_or_default());
        let shelf = Shelf { file, at, next, left: loaded.len(), extent, _promise: promise };
        shelf.file.write_all_at(&bytes, shelf.extent.at)?;
        self.lock().counts.pieces += 1;
        Ok(shelf)
    }

    /// A place in the file, which comes to be with the first.
    fn extent(&self, len: u64) -> io::Result<(Arc<File>, Extent)> {
        let mut state = self.lock();
        let file = match &state.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(state.file.insert(Arc::new(file_in(&self.0.dirs)?))),
        };
        let at = state.extents.take(len);
        let end = state.extents.end;
        state.counts.file = state.counts.file.max(end);
        drop(state);
        let extent = Extent { shelves: self.clone(), at, len };
        // Writing behind it would end the process.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| end > most) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok((file, extent))
    }

    /// That there was no shelving, once.
    pub(crate) fn note(&self) -> Option<String> {
        let mut state = self.lock();
        let error = state.failed.as_ref().filter(|_| !state.said)?;
        let dirs: Vec<_> = self.0.dirs.iter().map(|dir| dir.display().to_string()).collect();
        let note = format!(
            "{}: what overlaps in time cannot wait in a temporary file there, and took memory instead: {error}",
            dirs.join(", ")
        );
        state.said = true;
        Some(note)
    }

    /// Adds what was counted.
    pub(crate) fn count(&self, plan: &mut Plan) {
        let Counts { held, pieces, file } = std::mem::take(&mut self.lock().counts);
        plan.held_bytes = plan.held_bytes.max(held);
        plan.shelved += pieces;
        plan.shelf_bytes = plan.shelf_bytes.max(file);
    }
}

impl State {
    const fn held(&mut self, whole: bool) -> &mut usize {
        if whole { &mut self.whole } else { &mut self.portions }
    }
}

/// What is held counts until this goes.
#[derive(Debug)]
pub(crate) struct Held {
    shelves: Shelves,
    bytes: usize,
    whole: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.shelves.lock().held(self.whole) -= self.bytes;
    }
}

/// Portions of this size were promised to a piece.
#[derive(Debug)]
struct Promise {
    shelves: Shelves,
    bytes: usize,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.shelves.lock().promised -= self.bytes;
    }
}

/// A place in the file, which others may have afterwards.
#[derive(Debug)]
struct Extent {
    shelves: Shelves,
    at: u64,
    len: u64,
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.shelves.lock().extents.give(self.at, self.len);
    }
}

/// Which bytes of the file are free: it grows no larger than what was in it at a time, and the holes that the
/// first place that fits leaves. Punching holes instead would ask the file system for each portion.
#[derive(Debug, Default)]
struct Extents {
    /// Where free bytes begin, and how many there are; never two next to each other.
    free: BTreeMap<u64, u64>,
    /// Behind it nothing was ever taken.
    end: u64,
}

impl Extents {
    fn take(&mut self, len: u64) -> u64 {
        let fits = self.free.iter().find(|(_, free)| **free >= len).map(|(at, free)| (*at, *free));
        let Some((at, free)) = fits else {
            let at = self.end;
            self.end += len;
            return at;
        };
        self.free.remove(&at);
        if free > len {
            self.free.insert(at + len, free - len);
        }
        at
    }

    fn give(&mut self, mut at: u64, mut len: u64) {
        if let Some(behind) = self.free.remove(&(at + len)) {
            len += behind;
        }
        if let Some((before, free)) = self.free.range(..at).next_back().map(|(b, f)| (*b, *f))
            && before + free == at
        {
            (at, len) = (before, free + len);
        }
        self.free.insert(at, len);
    }
}

/// How long a portion's frame is, and what is in it, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    frame: u32,
    plain: u32,
}

impl Head {
    fn of(frame: usize, plain: usize) -> io::Result<Self> {
        let small =
            |len: usize| u32::try_from(len).ok().filter(|len| u64::from(*len) <= MAX_CONTENT);
        match (small(frame), small(plain)) {
            (Some(frame), Some(plain)) => Ok(Self { frame, plain }),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn bytes(self) -> [u8; HEAD] {
        (u64::from(self.plain) << 32 | u64::from(self.frame)).to_le_bytes()
    }

    const fn from_bytes(bytes: [u8; HEAD]) -> Self {
        let both = u64::from_le_bytes(bytes);
        Self { frame: both as u32, plain: (both >> 32) as u32 }
    }
}

thread_local! {
    /// Making one takes as long as reading a small portion with it.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(frame: &[u8], plain: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|known| {
        let decompressor = match known {
            Some(known) => known,
            None => known.insert(Decompressor::new()?),
        };
        decompressor.decompress(frame, plain)
    })
}

/// The rows of a piece that is shelved.
#[derive(Debug)]
pub(crate) struct Shelf {
    file: Arc<File>,
    extent: Extent,
    /// Where the frame of the next portion begins.
    at: u64,
    next: Head,
    /// How many rows are left.
    left: usize,
    _promise: Promise,
}

impl Shelf {
    /// The next rows of the piece; `None` behind the last.
    ///
    /// # Errors
    /// When they cannot be read: a sentence. Then nothing more comes.
    pub(crate) fn next(&mut self) -> Option<Result<Loaded, String>> {
        if self.left == 0 {
            return None;
        }
        let read = self.read().map_err(|error| {
            format!(
                "{} records that waited in a temporary file cannot be read back: {error}",
                std::mem::take(&mut self.left)
            )
        });
        Some(read)
    }

    fn read(&mut self) -> io::Result<Loaded> {
        let mut bytes = vec![0; self.next.frame as usize + HEAD];
        self.file.read_exact_at(&mut bytes, self.at)?;
        let (frame, next) = bytes.split_last_chunk::<HEAD>().ok_or(io::ErrorKind::InvalidData)?;
        let plain = decompress(frame, self.next.plain as usize)?;
        let loaded = chunks::take(&plain).map_err(io::Error::other)?;
        self.left = match self.left.checked_sub(loaded.len()) {
            Some(left) if loaded.len() > 0 => left,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        self.at += bytes.len() as u64;
        self.next = Head::from_bytes(*next);
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;
    use proptest::prelude::*;
    use relay_fmt::record::Kind;

    fn piece(rows: usize) -> Loaded {
        let mut buffer = fixture::buffer();
        (0..rows).for_each(|n| buffer.push(0, Kind::Raw, 0, 0, n as i64, b"a line of some length"));
        Loaded::new(buffer)
    }

    /// How many rows come from a shelf.
    fn all(shelf: &mut Shelf) -> usize {
        std::iter::from_fn(|| shelf.next()).map(|rows| rows.unwrap().len()).sum()
    }

    #[test]
    fn a_file_that_cannot_be_written_any_more_keeps_what_it_has() {
        let shelves = Shelves::new(1 << 10, None);
        let (mut first, mut second, mut third) = (piece(100), piece(100), piece(100));
        shelves.shelve(&mut first, Turn::Forward);
        assert_eq!((first.len(), shelves.note()), (0, None));
        let read_only = File::open(std::env::current_exe().unwrap()).unwrap();
        shelves.lock().file = Some(Arc::new(read_only));
        shelves.shelve(&mut second, Turn::Forward);
        shelves.shelve(&mut third, Turn::Forward);
        assert_eq!((second.len(), third.len()), (100, 100));
        assert!(shelves.note().is_some_and(|note| note.contains("in a temporary file")));
        assert_eq!(shelves.note(), None, "it is said once");
        assert_eq!(all(&mut first.shelf.take().unwrap()), 100);
    }

    #[test]
    fn the_first_directory_that_takes_a_file_has_it() {
        let (nowhere, here) = (PathBuf::from("/nowhere/at all"), std::env::temp_dir());
        assert!(file_in(&[here.clone(), nowhere.clone()]).is_ok());
        assert!(file_in(&[nowhere.clone(), here]).is_ok());
        assert_eq!(file_in(&[nowhere]).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(file_in(&[]).is_err());
    }

    #[test]
    fn what_cannot_be_read_back_is_said() {
        let shelves = Shelves::new(1 << 10, None);
        let mut loaded = piece(100);
        shelves.shelve(&mut loaded, Turn::Backward);
        let mut shelf = loaded.shelf.take().unwrap();
        let first = shelf.next().unwrap().unwrap().len();
        // In the frame that is next.
        shelf.file.write_all_at(&[0xff; 4], shelf.at + 6).unwrap();
        let said = shelf.next().unwrap().unwrap_err();
        assert!(said.starts_with(&format!("{} records that", 100 - first)), "{said}");
        assert!(shelf.next().is_none());
    }

    #[test]
    fn portions_shrink_so_that_thousands_of_them_fit() {
        let shelves = Shelves::new(HELD, None);
        let promises: Vec<Promise> = (0..4000).filter_map(|_| shelves.promise()).collect();
        assert_eq!(promises.len(), 4000);
        assert_eq!(promises[0].bytes, 256 << 10);
        assert!(shelves.lock().promised <= HELD / 2 + 4000 * (HELD / 8192));
        drop(promises);
        assert_eq!(shelves.lock().promised, 0);
    }

    proptest! {
        #[test]
        fn no_byte_is_given_twice(steps in prop::collection::vec((any::<bool>(), 1u64..50), 0..200)) {
            let (mut extents, mut taken) = (Extents::default(), Vec::<(u64, u64)>::new());
            for (take, n) in steps {
                if take {
                    let at = extents.take(n);
                    prop_assert!(taken.iter().all(|(t, len)| at + n <= *t || t + len <= at));
                    taken.push((at, n));
                } else if !taken.is_empty() {
                    let (at, len) = taken.swap_remove(n as usize % taken.len());
                    extents.give(at, len);
                }
            }
            let free: u64 = extents.free.values().sum();
            prop_assert_eq!(free + taken.iter().map(|(_, len)| len).sum::<u64>(), extents.end);
            taken.iter().for_each(|(at, len)| extents.give(*at, *len));
            prop_assert!(extents.free.len() <= 1, "what is free is one");
        }
    }
}
