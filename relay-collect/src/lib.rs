//! The collector of Relay, as a library.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod args;
pub mod query;
pub mod read;
pub mod render;
