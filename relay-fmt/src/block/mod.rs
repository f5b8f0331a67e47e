//! Blocks: many rows as one compressed piece of an archive.
//!
//! A block stands alone: it carries the sources, runs, callsites and span context that its rows use.
//! Its [`Kind`] says how the rows lie in it, so that kinds can be added.

mod buffer;
pub mod columns;

pub use buffer::{RowBuffer, Rows};
