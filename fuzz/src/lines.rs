//! Any text: taken apart into templates and variables, and put together again.
//!
//! The first byte chooses how the lines stand in records, the rest are the lines.

use crate::sample;
use relay_fmt::block::columns::{Encoder, decode};
use relay_fmt::block::{BlockKind, MAX_CONTENT, RowBuffer, decode as decode_block, encode};

fn same(found: &RowBuffer, expected: &RowBuffer) {
    assert_eq!(found.len(), expected.len());
    for row in 0..found.len() {
        assert_eq!(found.payload_of(row), expected.payload_of(row), "line {row}");
    }
    assert!(found == expected);
}

/// Every byte comes back, also from an encoder that has seen other lines, in no more room than the
/// text with a few bytes a line.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let (choice, text) = data.split_first().unwrap_or((&0, &[]));
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let rows = sample::lines(&lines, choice & 1 != 0);
    let mut encoder = Encoder::new(1).unwrap();
    let mut body = Vec::new();
    encoder.encode(&rows, &mut body).unwrap();
    same(&decode(&body).unwrap(), &rows);
    let most = 1_000 + text.len() + text.len() / 16 + 12 * lines.len();
    assert!(body.len() <= most, "{} bytes for {}", body.len(), text.len());
    let half = sample::lines(&lines[lines.len() / 2..], choice & 1 == 0);
    body.clear();
    encoder.encode(&half, &mut body).unwrap();
    same(&decode(&body).unwrap(), &half);
    body.clear();
    encode(&rows, BlockKind::Rows, 1, &mut body).unwrap();
    same(&decode_block(BlockKind::Rows as u8, &body, MAX_CONTENT).unwrap(), &rows);
}
