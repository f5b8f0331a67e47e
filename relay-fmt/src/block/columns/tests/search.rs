//! What is in a block is never denied, and what is not there mostly is.

use super::super::{Counted, Wanted, contains, encode, select};
use super::rows::{any_line, any_rows, lines_as_rows, message_callsite, put_payload, referring};
use crate::block::RowBuffer;
use crate::callsite::{Callsite, Field};
use crate::message::write_message;
use crate::record::Kind;
use crate::value::{Layout, Type};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

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
    for there in
        ["port 1003 in", "port 10", "3 in ", "u17 connected", "host 499", "ms from \"h", ".5"]
    {
        assert!(contains(&body, there.as_bytes()).unwrap(), "{there} is there");
    }
    for absent in ["port 1004 in", "port 9", "u500 c", "host 500", "disconnected", "in 3 ms", "zq"]
    {
        assert!(!contains(&body, absent.as_bytes()).unwrap(), "{absent} is not there");
    }
}

/// What a row is shown as; raw bytes are shown as they are.
fn message(rows: &RowBuffer, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let site = (rows.callsite[row] as usize).checked_sub(1).and_then(|c| rows.callsites.get(c));
    match (rows.kind[row], site) {
        (Kind::Raw, _) => out.extend_from_slice(rows.payload_of(row)),
        // What does not parse is shown as far as it does.
        (_, Some(site)) => drop(write_message(site, rows.payload_of(row), &mut out)),
        _ => {}
    }
    out
}

/// Asks for a part of a row's message, and checks every row that holds it.
fn check_select(rows: &RowBuffer, row: usize, from: usize, to: usize) {
    let text = message(rows, row);
    let from = from % (text.len() + 1);
    check_needle(rows, &text[from..from + to % (text.len() - from + 1)]);
}

/// Asks for a needle, and checks every row that holds it; how many do.
fn check_needle(rows: &RowBuffer, needle: &[u8]) -> u64 {
    let mut body = Vec::new();
    encode(rows, 1, &mut body).unwrap();
    let (class, time) = (|_: Kind, _: Option<&Callsite>| true, |_: i64| true);
    let mut wanted = Wanted {
        needles: &[needle],
        class: &class,
        time: &time,
        any_time: true,
        condition: None,
        count: Counted::None,
    };
    let found = select(&body, &wanted).unwrap();
    for row in 0..rows.len() {
        let is_span =
            (Kind::SpanNew as u8..=Kind::SpanFollows as u8).contains(&(rows.kind[row] as u8));
        if is_span || memchr::memmem::find(&message(rows, row), needle).is_none() {
            continue;
        }
        let found = found.as_ref().unwrap_or_else(|| panic!("{needle:?} is in row {row}"));
        assert!(found.keep[row], "{needle:?} is in row {row}");
        assert_eq!(found.rows.payload_of(row), rows.payload_of(row));
        assert_eq!(found.rows.time_ns[row], rows.time_ns[row]);
    }
    // Counting: what is sure and what is kept and holds it are all that hold it.
    let hit = |row: usize| {
        let event =
            matches!(rows.kind[row], Kind::Event | Kind::SpanEvent | Kind::InlineEvent | Kind::Raw);
        event && memchr::memmem::find(&message(rows, row), needle).is_some()
    };
    let all = (0..rows.len()).filter(|row| hit(*row)).count() as u64;
    for counted in [Counted::Sites, Counted::All] {
        wanted.count = counted;
        let found = select(&body, &wanted).unwrap();
        let count = found.map_or(0, |found| {
            let kept = (0..found.keep.len()).filter(|row| found.keep[*row] && hit(*row));
            found.sure + kept.count() as u64
        });
        assert_eq!(count, all, "{counted:?}");
    }
    all
}

