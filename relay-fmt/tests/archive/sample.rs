//! A small archive that has one of everything.

use relay_fmt::archive::{
    Announce, ArchiveWriter, ChannelPosition, Entry, FileHeader, Final, Note, Positions,
    Quarantine, SubBufferPosition, Supersedes, Tombstone, WriterPosition,
};
use relay_fmt::block::{
    BlockBuilder, BlockKind, BlockOptions, EncodedBlock, FilterBuilder, RowBuffer,
};
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source, Span};
use relay_fmt::value::{Layout, Type, put_str};
use std::sync::Arc;

/// One piece of the archive, for comparing.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// Rows of a block.
    Rows(Box<RowBuffer>),
    /// Entries of a control frame.
    Entries(Vec<Entry>),
}

pub(crate) fn header() -> FileHeader {
    FileHeader {
        uuid: *b"sixteen bytes id",
        channel: "app".into(),
        number: 7,
        predecessor: "app-20250101T000000Z-6.relay.zst".into(),
        host: "box".into(),
        created_ns: 1_750_000_000_000_000_000,
        compatible: 0,
        incompatible: 0,
    }
}

pub(crate) fn source() -> Source {
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

pub(crate) fn callsite(level: Level, layout: Layout, template: &str) -> Arc<Callsite> {
    let field = |name: &str, of| Field { name: name.into(), of, argument_only: name == "message" };
    let of = if layout == Layout::Sparse { Type::Tagged } else { Type::Str };
    Arc::new(Callsite {
        level,
        facade: Facade::Log,
        layout,
        line: 12,
        target: "server::http".into(),
        module: "server::http".into(),
        file: "src/http.rs".into(),
        name: String::new(),
        template: template.into(),
        fields: vec![field("message", of), field("n", Type::U64)],
    })
}

fn span(callsite: Arc<Callsite>) -> Span {
    Span { source: 0, id: 33, parent: 0, callsite, values: vec![1, 2, 3], since_ns: -4 }
}

pub(crate) fn run(source: u32, n: u32, records: u32) -> Run {
    Run {
        source,
        sub_buffer: n,
        generation: u64::from(n) + 2,
        from: 64,
        to: 64 + records * 40,
        prior_generations: 100,
        prior_records: 3,
        records,
        writer: 5,
        first_number: 103,
        tid: 4712,
        nesting: 0,
        thread: b"worker \xff".to_vec(),
        floor_ns: 1_750_000_000_000_000_000,
    }
}

/// The `n`th block: lines, a sparse record with a second field, raw bytes, a span.
pub(crate) fn fill(builder: &mut BlockBuilder, n: u32) {
    let source = builder.source(&source());
    let line = callsite(Level::Info, Layout::Packed, "{0}");
    let sparse = callsite(Level::Warn, Layout::Sparse, "{0}");
    builder.span(span(Arc::clone(&line)));
    let run = builder.run(run(source, n, 6));
    let (line, sparse) = (builder.callsite(&line), builder.callsite(&sparse));
    let time = |i: i64| 1_750_000_000_000_000_000 + i64::from(n) * 1_000_000 + i * 1_000;
    for i in 0..3u64 {
        let mut payload = Vec::new();
        put_str(&mut payload, Type::Str, format!("block {n} line {i}").as_bytes());
        payload.remove(0);
        payload.extend_from_slice(&i.to_le_bytes());
        builder.push(run, Kind::Event, Some(line), 0, time(i.cast_signed()), &payload);
    }
    let mut payload = vec![0];
    put_str(&mut payload, Type::Text, b"two\nlines");
    payload.extend_from_slice(&[1, Type::U64 as u8, 7, 0, 0, 0, 0, 0, 0, 0]);
    builder.push(run, Kind::SpanEvent, Some(sparse), 33, time(3), &payload);
    builder.push(run, Kind::Raw, None, 0, time(4), b"raw \xff bytes");
    builder.push(run, Kind::SpanExit, None, 33, time(5), &[]);
}

pub(crate) fn block(n: u32) -> (RowBuffer, EncodedBlock) {
    let mut builder = BlockBuilder::new();
    fill(&mut builder, n);
    let rows = builder.rows().clone();
    // Both kinds are read forever.
    let kind = if n == 1 { BlockKind::Columns } else { BlockKind::Rows };
    let mut block = builder.finish(&BlockOptions { kind, ..BlockOptions::default() }).unwrap();
    if n == 1 {
        let mut filter = FilterBuilder::new();
        filter.add(b"block 1 line 0");
        filter.add(b"took 0.0011489391326904297 s");
        block.filter = filter.finish(128);
    }
    (rows, block)
}

pub(crate) fn first_entries() -> Vec<Entry> {
    let (sub_buffer, writer) = (
        SubBufferPosition {
            index: 1,
            generation: 2,
            archived_bytes: 640,
            prior_generations: 3,
            records: 4,
        },
        WriterPosition { writer: 5, next_number: 103, floor_ns: -1 },
    );
    let channel = ChannelPosition {
        source: source(),
        sub_buffers: vec![sub_buffer],
        writers: vec![writer],
        spans: vec![span(callsite(Level::Debug, Layout::Packed, "span"))],
    };
    vec![
        Entry::Positions(Positions { channels: vec![channel] }),
        Entry::Announce(Announce { source: source(), file: "app.4711.relay".into(), seen_ns: 5 }),
        Entry::Tombstone(Tombstone {
            file: "app-1".into(),
            number: 1,
            rows: 1_000,
            min_order_ns: -5,
            max_order_ns: 5,
            channels: vec![(source().id, 1_000)],
        }),
        Entry::Supersedes(Supersedes { file: "app-6".into(), offset: 12_345 }),
    ]
}

pub(crate) fn last_entries() -> Vec<Entry> {
    vec![
        Entry::Quarantine(Quarantine { what: "sub-buffer 3".into(), why: "torn".into() }),
        Entry::Note(Note { level: Level::Warn, time_ns: 6, text: "a note".into() }),
        Entry::Final(Final {
            id: source().id,
            claimed: 121,
            discarded: 0,
            per_sub_buffer: vec![0, 109, 6, 6],
            clean: true,
            overwrites: false,
            reason: "closed".into(),
        }),
    ]
}

/// The archive: where each piece ends, with the file header as the first end, and the whole file.
pub(crate) struct Sample {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) ends: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let (mut writer, mut bytes) = ArchiveWriter::create(header()).unwrap();
        let (mut pieces, mut ends) = (Vec::new(), vec![bytes.len()]);
        let mut put = |piece: Piece, more: &[u8], bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(more);
            pieces.push(piece);
            ends.push(bytes.len());
        };
        let entries = first_entries();
        let more = writer.control(&entries).unwrap();
        put(Piece::Entries(entries), &more, &mut bytes);
        for n in 0..3 {
            let (rows, block) = block(n);
            let more = writer.block(&block).unwrap().to_vec();
            put(Piece::Rows(Box::new(rows)), &more, &mut bytes);
        }
        let entries = last_entries();
        let more = writer.control(&entries).unwrap();
        put(Piece::Entries(entries), &more, &mut bytes);
        assert_eq!(writer.offset(), bytes.len() as u64);
        bytes.extend(writer.seal().unwrap());
        Self { pieces, ends, bytes }
    }

    /// The rows of the blocks that lie within the first `len` bytes.
    pub(crate) fn rows_within(&self, len: usize) -> Vec<&RowBuffer> {
        let ends = self.ends.iter().skip(1);
        let within = self.pieces.iter().zip(ends).filter(|(_, end)| **end <= len);
        within.filter_map(|(piece, _)| piece.rows()).collect()
    }
}

impl Piece {
    pub(crate) fn rows(&self) -> Option<&RowBuffer> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Entries(_) => None,
        }
    }

    pub(crate) fn entries(&self) -> Option<&Vec<Entry>> {
        match self {
            Self::Rows(_) => None,
            Self::Entries(entries) => Some(entries),
        }
    }
}
