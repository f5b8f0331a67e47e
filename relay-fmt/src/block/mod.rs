//! Blocks: many rows as one compressed piece of an archive.
//!
//! A block stands alone: it carries the sources, runs, callsites and span context that its rows use.
//! Its [`BlockKind`] says how the rows lie in it, so that kinds can be added.
//!
//! * [`RowBuffer`]: rows in memory, on both ends;
//! * [`BlockBuilder`]: takes rows, gives an [`EncodedBlock`];
//! * [`Facts`]: what can be known about a block without decompressing it;
//! * [`decode`]: the way back.

mod buffer;
mod builder;
pub mod columns;
mod error;
mod facts;
mod filter;
pub(crate) mod meta;
mod rows_kind;
mod shape;
mod sieve;
#[cfg(test)]
mod tests;
pub(crate) mod zstd_frame;

pub use buffer::{RowBuffer, Rows};
pub use builder::{BlockBuilder, BlockOptions, EncodedBlock, Encoding, Order, Payloads, Unordered};
pub use error::Error;
pub use facts::{Facts, NO_LEVEL, Target, Times, digest};
pub use filter::{Filter, FilterBuilder};
pub use sieve::Sieve;
pub use zstd_frame::MAX_CONTENT;

/// How the rows of a block lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockKind {
    /// Rows as they came, their small numbers and their payloads apart.
    Rows = 1,
    /// Every field of every callsite a column.
    Columns = 2,
}

impl BlockKind {
    /// The kind of this number.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] with the number.
    pub const fn from_u8(kind: u8) -> std::result::Result<Self, Error> {
        match kind {
            1 => Ok(Self::Rows),
            2 => Ok(Self::Columns),
            _ => Err(Error::UnknownKind(kind)),
        }
    }
}

/// The lengths of the pieces that a block's body consists of, in bytes, in their order. Kind Rows has
/// a piece a frame, so who needs only the first frames can read only those; kind Columns is one piece,
/// which says by itself where its frames are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections(pub Vec<u32>);

impl Sections {
    /// Adds a frame.
    ///
    /// # Errors
    /// When it is 4 GiB or larger.
    pub fn push(&mut self, len: usize) -> std::result::Result<(), Error> {
        let most = u64::from(u32::MAX);
        let too_large = Error::TooLarge { what: "a frame of a block", bytes: len as u64, most };
        self.0.push(u32::try_from(len).map_err(|_| too_large)?);
        Ok(())
    }

    /// How long all of them are, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|len| u64::from(*len)).sum()
    }
}

/// Appends the body of a block of this kind.
///
/// # Errors
/// When the columns of `rows` do not belong together, or are too large for one block.
pub fn encode(
    rows: &RowBuffer,
    kind: BlockKind,
    level: i32,
    out: &mut Vec<u8>,
) -> std::result::Result<Sections, Error> {
    match kind {
        BlockKind::Rows => rows_kind::encode(rows, level, out),
        BlockKind::Columns => {
            let begin = out.len();
            columns::encode(rows, level, out)?;
            let mut sections = Sections::default();
            sections.push(out.len() - begin)?;
            Ok(sections)
        }
    }
}

/// Reads the body of a block of this kind; no frame of it may decompress to more than `most` bytes
/// ([`MAX_CONTENT`] is a good choice).
///
/// # Errors
/// When the kind is unknown, the bytes are not what the format says, or they want too much memory.
pub fn decode(kind: u8, body: &[u8], most: u64) -> std::result::Result<RowBuffer, Error> {
    match BlockKind::from_u8(kind)? {
        BlockKind::Rows => rows_kind::decode(body, most),
        BlockKind::Columns => Ok(columns::decode(body)?),
    }
}