#[test]
fn a_count_is_of_what_is_shown() {
    let site = |template: &str, fields: &[Type]| {
        let field = |of: &Type| Field { name: "f".into(), of: *of, argument_only: true };
        let mut site = Callsite::clone(&message_callsite());
        (site.layout, site.template) = (Layout::Packed, template.into());
        site.fields = fields.iter().map(field).collect();
        site
    };
    let text = |text: &[u8]| [&(text.len() as u32).to_le_bytes(), text].concat();
    let pair = |one: &str, two: &str| [text(one.as_bytes()), text(two.as_bytes())].concat();
    let count = |site: Callsite, payloads: &[Vec<u8>], needle: &str| {
        let mut rows = RowBuffer { callsites: vec![site.into()], ..RowBuffer::default() };
        for payload in payloads {
            rows.push(0, Kind::Event, 1, 0, 1, payload);
        }
        check_needle(&referring(rows), needle.as_bytes())
    };
    let one = || site("{0}", &[Type::Text]);
    let users = [&b"user 17 \"anna\" left"[..], b"user 18 \"b\xffrta\" left", b"user 1 \"\" left"];
    assert_eq!(count(one(), &users.map(text), "left"), 2, "a string of one is not UTF-8");
    let latin = [&b"user 17 caf\xe9 left"[..], b"user 18 caf\xe9 left"];
    assert_eq!(count(one(), &latin.map(text), "left"), 0, "the constant text is not UTF-8");
    let names = ["user 17 \"日\" left", "user 18 \"本\" left"];
    assert_eq!(count(one(), &names.map(|line| text(line.as_bytes())), "left"), 2);
    let pairs = [pair("user 17 left", "why 3"), pair("user 18 left", "why 4")];
    let first = site("{0}", &[Type::Text, Type::Text]);
    assert_eq!(count(first, &pairs, "why"), 0, "only the first text is shown");
    let odd = site("{0} before {1:!} after", &[Type::Text, Type::Text]);
    assert_eq!(count(odd.clone(), &pairs, "before"), 2);
    assert_eq!(count(odd, &pairs, "after"), 0, "a template is shown as far as it parses");
}

const TEMPLATES: [&str; 6] = [
    "took {0} ms, {{n}} is {1}",
    "{1}{0}",
    "{0}",
    "{0:>8} of {1}",
    "id={1}, {0}% }} done",
    "nothing",
];

prop_compose! {
    /// Rows of typed values, as macros write them.
    fn typed_rows()(
        sites in vec((0usize..TEMPLATES.len(), vec(0u8..20, 2)), 1..4),
        rows in vec((any::<prop::sample::Index>(), vec(any::<u8>(), 0..40)), 1..40),
    ) -> RowBuffer {
        let mut buffer = RowBuffer::default();
        for (template, types) in sites {
            let mut site = (*message_callsite()).clone();
            site.layout = Layout::Packed;
            site.template = TEMPLATES[template].into();
            let field = |of: u8| Field {
                name: "f".into(), of: Type::from_u8(of).unwrap(), argument_only: true,
            };
            site.fields = types.into_iter().map(field).collect();
            buffer.callsites.push(site.into());
        }
        for (site, seed) in rows {
            let n = site.index(buffer.callsites.len());
            let payload = put_payload(Kind::Event, Some(&buffer.callsites[n]), seed, b"");
            let time = buffer.len() as i64;
            buffer.push(0, Kind::Event, n as u32 + 1, 0, time, &payload);
        }
        referring(buffer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn selecting_never_leaves_out_a_hit(
        rows in any_rows(), row: prop::sample::Index, from: usize, to: usize,
    ) {
        if !rows.is_empty() {
            check_select(&rows, row.index(rows.len()), from, to);
        }
    }

    #[test]
    fn typed_values_are_never_left_out(
        rows in typed_rows(), row: prop::sample::Index, from: usize, to: usize,
    ) {
        check_select(&rows, row.index(rows.len()), from, to);
    }

    #[test]
    fn lines_are_never_left_out(
        lines in vec(any_line(), 1..30), row: prop::sample::Index, from: usize, to: usize,
    ) {
        let rows = lines_as_rows(&lines);
        check_select(&rows, row.index(rows.len()), from, to);
    }
}

#[test]
fn only_the_wanted_rows_are_put_together() {
    let lines: Vec<Vec<u8>> = (0..300).map(|n| format!("user {n} left").into_bytes()).collect();
    let mut rows = lines_as_rows(&lines);
    let line = b"\0\x11\x0a\0\0\0disk full!";
    rows.push(0, Kind::Event, 1, 0, 7, line);
    let mut body = Vec::new();
    encode(&rows, 1, &mut body).unwrap();
    let (class, time) = (|_: Kind, _: Option<&Callsite>| true, |time: i64| time < 1_000);
    let ask = |needle: &[u8]| {
        select(
            &body,
            &Wanted {
                needles: &[needle],
                class: &class,
                time: &time,
                any_time: false,
                condition: None,
                count: Counted::None,
            },
        )
        .unwrap()
    };
    let found = ask(b"disk").unwrap();
    assert_eq!(found.keep.iter().filter(|keep| **keep).count(), 1);
    assert_eq!(found.rows.payload, line);
    assert_eq!(ask(b"disc"), None);
    assert_eq!(ask(b"left").map(|found| found.keep[0]), Some(true));
}
