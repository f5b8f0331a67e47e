//! How long a span was busy and idle can be read back, from archives: `cat --spans`.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, lines};
use serde_json::Value;
use std::time::{Duration, Instant};
use tracing_subscriber::layer::SubscriberExt;

/// Kind and time of the records about the span of this name.
fn about(dir: &Dir, name: &str) -> Vec<(String, jiff::Timestamp)> {
    let output = dir.run(&["cat", "--spans", "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = lines(&output.stdout).into_iter().map(|line| serde_json::from_str(&line).unwrap());
    let of_it =
        rows.filter(|row: &Value| row["spans"].as_array().unwrap().last().unwrap()["name"] == name);
    of_it
        .filter_map(|row| {
            let kind = row["kind"].as_str()?.to_owned();
            Some((kind, row["time"].as_str().unwrap().parse().unwrap()))
        })
        .collect()
}

#[test]
fn busy_and_idle_times_come_back() {
    let dir = Dir::new();
    let relay = relay_log::Relay::builder(dir.path()).channel("app").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(relay.layer());
    let (begin, mut busy) = (Instant::now(), Duration::ZERO);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("work", part = 7);
        for _ in 0..3 {
            let before = Instant::now();
            span.in_scope(|| {
                std::thread::sleep(Duration::from_millis(2));
                tracing::info!("in the middle");
            });
            busy += before.elapsed();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let whole = begin.elapsed();
    assert!(dir.run(&["--once"]).status.success());
    let told = about(&dir, "work");
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    let (enter, exit) = ("span_enter", "span_exit");
    assert_eq!(
        kinds,
        ["span_new", enter, exit, enter, exit, enter, exit, "span_close"],
        "one of each, in order"
    );
    let between = |from: &str, to: &str| {
        let pairs = told.windows(2).filter(|pair| pair[0].0 == from && pair[1].0 == to);
        let sum: i128 = pairs.map(|p| p[1].1.as_nanosecond() - p[0].1.as_nanosecond()).sum();
        Duration::from_nanos(u64::try_from(sum).unwrap())
    };
    let near = |told: Duration, least_ms: u64, most: Duration| {
        let least = Duration::from_millis(least_ms);
        let slack = Duration::from_micros(50);
        assert!(
            told + slack >= least && told <= most + slack,
            "{told:?} not in {least:?}..{most:?}"
        );
    };
    near(between(enter, exit), 6, busy);
    near(between(exit, enter), 2, whole);
}

/// A block has the spans of its rows with all that was recorded in them until then: what is recorded a
/// million times is not to be there a million times, and copied for each of them.
#[test]
fn of_what_is_recorded_again_and_again_blocks_have_the_last() {
    let dir = Dir::new();
    let relay = relay_log::Relay::builder(dir.path()).channel("app").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(relay.layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("load", done = 0, of = 1000).entered();
        for n in 1..=1000 {
            span.record("done", n);
        }
        tracing::info!("whole");
    });
    assert!(dir.run(&["--once"]).status.success());
    let mut spans = 0;
    for file in std::fs::read_dir(dir.path().join("archive")).unwrap() {
        let path = file.unwrap().path();
        if !path.to_str().unwrap().ends_with(".relay.zst") {
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        for block in &relay_fmt::archive::open(&bytes[..]).unwrap().directory().blocks {
            for span in relay_fmt::archive::read_block(&bytes[..], block).unwrap().spans {
                let of_one = span.callsite.values(&span.values).map(Result::unwrap).count();
                assert_eq!(of_one, 2, "{} bytes", span.values.len());
                spans += 1;
            }
        }
    }
    assert!(spans > 0);
    let output = dir.run(&["cat"]);
    assert!(lines(&output.stdout)[0].ends_with("load{done=1000 of=1000}: whole"), "{output:?}");
}

#[test]
fn a_large_value_does_not_hide_the_span_that_has_it() {
    let dir = Dir::new();
    let relay = relay_log::Relay::builder(dir.path()).channel("app").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(relay.layer());
    tracing::subscriber::with_default(subscriber, || {
        let body = "x".repeat(100_000);
        let _span = tracing::info_span!("request", id = 7, body).entered();
        tracing::info!("inside");
    });
    for archived in [false, true] {
        if archived {
            assert!(dir.run(&["--once"]).status.success());
        }
        let output = dir.run(&["cat", "--where", "span.id == 7"]);
        let found = lines(&output.stdout);
        assert_eq!(found.len(), 1, "{archived}: {output:?}");
        assert!(found[0].ends_with("request{id=7}: inside"), "{found:?}");
        let all = dir.run(&["cat", "--spans", "--format", "json"]).stdout;
        assert!(all.windows(100_000).any(|part| part.iter().all(|byte| *byte == b'x')));
    }
}
