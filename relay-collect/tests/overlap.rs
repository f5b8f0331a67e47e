//! Pieces that overlap in time wait in a file where memory is not for all of them: the answer is the same.
//! `parallel.rs` has the same with damaged blocks, parts of larger records and channels that live.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use jiff::tz::TimeZone;
use relay_collect::query::Filter;
use relay_collect::read::{Count, Follow, Plan, Snapshot, Store};
use relay_collect::render::{Format, Options, Renderer};
use relay_collect::{Collector, Control, Options as CollectorOptions};
use relay_log::channel::{Config, RawChannel};
use std::ops::ControlFlow;
use std::path::Path;
use tracing_subscriber::layer::SubscriberExt;

/// How many archives, of a block each, and how many records each has.
const ARCHIVES: usize = 24;
const ROWS: usize = 400;

/// Archives that all overlap in time entirely.
fn overlapping() -> Dir {
    let dir = Dir::new();
    let names: Vec<String> = (0..ARCHIVES).map(|n| format!("c{n}")).collect();
    let channels: Vec<_> = names.iter().map(|name| dir.channel(name)).collect();
    let mut writers: Vec<_> = channels.iter().map(|channel| channel.writer()).collect();
    for i in 0..ROWS {
        for (n, writer) in writers.iter_mut().enumerate() {
            writer
                .write(format!("record {i} of channel {n}, which is as long as others").as_bytes())
                .unwrap();
        }
    }
    drop(writers);
    for (name, channel) in names.iter().zip(&channels) {
        let mut mini = Mini::new(&dir, channel);
        let frames = [mini.announce(), mini.look(true), mini.last_word()];
        dir.archive(name, 0, &frames, true);
    }
    drop(channels);
    dir
}

/// What is shown, and the snapshot behind it; as lines that several threads made, or row by row.
fn shown(store: &Store, format: Format, lines: bool, reverse: bool) -> (Vec<u8>, Snapshot) {
    let make = || Renderer::new(&Options::default().format(format).zone(TimeZone::UTC).spans(true));
    let mut filter = Filter::new().spans(true);
    let (mut snapshot, mut out) = (Snapshot::take_for(store, &filter).unwrap(), Vec::new());
    if lines {
        snapshot.work(&filter, reverse, &make, &mut |text| {
            out.extend_from_slice(text);
            ControlFlow::Continue(())
        });
    } else {
        let mut renderer = make();
        snapshot.events(&mut filter, reverse, &mut |event| {
            renderer.render(event, &mut out);
            ControlFlow::Continue(())
        });
    }
    (out, snapshot)
}

/// Every way of asking gives the same with so much memory as with plenty; returns what became of it.
fn same(dir: &Dir, bytes: usize, format: Format) -> Vec<Plan> {
    let store = Store::open(dir.path(), None).unwrap();
    let mut plans = Vec::new();
    for reverse in [false, true] {
        let (expected, plenty) = shown(&store, format, false, reverse);
        assert_eq!((plenty.plan.shelved, plenty.problems.len()), (0, 0));
        assert!(!expected.is_empty());
        for (lines, threads) in [(true, 1), (true, 3), (false, 1)] {
            let store = store.clone().threads(threads).hold_at_most(bytes);
            let (found, snapshot) = shown(&store, format, lines, reverse);
            assert!(found == expected, "{bytes}, {format:?}, reverse {reverse}, lines {lines}");
            assert!(snapshot.problems.is_empty() && snapshot.notes.is_empty());
            plans.push(snapshot.plan);
        }
    }
    plans
}

#[test]
fn what_waits_stays_within_what_it_may_take() {
    let dir = overlapping();
    for bytes in [0, 10_000, 100_000] {
        for (n, plan) in same(&dir, bytes, Format::Raw).into_iter().enumerate() {
            assert!(plan.shelved > 0 && plan.shelf_bytes > 0, "{plan}");
            // Rows that are kept as such bring what they refer to: a run, a source.
            let (row, most) = if n % 3 == 2 { (800, bytes) } else { (120, bytes) };
            let portions = bytes / 2 + ARCHIVES * (bytes / 8192 + row);
            // A portion that is smaller than a row has one.
            assert!(plan.held_bytes as usize <= most + portions, "{bytes}: {plan}");
        }
    }
    for plan in same(&dir, 64 << 20, Format::Raw) {
        assert_eq!((plan.shelved, plan.shelf_bytes), (0, 0));
        assert!(plan.held_bytes as usize > ARCHIVES * ROWS * 50, "{plan}");
    }
}

