//! Archives as whole files: made, torn, damaged, resumed, and of earlier versions.

#![cfg(feature = "archive")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod flipped;
mod golden;
mod round_trip;
mod sample;
mod torn;
mod zstd_tool;
