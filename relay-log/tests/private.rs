//! What the macros stand on: packed values, before `init` and after, and descriptions too large to
//! be kept apart from their records.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "macros")]

mod common;

use common::read;
use relay_fmt::record::Kind;
use relay_log::__private::{Field, Level, Sink, StaticCallsite, Type, pass, wanted, write};
use relay_log::Relay;

const FIELDS: &[(&str, Type, bool)] = &[("id", Type::U32, false), ("text", Type::Str, true)];

const fn callsite(level: Level, template: &'static str) -> StaticCallsite {
    let (target, file) = ("shop::cart", "cart.rs");
    StaticCallsite::of_macro(level, 7, target, "shop", file, template, FIELDS)
}

static SMALL: StaticCallsite = callsite(Level::Info, "request {0}: {1}");
static QUIET: StaticCallsite = callsite(Level::Debug, "quiet {0}: {1}");
static LARGE: StaticCallsite = {
    static TEXT: [u8; 100_000] = [b'x'; 100_000];
    match std::str::from_utf8(&TEXT) {
        Ok(text) => callsite(Level::Info, text),
        Err(_) => panic!("it is ASCII"),
    }
};

fn log(callsite: &'static StaticCallsite, id: u32, text: &str) {
    let level = if std::ptr::eq(callsite, &raw const QUIET) { Level::Debug } else { Level::Info };
    if wanted(level) && pass(callsite).is_wanted() {
        write(callsite, pass(callsite), text, (Number(id), (Printed(text.len()), ())));
    }
}

struct Number(u32);

impl Field for Number {
    fn size(&self) -> usize {
        4
    }

    fn store(&self, _: &str, sink: &mut Sink<'_>) {
        sink.put_u32(self.0);
    }
}

/// The text that the call has printed, and its length.
struct Printed(usize);

impl Field for Printed {
    fn size(&self) -> usize {
        4 + self.0
    }

    fn store(&self, text: &str, sink: &mut Sink<'_>) {
        sink.put_u32(text.len() as u32);
        sink.put(text.as_bytes());
    }
}

#[test]
fn packed_values_arrive_with_their_callsite() {
    log(&SMALL, 0, "nobody listens");
    assert!(relay_log::early());
    log(&SMALL, 1, "early");
    log(&QUIET, 2, "too quiet");
    log(&LARGE, 3, "early and large");
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path()).channel("app").init().unwrap();
    log(&SMALL, 4, "late");
    log(&QUIET, 5, "too quiet");
    relay.set_filter("shop=debug").unwrap();
    log(&QUIET, 6, "not too quiet");
    log(&LARGE, 7, "late and large");
    let events = read(&dir.path().join("live"));
    let expected: [(u32, &str, Kind, &StaticCallsite); 5] = [
        (1, "early", Kind::Event, &SMALL),
        (3, "early and large", Kind::InlineEvent, &LARGE),
        (4, "late", Kind::Event, &SMALL),
        (6, "not too quiet", Kind::Event, &QUIET),
        (7, "late and large", Kind::InlineEvent, &LARGE),
    ];
    assert_eq!(events.len(), expected.len());
    for (event, (id, text, kind, callsite)) in events.iter().zip(expected) {
        assert_eq!(event.kind, kind, "{text}");
        assert_eq!(event.fields(), [format!("id=U32({id})"), format!("text=Str({text:?})")]);
        assert_eq!(event.callsite().line, 7);
        let large = event.callsite().template.len() == 100_000;
        assert_eq!(large, std::ptr::eq(callsite, &raw const LARGE));
    }
    let numbers: Vec<u64> = events.iter().map(|e| e.writer).collect();
    assert!(numbers.iter().all(|w| *w == numbers[0]), "one thread is one stream");
}
