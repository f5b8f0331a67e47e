//! The backend: log calls go into channels, files that survive the program.
//!
//! ```standalone_crate
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     relay_log::early(); // from here on nothing is lost
//! #   let dir = tempfile::tempdir()?;
//! #   let logs = dir.path();
//!     log::info!("reading the configuration");
//!     relay_log::Relay::builder(logs).channel("app").init()?;
//!     log::info!(port = 8080; "listening");
//!     Ok(())
//! }
//! ```
//!
//! Blocking parks the thread that logs: when a channel is full and its policy is
//! [`OnFull::Block`], an async worker waits too.
//!
//! # In signal handlers
//!
//! A handler may interrupt a log call anywhere and log itself: its records go into a stream of their
//! own and nothing waits for what it has interrupted. Memory is allocated, which a handler must not do
//! that may have interrupted `malloc`, only
//!
//! * where a thread logs for the first time: what gives its sub-buffers back when it ends is registered
//!   with the C library, which allocates,
//! * where a statement is used for the first time in a channel, and each time as long as the channel has
//!   no room for its description,
//! * where its values take more than 2,048 bytes (512 in the middle of another call),
//! * before `init`.
//!
//! So log once on each thread, and once by each statement of a handler, before the handler can run.
//!
//! # Forks
//!
//! A forked child gets channels of its own at its first call, spans that are open included, and no
//! helper threads. A `vfork` child must not log.
//!
//! # Features
//!
//! | feature | what | by default |
//! |---|---|---|
//! | `log` | the logger for the crate `log`: `Relay`, its `Builder`, filters | yes |
//! | `tracing` | the layer for `tracing`: `RelayLayer` | yes |
//! | `macros` | `info!` and its kind: messages that are formatted when they are read | yes |
//! | `max_level_off` … `max_level_trace` | the crate's own macros of what is less urgent compile to nothing | no |
//! | `release_max_level_off` … | the same where debug assertions are off | no |
//!
//! Without features the crate is [`channel`] alone.

pub mod channel;

#[cfg(feature = "log")]
mod builder;
#[cfg(feature = "log")]
#[cfg_attr(
    not(feature = "macros"),
    allow(unreachable_pub, dead_code, reason = "public for the macros alone")
)]
mod callsite;
#[cfg(feature = "macros")]
mod deferred;
#[cfg(feature = "log")]
mod early;
#[cfg(feature = "log")]
mod error;
#[cfg(feature = "log")]
mod filter;
#[cfg(feature = "log")]
mod kv;
#[cfg(feature = "log")]
mod logger;
#[cfg(feature = "log")]
mod panic;
#[cfg(feature = "log")]
#[cfg_attr(not(feature = "macros"), allow(unreachable_pub, reason = "public for the macros alone"))]
mod pass;
#[cfg(feature = "log")]
mod relay;
#[cfg(feature = "log")]
mod scratch;
#[cfg(feature = "log")]
mod sink;
mod size;
#[cfg(feature = "log")]
mod table;
#[cfg(feature = "tracing")]
mod tracing_layer;
#[cfg(feature = "tracing")]
mod tracing_site;

pub use channel::OnFull;
pub use size::{ByteSize, ParseSizeError};

#[cfg(feature = "log")]
pub use self::{
    builder::{Builder, ChannelOptions},
    early::early,
    error::InitError,
    filter::FilterError,
    relay::{ChannelStats, Relay},
};

#[cfg(feature = "tracing")]
pub use self::tracing_layer::{RelayFilter, RelayLayer};

#[cfg(feature = "macros")]
pub use deferred::{__private, Argument};
#[cfg(feature = "log")]
pub use relay_fmt::callsite::Level;
#[cfg(feature = "macros")]
pub use relay_log_macros::{Argument, debug, error, event, info, log, trace, warn};
// The macros name the crate, in its own tests too.
#[cfg(all(test, feature = "macros"))]
extern crate self as relay_log;
