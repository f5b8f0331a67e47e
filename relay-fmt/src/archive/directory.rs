//! The last frame of a sealed archive: all that stands in front of its blocks, in one place, but for
//! the filters, which are most of it.

use super::block_header::{BlockEntry, BlockHeader};
use super::frame::{FrameKind, HEAD_LEN, Head, put_frame};
use super::header::FileHeader;
use crate::block::{Error, MAX_CONTENT, meta, zstd_frame};
use crate::bytes::{Cursor, put_prefixed, put_varint};

type Result<T, E = Error> = std::result::Result<T, E>;

/// Bytes of the trailer: the directory's offset and length, and a magic.
pub(crate) const TRAILER_LEN: usize = 24;
const TRAILER_MAGIC: &[u8; 8] = b"RELAYEND";

/// A control frame's place in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlPlace {
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length, in bytes.
    pub len: u64,
}

/// What an archive consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// What the archive says about itself. When its header is damaged and no directory is there to
    /// repeat it, only the uuid is known; a [`super::Damage`] says so.
    pub header: FileHeader,
    /// The checksum of the file header, which begins the chain of block headers.
    pub header_crc: u32,
    /// The blocks, in the order they stand in.
    pub blocks: Vec<BlockEntry>,
    /// The control frames, in the order they stand in.
    pub controls: Vec<ControlPlace>,
}

/// What the lists of the block headers of a file may take in memory together, in bytes: more than
/// any honest file of this length needs.
pub(crate) const fn lists_budget(file_len: u64) -> u64 {
    file_len.saturating_mul(16).saturating_add(16 << 20)
}

/// A directory's place as the trailer tells it, when the trailer is one.
pub(crate) fn trailer(last_24: &[u8]) -> Option<(u64, u64)> {
    let mut input = Cursor::new(last_24);
    let (offset, len) = (input.u64().ok()?, input.u64().ok()?);
    (input.rest() == TRAILER_MAGIC && len >= (HEAD_LEN + TRAILER_LEN) as u64)
        .then_some((offset, len))
}

impl Directory {
    /// Appends the directory as a frame that will stand at `offset`.
    pub(crate) fn put(&self, out: &mut Vec<u8>, offset: u64) -> Result<()> {
        let mut list = Vec::new();
        put_prefixed(&mut list, &self.header.encode());
        list.extend_from_slice(&self.header_crc.to_le_bytes());
        put_varint(&mut list, self.blocks.len() as u64);
        let mut before = 0;
        for block in &self.blocks {
            put_varint(&mut list, block.offset - before);
            list.extend_from_slice(&block.crc.to_le_bytes());
            put_varint(&mut list, block.header_len);
            put_prefixed(&mut list, &block.bare);
            before = block.offset;
        }
        put_varint(&mut list, self.controls.len() as u64);
        before = 0;
        for control in &self.controls {
            put_varint(&mut list, control.offset - before);
            put_varint(&mut list, control.len);
            before = control.offset;
        }
        let (mut frame, mut content) = (Vec::new(), Vec::new());
        zstd_frame::compress(&list, 3, &mut frame)?;
        put_prefixed(&mut content, &frame);
        let len = (HEAD_LEN + content.len() + TRAILER_LEN) as u64;
        content.extend_from_slice(&offset.to_le_bytes());
        content.extend_from_slice(&len.to_le_bytes());
        content.extend_from_slice(TRAILER_MAGIC);
        put_frame(out, FrameKind::Directory, &self.header.uuid, offset, &content)?;
        Ok(())
    }

    /// Reads the content of a directory frame that stands at `offset` of a file.
    pub(crate) fn decode(head: &Head, content: &[u8], offset: u64) -> super::error::Result<Self> {
        let at = |error: Error| super::Error::Frame { offset, error };
        let mut input = Cursor::new(content);
        let stored = input.prefixed().map_err(|e| at(e.into()))?;
        let list = zstd_frame::take(&mut Cursor::new(stored), MAX_CONTENT).map_err(at)?;
        let mut input = Cursor::new(&list);
        let header = input.prefixed().map_err(|e| at(e.into()))?;
        let header = FileHeader::decode(head.uuid, header)?;
        let mut directory =
            Self { header, header_crc: 0, blocks: Vec::new(), controls: Vec::new() };
        let whole = head.kind == FrameKind::WholeDirectory;
        directory.take_places(&mut input, whole, offset).map_err(at)?;
        Ok(directory)
    }

    fn take_places(&mut self, input: &mut Cursor<'_>, whole: bool, end: u64) -> Result<()> {
        self.header_crc = input.u32()?;
        let outside = || crate::Error::new("a directory names a place outside its file");
        let (mut before, mut free_from) = (0u64, 0u64);
        for _ in 0..meta::count(input, 6)? {
            let offset = before.checked_add(input.varint()?).ok_or_else(outside)?;
            let crc = input.u32()?;
            let len = if whole { None } else { Some(input.varint()?) };
            let content = input.prefixed()?;
            let header = BlockHeader::decode(content)?;
            let header_len = len.unwrap_or((HEAD_LEN + content.len()) as u64);
            let bare = BlockHeader::bare(content)?;
            let entry = BlockEntry { offset, header_len, crc, header, bare };
            if offset < free_from || entry.end() > end {
                return Err(outside().into());
            }
            (before, free_from) = (offset, entry.end());
            self.blocks.push(entry);
        }
        before = 0;
        for _ in 0..meta::count(input, 2)? {
            let offset = before.checked_add(input.varint()?).ok_or_else(outside)?;
            let len = input.varint()?;
            if offset.checked_add(len).is_none_or(|control_end| control_end > end) {
                return Err(outside().into());
            }
            before = offset;
            self.controls.push(ControlPlace { offset, len });
        }
        Ok(())
    }
}
