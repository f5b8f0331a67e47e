//! Lines that follow each other as they did before.

use super::super::again::Again;
use super::super::paths::Paths;
use super::super::program::{self, Op};
use super::super::split::{self, Split};
use super::super::strings;
use super::{Encoder, FilterBuilder, decode, raw_rows};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value, of which the number makes another one.
fn value(kind: usize, n: u64) -> String {
    let n = n >> (n % 60);
    match kind % 14 {
        0 => n.to_string(),
        1 => n.cast_signed().wrapping_neg().to_string(),
        2 => format!("{}.{:03}", n % 1000, n % 997),
        3 => format!("{}", n as f64 / 4_194_304.0),
        4 => format!("{:05}", n % 100_000),
        5 => format!("0x{n:x}"),
        6 => format!("{:012x}", n % (1 << 48)),
        7 => format!("10.{}.{}.{}", n % 256, n / 256 % 256, n % 7),
        8 => format!("2026-11-{:02} 10:{:02}:{:02}.{:03}", n % 28 + 1, n % 60, n % 59, n % 1000),
        9 => format!("Feb {:2} 10:{:02}:{:02}", n % 28 + 1, n % 60, n % 59),
        10 => format!("\"q{}\"", n % 300),
        11 => format!("/srv/{}/{n}", n % 3),
        12 => format!("{n:08x}-0000-4000-8000-{n:012x}").chars().take(36).collect(),
        _ => ["on", "off", "a1", "", "7", "-"][(n % 6) as usize].to_owned(),
    }
}

/// Lines of a few templates that come in turns, most of the time.
fn in_turns() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = ("[ a-d:=,.()\\[s-]{0,24}", 0usize..14, any::<bool>());
    let templates = vec(vec(part, 0..7), 1..5);
    let rows = vec((vec(any::<u64>(), 7), 0usize..30), 0..120);
    (templates, rows, any::<bool>()).prop_map(|(templates, rows, json)| {
        let mut turn = 0;
        let line = |(numbers, jump): (Vec<u64>, usize)| {
            turn += if jump == 0 { 2 } else { 1 };
            let mut line = String::new();
            for ((text, kind, stays), n) in templates[turn % templates.len()].iter().zip(numbers) {
                let n = if *stays && n % 8 != 0 { 12_345 } else { n };
                line.push_str(text);
                line.push_str(&value(*kind, n));
            }
            (if json { format!("{{{line}}}") } else { line }).into_bytes()
        };
        rows.into_iter().map(line).collect()
    })
}

/// The text that a class makes of values.
fn render(key: &[u8], values: &[u64], payload: &[u8]) -> Vec<u8> {
    let (mut out, mut values) = (Vec::new(), values.iter().copied());
    for op in program::parse(key).unwrap() {
        match op {
            Op::Literal(reference) => out.extend_from_slice(strings::slice(key, reference)),
            Op::Slot(slot) => {
                let first = values.next().unwrap();
                let second = if slot.columns().len() > 1 { values.next().unwrap() } else { 0 };
                slot.write(first, second, payload, &mut out).unwrap();
            }
            _ => unreachable!("bare text has no other steps"),
        }
    }
    assert_eq!(values.next(), None, "all values are used");
    out
}

/// Follows lines, and says how many of them were like the last of their class.
fn follow(lines: &[Vec<u8>]) -> usize {
    let payload = lines.concat();
    let (mut again, mut paths, mut out) = (Again::default(), Paths::default(), Split::default());
    let (mut keys, mut start, mut like) = (Vec::<Vec<u8>>::new(), 0, 0);
    again.clear();
    for text in lines {
        let line = (start, start + text.len());
        start = line.1;
        let first = out.values.len();
        if let Some(class) = again.follow(&payload, line, &mut out) {
            like += 1;
            let values = &out.values[first..];
            assert_eq!(render(&keys[class as usize], values, &payload), *text);
            // The holes are where the values stand.
            let (holes, _) = again.found();
            for (hole, after) in holes.iter().zip(holes.iter().skip(1)) {
                assert!(hole.from <= hole.to && hole.to <= after.from);
            }
            assert!(holes.last().is_none_or(|hole| hole.to as usize <= text.len()));
            continue;
        }
        assert_eq!(out.values.len(), first, "no values of a line that is not followed");
        let class = if let Some(class) = paths.follow(text, line.0, &mut out) {
            class
        } else {
            out.values.truncate(first);
            (out.key, out.segments) = (vec![program::BARE_TEXT], Vec::new());
            if !split::split(text, line.0, &mut out) {
                out.values.truncate(first);
                continue;
            }
            out.key.push(program::END);
            let known = keys.iter().position(|key| *key == out.key);
            let class = known.unwrap_or(keys.len());
            if class == keys.len() {
                keys.push(out.key.clone());
            }
            paths.learn(text, &out.holes, class as u32);
            class as u32
        };
        again.learn(class, line, first, &out);
        assert_eq!(render(&keys[class as usize], &out.values[first..], &payload), *text);
    }
    like
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_like_the_last_line_is_put_together_by_its_template(lines in in_turns()) {
        follow(&lines);
    }

    #[test]
    fn lines_in_turns_come_back_and_their_filter_is_that_of_their_bytes(lines in in_turns()) {
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

/// Without this the properties above could hold because nothing is ever followed.
#[test]
fn lines_in_turns_are_like_the_last_of_their_class() {
    let lines: Vec<Vec<u8>> = (0..300u64)
        .map(|n| match n % 3 {
            0 => format!("Feb  7 10:00:{:02} got {n} from 10.0.0.{}", n / 6 % 60, n % 200),
            1 => format!("0.{:06}s took {} ms of \"q{n}\"", n * 7001, n * n),
            _ => format!("0x{:08x} done", 0x1000_0000 + n),
        })
        .map(String::into_bytes)
        .collect();
    // The first three of each are needed to know what comes next.
    assert!(follow(&lines) >= 285, "{} of 300", follow(&lines));
}
