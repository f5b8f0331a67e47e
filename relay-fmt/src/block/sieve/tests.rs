use super::hole::PRINTED;
use super::*;
use crate::callsite::{Facade, Field, Level};
use crate::message::write_message;
use crate::value::{Layout, Type};
use proptest::prelude::*;

fn callsite(template: &str, types: [Type; 2]) -> Callsite {
    let field = |of| Field { name: "f".into(), of, argument_only: false };
    let text = String::new;
    Callsite {
        level: Level::Info,
        facade: Facade::Relay,
        layout: Layout::Packed,
        line: 1,
        target: text(),
        module: text(),
        file: text(),
        name: text(),
        template: template.into(),
        fields: types.map(field).to_vec(),
    }
}

/// Adds records as many at once as are alike. All have values that parse.
fn add_many(callsite: &Callsite, payloads: &[&[u8]], joined: &[u8], filter: &mut FilterBuilder) {
    let mut sieve = Sieve::new(callsite, filter).unwrap();
    let (mut row, mut rest) = (0, joined);
    while let Some(payload) = payloads.get(row) {
        let as_long = payloads[row..].iter().take_while(|p| p.len() == payload.len()).count();
        let mut printed = vec![false; as_long];
        let many = (&rest[..as_long * payload.len()], payload.len());
        let alike = sieve.add_alike(callsite, many, &mut printed, filter);
        assert!((1..=as_long).contains(&alike) && !printed.contains(&true));
        row += alike;
        rest = &rest[alike * payload.len()..];
    }
}

