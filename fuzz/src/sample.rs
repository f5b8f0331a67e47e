//! Rows and archives that have one of everything: what seeds are made of.

use crate::frames;
use relay_fmt::archive::{ArchiveWriter, Entry, FileHeader, Note, Positions};
use relay_fmt::block::{BlockKind, BlockOptions, EncodedBlock, Facts, Filter, RowBuffer, encode};
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source, Span};
use relay_fmt::value::{Layout, Type, put_str};
use std::sync::Arc;

/// 2026-11-24T13:00:00.123456789Z
pub const TIME: i64 = 1_795_525_200_123_456_789;

fn run(writer: u64, records: u32) -> Run {
    Run {
        source: 0,
        sub_buffer: writer as u32,
        generation: 3,
        from: 64,
        to: 64 + records * 40,
        prior_generations: 100,
        prior_records: 3,
        records,
        writer,
        first_number: 103,
        tid: 4712,
        nesting: 0,
        thread: b"worker \xff".to_vec(),
        floor_ns: TIME - 5,
    }
}

fn empty() -> RowBuffer {
    let source = Source {
        id: ChannelId(*b"channel-of-a-app"),
        channel: "app".into(),
        pid: 4711,
        program: "server".into(),
        host: "box".into(),
        boot: [9; 16],
        opened_ns: TIME - 1_000_000,
    };
    RowBuffer { sources: vec![source], runs: vec![run(5, 0)], ..RowBuffer::default() }
}

/// A callsite; values of sparse ones bring their types.
#[must_use]
pub fn site(level: Level, layout: Layout, template: &str, fields: &[(&str, Type)]) -> Callsite {
    let field = |(name, of): &(&str, Type)| {
        let of = if layout == Layout::Sparse { Type::Tagged } else { *of };
        Field { name: (*name).into(), of, argument_only: *name == "message" }
    };
    Callsite {
        level,
        facade: Facade::Log,
        layout,
        line: 12,
        target: "server::http".into(),
        module: "server::http".into(),
        file: "src/http.rs".into(),
        name: "event".into(),
        template: template.into(),
        fields: fields.iter().map(field).collect(),
    }
}

/// A packed text: what a message that came as text is.
fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_str(&mut out, Type::Bytes, bytes);
    out.remove(0);
    out
}

/// Rows that are lines of text: raw, or messages of one callsite.
#[must_use]
pub fn lines(lines: &[&[u8]], raw: bool) -> RowBuffer {
    let mut rows = empty();
    let fields = [("message", Type::Bytes)];
    rows.callsites.push(Arc::new(site(Level::Info, Layout::Packed, "{0}", &fields)));
    for (i, line) in lines.iter().enumerate() {
        let time = TIME + i as i64 * 1_000;
        if raw {
            rows.push(0, Kind::Raw, 0, 0, time, line);
        } else {
            rows.push(0, Kind::Event, 1, 0, time, &text(line));
        }
    }
    rows
}

/// Lines, typed values, key-values, an inline event, a fragment, and spans.
#[must_use]
pub fn rows() -> RowBuffer {
    let mut rows = lines(
        &[
            b"GET /items/17 took 4.25 ms from 10.0.0.1",
            b"GET /items/18 took 3.75 ms from 10.0.0.2",
            b"\x1b[31mred\x1b[0m \xff",
        ],
        false,
    );
    rows.runs.push(run(6, 4));
    let kv = [("message", Type::Str), ("status", Type::U64)];
    let typed = [("id", Type::U64), ("latency", Type::F64), ("who", Type::Str)];
    let template = "request {0} took {1:.2} ms for {2:>6}";
    let sites = [
        site(Level::Warn, Layout::Sparse, "{0}", &kv),
        site(Level::Debug, Layout::Packed, template, &typed),
        site(Level::Info, Layout::Sparse, "", &[("user", Type::Str)]),
    ];
    let mut inline = Vec::new();
    let mut description = Vec::new();
    sites[0].encode(&mut description);
    relay_fmt::record::put_inline(&mut inline, &description);
    let mut sparse = vec![0];
    put_str(&mut sparse, Type::Text, b"two\nlines");
    sparse.extend_from_slice(&[1, Type::U64 as u8, 0xf7, 1, 0, 0, 0, 0, 0, 0]);
    inline.extend_from_slice(&sparse);
    rows.callsites.extend(sites.into_iter().map(Arc::new));
    let mut values = vec![0];
    put_str(&mut values, Type::Str, b"J B");
    let callsite = Arc::clone(&rows.callsites[3]);
    rows.spans.push(Span { source: 0, id: 33, parent: 0, callsite, values, since_ns: TIME - 4 });
    rows.push(1, Kind::SpanEvent, 2, 33, TIME + 4_000, &sparse);
    for i in 0..3u64 {
        let mut payload = (1000 + i).to_le_bytes().to_vec();
        payload.extend_from_slice(&(0.25 * i as f64).to_le_bytes());
        payload.extend_from_slice(&text(b"kate"));
        rows.push(1, Kind::Event, 3, 0, TIME + 5_000 + i.cast_signed(), &payload);
    }
    rows.push(1, Kind::InlineEvent, 0, 0, TIME + 6_000, &inline);
    rows.push(0, Kind::Raw, 0, 0, TIME + 7_000, b"raw \xff bytes");
    rows.push(0, Kind::SpanEnter, 0, 33, TIME + 8_000, &[]);
    rows.push(0, Kind::SpanClose, 0, 33, TIME + 9_000, &[]);
    rows
}

