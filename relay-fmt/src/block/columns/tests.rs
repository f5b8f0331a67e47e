//! What was encoded comes back, and what was not encoded does no harm.

use super::program;
use super::split;
use super::{Encoder, Precision, contains, decode, encode};
use crate::block::RowBuffer;
use crate::bytes::Cursor;
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

fn any_kind() -> impl Strategy<Value = Kind> {
    (1u8..15).prop_map(|kind| Kind::from_u8(kind).unwrap())
}

prop_compose! {
    fn any_callsite()(
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

fn put_payload(kind: Kind, callsite: Option<&Callsite>, seed: Vec<u8>, text: &[u8]) -> Vec<u8> {
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
fn any_line() -> impl Strategy<Value = Vec<u8>> {
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
    let separator = prop_oneof![
        Just(" "),
        Just("="),
        Just(":"),
        Just(", "),
        Just("["),
        Just("")
    ];
    (vec((word, separator), 0..12), any::<bool>()).prop_map(|(parts, cr)| {
        let mut line: String = parts.into_iter().map(|(w, s)| w + s).collect();
        if cr {
            line.push('\r');
        }
        line.into_bytes()
    })
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => any_line(), 1 => vec(any::<u8>(), 0..60)]
}

fn any_run() -> impl Strategy<Value = Run> {
    let numbers = (
        any::<[u32; 6]>(),
        any::<[u64; 4]>(),
        any::<u8>(),
        any::<i64>(),
    );
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
    fn any_rows()(
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
        buffer
    }
}

fn message_callsite() -> Arc<Callsite> {
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
        fields: vec![Field {
            name: String::new(),
            of: Type::Str,
            argument_only: true,
        }],
    })
}

fn lines_as_rows(lines: &[Vec<u8>]) -> RowBuffer {
    let mut rows = RowBuffer {
        callsites: vec![message_callsite()],
        ..RowBuffer::default()
    };
    for (n, line) in lines.iter().enumerate() {
        let mut payload = vec![0];
        put_str(&mut payload, Type::Str, line);
        rows.push(0, Kind::Event, 1, 0, n as i64 * 1_000_003, &payload);
    }
    rows
}