/// Everything that is printed is in the filter, whichever of the ways it goes.
fn check(template: &str, rows: &[(i64, f64)], texts: &[String]) {
    let numbers = callsite(template, [Type::I64, Type::F64]);
    let words = callsite(template, [Type::Str, Type::I64]);
    let mut records: Vec<(&Callsite, Vec<u8>)> = Vec::new();
    for (int, float) in rows {
        records.push((&numbers, [int.to_le_bytes(), float.to_le_bytes()].concat()));
    }
    for (i, text) in texts.iter().enumerate() {
        let mut payload = (text.len() as u32).to_le_bytes().to_vec();
        payload.extend_from_slice(text.as_bytes());
        payload.extend_from_slice(&(i as i64).to_le_bytes());
        records.push((&words, payload));
    }
    let mut filter = FilterBuilder::new();
    let sieves = [&numbers, &words].map(|callsite| Sieve::new(callsite, &mut filter));
    let [Some(mut of_numbers), Some(mut of_words)] = sieves else { panic!("plain holes") };
    for (callsite, payload) in &records {
        let sieve = if std::ptr::eq(*callsite, &numbers) { &mut of_numbers } else { &mut of_words };
        assert!(sieve.add(callsite, payload, &mut filter));
    }
    let mut many = FilterBuilder::new();
    many.threes_only(rows.len().is_multiple_of(2));
    for callsite in [&numbers, &words] {
        let of = records.iter().filter(|(of, _)| std::ptr::eq(*of, callsite));
        let payloads: Vec<&[u8]> = of.map(|(_, payload)| &payload[..]).collect();
        add_many(callsite, &payloads, &payloads.concat(), &mut many);
    }
    let filters = [filter.finish(usize::MAX), many.finish(usize::MAX)];
    assert!(filters.iter().all(|filter| filter.kind != crate::block::Filter::NONE));
    // Of the many floats in front some are enough: each has hundreds of parts.
    let some = records.len().saturating_sub(60) / 20 + 1;
    let last = records.len().saturating_sub(60);
    let chosen = records.iter().enumerate().filter(|(n, _)| *n >= last || n % some == 0);
    for (callsite, payload) in chosen.map(|(_, record)| record) {
        let mut text = Vec::new();
        write_message(callsite, payload, &mut text).unwrap();
        // All short parts, and some of the long ones: of 300 digits there are 45,000.
        let looked_at = |from: usize, to: &usize| to - from <= 24 || (from + to).is_multiple_of(7);
        let ends = |from| (from + 1..=text.len()).filter(move |to| looked_at(from, to));
        let parts = (0..text.len()).flat_map(|from| ends(from).map(move |to| from..to));
        for part in parts {
            let part = &text[part];
            for filter in &filters {
                assert!(filter.can_contain(part), "{}", String::from_utf8_lossy(part));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn what_would_be_printed_is_never_denied(
        template in r"(|a|=|x1|4[^{}])\{0\}(=[a-z]| 7|, |a: -|[^{}] |: )\{1\}(|x|b1|[^{}]5y| yz?)",
        rows in prop::collection::vec((any::<i64>(), any::<f64>()), 0..10),
        small in prop::collection::vec((-2_000_000i64..2_000_000, -2_000_000i32..2_000_000), 0..20),
        floats in prop_oneof![Just(0u32), Just(700)],
        texts in prop::collection::vec("[ab1.]{0,9}", 0..20),
    ) {
        let small = small.iter().map(|(a, b)| (*a, f64::from(*b) / 1024.0));
        let before = (0..floats).map(|n| (i64::from(n), f64::from(n) / 8.0));
        let rows: Vec<(i64, f64)> = before.chain(rows).chain(small).collect();
        check(&template, &rows, &texts);
    }
}

#[test]
fn floats_are_printed_first_and_then_taken_for_all() {
    let callsite = callsite("id={0} took {1} ms", [Type::I64, Type::F64]);
    let filter_of = |count: u32| {
        let mut filter = FilterBuilder::new();
        let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
        let payload = [7i64.to_le_bytes(), 1.5f64.to_le_bytes()].concat();
        for _ in 0..count {
            assert!(sieve.add(&callsite, &payload, &mut filter));
        }
        filter.finish(usize::MAX)
    };
    assert!(!filter_of(PRINTED).can_contain(b"took 9"));
    let all = filter_of(PRINTED + 1);
    assert!(all.can_contain(b"took 9.9876543 ms"));
    assert!(!all.can_contain(b"took 9876.5"));
}

#[test]
fn a_record_that_leaves_a_value_out_is_printed() {
    let sparse = Callsite { layout: Layout::Sparse, ..callsite("{0} of {1}", [Type::Tagged; 2]) };
    let mut filter = FilterBuilder::new();
    let mut sieve = Sieve::new(&sparse, &mut filter).unwrap();
    let value = |field: u8| [field, Type::U8 as u8, 7];
    let (both, one) = ([value(0), value(1)].concat(), [value(1), value(1)].concat());
    assert!(sieve.add(&sparse, &both, &mut filter));
    assert!(!sieve.add(&sparse, &one, &mut filter));
}

#[test]
fn what_is_not_plain_is_printed() {
    let mut filter = FilterBuilder::new();
    for template in ["{0:x} of {1}", "{1} of {0}", "{0} {1}", "{0} of {0}", "{0} of {"] {
        let callsite = callsite(template, [Type::I64, Type::I64]);
        assert!(Sieve::new(&callsite, &mut filter).is_none(), "{template}");
    }
    let callsite = callsite("{0} of {1}", [Type::I64, Type::I64]);
    let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
    assert!(!sieve.add(&callsite, &[0; 15], &mut filter), "a record that is cut");
    assert!(!sieve.add(&callsite, &[0; 17], &mut filter), "a record that is too long");
}

/// Integers and texts cost a filter nothing that printing them would not: none is skipped too early, and
/// none is taken for another.
#[test]
fn integers_and_texts_are_as_if_they_were_printed() {
    let texts = ["", "a", "GET", "/api/v1/items/4711", "dead 9081 beef"];
    let mixed = |i: u64| (i ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let numbers: [fn(u64) -> i64; 5] = [
        |i| (i % 7) as i64 * 100 - 3,
        |i| 1_000_000 + i as i64,
        |i| ((i ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as i64,
        |i| (i % 1_200) as i64,
        |i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 60)) as i64,
    ];
    for template in ["id={0} of {1}", "{0}; {1}", "id {0}. {1}x"] {
        let callsite = callsite(template, [Type::I64, Type::Str]);
        for number in numbers {
            let payloads: Vec<Vec<u8>> = (0..30_000)
                .map(|i| {
                    let text = texts[mixed(i) as usize >> 7 & 3];
                    let text = if i % 999 == 5 { texts[4] } else { text };
                    let head = [&number(i).to_le_bytes()[..], &(text.len() as u32).to_le_bytes()];
                    [head.concat(), text.as_bytes().to_vec()].concat()
                })
                .collect();
            let (mut sifted, mut printed) = (FilterBuilder::new(), FilterBuilder::new());
            let mut sieve = Sieve::new(&callsite, &mut sifted).unwrap();
            for payload in &payloads {
                assert!(sieve.add(&callsite, payload, &mut sifted));
                let mut text = Vec::new();
                write_message(&callsite, payload, &mut text).unwrap();
                printed.add(&text);
            }
            let mut alike = FilterBuilder::new();
            let all: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
            add_many(&callsite, &all, &all.concat(), &mut alike);
            let printed = printed.finish(1 << 20);
            assert_eq!(sifted.finish(1 << 20), printed, "{template}");
            assert_eq!(alike.finish(1 << 20), printed, "{template}");
        }
    }
}

#[test]
fn a_string_that_is_not_utf8_is_printed_each_time() {
    let callsite = callsite("{0} of {1}", [Type::Str, Type::U8]);
    let mut filter = FilterBuilder::new();
    let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
    for (text, sifted) in [(b"ab", true), (b"a\xff", false), (b"a\xff", false), (b"ab", true)] {
        let payload: &'static [u8] = [&[2, 0, 0, 0][..], text, &[7]].concat().leak();
        assert_eq!(sieve.add(&callsite, payload, &mut filter), sifted);
    }
    let all = b"\x02\0\0\0ab\x07\x02\0\0\0a\xff\x07\x02\0\0\0a\xff\x07\x02\0\0\0ab\x07\x01\0\0\0a\x07\x07";
    let mut printed = [false; 5];
    assert_eq!(sieve.add_alike(&callsite, (all, 7), &mut printed, &mut filter), 4);
    assert_eq!(printed, [false, true, true, false, false]);
}

#[test]
fn what_no_length_is_known_of_is_added_one_by_one() {
    let mut filter = FilterBuilder::new();
    let cases: [(_, &[u8]); 6] = [
        ([Type::U8, Type::Tagged], &[1, Type::Bool as u8, 1]),
        ([Type::U8, Type::Tagged], &[1, Type::Tagged as u8, 1]),
        ([Type::U8, Type::Bool], &[1, 1]),
        ([Type::U8, Type::Str], &[1, 3, 0, 0, 0, b'a']),
        ([Type::U8, Type::U8], &[1, 2, 3]),
        ([Type::U8, Type::U8], &[]),
    ];
    for (types, payload) in cases {
        let callsite = callsite("{0} of {1}", types);
        let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
        let (all, len) = (payload.repeat(3).leak(), payload.len());
        assert_eq!(sieve.add_alike(&callsite, (all, len), &mut [false; 3], &mut filter), 0);
    }
    // A value whose type stands in front of it, as long as that is the same.
    let callsite = self::callsite("{0} of {1}", [Type::Tagged, Type::Tagged]);
    let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
    let [u8, i8] = [Type::U8, Type::I8].map(|of| of as u8);
    let tagged = [[u8, 1, u8, 1], [u8, 7, u8, 9], [u8, 1, i8, 1]].concat().leak();
    assert_eq!(sieve.add_alike(&callsite, (tagged, 4), &mut [false; 3], &mut filter), 2);
    // A text that nothing shows has to be looked at all the same.
    let callsite = self::callsite("{0}", [Type::U8, Type::Str]);
    let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
    let hidden = (&b"\x01\x01\0\0\0\xff"[..], 6);
    assert_eq!(sieve.add_alike(&callsite, hidden, &mut [false], &mut filter), 0);
}
