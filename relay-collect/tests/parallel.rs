//! Several threads give what one gives, and with any memory: the same lines, in the same order, the same
//! complaints.
//!
//! Both read one state of the store. A channel that is open goes on measuring how long a tick is, and two
//! moments of it may show two records at other times, in another order: so these channels are closed, and
//! one of them is rewritten behind the back of snapshots that were taken.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use jiff::tz::TimeZone;
use relay_collect::query::{Filter, Grep};
use relay_collect::read::{Snapshot, Store};
use relay_collect::render::{Format, Options, Renderer};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

/// Where the header of a channel says how long a tick is: `u64`, nanoseconds times 2³².
const RATE: u64 = 1032;

fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Two channels of three writers each, whose blocks overlap in time, in archives and live. What is archived
/// has times that are multiples of `grain` nanoseconds.
fn store(dir: &Dir, state: &mut u64, grain: i64) {
    let channels: Vec<_> = ["a", "b"].map(|name| dir.channel(name)).into();
    let mut minis: Vec<Mini> = channels.iter().map(|channel| Mini::new(dir, channel)).collect();
    minis.iter_mut().for_each(|mini| mini.grain = grain);
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
}

/// Makes the ticks of all channels half as long as they are, or again as long.
fn change_rates(dir: &Dir, longer: bool) {
    for entry in std::fs::read_dir(dir.path().join("live")).unwrap() {
        let file = std::fs::File::options().read(true).write(true).open(entry.unwrap().path());
        let (file, mut rate) = (file.unwrap(), [0; 8]);
        file.read_exact_at(&mut rate, RATE).unwrap();
        let rate = u64::from_le_bytes(rate);
        let rate = if longer { rate << 1 } else { rate >> 1 };
        file.write_all_at(&rate.to_le_bytes(), RATE).unwrap();
    }
}

fn renderer() -> Renderer {
    Renderer::new(&Options::default().format(Format::Logfmt).zone(TimeZone::UTC))
}

/// Lines, complaints, and how many pieces were shelved.
type Given = (String, Vec<String>, u64);

/// What one thread gives, row by row.
fn one(mut snapshot: Snapshot, filter: &Filter, reverse: bool) -> Given {
    let (mut renderer, mut out) = (renderer(), Vec::new());
    snapshot.events(&mut filter.clone(), reverse, &mut |event| {
        renderer.render(event, &mut out);
        ControlFlow::Continue(())
    });
    (String::from_utf8(out).unwrap(), snapshot.problems, snapshot.plan.shelved)
}

fn several(mut snapshot: Snapshot, filter: &Filter, reverse: bool) -> Given {
    let mut out = Vec::new();
    snapshot.work(filter, reverse, &renderer, &mut |lines| {
        out.extend_from_slice(lines);
        ControlFlow::Continue(())
    });
    (String::from_utf8(out).unwrap(), snapshot.problems, snapshot.plan.shelved)
}

/// The records of each writer come in the order in which it wrote them.
fn each_in_order(text: &str, reverse: bool) {
    let mut last: HashMap<&str, u32> = HashMap::new();
    for line in text.lines() {
        let (_, record) = line.split_once("record ").unwrap();
        let mut words = record.split(' ');
        let (number, of) = (words.next().unwrap().parse().unwrap(), words.nth(1).unwrap());
        let before = last.insert(of, number);
        assert!(before.is_none_or(|before| (before < number) != reverse), "{line}");
    }
}

fn compare(dir: &Dir, store: &Store, seed: u64) -> usize {
    let (mut problems, mut shelved) = (0, 0);
    // What is decoded here takes some 200 kB.
    let mut memory = [0, 64 << 20, 2000, 50_000, 10_000].into_iter().cycle();
    let filters = [
        Filter::new(),
        Filter::new().channel("a"),
        Filter::new().grep(Grep::new("of 1:2", false).unwrap()),
        Filter::new().grep(Grep::new("record [0-9]*7 ", false).unwrap()),
        Filter::new().grep(Grep::new("nowhere", false).unwrap()),
    ];
    let turns = filters.iter().flat_map(|filter| {
        let ways = [(false, 0), (false, 1 << 30), (true, 0), (true, 1 << 30)];
        ways.map(|(reverse, at_once)| (filter, reverse, at_once))
    });
    for ((filter, reverse, at_once), threads) in turns.zip([1, 2, 3, 8].into_iter().cycle()) {
        let store = store.clone().copy_at_once(at_once).threads(threads);
        let little = store.clone().hold_at_most(memory.next().unwrap());
        let snapshots = [&store, &store, &little, &little].map(|of| Snapshot::take(of).unwrap());
        // What is read later is read as it was when they were taken.
        change_rates(dir, false);
        let [a, b, c, d] = snapshots;
        let (expected, found) = (one(a, filter, reverse), several(b, filter, reverse));
        let with_little = [one(c, filter, reverse), several(d, filter, reverse)];
        change_rates(dir, true);
        let differs = expected.0.lines().zip(found.0.lines()).position(|(a, b)| a != b);
        let lines = (expected.0.lines().count(), found.0.lines().count());
        assert!(
            expected.0 == found.0,
            "seed {seed}, reverse {reverse}, at once {at_once}, {threads} threads: {lines:?} lines, line {differs:?}"
        );
        each_in_order(&expected.0, reverse);
        assert_eq!(expected.1, found.1, "seed {seed}");
        for of in with_little {
            assert!(of.0 == expected.0, "seed {seed}, reverse {reverse}, {threads} threads");
            assert_eq!(of.1, expected.1, "seed {seed}");
            shelved += of.2;
        }
        problems = problems.max(found.1.len());
    }
    assert!(shelved > 0, "seed {seed}");
    problems
}

#[test]
fn several_threads_give_what_one_gives() {
    // Where times are the same, pieces and writers decide, not threads.
    for (seed, grain) in (0..4).zip([1, 1_000_000].into_iter().cycle()) {
        let (dir, mut state) = (Dir::new(), seed);
        store(&dir, &mut state, grain);
        let open = Store::open(dir.path(), None).unwrap();
        let all = one(Snapshot::take(&open).unwrap(), &Filter::new(), false).0;
        assert!(all.lines().count() >= 900, "seed {seed}");
        assert_eq!(compare(&dir, &open, seed), 0);
        // A damaged block is said in its place, and nothing else changes.
        let path = dir.path().join("archive").join(Dir::archive_name("a", 0, false));
        let mut bytes = std::fs::read(&path).unwrap();
        let directory = relay_fmt::archive::open(&bytes[..]).unwrap();
        let blocks = &directory.directory().blocks;
        let block = &blocks[random(&mut state, blocks.len() as u64) as usize];
        bytes[block.body_offset() as usize + 9] ^= 0x40;
        let lost = block.header.facts.rows;
        std::fs::write(&path, bytes).unwrap();
        let problems = compare(&dir, &open, seed);
        assert!(lost == 0 || problems > 0, "seed {seed}: the damage is said");
    }
}