/// The rows as a block that goes into an archive.
#[must_use]
pub fn block(rows: &RowBuffer, options: &BlockOptions) -> EncodedBlock {
    let mut body = Vec::new();
    let sections = encode(rows, options.kind, options.level, &mut body).unwrap();
    let (facts, filter) = (Facts::of(rows), Filter::default());
    EncodedBlock { kind: options.kind, facts, sections, filter, body }
}

/// An archive of two blocks, of each kind one, and control frames.
#[must_use]
pub fn archive(sealed: bool) -> Vec<u8> {
    let header = FileHeader {
        uuid: *b"sixteen bytes id",
        channel: "app".into(),
        number: 7,
        host: "box".into(),
        created_ns: TIME,
        ..FileHeader::default()
    };
    let note = Note { level: Level::Warn, time_ns: TIME, text: "disk full".into() };
    let (mut writer, mut out) = ArchiveWriter::create(header).unwrap();
    let entries = [Entry::Positions(Positions::default()), Entry::Note(note)];
    out.extend_from_slice(&writer.control(&entries).unwrap());
    for kind in [BlockKind::Columns, BlockKind::Rows] {
        let options = BlockOptions { kind, ..BlockOptions::default() };
        out.extend_from_slice(writer.block(&block(&rows(), &options)).unwrap());
    }
    if sealed {
        out.extend_from_slice(&writer.seal().unwrap());
    }
    out
}

/// A `u16` length and the bytes.
fn part(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&len.to_le_bytes()[..], bytes].concat()
}

/// What a target's corpus begins with.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let blocks = || [BlockKind::Columns, BlockKind::Rows].map(|kind| frames::seed(kind, &rows()));
    let mut described = Vec::new();
    rows().callsites[2].encode(&mut described);
    match target {
        "channel" => vec![vec![0, 16, 8, 2, 1, 0, 0, 0, 0, 0, 0], vec![60, 0, 1, 13]],
        "records" => {
            let header = |len, kind| {
                let word = relay_fmt::record::Header::word(len, 1, kind, 3);
                relay_fmt::record::Header::from_words(word, 1_000).to_bytes()
            };
            let fragment = relay_fmt::record::Fragment::prefix(100, 8, Kind::Event);
            let mut out = vec![1];
            out.extend_from_slice(&header(40, Kind::Fragment));
            out.extend_from_slice(&fragment);
            out.extend_from_slice(&header(32, Kind::Anchor));
            out.extend_from_slice(&[7; 16]);
            vec![out]
        }
        "callsites" => vec![[part(&described), vec![0, Type::U64 as u8, 1, 2]].concat()],
        "messages" => {
            let types = [2, Type::U64 as u8, Type::F64 as u8];
            let values = [[17, 0, 0, 0, 0, 0, 0, 0], 4.25f64.to_le_bytes()].concat();
            vec![[part(b"{0:>8x} took {1:.2} ms"), types.to_vec(), values].concat()]
        }
        "archive" => vec![archive(true), archive(false)],
        "block" | "render" => blocks().to_vec(),
        "search" => blocks().map(|block| [part(b"took 4"), vec![0], block].concat()).to_vec(),
        "query" => [
            "level <= warn && (status >= 500 || message ~ \"time(d )?out\") && !(target ^= hyper)",
            "span.user == 'J B' && time >= 13:00 || latency > 2.5 && field.who $= te",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec(),
        "lines" => vec![
            b"\0GET /items/17 took 4.25 ms\nGET /items/18 took 3.75 ms\n2026-11-24 13:00:01,5"
                .into(),
            b"\x01Nov 24 13:00:01 host app[12]: 0xdeadbeef 10.0.0.1 {\"a\":1.50,\"b\":null}".into(),
        ],
        _ => Vec::new(),
    }
}
