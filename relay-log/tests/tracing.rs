//! The layer: events and spans with their types, and who is inside whom.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "tracing")]

mod common;

use common::{Event, messages, read};
use relay_fmt::callsite::{Facade, Level};
use relay_fmt::record::Kind;
use relay_log::{ChannelOptions, Relay};
use std::path::Path;
use tracing::{debug, info, info_span, subscriber::with_default, trace, warn, warn_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

fn built(dir: &Path, filter: &str) -> Relay {
    Relay::builder(dir).channel("app").filter(filter).build().unwrap()
}

fn of_kind(events: &[Event], kind: Kind) -> Vec<&Event> {
    events.iter().filter(|e| e.kind == kind).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::num::ParseIntError);

#[test]
fn fields_keep_their_types() {
    let dir = tempfile::tempdir().unwrap();
    let relay = built(dir.path(), "trace");
    with_default(tracing_subscriber::registry().with(relay.layer()), || {
        let error = Outer("x".parse::<u8>().unwrap_err());
        info!(
            target: "types", unsigned = 1u64, signed = -1i64, wide = u128::MAX, deep = i128::MIN,
            half = 0.5, yes = true, text = "é", debugged = ?Some(3), shown = %"s",
            failed = &error as &(dyn std::error::Error + 'static), bytes = &b"\xff"[..],
            "answer {}", 42
        );
        warn!(target: "types", name = "no message");
        trace!(target: "types", "plain");
    });
    let events = read(&dir.path().join("live"));
    assert_eq!(messages(&events[..1], |_| true), ["answer 42"]);
    assert_eq!(
        events[0].fields(),
        [
            "unsigned=U64(1)",
            "signed=I64(-1)",
            &format!("wide=U128({})", u128::MAX),
            &format!("deep=I128({})", i128::MIN),
            "half=F64(0.5)",
            "yes=Bool(true)",
            "text=Str(\"é\")",
            "debugged=Text(\"Some(3)\")",
            "shown=Text(\"s\")",
            "failed=Text(\"outer: invalid digit found in string\")",
            "bytes=Bytes([255])",
        ]
    );
    let callsite = events[0].callsite();
    assert_eq!((callsite.level, callsite.facade), (Level::Info, Facade::TracingEvent));
    assert_eq!((callsite.name.as_str(), callsite.module.as_str()), ("", "tracing"));
    assert_eq!(events[1].fields(), ["name=Str(\"no message\")"]);
    assert_eq!(events[1].callsite().template, "");
    assert_eq!(events[2].message(), "plain");
    assert!(events.iter().all(|e| e.kind == Kind::Event));
}

#[test]
fn spans_hold_their_events() {
    let dir = tempfile::tempdir().unwrap();
    let relay = built(dir.path(), "info");
    with_default(tracing_subscriber::registry().with(relay.layer()), || {
        let outer = info_span!("outer", n = 1, late = tracing::field::Empty);
        let aside = info_span!(parent: None, "aside");
        outer.in_scope(|| {
            let hidden = tracing::debug_span!("hidden");
            hidden.in_scope(|| {
                let inner = info_span!("inner");
                inner.follows_from(&aside);
                inner.in_scope(|| info!("in inner"));
                info!("in outer");
                info!(parent: None, "in none");
                info!(parent: &aside, "in aside");
            });
        });
        outer.record("late", "now");
        drop(outer);
        // The registry may use the id of `outer` again.
        info_span!("next").in_scope(|| info!("in next"));
    });
    let events = read(&dir.path().join("live"));
    let new = of_kind(&events, Kind::SpanNew);
    let id = |name: &str| new.iter().find(|e| e.callsite().name == name).unwrap().span;
    let shape: Vec<_> = new.iter().map(|e| (e.callsite().name.as_str(), e.other)).collect();
    assert_eq!(shape, [("outer", 0), ("aside", 0), ("inner", id("outer")), ("next", 0)]);
    assert_eq!(new[0].fields(), ["n=I64(1)"]);
    assert_eq!(new[0].callsite().facade, Facade::TracingSpan);
    let ids: std::collections::HashSet<_> = new.iter().map(|e| e.span).collect();
    assert_eq!(ids.len(), 4, "no id is used again");

    let inside: Vec<_> =
        of_kind(&events, Kind::SpanEvent).iter().map(|e| (e.message(), e.span)).collect();
    let expected = [("inner", "inner"), ("outer", "outer"), ("aside", "aside"), ("next", "next")];
    assert_eq!(inside, expected.map(|(m, s)| (format!("in {m}"), id(s))));
    assert_eq!(messages(&events, |e| e.kind == Kind::Event), ["in none"]);
    let follows = of_kind(&events, Kind::SpanFollows);
    assert_eq!((follows[0].span, follows[0].other), (id("inner"), id("aside")));
    let recorded = of_kind(&events, Kind::SpanRecord);
    assert_eq!(
        (recorded[0].span, recorded[0].fields()),
        (id("outer"), vec!["late=Str(\"now\")".into()])
    );
    let passed = |kind| of_kind(&events, kind).iter().map(|e| e.span).collect::<Vec<_>>();
    assert_eq!(passed(Kind::SpanEnter), [id("outer"), id("inner"), id("next")]);
    assert_eq!(passed(Kind::SpanExit), [id("inner"), id("outer"), id("next")]);
    let mut closed = passed(Kind::SpanClose);
    closed.sort_unstable();
    assert_eq!(closed, [id("outer"), id("aside"), id("inner"), id("next")]);
}

#[test]
fn another_channel_learns_of_the_spans_around() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path())
        .channel("app")
        .route("audit", ChannelOptions::new("audit"))
        .build()
        .unwrap();
    with_default(tracing_subscriber::registry().with(relay.layer()), || {
        let _outer = info_span!("outer", user = 7).entered();
        let _inner = info_span!("inner").entered();
        for _ in 0..2 {
            warn!(target: "audit", "seen");
        }
    });
    let events = read(&dir.path().join("live"));
    let audit: Vec<_> = events.iter().filter(|e| e.channel == "audit").collect();
    let kinds: Vec<_> = audit.iter().map(|e| e.kind).collect();
    use Kind::{SpanClose, SpanEvent, SpanNew};
    assert_eq!(kinds, [SpanNew, SpanNew, SpanEvent, SpanEvent, SpanClose, SpanClose]);
    assert_eq!(audit[0].fields(), ["user=I64(7)"]);
    assert_eq!((audit[1].other, audit[2].span), (audit[0].span, audit[1].span));
}

