//! Several threads give what one gives: the same lines, in the same order, the same complaints.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use jiff::tz::TimeZone;
use relay_collect::query::{Filter, Grep};
use relay_collect::read::{Snapshot, Store};
use relay_collect::render::{Format, Options, Renderer};
use std::ops::ControlFlow;

fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Two channels of three writers each, whose blocks overlap in time, in archives and live.
fn store(dir: &Dir, state: &mut u64) -> Vec<relay_log::channel::RawChannel> {
    let channels: Vec<_> = ["a", "b"].map(|name| dir.channel(name)).into();
    let mut minis: Vec<Mini> = channels.iter().map(|channel| Mini::new(dir, channel)).collect();
    let mut writers: Vec<Vec<_>> =
        channels.iter().map(|channel| (0..3).map(|_| channel.writer()).collect()).collect();
    let mut frames: Vec<Vec<_>> = minis.iter().map(|mini| vec![mini.announce()]).collect();
    for i in 0..900 + random(state, 300) {
        let (c, w) = (random(state, 2) as usize, random(state, 3) as usize);
        // Some are larger than a sub-buffer.
        let pad = if random(state, 90) == 0 { 9000 } else { random(state, 60) as usize };
        let text = format!("record {i} of {c}:{w} {}", "x".repeat(pad));
        writers[c][w].write(text.as_bytes()).unwrap();
        if random(state, 40) == 0 {
            frames[c].push(minis[c].look(true));
        }
    }
    for (name, frames) in ["a", "b"].into_iter().zip(&frames) {
        dir.archive(name, 0, frames, false);
    }
    channels
}

fn renderer() -> Renderer {
    Renderer::new(&Options::default().format(Format::Logfmt).zone(TimeZone::UTC))
}

/// What one thread gives, row by row.
fn one(store: &Store, filter: &Filter, reverse: bool) -> (String, Vec<String>) {
    let (mut snapshot, mut renderer) = (Snapshot::take(store).unwrap(), renderer());
    let mut out = Vec::new();
    snapshot.events(&mut filter.clone(), reverse, &mut |event| {
        renderer.render(event, &mut out);
        ControlFlow::Continue(())
    });
    (String::from_utf8(out).unwrap(), snapshot.problems)
}

fn several(store: &Store, filter: &Filter, reverse: bool) -> (String, Vec<String>) {
    let (mut snapshot, mut out) = (Snapshot::take(store).unwrap(), Vec::new());
    snapshot.work(filter, reverse, &renderer, &mut |lines| {
        out.extend_from_slice(lines);
        ControlFlow::Continue(())
    });
    (String::from_utf8(out).unwrap(), snapshot.problems)
}

/// Times of live rows follow the channel's rate, which becomes more exact while it lives.
fn without_times(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest)).collect()
}

fn compare(store: &Store, seed: u64) -> usize {
    let mut problems = 0;
    let filters = [
        Filter::new(),
        Filter::new().channel("a"),
        Filter::new().grep(Grep::new("of 1:2", false).unwrap()),
        Filter::new().grep(Grep::new("record [0-9]*7 ", false).unwrap()),
        Filter::new().grep(Grep::new("nowhere", false).unwrap()),
    ];
    for filter in &filters {
        for reverse in [false, true] {
            for at_once in [0, 1 << 30] {
                let store = store.clone().copy_at_once(at_once);
                let (expected, found) =
                    (one(&store, filter, reverse), several(&store, filter, reverse));
                let lines = (without_times(&expected.0), without_times(&found.0));
                let differs = lines.0.iter().zip(&lines.1).position(|(a, b)| a != b);
                assert!(
                    differs.is_none() && lines.0.len() == lines.1.len(),
                    "seed {seed}, reverse {reverse}, at once {at_once}: {} and {} lines, line {differs:?}",
                    lines.0.len(),
                    lines.1.len()
                );
                assert_eq!(expected.1, found.1, "seed {seed}");
                problems = problems.max(found.1.len());
            }
        }
    }
    problems
}

#[test]
fn several_threads_give_what_one_gives() {
    for seed in 0..4 {
        let (dir, mut state) = (Dir::new(), seed);
        let _channels = store(&dir, &mut state);
        let open = Store::open(dir.path(), None).unwrap();
        let all = one(&open, &Filter::new(), false).0;
        assert!(all.lines().count() >= 900, "seed {seed}");
        assert_eq!(compare(&open, seed), 0);
        // A damaged block is said in its place, and nothing else changes.
        let path = dir.path().join("archive").join(Dir::archive_name("a", 0, false));
        let mut bytes = std::fs::read(&path).unwrap();
        let directory = relay_fmt::archive::open(&bytes[..]).unwrap();
        let blocks = &directory.directory().blocks;
        let block = &blocks[random(&mut state, blocks.len() as u64) as usize];
        bytes[block.body_offset() as usize + 9] ^= 0x40;
        let lost = block.header.facts.rows;
        std::fs::write(&path, bytes).unwrap();
        let problems = compare(&open, seed);
        assert!(lost == 0 || problems > 0, "seed {seed}: the damage is said");
    }
}
