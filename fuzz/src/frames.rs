//! Blocks from what is inside of their frames, so that mutations get past zstd and its checksums.
//!
//! `u8` kind, then the frames' contents: each but the last is a `u16` length and the bytes.

use relay_fmt::block::{self, BlockKind, MAX_CONTENT, RowBuffer};
use relay_fmt::bytes::Cursor;
use zstd::zstd_safe::{self, CParameter};

/// Takes a `u16` length and so many bytes; gives them and the rest. A length that is too large takes
/// all.
#[must_use]
pub fn part(data: &[u8]) -> (&[u8], &[u8]) {
    let mut input = Cursor::new(data);
    let len = input.u16().map_or(0, usize::from).min(input.rest().len());
    input.rest().split_at(len)
}

/// One frame that states its size and has a checksum.
fn frame(content: &[u8], out: &mut Vec<u8>) {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    for flag in [CParameter::ChecksumFlag(true), CParameter::ContentSizeFlag(true)] {
        compressor.set_parameter(flag).unwrap();
    }
    out.extend_from_slice(&compressor.compress(content).unwrap());
}

const fn frames_of(kind: BlockKind) -> usize {
    match kind {
        BlockKind::Rows => 3,
        BlockKind::Columns => 4,
    }
}

/// Kind and body of the block that the bytes stand for.
#[must_use]
pub fn body(data: &[u8]) -> (BlockKind, Vec<u8>) {
    let (first, mut rest) = data.split_first().unwrap_or((&0, &[]));
    let kind = if first & 1 == 0 { BlockKind::Columns } else { BlockKind::Rows };
    let mut body = Vec::new();
    for _ in 1..frames_of(kind) {
        let (content, tail) = part(rest);
        frame(content, &mut body);
        rest = tail;
    }
    frame(rest, &mut body);
    (kind, body)
}

/// The rows that the bytes stand for, if any, and their body.
#[must_use]
pub fn rows(data: &[u8]) -> Option<(BlockKind, Vec<u8>, RowBuffer)> {
    let (kind, body) = body(data);
    let rows = block::decode(kind as u8, &body, MAX_CONTENT).ok()?;
    Some((kind, body, rows))
}

/// Whether the rest of a target is worth its time: a few bytes may stand for millions of rows.
#[must_use]
pub fn is_small(rows: &RowBuffer) -> bool {
    rows.len() <= 5_000 && rows.payload.len() <= 1 << 18
}

/// The bytes that stand for these rows: the way back.
#[must_use]
pub fn seed(kind: BlockKind, rows: &RowBuffer) -> Vec<u8> {
    let mut body = Vec::new();
    block::encode(rows, kind, 1, &mut body).unwrap();
    let (mut out, mut rest) = (vec![u8::from(kind == BlockKind::Rows)], &body[..]);
    while !rest.is_empty() {
        let (one, tail) = rest.split_at(zstd_safe::find_frame_compressed_size(rest).unwrap());
        let content = zstd::bulk::decompress(one, 1 << 20).unwrap();
        if !tail.is_empty() {
            out.extend_from_slice(&u16::try_from(content.len()).unwrap().to_le_bytes());
        }
        out.extend_from_slice(&content);
        rest = tail;
    }
    out
}
