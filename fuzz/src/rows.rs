//! Rows as bytes that a mutation can change: callsites, then rows, each a piece.

use crate::pieces;
use relay_fmt::block::RowBuffer;
use relay_fmt::bytes::Cursor;
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source};

/// The kind of a piece that is a callsite's description; every other one is a row of the kind of
/// its number.
const SITE: u8 = 0;

/// The source of all rows.
#[must_use]
pub fn source() -> Source {
    Source {
        id: ChannelId(*b"channel-of-a-app"),
        channel: "app".into(),
        pid: 4711,
        program: "server".into(),
        host: "box".into(),
        boot: [9; 16],
        opened_ns: 1_749_999_999_000_000_000,
    }
}

/// A run of `records` records from the beginning.
#[must_use]
pub fn run(records: u32) -> Run {
    Run {
        source: 0,
        sub_buffer: 0,
        generation: 1,
        from: 0,
        to: 64 + records * 40,
        prior_generations: 0,
        prior_records: 0,
        records,
        writer: 5,
        first_number: 0,
        tid: 4712,
        nesting: 0,
        thread: b"worker".to_vec(),
        floor_ns: i64::MIN,
    }
}

/// Appends a callsite, whatever its description is.
pub fn put_site(out: &mut Vec<u8>, site: &Callsite) {
    let mut description = Vec::new();
    site.encode(&mut description);
    pieces::put(out, SITE, &description);
}

/// Appends a row: kind, number of its callsite (0: none), span, time, payload.
pub fn put_row(out: &mut Vec<u8>, kind: Kind, site: u8, span: u8, time: u32, payload: &[u8]) {
    let mut row = vec![site, span];
    row.extend_from_slice(&time.to_le_bytes());
    row.extend_from_slice(payload);
    pieces::put(out, kind as u8, &row);
}

/// The rows that these bytes describe; what describes none is left out.
#[must_use]
pub fn get(bytes: &[u8]) -> RowBuffer {
    let mut rows = RowBuffer { sources: vec![source()], runs: vec![run(0)], ..Default::default() };
    for (kind, content) in pieces::get(bytes).take(4_000) {
        if kind == SITE {
            rows.callsites.extend(Callsite::decode(content).ok().map(Into::into));
            continue;
        }
        let Some(kind) = Kind::from_u8(kind).filter(|kind| kind.is_numbered()) else { continue };
        let mut input = Cursor::new(content);
        let (Ok(site), Ok(span), Ok(time)) = (input.u8(), input.u8(), input.u32()) else {
            continue;
        };
        let site = u32::from(site) % (rows.callsites.len() as u32 + 1);
        let time = 1_750_000_000_000_000_000 + i64::from(time);
        rows.push(0, kind, site, u64::from(span), time, input.rest());
    }
    rows.runs[0].records = rows.len() as u32;
    rows
}
