//! Property tests of blocks: any rows come back as they were.

use super::*;
use crate::callsite::{Callsite, Facade, Field, Level};
use crate::record::Kind;
use crate::rows::{ChannelId, Run, Source, Span};
use crate::value::{Layout, Type, put_str};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

const TEXTS: [Type; 4] = [Type::Tagged, Type::Str, Type::Bytes, Type::Text];

prop_compose! {
    fn any_source()(id: [u8; 16], boot: [u8; 16], pid: u32, opened_ns: i64, name in ".{0,8}") -> Source {
        let (channel, program, host) = (name.clone(), name.clone(), name);
        Source { id: ChannelId(id), channel, pid, program, host, boot, opened_ns }
    }
}

prop_compose! {
    fn any_callsite()(
        level in 1u8..=5, sparse: bool, whole: bool, of in 0usize..4, target in "[a-c]{0,3}",
    ) -> Arc<Callsite> {
        let field = Field { name: "message".into(), of: TEXTS[of], argument_only: true };
        Arc::new(Callsite {
            level: Level::from_u8(level).unwrap(),
            facade: Facade::Log,
            layout: if sparse { Layout::Sparse } else { Layout::Packed },
            line: 7, target, module: String::new(), file: "a.rs".into(), name: String::new(),
            template: if whole { "{0}".into() } else { "x {0}".into() },
            fields: vec![field],
        })
    }
}

prop_compose! {
    fn any_run(sources: u32)(
        source in 0..sources, sub_buffer: u32, generation: u64, from: u32, to: u32,
        prior_generations: u64, prior_records: u32, records: u32, writer: u64, first_number: u64,
        tid: u32, nesting: u8, thread in vec(any::<u8>(), 0..4), floor_ns: i64,
    ) -> Run {
        Run {
            source, sub_buffer, generation, from, to, prior_generations, prior_records, records,
            writer, first_number, tid, nesting, thread, floor_ns,
        }
    }
}

/// Payloads of every shape, with newlines, tails, and bytes that are none of them.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof!["[a-z \n]{0,12}".prop_map(String::into_bytes), vec(any::<u8>(), 0..12)];
    (text, 0u8..6, 1usize..4, vec(any::<u8>(), 0..3)).prop_map(|(text, shape, of, tail)| {
        let mut out = Vec::new();
        match shape {
            0 => return text,
            1 => out.push(0),
            2 => out.extend_from_slice(&[0, 17, 255, 255, 255, 255]),
            _ => {}
        }
        put_str(&mut out, TEXTS[of], &text);
        if shape == 5 {
            out.remove(0);
        }
        if shape > 3 {
            out.extend_from_slice(&tail);
        }
        out
    })
}

type AnyRow = (u32, u8, u32, u64, i64, Vec<u8>);

fn any_rows() -> impl Strategy<Value = RowBuffer> {
    (vec(any_source(), 1..3), vec(any_callsite(), 0..5)).prop_flat_map(|(sources, callsites)| {
        let runs = vec(any_run(sources.len() as u32), 0..4);
        let span = (
            0..sources.len() as u32,
            any::<u64>(),
            any::<i64>(),
            vec(any::<u8>(), 0..9),
            any_callsite(),
        );
        let spans = vec(span, 0..4).prop_map(|spans| {
            let span = |(source, id, since_ns, values, callsite)| Span {
                source,
                id,
                parent: id / 2,
                callsite,
                values,
                since_ns,
            };
            spans.into_iter().map(span).collect::<Vec<_>>()
        });
        (Just(sources), Just(callsites), runs, spans).prop_flat_map(
            |(sources, callsites, runs, spans)| {
                let callsite = 0..callsites.len() as u32 + 1;
                let row = (
                    0..runs.len().max(1) as u32,
                    1u8..15,
                    callsite,
                    prop_oneof![Just(0), any::<u64>()],
                    any::<i64>(),
                    any_payload(),
                );
                let most = if runs.is_empty() { 0 } else { 40 };
                let rows = vec(row, 0..=most);
                let base = RowBuffer { sources, callsites, runs, spans, ..RowBuffer::default() };
                (Just(base), rows).prop_map(|(mut base, rows): (RowBuffer, Vec<AnyRow>)| {
                    for (run, kind, callsite, span, time, payload) in rows {
                        base.push(
                            run,
                            Kind::from_u8(kind).unwrap(),
                            callsite,
                            span,
                            time,
                            &payload,
                        );
                    }
                    base
                })
            },
        )
    })
}

