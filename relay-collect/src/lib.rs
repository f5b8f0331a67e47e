//! The collector of Relay: it drains channels into compressed archives, exactly once, and people read,
//! follow, search and audit what is there.
//!
//! ```no_run
//! // The same collector as the command `relay-collect --dir logs`, inside of the program:
//! let collector = relay_collect::spawn(relay_collect::Options::new("logs"))?;
//! // …
//! collector.stop()?;
//! # Ok::<(), relay_collect::CollectError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod ahead;
mod archive_file;
pub mod args;
mod catalogue;
mod collector;
mod deleted;
mod holes;
mod lane;
mod live;
mod lock;
mod looking;
mod merge;
mod notes;
mod options;
mod pace;
pub mod query;
pub mod read;
mod recover;
pub mod render;
mod repack;
mod retention;
mod spawn;
mod supersede;
mod take;
mod unproven;
mod watch;
mod writing;

pub use collector::{CollectError, Collector, Control};
pub use lock::{Holder, holder};
pub use options::{Options, Repack};
pub use repack::{Repacked, repack};
pub use spawn::{Spawned, spawn};
