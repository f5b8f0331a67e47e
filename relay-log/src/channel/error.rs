//! What can go wrong, an enum for each operation.

use rustix::io::Errno;

/// Why a channel could not be created.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Something in the configuration cannot be.
    #[error("{0}")]
    Config(String),
    /// A system call said no.
    #[error("cannot {what} in {dir}: {errno}")]
    System {
        /// What was tried.
        what: &'static str,
        /// In which directory.
        dir: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// There is less room than the initial size asks for.
    #[error(
        "cannot allocate {needed} bytes in {dir}: {free} are free; ask for a smaller buffer or another live directory"
    )]
    NoSpace {
        /// Bytes asked for.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// In which directory.
        dir: String,
    },
    /// This platform has no relay channels.
    #[error("relay channels need Linux")]
    Unsupported,
}

/// Why a file in the live directory was not taken for a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is something else.
    #[error("it is no channel: {0}")]
    NotAChannel(&'static str),
    /// It was written by a newer program.
    #[error("it is of version {version}; this program reads up to {known}")]
    Newer {
        /// Its version.
        version: u16,
        /// The newest that is known.
        known: u16,
    },
    /// It needs features that are not known.
    #[error("it needs features that this program does not know (bits {0:#x})")]
    Features(u32),
    /// It is a channel, and damaged.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It is not to be trusted.
    #[error("it is refused: {0}")]
    Refused(&'static str),
    /// A system call said no.
    #[error("cannot {what}: {errno}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Why a record was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The channel is full and its policy is [`super::OnFull::Discard`]; the record is counted.
    #[error("the channel is full and discards")]
    Discarded,
    /// It does not fit one sub-buffer, and was to be filled in place.
    #[error("the record is larger than {most} bytes, the most that can be reserved in one piece")]
    TooLarge {
        /// The most that can be reserved, in bytes.
        most: usize,
    },
    /// A forked child could not open a channel of its own.
    #[error("this forked process could not open a channel of its own")]
    NoChannel,
}
