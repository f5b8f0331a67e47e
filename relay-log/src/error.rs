//! Why a relay could not be set up.

use crate::channel::CreateError;
use crate::filter::FilterError;

/// Why [`Builder::init`](crate::Builder::init) or one of its kind failed. Early records are still
/// kept then, and it can be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A channel could not be created.
    #[error("channel {channel}: {source}")]
    Channel {
        /// The channel's name.
        channel: String,
        /// What went wrong.
        source: CreateError,
    },
    /// The filter could not be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An environment variable could not be read.
    #[error("the environment variable {name}: {why}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Two channels have the same name and different options.
    #[error("two channels are named {0} and differ in their options")]
    ChannelTwice(String),
    /// Channels cannot be closed, and a process can have eight of them.
    #[error("a process can have {most} channels for logs; this would be one more")]
    TooManyChannels {
        /// How many it can have.
        most: usize,
    },
    /// `init` has been called before.
    #[error("this program's relay has been set up already")]
    AlreadySet,
    /// Another logger was there first.
    #[error("another logger is installed for the log crate")]
    LoggerSet,
    /// Another `tracing` subscriber was there first.
    #[error("another subscriber is installed for tracing; use Relay::layer to be part of it")]
    SubscriberSet,
    /// This platform has no relay channels.
    #[error("relay channels need Linux")]
    Unsupported,
}
