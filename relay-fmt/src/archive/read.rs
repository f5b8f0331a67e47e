//! Reading archives.

use super::block_header::{BlockEntry, BlockHeader};
use super::control::Entry;
use super::control_codec;
use super::directory::{ControlPlace, Directory, TRAILER_LEN, trailer};
use super::error::{Error, Result};
use super::frame::{FrameKind, HEAD_LEN, Head};
use super::scan::{Scan, ScanOptions, scan};
use crate::block::{self, Filter, MAX_CONTENT, RowBuffer};
use std::io;

/// Bytes that can be read at any offset: a file, or memory.
pub trait ReadAt {
    /// Reads at `offset` into `buf`; returns how many bytes were read, 0 at the end.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// When that cannot be told.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none.
    ///
    /// # Errors
    /// As [`ReadAt::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(from..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
}

/// Reads exactly `len` bytes, of a file that has `file_len`.
pub(crate) fn read_exact<R: ReadAt + ?Sized>(
    source: &R,
    offset: u64,
    len: u64,
    file_len: u64,
) -> Result<Vec<u8>> {
    let past_end = || Error::Io(io::ErrorKind::UnexpectedEof.into());
    let within = offset.checked_add(len).is_some_and(|end| end <= file_len);
    let len = usize::try_from(len).ok().filter(|_| within).ok_or_else(past_end)?;
    let mut bytes = vec![0; len];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match source.read_at(offset + done as u64, rest) {
            Ok(0) => return Err(past_end()),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Reads the frame at `offset`: its head and content, or why there is none.
pub(crate) fn frame_at<R: ReadAt + ?Sized>(
    source: &R,
    offset: u64,
    file_len: u64,
) -> Result<Result<(Head, Vec<u8>), crate::Error>> {
    /// Most frames are read at once.
    const FIRST: u64 = 4 << 10;
    let rest = file_len.saturating_sub(offset);
    let mut bytes = read_exact(source, offset, rest.min(FIRST), file_len)?;
    let head = match Head::parse(&bytes, offset) {
        Ok(head) if head.len <= rest => head,
        Ok(_) => return Ok(Err(crate::Error::new("the file ends within a frame"))),
        Err(error) => return Ok(Err(error)),
    };
    if let Some(more) = head.len.checked_sub(bytes.len() as u64) {
        let at = offset + bytes.len() as u64;
        bytes.append(&mut read_exact(source, at, more, file_len)?);
    }
    bytes.truncate(usize::try_from(head.len).unwrap_or(usize::MAX));
    let content = bytes.split_off(HEAD_LEN.min(bytes.len()));
    Ok(head.check(&content).map(|()| (head, content)))
}

/// What [`open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A sealed archive's directory.
    Sealed(Directory),
    /// There is no directory, or it is damaged: the file was walked.
    Scanned(Scan),
}

impl Opened {
    /// What the archive consists of.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        match self {
            Self::Sealed(directory) => directory,
            Self::Scanned(scan) => &scan.directory,
        }
    }
}

/// Finds out what an archive consists of: by its directory, read from the tail, when it is sealed and
/// whole, else by [`scan`].
///
/// # Errors
/// As [`scan`].
pub fn open<R: ReadAt + ?Sized>(source: &R) -> Result<Opened> {
    match directory_at_end(source)? {
        Some(Ok(directory)) => Ok(Opened::Sealed(directory)),
        Some(Err(error @ (Error::Version(_) | Error::Incompatible(_)))) => Err(error),
        _ => Ok(Opened::Scanned(scan(source, &ScanOptions::default())?)),
    }
}

/// The directory that the trailer leads to, when there is a trailer.
pub(crate) fn directory_at_end<R: ReadAt + ?Sized>(
    source: &R,
) -> Result<Option<Result<Directory>>> {
    const TAIL: u64 = 64 << 10;
    let file_len = source.len()?;
    let tail_len = file_len.min(TAIL);
    let tail = read_exact(source, file_len - tail_len, tail_len, file_len)?;
    let last = tail.last_chunk::<TRAILER_LEN>();
    let Some((offset, len)) = last.and_then(|last| trailer(last)) else {
        return Ok(None);
    };
    if offset.checked_add(len) != Some(file_len) {
        return Ok(None);
    }
    let bytes = match tail_len.checked_sub(len).and_then(|from| usize::try_from(from).ok()) {
        Some(from) => tail.get(from..).unwrap_or_default().to_vec(),
        None => read_exact(source, offset, len, file_len)?,
    };
    Ok(Some(parse_directory(&bytes, offset)))
}