proptest! {
    #[test]
    fn rows_that_are_alike_go_in_together_as_one_by_one(rows in any_rows()) {
        let mut together = RowBuffer {
            sources: rows.sources.clone(),
            runs: rows.runs.clone(),
            callsites: rows.callsites.clone(),
            spans: rows.spans.clone(),
            ..RowBuffer::default()
        };
        let all = |i: usize| (rows.run[i], rows.kind[i], rows.callsite[i], rows.span[i]);
        let numbers: Vec<usize> = (0..rows.len()).collect();
        for alike in numbers.chunk_by(|a, b| all(*a) == all(*b)) {
            let (run, kind, callsite, span) = all(alike[0]);
            let rows = alike.iter().map(|i| (rows.time_ns[*i], rows.payload_of(*i)));
            together.extend(run, kind, callsite, span, rows);
        }
        prop_assert_eq!(together, rows);
    }

    #[test]
    fn facts_are_those_of_the_rows_one_by_one(rows in any_rows()) {
        let facts = Facts::of(&rows);
        let order = || rows.rows().map(|row| row.order_ns);
        prop_assert_eq!(facts.min_order_ns, order().min().unwrap_or(i64::MAX));
        prop_assert_eq!(facts.max_order_ns, order().max().unwrap_or(i64::MIN));
        let times = || rows.time_ns.iter().copied();
        let span = times().min().zip(times().max());
        prop_assert_eq!(facts.times, span.map(|(min_ns, max_ns)| Times { min_ns, max_ns }));
        let unnamed = rows.rows().any(|row| row.callsite.is_none());
        prop_assert_eq!(facts.level_mask & NO_LEVEL != 0, unnamed);
        for row in rows.rows() {
            prop_assert!(row.callsite.is_none_or(|callsite| facts.has_callsite(callsite)));
        }
    }

    #[test]
    fn any_rows_come_back(rows in any_rows(), level in 1i32..4) {
        let mut body = Vec::new();
        let sections = encode(&rows, BlockKind::Rows, level, &mut body).unwrap();
        prop_assert_eq!(sections.total(), body.len() as u64);
        prop_assert_eq!(decode(1, &body, MAX_CONTENT).unwrap(), rows);
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_changes_nothing(rows in any_rows(), at: prop::sample::Index, bit in 0u8..8) {
        let mut body = Vec::new();
        encode(&rows, BlockKind::Rows, 1, &mut body).unwrap();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        if let Ok(other) = decode(1, &body, MAX_CONTENT) {
            prop_assert_eq!(other, rows);
        }
    }

    /// Frames with good checksums around bad content: what the checksum cannot catch.
    #[test]
    fn hostile_content_is_read_or_refused(
        rows in any_rows(), which in 0usize..3, noise in vec(any::<(prop::sample::Index, u8)>(), 1..4),
    ) {
        let mut body = Vec::new();
        encode(&rows, BlockKind::Rows, 1, &mut body).unwrap();
        let mut input = crate::bytes::Cursor::new(&body);
        let mut again = Vec::new();
        for frame in 0..3 {
            let mut content = zstd_frame::take(&mut input, MAX_CONTENT).unwrap();
            if frame == which && !content.is_empty() {
                for (at, byte) in &noise {
                    let at = at.index(content.len());
                    content[at] = *byte;
                }
            }
            zstd_frame::compress(&content, 1, &mut again).unwrap();
        }
        if let Ok(rows) = decode(1, &again, MAX_CONTENT) {
            prop_assert_eq!(rows.rows().count(), rows.len(), "every row has its run");
            prop_assert!(rows.runs.iter().all(|run| (run.source as usize) < rows.sources.len()));
            let _ = Facts::of(&rows);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind: u8) {
        let _ = decode(kind, &bytes, MAX_CONTENT);
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let error = decode(77, &[], MAX_CONTENT).unwrap_err();
    assert!(error.to_string().contains("77"), "{error}");
}

#[test]
fn rows_that_do_not_belong_together_are_refused() {
    let mut rows = RowBuffer::default();
    rows.push(0, Kind::Raw, 0, 0, 0, b"a run that is not there");
    assert!(encode(&rows, BlockKind::Rows, 1, &mut Vec::new()).is_err());
    let mut rows = RowBuffer::default();
    rows.payload.push(1);
    assert!(encode(&rows, BlockKind::Rows, 1, &mut Vec::new()).is_err());
}

fn message(template: &str) -> Callsite {
    Callsite {
        level: Level::Info,
        facade: Facade::Log,
        layout: Layout::Packed,
        line: 1,
        target: "app".into(),
        module: String::new(),
        file: String::new(),
        name: String::new(),
        template: template.into(),
        fields: vec![Field { name: String::new(), of: Type::Text, argument_only: true }],
    }
}

#[test]
fn the_builder_keeps_each_thing_once() {
    let mut builder = BlockBuilder::new();
    let source = Source {
        id: ChannelId([1; 16]),
        channel: "app".into(),
        pid: 1,
        program: "p".into(),
        host: "h".into(),
        boot: [0; 16],
        opened_ns: 0,
    };
    assert_eq!(builder.source(&source), builder.source(&source));
    let (a, b) = (Arc::new(message("{0}")), Arc::new(message("{0}")));
    assert_eq!(builder.callsite(&a), builder.callsite(&b), "same content, other address");
    // The address of a callsite that is dropped may be given to another one.
    for n in 0..100 {
        let fresh = Arc::new(message(&format!("{n}")));
        let index = builder.callsite(&fresh);
        assert_eq!(*builder.rows().callsites[index as usize], *fresh);
    }
    let span = |values: &[u8]| Span {
        source: 0,
        id: 5,
        parent: 0,
        callsite: Arc::clone(&a),
        values: values.to_vec(),
        since_ns: 1,
    };
    assert_eq!(builder.span(span(b"a")), builder.span(span(b"ab")));
    assert_eq!(builder.rows().spans, [span(b"ab")]);
    let block = builder.finish(&BlockOptions::default()).unwrap();
    assert!(builder.is_empty() && builder.raw_bytes() == 0);
    assert_eq!((block.facts.rows, block.facts.level_mask), (0, 0));
}

#[test]
fn log_lines_compress_as_text_does() {
    let (mut text, mut builder) = (Vec::new(), BlockBuilder::new());
    let source = Source {
        id: ChannelId([1; 16]),
        channel: "app".into(),
        pid: 1,
        program: "p".into(),
        host: "h".into(),
        boot: [0; 16],
        opened_ns: 0,
    };
    let source = builder.source(&source);
    let run = builder.run(Run {
        source,
        sub_buffer: 0,
        generation: 1,
        from: 0,
        to: 9,
        prior_generations: 0,
        prior_records: 0,
        records: 20_000,
        writer: 1,
        first_number: 0,
        tid: 1,
        nesting: 0,
        thread: b"main".to_vec(),
        floor_ns: 0,
    });
    let callsite = builder.callsite(&Arc::new(message("{0}")));
    let mut seed = 1u64;
    for n in 0..20_000u32 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let line = format!(
            "request {n} of user {} to /api/v1/items/{} took {} us",
            seed >> 50,
            seed >> 44 & 0x3ff,
            seed >> 60
        );
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        let mut payload = (line.len() as u32).to_le_bytes().to_vec();
        payload.extend_from_slice(line.as_bytes());
        builder.push(run, Kind::Event, Some(callsite), 0, i64::from(n) * 1_000, &payload);
    }
    let block = builder.finish(&BlockOptions::default()).unwrap();
    let plain = zstd::bulk::compress(&text, 3).unwrap();
    assert!(
        block.body.len() * 100 <= plain.len() * 105,
        "{} bytes, zstd -3 makes {} of the text",
        block.body.len(),
        plain.len()
    );
}
