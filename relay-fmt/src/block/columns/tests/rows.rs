//! Row buffers of every kind for the tests.

use crate::block::RowBuffer;
use crate::callsite::{Callsite, Facade, Field, Level};
use crate::record::Kind;
use crate::rows::{ChannelId, Run, Source, Span};
use crate::value::{Layout, Type, put_name, put_str};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

fn any_type() -> impl Strategy<Value = Type> {
    (0u8..30).prop_map(|tag| Type::from_u8(tag).unwrap())
}

pub(super) fn any_kind() -> impl Strategy<Value = Kind> {
    (1u8..15).prop_map(|kind| Kind::from_u8(kind).unwrap())
}

prop_compose! {
    pub(super) fn any_callsite()(
        sparse: bool, line: u32, target: String, message: bool,
        fields in vec((any::<String>(), any_type()), 0..6),
    ) -> Arc<Callsite> {
        Arc::new(Callsite {
            level: Level::Info,
            facade: Facade::Log,
            layout: if sparse { Layout::Sparse } else { Layout::Packed },
            line,
            target,
            module: String::new(),
            file: String::new(),
            name: String::new(),
            template: if message { "{0}".into() } else { "{0} and {1}".into() },
            fields: fields.into_iter()
                .map(|(name, of)| Field { name, of, argument_only: false })
                .collect(),
        })
    }
}

/// A value of a type, well formed, with its nested values.
fn put_value(out: &mut Vec<u8>, of: Type, seed: &mut impl Iterator<Item = u8>, depth: u32) {
    let mut byte = || seed.next().unwrap_or(3);
    match of {
        Type::Tagged => {
            let of = Type::from_u8(1 + byte() % 29).unwrap();
            out.push(of as u8);
            put_value(out, of, seed, depth);
        }
        Type::Bool | Type::Unit => out.push(byte() % 2),
        Type::I8 | Type::U8 => out.push(byte()),
        Type::I16 | Type::U16 => out.extend([byte(), byte()]),
        Type::Char => out.extend(u32::from(byte()).to_le_bytes()),
        Type::I32 | Type::U32 | Type::F32 | Type::Ipv4 => out.extend([0; 4].map(|_| byte())),
        Type::I64 | Type::U64 | Type::Isize | Type::Usize | Type::F64 => {
            out.extend([0; 8].map(|_| byte()));
        }
        Type::I128 | Type::U128 | Type::Ipv6 => out.extend([0; 16].map(|_| byte())),
        Type::Duration => out.extend([byte(), 0, 0, 0, 0, 0, 0, 0, byte(), 0, 0, 0]),
        Type::SocketV4 => out.extend([0; 6].map(|_| byte())),
        Type::SocketV6 => out.extend([0; 26].map(|_| byte())),
        Type::Str | Type::Bytes | Type::Text => {
            let len = byte() % 8;
            out.extend(u32::from(len).to_le_bytes());
            out.extend((0..len).map(|_| b'a' + byte() % 26));
        }
        Type::Some | Type::List | Type::Tuple | Type::Struct if depth > 3 => {
            put_value(out, Type::Unit, seed, depth);
        }
        Type::Some => put_value(out, Type::Tagged, seed, depth + 1),
        Type::List | Type::Tuple | Type::Struct => {
            if of == Type::Struct {
                out.extend(b"\x02Ab");
            }
            let count = byte() % 3;
            out.extend(u32::from(count).to_le_bytes());
            for _ in 0..count {
                if of == Type::Struct {
                    out.extend(b"\x01f");
                }
                put_value(out, Type::Tagged, seed, depth + 1);
            }
        }
    }
}

pub(super) fn put_payload(
    kind: Kind,
    callsite: Option<&Callsite>,
    seed: Vec<u8>,
    text: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(callsite) = callsite else {
        return text.to_vec();
    };
    if kind == Kind::SpanNew {
        out.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    }
    let mut seed = seed.into_iter();
    match callsite.layout {
        Layout::Packed => {
            for field in &callsite.fields {
                put_value(&mut out, field.of, &mut seed, 0);
            }
        }
        Layout::Sparse => {
            out.push(0);
            put_str(&mut out, Type::Str, text);
            for n in 1..callsite.fields.len().min(seed.len()) {
                out.push(n as u8);
                put_value(&mut out, Type::Tagged, &mut seed, 0);
            }
            if seed.next().is_some_and(|b| b < 50) {
                put_name(&mut out, "extra");
                put_str(&mut out, Type::Text, b"more");
            }
        }
    }
    out
}

/// Lines as programs write them, with values of every kind.
pub(super) fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "[a-z]{1,8}",
        "[0-9]{1,22}",
        "-?[0-9]{1,12}",
        "-?[0-9]{1,9}\\.[0-9]{1,30}",
        "0x[0-9a-f]{1,18}",
        "[0-9a-f]{6,17}",
        "[0-9A-F]{6,12}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        "[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{0,11})?Z?",
        "202[0-9]-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.,][0-9]{1,10})?",
        "(Jan|Feb|Dec|Foo) [ 0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]",
        "[0-3][0-9]/(Jan|Feb|Nov)/20[0-9]{2}:[0-2][0-9]:[0-5][0-9]:[0-5][0-9]",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "\"[a-z0-9 \\\\.:]{0,9}\"?",
        "(https?:/)?/[a-z0-9/.]{0,12}",
        "[a-z0-9.]{1,12}",
        "[0-9]{1,4}(ms|s|KiB|xyz)",
        "\\{\"[a-z]{1,3}\":(true|null|[0-9]{1,3}|\"[a-z0-9]{0,4}\")\\}",
        "\\PC{0,5}",
        "[\\x00-\\x20]",
        "[-+.:/\"]{1,4}",
    ];
    let separator = prop_oneof![Just(" "), Just("="), Just(":"), Just(", "), Just("["), Just("")];
    (vec((word, separator), 0..12), any::<bool>()).prop_map(|(parts, cr)| {
        let mut line: String = parts.into_iter().map(|(w, s)| w + s).collect();
        if cr {
            line.push('\r');
        }
        line.into_bytes()
    })
}