fn parse_directory(bytes: &[u8], offset: u64) -> Result<Directory> {
    let at = |error: crate::Error| Error::Frame { offset, error: error.into() };
    let head = Head::parse(bytes, offset).map_err(at)?;
    let content = bytes.get(HEAD_LEN..).unwrap_or_default();
    head.check(content).map_err(at)?;
    if !head.kind.is_directory() || head.len != bytes.len() as u64 {
        return Err(at(crate::Error::new("the trailer does not lead to a directory")));
    }
    Directory::decode(&head, content, offset)
}

/// Reads the body of a block and checks its checksum.
///
/// # Errors
/// When it cannot be read, or is not what its header says.
pub fn read_body<R: ReadAt + ?Sized>(source: &R, block: &BlockEntry) -> Result<Vec<u8>> {
    let header = &block.header;
    let bad = |error: block::Error| Error::Block { offset: block.offset, error };
    if header.body_len > MAX_CONTENT {
        let (what, bytes) = ("the body of a block", header.body_len);
        return Err(bad(block::Error::TooLarge { what, bytes, most: MAX_CONTENT }));
    }
    let body = read_exact(source, block.body_offset(), header.body_len, source.len()?)?;
    if crc32fast::hash(&body) != header.body_crc {
        return Err(bad(crate::Error::new("the checksum of a block's body is wrong").into()));
    }
    Ok(body)
}

/// Reads the filter over the text of a block.
///
/// # Errors
/// When it cannot be read, or its header is not the one that the archive's directory names.
pub fn read_filter<R: ReadAt + ?Sized>(source: &R, block: &BlockEntry) -> Result<Filter> {
    if block.header.filter_kind == Filter::NONE {
        return Ok(Filter::default());
    }
    let offset = block.offset;
    let bad = |error: block::Error| Error::Block { offset, error };
    let bytes = read_exact(source, offset, block.header_len, source.len()?)?;
    let head = Head::parse(&bytes, offset).map_err(|error| bad(error.into()))?;
    let content = bytes.get(HEAD_LEN..).unwrap_or_default();
    if head.len != block.header_len || head.content_crc != block.crc {
        return Err(bad(crate::Error::new("another block's header is here").into()));
    }
    head.check(content).map_err(|error| bad(error.into()))?;
    Ok(BlockHeader::filter(content).map_err(bad)?.0)
}

/// Reads the rows of a block.
///
/// # Errors
/// When it cannot be read, is not what its header says, or is of a kind that this version does not
/// know.
pub fn read_block<R: ReadAt + ?Sized>(source: &R, block: &BlockEntry) -> Result<RowBuffer> {
    let bad = |error: block::Error| Error::Block { offset: block.offset, error };
    block::BlockKind::from_u8(block.header.kind).map_err(bad)?;
    let body = read_body(source, block)?;
    let rows = block::decode(block.header.kind, &body, MAX_CONTENT).map_err(bad)?;
    if rows.len() as u64 != block.header.facts.rows {
        return Err(bad(crate::Error::new("a block has not the rows that its header says").into()));
    }
    Ok(rows)
}

/// Reads the entries of a control frame of an archive.
///
/// # Errors
/// When it cannot be read or is not what the format says.
pub fn read_control<R: ReadAt + ?Sized>(
    source: &R,
    directory: &Directory,
    place: ControlPlace,
) -> Result<Vec<Entry>> {
    let content = control_content(source, directory, place)?;
    let offset = place.offset;
    control_codec::decode(&content).map_err(|error| Error::Frame { offset, error })
}

/// Reads the content of a control frame of an archive.
pub(crate) fn control_content<R: ReadAt + ?Sized>(
    source: &R,
    directory: &Directory,
    place: ControlPlace,
) -> Result<Vec<u8>> {
    let bad = |error: block::Error| Error::Frame { offset: place.offset, error };
    let (head, content) =
        frame_at(source, place.offset, source.len()?)?.map_err(|error| bad(error.into()))?;
    if head.kind != FrameKind::Control || head.uuid != directory.header.uuid {
        return Err(bad(crate::Error::new("no control frame of this archive is here").into()));
    }
    Ok(content)
}