/// Spans, values and callsites come with the rows that they belong to.
#[test]
fn spans_come_along() {
    let dir = Dir::new();
    let relays = ["a", "b", "c"]
        .map(|name| relay_log::Relay::builder(dir.path()).channel(name).build().unwrap());
    for round in 0..40 {
        for (n, relay) in relays.iter().enumerate() {
            let subscriber = tracing_subscriber::registry().with(relay.layer());
            tracing::subscriber::with_default(subscriber, || {
                let outer = tracing::info_span!("outer", round, of = n);
                let _outer = outer.enter();
                let inner = tracing::info_span!("inner", user = %format!("u{round}"), late = tracing::field::Empty);
                let _inner = inner.enter();
                tracing::warn!(round, "in both of {n}");
                inner.record("late", round * 2);
                tracing::error!(path = "/items", "behind it");
            });
        }
    }
    assert!(dir.run(&["--once"]).status.success());
    for format in [Format::Json, Format::Text, Format::Logfmt] {
        for bytes in [0, 9000, 30_000] {
            let plans = same(&dir, bytes, format);
            assert!(plans.iter().all(|plan| plan.shelved > 0), "{plans:?}");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_changes_nothing_and_is_said_once() {
    let dir = overlapping();
    let store = Store::open(dir.path(), None).unwrap();
    let nowhere = store.clone().hold_at_most(0).temporary_in(Path::new("/nowhere/at all"));
    for (lines, reverse) in [(true, false), (true, true), (false, false), (false, true)] {
        let (expected, _) = shown(&store, Format::Logfmt, lines, reverse);
        let (found, snapshot) = shown(&nowhere, Format::Logfmt, lines, reverse);
        assert!(found == expected);
        assert!(snapshot.problems.is_empty());
        assert_eq!(snapshot.plan.shelved, 0);
        let [note] = &snapshot.notes[..] else { panic!("{:?}", snapshot.notes) };
        assert!(note.starts_with("/nowhere/at all: "), "{note}");
    }
}

/// Where an archive has more blocks than may be known at a time, it is opened again for the others.
#[test]
fn blocks_that_were_not_remembered_come_all_the_same() {
    let dir = Dir::new();
    let names = ["a", "b", "c"];
    let channels = names.map(|name| dir.channel(name));
    let mut minis: Vec<Mini> = channels.iter().map(|channel| Mini::new(&dir, channel)).collect();
    let mut frames: Vec<Vec<_>> = minis.iter().map(|mini| vec![mini.announce()]).collect();
    for round in 0..30 {
        for (name, channel) in names.iter().zip(&channels) {
            let mut writer = channel.writer();
            (0..5).for_each(|i| writer.write(format!("{name} {round} {i}").as_bytes()).unwrap());
        }
        for (mini, frames) in minis.iter_mut().zip(&mut frames) {
            frames.push(mini.look(true));
        }
    }
    for ((name, mini), frames) in names.iter().zip(&minis).zip(&mut frames) {
        frames.push(mini.last_word());
        dir.archive(name, 0, frames, true);
    }
    drop(minis);
    drop(channels);
    // It lists them.
    let options = CollectorOptions::new(dir.path());
    let last = RawChannel::create(Config::new(&options.live_dir, "last")).unwrap();
    last.writer().write(b"last 0 0").unwrap();
    drop(last);
    Collector::open(options).unwrap().drain(&Control::new()).unwrap();
    for plan in same(&dir, 0, Format::Raw) {
        assert!(plan.blocks >= 91 && plan.archives_opened == 4, "{plan}");
        assert!(plan.archives_again >= 9, "30 blocks of each, eight at a time: {plan}");
    }
    for plan in same(&dir, 64 << 20, Format::Raw) {
        assert_eq!(plan.archives_again, 0);
    }
    let store = Store::open(dir.path(), None).unwrap().hold_at_most(0);
    let counts = Snapshot::take_for(&store, &Filter::new()).unwrap().work(
        &Filter::new(),
        false,
        &Count::default,
        &mut |_| ControlFlow::Continue(()),
    );
    assert_eq!(counts.iter().map(|count| count.0).sum::<u64>(), 3 * 30 * 5 + 1);
}

/// Who follows sees what was archived while nobody looked, however much of it overlaps.
#[test]
fn following_shelves_too() {
    let store = |dir: &Dir| Store::open(dir.path(), None).unwrap();
    let (empty, full) = (Dir::new(), overlapping());
    let follow = |bytes: usize| {
        let store = store(&empty).hold_at_most(bytes).temporary_in(Path::new("/nowhere"));
        Follow::start(&store).unwrap().1
    };
    let (mut plenty, mut tight) = (follow(64 << 20), follow(0));
    std::fs::remove_dir(empty.path().join("archive")).unwrap();
    std::fs::rename(full.path().join("archive"), empty.path().join("archive")).unwrap();
    let rows = |follow: &mut Follow| {
        let mut rows = Vec::new();
        let flow = follow.poll(&mut Filter::new(), &mut |event| {
            rows.push(event.values.to_vec());
            ControlFlow::Continue(())
        });
        assert!(flow.unwrap().is_continue());
        rows
    };
    let expected = rows(&mut plenty);
    assert_eq!(expected.len(), ARCHIVES * ROWS);
    assert!(rows(&mut tight) == expected);
    // Here it shows that it would have.
    assert_eq!((plenty.notes.len(), tight.notes.len()), (0, 1));
    assert_eq!(rows(&mut tight).len(), 0);
    assert_eq!(tight.notes.len(), 1, "it is said once");
}