/// A span that lives long, and in which progress is recorded, would take ever more memory; one with a
/// value larger than a sub-buffer would be unknown to what lies in it.
#[test]
fn of_what_is_recorded_the_last_is_kept_and_what_is_large_stands_apart() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path())
        .channel("app")
        .route("audit", ChannelOptions::new("audit"))
        .build()
        .unwrap();
    let body = "x".repeat(100_000);
    with_default(tracing_subscriber::registry().with(relay.layer()), || {
        let empty = tracing::field::Empty;
        let outer = info_span!("outer", done = 0, user = "jb", state = empty).entered();
        for n in 1..=1000 {
            outer.record("done", n);
            outer.record("state", "on its way");
        }
        warn!(target: "audit", "seen");
        let _large = info_span!(parent: None, "large", id = 7, body, user = "jb").entered();
        info!("inside");
    });
    let events = read(&dir.path().join("live"));
    let new = of_kind(&events, Kind::SpanNew);
    let told = new.iter().find(|e| e.channel == "audit").unwrap();
    let fields = ["done=I64(1000)", "user=Str(\"jb\")", "state=Str(\"on its way\")"];
    assert_eq!(told.fields(), fields);
    let large = new.iter().find(|e| e.callsite().name == "large").unwrap();
    assert_eq!(large.fields(), ["id=I64(7)", "user=Str(\"jb\")"]);
    // In one piece: collector and readers know no other.
    assert!(large.len < 1000);
    let recorded = of_kind(&events, Kind::SpanRecord);
    let (of_large, others): (Vec<&Event>, Vec<&Event>) =
        recorded.into_iter().partition(|e| e.span == large.span);
    assert_eq!(others.len(), 2000);
    assert_eq!(of_large[0].fields(), [format!("body=Str({body:?})")]);
    let inside = of_kind(&events, Kind::SpanEvent).into_iter().find(|e| e.message() == "inside");
    assert_eq!(inside.unwrap().span, large.span);
}

#[test]
fn filters_of_layers_and_of_relays_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (built(dir.path(), "info"), built(dir.path(), "debug"));
    let subscriber = tracing_subscriber::registry()
        .with(one.layer().with_filter(LevelFilter::WARN))
        .with(two.layer().with_filter(two.layer_filter()));
    with_default(subscriber, || {
        let _quiet = info_span!("quiet").entered();
        let _loud = warn_span!("loud").entered();
        debug!("for two");
        warn!("for both");
        trace!("for nobody");
        two.set_filter("warn").unwrap();
        debug!("not any more");
    });
    let events = read(&dir.path().join("live"));
    assert_eq!(messages(&events, |e| e.message() == "for both").len(), 2);
    assert_eq!(messages(&events, |e| e.message() != "for both"), ["for two"]);
    let new = of_kind(&events, Kind::SpanNew);
    assert_eq!(new.iter().filter(|e| e.callsite().name == "quiet").count(), 1);
    assert_eq!(new.iter().filter(|e| e.callsite().name == "loud").count(), 2);
    let orphan = new.iter().find(|e| e.callsite().name == "loud" && e.other == 0);
    assert!(orphan.is_some(), "where the outer span is not recorded, the inner one has no parent");
}
