//! Any text, as `pipe` takes it: every byte comes back, and what it costs is bounded.

use crate::limits::{MIB, within};
use crate::rows;
use relay_fmt::block::{BlockBuilder, BlockKind, BlockOptions, MAX_CONTENT, decode};
use relay_fmt::record::Kind;

/// What a line may cost in a block when nothing is gained, in bytes: its length, its row.
const LINE: usize = 24;

fn round_trip(text: &[u8]) {
    let mut builder = BlockBuilder::new();
    builder.source(&rows::source());
    let run = builder.run(rows::run(0));
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        builder.push(run, Kind::Raw, None, 0, n as i64 * 1_000, line);
    }
    let rows = builder.rows().clone();
    for kind in [BlockKind::Columns, BlockKind::Rows] {
        let options = BlockOptions { kind, ..BlockOptions::default() };
        let mut builder = BlockBuilder::new();
        builder.source(&rows::source());
        builder.run(rows::run(0));
        for row in rows.rows() {
            builder.push(row.run, row.kind, None, row.span, row.time_ns, row.payload);
        }
        let block = builder.finish(&options).unwrap();
        let most = text.len() + text.len() / 8 + rows.len() * LINE + 1024;
        assert!(block.body.len() <= most, "{} bytes became {}", text.len(), block.body.len());
        let back = decode(kind as u8, &block.body, MAX_CONTENT).unwrap();
        assert!(back == rows, "{kind:?}: not every byte came back");
    }
}

pub(crate) fn run(data: &[u8]) {
    within(64 * MIB + data.len() * 512, || round_trip(data));
}