pub(super) fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => any_line(), 1 => vec(any::<u8>(), 0..60)]
}

fn any_run() -> impl Strategy<Value = Run> {
    let numbers = (any::<[u32; 6]>(), any::<[u64; 4]>(), any::<u8>(), any::<i64>());
    (numbers, vec(any::<u8>(), 0..9)).prop_map(|((a, b, nesting, floor_ns), thread)| Run {
        source: a[0],
        sub_buffer: a[1],
        generation: b[0],
        from: a[2],
        to: a[3],
        prior_generations: b[1],
        prior_records: a[4],
        records: a[5],
        writer: b[2],
        first_number: b[3],
        tid: a[0].rotate_left(3),
        nesting,
        thread,
        floor_ns,
    })
}

fn source(channel: String, pid: u32, opened_ns: i64) -> Source {
    Source {
        id: ChannelId([5; 16]),
        channel,
        pid,
        program: "program".into(),
        host: "host".into(),
        boot: [8; 16],
        opened_ns,
    }
}

prop_compose! {
    pub(super) fn any_rows()(
        callsites in vec(any_callsite(), 0..4),
        runs in vec(any_run(), 0..5),
        sources in vec((any::<String>(), any::<u32>(), any::<i64>()), 0..3),
        spans in vec((any_callsite(), any::<[u64; 3]>(), vec(any::<u8>(), 0..9)), 0..4),
        rows in vec(
            (any_kind(), 0u32..6, any::<u32>(), prop_oneof![Just(0), any::<u64>()], any::<i64>(),
             vec(any::<u8>(), 0..40), any_text(), 0u8..8),
            0..60,
        ),
    ) -> RowBuffer {
        let mut buffer = RowBuffer {
            sources: sources.into_iter().map(|(c, p, o)| source(c, p, o)).collect(),
            runs,
            spans: spans.into_iter().enumerate().map(|(n, (callsite, ids, values))| Span {
                source: n as u32,
                id: ids[0],
                parent: ids[1],
                callsite: callsites.get(n).cloned().unwrap_or(callsite),
                values,
                since_ns: ids[2] as i64,
            }).collect(),
            callsites,
            ..RowBuffer::default()
        };
        for (kind, callsite, run, span, time, seed, text, odd) in rows {
            let described = (callsite as usize).checked_sub(1)
                .and_then(|c| buffer.callsites.get(c).cloned());
            let mut payload = if odd == 0 { text } else {
                put_payload(kind, described.as_deref(), seed, &text)
            };
            if odd == 1 {
                payload.pop();
            }
            if odd == 2 {
                payload.push(7);
            }
            buffer.push(run, kind, callsite, span, time, &payload);
        }
        referring(buffer)
    }
}

/// The rows with everything there that they name.
pub(super) fn referring(mut rows: RowBuffer) -> RowBuffer {
    if rows.sources.is_empty() {
        rows.sources.push(source("app".into(), 1, 0));
    }
    if rows.runs.is_empty() {
        rows.runs.push(run());
    }
    let [sources, runs, sites] = [rows.sources.len(), rows.runs.len(), rows.callsites.len() + 1];
    rows.runs.iter_mut().for_each(|run| run.source %= sources as u32);
    rows.spans.iter_mut().for_each(|span| span.source %= sources as u32);
    rows.run.iter_mut().for_each(|run| *run %= runs as u32);
    rows.callsite.iter_mut().for_each(|site| *site %= sites as u32);
    rows
}

fn run() -> Run {
    Run {
        source: 0,
        sub_buffer: 0,
        generation: 1,
        from: 0,
        to: 0,
        prior_generations: 0,
        prior_records: 0,
        records: 0,
        writer: 1,
        first_number: 0,
        tid: 1,
        nesting: 0,
        thread: Vec::new(),
        floor_ns: 0,
    }
}

pub(super) fn message_callsite() -> Arc<Callsite> {
    Arc::new(Callsite {
        level: Level::Info,
        facade: Facade::Log,
        layout: Layout::Sparse,
        line: 1,
        target: "t".into(),
        module: String::new(),
        file: String::new(),
        name: String::new(),
        template: "{0}".into(),
        fields: vec![Field { name: String::new(), of: Type::Str, argument_only: true }],
    })
}

pub(super) fn lines_as_rows(lines: &[Vec<u8>]) -> RowBuffer {
    let mut rows = RowBuffer { callsites: vec![message_callsite()], ..RowBuffer::default() };
    for (n, line) in lines.iter().enumerate() {
        let mut payload = vec![0];
        put_str(&mut payload, Type::Str, line);
        rows.push(0, Kind::Event, 1, 0, n as i64 * 1_000_003, &payload);
    }
    referring(rows)
}
