//! What can be wrong with an archive.

use crate::block;
use std::fmt;

/// An archive cannot be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    Io(std::io::Error),
    /// The file does not begin like an archive, and nothing in it is a frame of one.
    NotAnArchive,
    /// The file ends within its header: its writer died before it wrote anything else.
    TornHeader,
    /// The archive is of another version of the format.
    Version(u16),
    /// The archive uses features, by the bits that name them, that this version cannot read.
    Incompatible(u32),
    /// A frame is not what the format says.
    Frame {
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        error: block::Error,
    },
    /// The body of a block is not what the format says or what its header says.
    Block {
        /// Where the block's header begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        error: block::Error,
    },
    /// The archive is sealed: nothing can be appended.
    Sealed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the archive cannot be read: {error}"),
            Self::NotAnArchive => write!(f, "the file is not a relay archive"),
            Self::TornHeader => write!(f, "the file ends within the header of a relay archive"),
            Self::Version(version) => {
                write!(f, "the archive is of version {version}, which this version does not know")
            }
            Self::Incompatible(bits) => {
                write!(f, "the archive uses features {bits:#x} that this version does not know")
            }
            Self::Frame { offset, error } => write!(f, "the frame at byte {offset}: {error}"),
            Self::Block { offset, error } => write!(f, "the block at byte {offset}: {error}"),
            Self::Sealed => write!(f, "the archive is sealed, nothing can be appended"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Frame { error, .. } | Self::Block { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
