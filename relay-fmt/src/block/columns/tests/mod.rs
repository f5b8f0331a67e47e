//! What was encoded comes back, and what was not encoded does no harm.

mod again;
mod alike;
mod numbers;
mod related;
mod rows;
mod search;

use super::program;
use super::split;
use super::{Encoder, Precision, decode, encode};
use crate::block::{FilterBuilder, RowBuffer};
use crate::bytes::Cursor;
use crate::record::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use rows::{any_line, any_rows, any_text, lines_as_rows, referring};

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
}

/// Damage behind the checksums: streams that were changed before they were packed.
#[test]
fn changed_streams_are_read_or_refused() {
    use super::frames::{Frame, Packed, pack};
    let lines: Vec<Vec<u8>> = (0..300)
        .map(|n| {
            format!(
                "2026-11-24 10:00:{:02} took {}.{n} ms \"q{n}\" 10.0.0.{} port {}",
                n % 60,
                n * 7,
                n * n % 256,
                (n * n % 256) * 7919 % 60_000
            )
        })
        .map(String::into_bytes)
        .collect();
    let mut body = Vec::new();
    encode(&lines_as_rows(&lines), 1, &mut body).unwrap();
    let packed = Packed::split(&body).unwrap();
    let frames = [Frame::Meta, Frame::Text, Frame::Number, Frame::Order];
    let streams = frames.map(|frame| packed.unpack(frame).unwrap());
    let mut context = zstd::zstd_safe::CCtx::create();
    for which in 0..4 {
        for at in 0..streams[which].len().min(600) {
            for change in [1u8, 0x80, 0xff] {
                let mut changed = streams.clone();
                changed[which][at] ^= change;
                let mut body = Vec::new();
                for stream in &changed {
                    pack(stream, &mut context, 1, &mut body).unwrap();
                }
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
        [b"{", &b"[".repeat(3000)[..], b"}"].concat(),
        [b"{", &b"[\" ".repeat(3000)[..], b"}"].concat(),
        b"{\"a\":[],\"b\":[1,\"]\"],\"c\":[{}],\"d\":[[]]}".to_vec(),
        b"0000-00-00 00:00:00 2026-02-29 00:00:00 2024-02-29 23:59:60".to_vec(),
        b"-0 -0.0 -1 -00 00 007 9223372036854775808 -9223372036854775808".to_vec(),
    ];
    lines.extend((0..20_000u32).map(|n| format!("w{}", to_letters(n)).into_bytes()));
    assert_comes_back(&lines_as_rows(&lines));
}

#[test]
fn words_that_vary_become_values() {
    let names = ["git", "steam", "root", "uap", "admin", "test", "oracle", "ftp", "www", "dev"];
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
fn a_body_is_what_zstd_reads() {
    let mut body = Vec::new();
    let summary = encode(&lines_as_rows(&[b"a 1".to_vec()]), 1, &mut body).unwrap();
    let all = zstd::decode_all(&body[..]).unwrap();
    assert_eq!(all.len(), summary.streams.iter().sum::<usize>());
    assert_eq!(body.len(), summary.frames.iter().sum::<usize>());
}

#[test]
fn raw_channels_are_split_too() {
    let mut rows = referring(RowBuffer::default());
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

/// Rows of a raw channel.
fn raw_rows(lines: &[Vec<u8>]) -> RowBuffer {
    let mut rows = referring(RowBuffer::default());
    for (n, line) in lines.iter().enumerate() {
        rows.push(0, Kind::Raw, 0, 0, n as i64, line);
    }
    rows
}

/// Lines of which some are like others but for a few bytes.
fn alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let changes = vec((any::<usize>(), any::<usize>(), "[0-9a-f.x]|[ -~]"), 0..4);
    // Values that a filter is told of one by one, in lines of one template.
    let numbers = (vec((any::<i64>(), 0u32..64), 0..20), "(,|=| |d)", "(,|ms| |b)");
    let numbered = numbers.prop_map(|(numbers, left, right)| {
        let line = |(n, shift): (i64, u32)| {
            let n = n >> shift;
            let (decimal, double) = (n as f64 / 1e6, n as f64 / 4_194_304.0);
            format!("in{left}{decimal}{right} of{left}{double}{right} n{left}{n}{right}")
        };
        numbers.into_iter().map(line).map(String::into_bytes).collect::<Vec<_>>()
    });
    let rows = vec((any::<usize>(), changes), 0..80);
    (vec(any_text(), 1..12), rows, numbered).prop_map(|(lines, rows, numbered)| {
        let line = |(line, changes): (usize, Vec<(usize, usize, String)>)| {
            let mut line = lines[line % lines.len()].clone();
            for (from, len, new) in changes {
                let from = from % (line.len() + 1);
                let to = (from + len % 3).min(line.len());
                line.splice(from..to, new.bytes());
            }
            line
        };
        lines.iter().cloned().chain(rows.into_iter().map(line)).chain(numbered).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn raw_lines_come_back_and_their_filter_is_that_of_their_bytes(lines in alike()) {
        let (mut sifted, mut whole) = (FilterBuilder::new(), FilterBuilder::new());
        let rows = raw_rows(&lines);
        let mut body = Vec::new();
        let mut encoder = Encoder::new(1).unwrap();
        encoder.encode_sifted(&rows, Some(&mut sifted), &mut body).unwrap();
        prop_assert_eq!(decode(&body).unwrap(), rows);
        lines.iter().for_each(|line| whole.add(line));
        prop_assert_eq!(sifted.finish(1 << 20), whole.finish(1 << 20));
    }
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
    let (a, b) = (lines_as_rows(&[b"a 1".to_vec()]), lines_as_rows(&[b"b 2 /x".to_vec()]));
    let mut encoder = Encoder::new(1).unwrap();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    encoder.encode(&a, &mut first).unwrap();
    encoder.encode(&b, &mut Vec::new()).unwrap();
    encoder.encode(&a, &mut again).unwrap();
    assert_eq!(first, again);
}