fn assert_comes_back(rows: &RowBuffer) {
    let mut body = Vec::new();
    encode(rows, 1, &mut body).unwrap();
    assert!(decode(&body).unwrap() == *rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_come_back(rows in any_rows()) {
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        prop_assert_eq!(decode(&body).unwrap(), rows);
    }

    #[test]
    fn lines_come_back(lines in vec(any_line(), 0..80), copies in 1usize..6) {
        let lines: Vec<_> = lines.iter().cycle().take(lines.len() * copies).cloned().collect();
        let rows = lines_as_rows(&lines);
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        prop_assert_eq!(decode(&body).unwrap(), rows);
    }

    #[test]
    fn what_is_there_is_never_denied(
        lines in vec(any_line(), 1..30), copies in 1usize..5, line: usize, from: usize, to: usize,
    ) {
        let lines: Vec<_> = lines.iter().cycle().take(lines.len() * copies).cloned().collect();
        let mut body = Vec::new();
        encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
        let line = &lines[line % lines.len()];
        let from = from % (line.len() + 1);
        let to = from + to % (line.len() - from + 1);
        prop_assert!(contains(&body, &line[from..to]).unwrap());
    }

    #[test]
    fn many_rows_of_few_templates_come_back(
        templates in vec(any_line(), 1..6), rows in vec((any::<usize>(), 0u32..50), 100..600),
    ) {
        let lines: Vec<Vec<u8>> = rows.iter().map(|(template, n)| {
            let mut line = templates[template % templates.len()].clone();
            line.extend(format!(" id={n} d={}.{n} u{}", n % 7, n % 3).bytes());
            line
        }).collect();
        let rows = lines_as_rows(&lines);
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        prop_assert_eq!(decode(&body).unwrap(), rows);
    }

    #[test]
    fn any_text_splits_and_joins(text in any_text()) {
        let mut split = split::Split::default();
        split.key.push(program::BARE_TEXT);
        if split::split(&text, 0, &mut split) {
            let mut key = split.key;
            key.push(program::END);
            let mut out = Vec::new();
            let mut values = split.values.into_iter();
            for op in program::parse(&key).unwrap() {
                match op {
                    program::Op::Literal(r) => {
                        out.extend_from_slice(super::strings::slice(&key, r));
                    }
                    program::Op::Slot(slot) => {
                        let v = values.next().unwrap();
                        let two = slot.columns().len() > 1;
                        let second = if two { values.next().unwrap() } else { 0 };
                        slot.write(v, second, &text, &mut out).unwrap();
                    }
                    _ => unreachable!("bare text has no other steps"),
                }
            }
            prop_assert_eq!(out, text);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = program::parse(&bytes);
        let _ = super::ints::get(&mut Cursor::new(&bytes), 100);
    }

    #[test]
    fn flipped_bits_are_found(rows in any_rows(), at: usize, bit in 0u8..8) {
        let mut body = Vec::new();
        encode(&rows, 1, &mut body).unwrap();
        let at = at % body.len();
        body[at] ^= 1 << bit;
        if let Ok(back) = decode(&body) {
            prop_assert_eq!(back, rows);
        }
    }

    #[test]
    fn integers_come_back(values in any_integers()) {
        let mut out = Vec::new();
        super::ints::put(&mut out, &values, &mut super::ints::Scratch::default());
        let mut input = Cursor::new(&out);
        prop_assert_eq!(super::ints::get(&mut input, values.len()).unwrap(), values);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn floats_come_back(values in vec(any_float_bits(), 0..300)) {
        use super::floats::{Width, get, put};
        let (mut out, mut room) = (Vec::new(), Vec::new());
        put(&mut out, &values, Width::Double, &mut super::ints::Scratch::default(), &mut room);
        let mut input = Cursor::new(&out);
        prop_assert_eq!(get(&mut input, values.len(), Width::Double).unwrap(), values);
    }
}

fn any_float_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (-100_000i32..100_000).prop_map(|n| (f64::from(n) / 100.0).to_bits()),
        1 => any::<f64>().prop_map(f64::to_bits),
        1 => Just((-0.0f64).to_bits()),
        1 => any::<u64>(),
    ]
}

fn any_integers() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        vec(any::<u64>(), 0..300),
        vec(0u64..5, 0..900),
        (vec(any::<u64>(), 1..9), 0usize..300).prop_map(|(p, n)| p
            .iter()
            .copied()
            .cycle()
            .take(n)
            .collect()),
        (any::<u64>(), any::<u64>(), vec(0u64..9, 0..500)).prop_map(|(start, step, noise)| {
            let row = noise.iter().zip(0u64..);
            row.map(|(n, i)| start.wrapping_add(step.wrapping_mul(i)).wrapping_add(*n))
                .collect()
        }),
        vec((any::<u32>(), 1usize..60), 0..20).prop_map(|runs| {
            runs.iter()
                .flat_map(|(v, n)| vec![u64::from(*v); *n])
                .collect()
        }),
    ]
}

/// Damage behind the checksums: streams that were changed before they were packed.
#[test]
fn changed_streams_are_read_or_refused() {
    use super::frames::{Frame, Packed, Streams};
    let lines: Vec<Vec<u8>> = (0..300)
        .map(|n| {
            format!(
                "2026-11-24 10:00:{:02} took {}.{n} ms \"q{n}\" 10.0.0.{}",
                n % 60,
                n * 7,
                n % 256
            )
        })
        .map(String::into_bytes)
        .collect();
    let mut body = Vec::new();
    encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
    let packed = Packed::split(&body).unwrap();
    let streams = Streams {
        meta: packed.unpack(Frame::Meta).unwrap(),
        text: packed.unpack(Frame::Text).unwrap(),
        number: packed.unpack(Frame::Number).unwrap(),
        order: packed.unpack(Frame::Order).unwrap(),
    };
    let mut context = zstd::zstd_safe::CCtx::create();
    for which in 0..4 {
        let len = [
            &streams.meta,
            &streams.text,
            &streams.number,
            &streams.order,
        ][which]
            .len();
        for at in 0..len.min(600) {
            for change in [1u8, 0x80, 0xff] {
                let mut changed = streams.clone();
                let all = [
                    &mut changed.meta,
                    &mut changed.text,
                    &mut changed.number,
                    &mut changed.order,
                ];
                all.into_iter().nth(which).unwrap()[at] ^= change;
                let mut body = Vec::new();
                changed.pack(&mut context, 1, &mut body).unwrap();
                let _ = decode(&body);
            }
        }
    }
}

