//! The message that everything is measured with.

use std::hint::black_box;

/// Its string.
pub const PATH: &str = "/api/v1/items/4711xyz9";

/// What a message says: `request handled id={id} latency={latency} path={PATH}`.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// The first value.
    pub id: u64,
    /// The second value.
    pub latency: f64,
}

impl Message {
    /// The message of a number: ids and latencies that look like those of a service, no two alike,
    /// nothing to be guessed.
    #[must_use]
    #[inline(always)]
    pub fn number(i: u64) -> Self {
        let mixed = (i ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
        Self { id: black_box(id), latency: black_box((id % 250_000) as f64 / 1_000.0) }
    }
}

/// The first so many messages.
pub fn messages(count: u64) -> impl Iterator<Item = Message> {
    (0..count).map(Message::number)
}
