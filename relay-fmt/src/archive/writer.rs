//! Makes the bytes to append to an archive.

use super::block_header::{BlockEntry, BlockHeader};
use super::control::Entry;
use super::control_codec;
use super::directory::{ControlPlace, Directory};
use super::error::{Error, Result};
use super::frame::{FrameKind, put_frame};
use super::header::FileHeader;
use super::read::{self, ReadAt};
use super::scan::Scan;
use crate::block::{self, EncodedBlock, MAX_CONTENT};

/// Makes the bytes of an archive, piece by piece, for somebody else to write.
///
/// Each piece belongs at the offset that the pieces before it end at, and counts as appended when it
/// is handed out: who cannot write it keeps it and tries again, or begins another archive.
///
/// ```
/// use relay_fmt::archive::{ArchiveWriter, FileHeader, ScanOptions, scan};
///
/// let header = FileHeader { channel: "app".into(), ..FileHeader::default() };
/// let (writer, mut file) = ArchiveWriter::create(header)?;
/// file.extend(writer.seal()?);
/// assert!(scan(&file[..], &ScanOptions::default())?.sealed);
/// # Ok::<(), relay_fmt::archive::Error>(())
/// ```
#[derive(Debug)]
pub struct ArchiveWriter {
    directory: Directory,
    offset: u64,
    sequence: u64,
    previous_crc: u32,
    piece: Vec<u8>,
}

impl ArchiveWriter {
    /// Begins an archive: the writer, and the first bytes of the file.
    ///
    /// # Errors
    /// When the header is too long, or asks for features that this version does not have.
    pub fn create(header: FileHeader) -> Result<(Self, Vec<u8>)> {
        let content = header.encode();
        // What could not be read again is not written.
        FileHeader::decode(header.uuid, &content)?;
        let mut bytes = Vec::new();
        let header_crc = put_frame(&mut bytes, FrameKind::File, &header.uuid, 0, &content)
            .map_err(|error| Error::Frame { offset: 0, error: error.into() })?;
        let directory = Directory { header, header_crc, blocks: Vec::new(), controls: Vec::new() };
        let writer = Self {
            directory,
            offset: bytes.len() as u64,
            sequence: 0,
            previous_crc: header_crc,
            piece: Vec::new(),
        };
        Ok((writer, bytes))
    }

    /// Goes on with an archive that was scanned. The file must have been cut to
    /// [`Scan::valid_len`] bytes.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it is.
    pub fn resume(scan: &Scan) -> Result<Self> {
        if scan.sealed {
            return Err(Error::Sealed);
        }
        let directory = scan.directory.clone();
        let last = directory.blocks.last();
        Ok(Self {
            offset: scan.valid_len,
            sequence: last.map_or(0, |block| block.header.sequence.saturating_add(1)),
            previous_crc: last.map_or(directory.header_crc, |block| block.crc),
            piece: Vec::new(),
            directory,
        })
    }

    /// Where the next piece belongs, in bytes from the start of the file: the file's length.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What the archive consists of so far.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The bytes of a block: its header and its body.
    ///
    /// # Errors
    /// When the block is too large; then nothing has changed.
    pub fn block(&mut self, block: &EncodedBlock) -> Result<&[u8]> {
        let offset = self.offset;
        let bad = |error: block::Error| Error::Block { offset, error };
        if block.body.len() as u64 > MAX_CONTENT {
            let (what, bytes) = ("the body of a block", block.body.len() as u64);
            return Err(bad(block::Error::TooLarge { what, bytes, most: MAX_CONTENT }));
        }
        let header = BlockHeader::of(block, self.sequence, self.previous_crc);
        let content = header.encode(&block.facts, &block.filter.bytes).map_err(bad)?;
        let bare = BlockHeader::bare(&content).map_err(bad)?;
        self.piece.clear();
        let uuid = &self.directory.header.uuid;
        let crc = put_frame(&mut self.piece, FrameKind::Block, uuid, offset, &content)
            .map_err(|error| bad(error.into()))?;
        let header_len = self.piece.len() as u64;
        self.piece.extend_from_slice(&block.body);
        self.directory.blocks.push(BlockEntry { offset, header_len, crc, header, bare });
        self.offset += self.piece.len() as u64;
        self.sequence += 1;
        self.previous_crc = crc;
        Ok(&self.piece)
    }

    /// The bytes of a control frame with these entries.
    ///
    /// # Errors
    /// When they are too long for one frame; then nothing has changed.
    pub fn control(&mut self, entries: &[Entry]) -> Result<Vec<u8>> {
        let offset = self.offset;
        let content =
            control_codec::encode(entries).map_err(|error| Error::Frame { offset, error })?;
        self.put_control(&content)
    }

    /// The bytes of a control frame that says what one of another archive says, also where that is
    /// more than this version knows.
    ///
    /// # Errors
    /// When there is no control frame at that place.
    pub fn copy_control<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        directory: &Directory,
        place: ControlPlace,
    ) -> Result<Vec<u8>> {
        let content = read::control_content(source, directory, place)?;
        self.put_control(&content)
    }

    fn put_control(&mut self, content: &[u8]) -> Result<Vec<u8>> {
        let offset = self.offset;
        let (mut piece, uuid) = (Vec::new(), &self.directory.header.uuid);
        put_frame(&mut piece, FrameKind::Control, uuid, offset, content)
            .map_err(|error| Error::Frame { offset, error: error.into() })?;
        let len = piece.len() as u64;
        self.directory.controls.push(ControlPlace { offset, len });
        self.offset += len;
        Ok(piece)
    }

    /// The last bytes of the file: its directory.
    ///
    /// # Errors
    /// When the directory is too large for one frame; the archive stays unsealed and readable.
    pub fn seal(self) -> Result<Vec<u8>> {
        let mut piece = Vec::new();
        let bad = |error| Error::Frame { offset: self.offset, error };
        self.directory.put(&mut piece, self.offset).map_err(bad)?;
        Ok(piece)
    }
}