#[test]
fn odd_lines_come_back() {
    let mut lines: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\r".to_vec(),
        b"a\nb 12\nc\n".to_vec(),
        b"\xff\xfe 12 \x80".to_vec(),
        b"nul \0 in 3".to_vec(),
        b"mark \x0e\x14 in 3".to_vec(),
        "\u{1b}[2m2026-11-24T10:00:00.123456Z\u{1b}[0m".into(),
        vec![b'"'; 5000],
        vec![b'/'; 5000],
        vec![b'9'; 5000],
        b"1.".repeat(3000),
        b"1 ".repeat(3000),
        b"\\\"".repeat(3000),
        b"ab".repeat(40_000),
        b"0000-00-00 00:00:00 2026-02-29 00:00:00 2024-02-29 23:59:60".to_vec(),
        b"-0 -0.0 -1 -00 00 007 9223372036854775808 -9223372036854775808".to_vec(),
    ];
    lines.extend((0..20_000u32).map(|n| format!("w{}", to_letters(n)).into_bytes()));
    assert_comes_back(&lines_as_rows(&lines));
}

#[test]
fn words_that_vary_become_values() {
    let names = [
        "git", "steam", "root", "uap", "admin", "test", "oracle", "ftp", "www", "dev",
    ];
    let lines: Vec<Vec<u8>> = (0..3000u32)
        .map(|n| {
            format!(
                "Invalid user {}{} from 10.0.0.{}",
                names[n as usize % 10],
                to_letters(n),
                n % 200
            )
        })
        .map(String::into_bytes)
        .collect();
    let rows = lines_as_rows(&lines);
    let mut body = Vec::new();
    assert!(encode(&rows, 1, &mut body).unwrap().classes < 10);
    assert!(decode(&body).unwrap() == rows);
}

#[test]
fn what_is_not_there_is_denied() {
    let lines: Vec<Vec<u8>> = (0..500)
        .map(|n| {
            format!(
                "user u{n} connected to port {} in {}.5 ms from \"host {n}\"",
                1000 + n * 3,
                n * 2
            )
        })
        .map(String::into_bytes)
        .collect();
    let mut body = Vec::new();
    encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
    for there in [
        "port 1003 in",
        "port 10",
        "3 in ",
        "u17 connected",
        "host 499",
        "ms from \"h",
        ".5",
    ] {
        assert!(
            contains(&body, there.as_bytes()).unwrap(),
            "{there} is there"
        );
    }
    for absent in [
        "port 1004 in",
        "port 9",
        "u500 c",
        "host 500",
        "disconnected",
        "in 3 ms",
        "zq",
    ] {
        assert!(
            !contains(&body, absent.as_bytes()).unwrap(),
            "{absent} is not there"
        );
    }
}

/// A word of its own for each number, so that each line is another template.
fn to_letters(mut n: u32) -> String {
    let mut out = String::new();
    while n > 0 {
        out.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
    }
    out
}

#[test]
fn raw_channels_are_split_too() {
    let mut rows = RowBuffer::default();
    for n in 0..1000 {
        let line = format!("line {n} of a pipe");
        rows.push(0, Kind::Raw, 0, 0, n, line.as_bytes());
    }
    let mut body = Vec::new();
    let summary = encode(&rows, 1, &mut body).unwrap();
    assert_eq!(summary.classes, 1);
    assert!(body.len() < 300, "{} bytes", body.len());
    assert!(decode(&body).unwrap() == rows);
}

#[test]
fn times_are_cut_to_the_precision() {
    let mut rows = lines_as_rows(&[b"a".to_vec(), b"b".to_vec()]);
    rows.time_ns = vec![-1, 1_999];
    let mut body = Vec::new();
    let mut encoder = Encoder::new(1).unwrap().precision(Precision::Micros);
    encoder.encode(&rows, &mut body).unwrap();
    assert_eq!(decode(&body).unwrap().time_ns, [-1_000, 1_000]);
}

#[test]
fn buffers_that_do_not_agree_are_refused() {
    let mut rows = lines_as_rows(&[b"a".to_vec()]);
    rows.span.clear();
    assert!(encode(&rows, 1, &mut Vec::new()).is_err());
    let mut rows = lines_as_rows(&[b"a".to_vec(), b"b".to_vec()]);
    rows.end.swap(0, 1);
    assert!(encode(&rows, 1, &mut Vec::new()).is_err());
}

#[test]
fn an_encoder_forgets_the_block_before() {
    let (a, b) = (
        lines_as_rows(&[b"a 1".to_vec()]),
        lines_as_rows(&[b"b 2 /x".to_vec()]),
    );
    let mut encoder = Encoder::new(1).unwrap();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    encoder.encode(&a, &mut first).unwrap();
    encoder.encode(&b, &mut Vec::new()).unwrap();
    encoder.encode(&a, &mut again).unwrap();
    assert_eq!(first, again);
}
