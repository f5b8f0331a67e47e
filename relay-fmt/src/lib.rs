//! The formats of Relay: bytes to values and back.
//!
//! Nothing here opens a file, starts a thread or uses `unsafe`; everything that parses takes bytes
//! as an allegation: every length is checked, every loop makes progress, and what does not parse is
//! an [`Error`], never a panic.
//!
//! A record travels through the modules in this order:
//!
//! 1. [`callsite`]: what the program says about a log statement once;
//! 2. [`value`]: what one call passes; [`recorded`]: what a span gets later;
//! 3. [`record`]: header and payload as they stand in a sub-buffer;
//! 4. [`time`]: what the tick in the header means in UTC;
//! 5. [`rows`]: records as the archive takes and gives them;
//! 6. [`archive`] and [`block`] (feature `archive`): rows in compressed files;
//! 7. [`message`]: the text a person reads.
//!
//! The byte tables are in `docs/format/`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

#[cfg(feature = "archive")]
pub mod archive;
#[cfg(feature = "archive")]
pub mod block;
pub mod bytes;
pub mod callsite;
pub mod message;
pub mod record;
pub mod recorded;
pub mod rows;
pub mod time;
pub mod value;

pub use bytes::Error;
