//! What can be wrong with a block.

use std::fmt;

/// A block cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Bytes are not what the format says.
    Malformed(crate::Error),
    /// The block is of a kind that this version does not know.
    UnknownKind(u8),
    /// A zstd frame does not decompress or compress; `why` is zstd's own word.
    Zstd {
        /// What zstd said.
        why: String,
    },
    /// Something states, or has, a size above what is allowed.
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size, in bytes.
        bytes: u64,
        /// The most that is allowed, in bytes.
        most: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::UnknownKind(kind) => {
                write!(f, "the block is of kind {kind}, which this version does not know")
            }
            Self::Zstd { why } => write!(f, "a zstd frame is broken: {why}"),
            Self::TooLarge { what, bytes, most } => {
                write!(f, "{what} has {bytes} bytes, more than the {most} allowed")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Malformed(error)
    }
}

/// A result whose error is [`Error`].
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn malformed<T>(what: &'static str) -> Result<T> {
    Err(Error::Malformed(crate::Error::new(what)))
}
