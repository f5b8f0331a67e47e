//! The logger of the `log` crate: typed key-values, levels, filters at run time, sizes of records.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "log")]

mod common;

use common::{messages, read};
use relay_fmt::callsite::{Facade, Level};
use relay_fmt::record::Kind;
use relay_log::{ByteSize, ChannelOptions, InitError, Relay};
use std::fmt;

/// A `Display` that logs while it prints.
struct Chatty;

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(target: "chatty", "printing {}", 7);
        f.write_str("chatty")
    }
}

struct Panicky;

impl fmt::Display for Panicky {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no text from me")
    }
}

fn threads() {
    std::thread::scope(|scope| {
        for t in 0..4u64 {
            scope.spawn(move || {
                for n in 0..1_000u32 {
                    log::info!(
                        target: "typed", thread = t, n, half = f64::from(n) / 2.0, even = n % 2 == 0,
                        negative = -i64::from(n), name:% = format_args!("n{n}"), letter = 'x',
                        wide = i128::MIN, text = "é";
                        "thread {t} says {n}"
                    );
                }
            });
        }
    });
}

fn odd_ones(relay: &Relay) {
    log::info!(target: "small", "no arguments, {{braces}} stay");
    log::warn!(target: "nested", "from {Chatty} and {Chatty}");
    let large = "0123456789".repeat(30_000);
    log::info!(target: "large", "{large}");
    for n in 0..100 {
        log::info!(target: &format!("computed::{n}"), "into computed {n}");
    }
    log::logger().log(
        &log::Record::builder()
            .args(format_args!("by hand"))
            .target("hand")
            .level(log::Level::Error)
            .build(),
    );
    let caught = std::panic::catch_unwind(|| log::info!(target: "panicky", "{Panicky}"));
    assert!(caught.is_err());
    log::debug!(target: "filter", "not yet");
    relay.set_filter("warn,filter=debug").unwrap();
    log::debug!(target: "filter", "now");
    log::info!(target: "other", "no more");
    assert!(!log::log_enabled!(target: "other", log::Level::Info));
    assert!(relay.set_filter("filter=loud").is_err());
    assert!(relay.set_filter("info/text").is_err());
    log::debug!(target: "filter", "still");
    relay.set_filter("off").unwrap();
    log::error!(target: "filter", "nothing");
    relay.set_filter("info").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Info);
}

#[test]
fn everything_is_there_in_order_with_its_types() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path())
        .channel("main")
        .buffer(ByteSize::kib(256))
        .route("routed", ChannelOptions::new("deep").buffer(ByteSize::kib(128)))
        .route("routed::high", ChannelOptions::new("high"))
        .init()
        .unwrap();
    assert!(matches!(Relay::builder(dir.path()).init(), Err(InitError::AlreadySet)));
    threads();
    odd_ones(&relay);
    for target in ["routed", "routed::x", "routed::high::y", "routedly", "routed::highly"] {
        log::info!(target: target, "{target}");
    }
    let events = read(&dir.path().join("live"));

    check_types(&events);
    check_odd_ones(&events);
    let of = |channel: &str| messages(&events, |e| e.channel == channel);
    assert_eq!(of("deep"), ["routed", "routed::x", "routed::highly"]);
    assert_eq!(of("high"), ["routed::high::y"]);
    assert_eq!(messages(&events, |e| e.callsite().target == "routedly").len(), 1);
    assert_eq!(relay.channels(), ["main", "deep", "high"]);
}

fn check_types(events: &[common::Event]) {
    for t in 0..4 {
        let prefix = format!("thread {t} ");
        let said = messages(events, |e| e.callsite().target == "typed")
            .into_iter()
            .filter(|m| m.starts_with(&prefix));
        let expected = (0..1_000).map(|n| format!("thread {t} says {n}"));
        assert!(said.eq(expected), "thread {t} lacks something or is out of order");
    }
    let first = events.iter().find(|e| e.callsite().target == "typed").unwrap();
    let t = first.message().as_bytes()[7] - b'0';
    assert_eq!(
        first.fields(),
        [
            format!("thread=U64({t})"),
            "n=U64(0)".into(),
            "half=F64(0.0)".into(),
            "even=Bool(true)".into(),
            "negative=I64(0)".into(),
            "name=Text(\"n0\")".into(),
            "letter=Char('x')".into(),
            format!("wide=I128({})", i128::MIN),
            "text=Str(\"é\")".into(),
        ]
    );
    let callsite = first.callsite();
    assert_eq!((callsite.level, callsite.facade), (Level::Info, Facade::Log));
    assert_eq!(callsite.module, "log");
    assert!(callsite.file.ends_with("tests/log.rs") && callsite.line > 0);
}

fn check_odd_ones(events: &[common::Event]) {
    let of = |target: &str| messages(events, |e| e.callsite().target == target);
    let small = events.iter().find(|e| e.callsite().target == "small").unwrap();
    assert_eq!(small.message(), "no arguments, {braces} stay");
    assert_eq!(small.len, 16, "what has no arguments is a header");
    assert_eq!(of("nested"), ["from chatty and chatty"]);
    assert_eq!(of("chatty"), ["printing 7", "printing 7"]);
    assert_eq!(of("large"), ["0123456789".repeat(30_000)]);
    for n in 0..100 {
        assert_eq!(of(&format!("computed::{n}")), [format!("into computed {n}")]);
    }
    assert!(events.iter().any(|e| e.kind == Kind::InlineEvent));
    assert_eq!(of("hand"), ["by hand"]);
    assert_eq!(of("panicky"), [""; 0]);
    assert_eq!(of("panic"), ["no text from me"]);
    let panic = events.iter().find(|e| e.callsite().target == "panic").unwrap();
    assert!(panic.fields()[0].contains("tests/log.rs"), "{:?}", panic.fields());
    assert_eq!(of("filter"), ["now", "still"]);
    assert_eq!(of("other"), [""; 0]);
}
