//! With a catalogue, searches open what they need, and find what they find without one.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use relay_collect::query::{Filter, Grep};
use relay_collect::read::{ArchiveName, Count, Plan, Snapshot, Store};
use relay_collect::{Collector, Control, Options, Repacked, repack};
use relay_fmt::archive::{put_catalogue, take_catalogue};
use relay_log::channel::{Config, RawChannel};
use std::ops::ControlFlow;

const ARCHIVES: u64 = 6;
const ROWS: u64 = 4000;

/// Archives of one word each, and the channel that wrote them where it is to live.
fn filled(live: bool) -> (Dir, Options, Option<RawChannel>) {
    let dir = Dir::new();
    let options = Options::new(dir.path());
    let mut collector = Collector::open(options.clone()).unwrap();
    let (mut channel, mut seed) = (None, 1u64);
    for n in 0..ARCHIVES {
        let of = if live { channel.take() } else { None };
        let of = of
            .unwrap_or_else(|| RawChannel::create(Config::new(&options.live_dir, "app")).unwrap());
        let mut writer = of.writer();
        for _ in 0..ROWS {
            // Large enough that there is room for a filter.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n | 1);
            let number = seed >> 46;
            writer.write(format!("{number} has word{n}word").as_bytes()).unwrap();
        }
        drop(writer);
        channel = live.then_some(of);
        collector.drain(&Control::new()).unwrap();
    }
    (dir, options, channel)
}

/// What is found, and how many archives were not opened for it.
fn found(dir: &Dir, needle: &str) -> (u64, u64) {
    let store = Store::open(dir.path(), None).unwrap();
    let mut filter = Filter::new().grep(Grep::new(needle, false).unwrap());
    let mut snapshot = Snapshot::take_for(&store, &filter).unwrap();
    let mut count = 0;
    snapshot.events(&mut filter, false, &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
    assert!(snapshot.plan.rows >= ROWS * ARCHIVES, "skipped ones are counted");
    (count, snapshot.plan.archives_skipped)
}

#[test]
fn what_cannot_match_is_not_opened() {
    let (dir, ..) = filled(false);
    assert_eq!(found(&dir, "word3word"), (ROWS, ARCHIVES - 1));
    assert_eq!(found(&dir, "zzqqxx"), (0, ARCHIVES));
    assert_eq!(found(&dir, "has").0, ROWS * ARCHIVES);
    let until = dir.run(&["cat", "--count", "--until", "2001-01-01"]);
    assert_eq!(until.stdout, b"0\n");
}

#[test]
fn it_is_not_believed_of_files_that_have_changed() {
    let (dir, ..) = filled(false);
    let archive = dir.path().join("archive");
    let names = ArchiveName::list(&archive).unwrap();
    let path = |n: usize| archive.join(&names[n].file);
    // Another file under that name: what the catalogue says of it is no longer true.
    std::fs::copy(path(3), archive.join("other")).unwrap();
    std::fs::rename(archive.join("other"), path(0)).unwrap();
    assert_eq!(found(&dir, "word3word"), (2 * ROWS, ARCHIVES - 2));
    // Packed again, it is opened until the catalogue is.
    repack(dir.path(), 3, &mut |_, became| assert!(matches!(became, Repacked::Done { .. })))
        .unwrap();
    assert_eq!(found(&dir, "word4word"), (ROWS, ARCHIVES - 1));
}

#[test]
fn it_can_be_missing_or_damaged_and_is_made_anew() {
    let (dir, options, _) = filled(false);
    let file = dir.path().join("archive/catalogue");
    let whole = std::fs::read(&file).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"", b"RELAYCAT and more"] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(found(&dir, "word3word"), (ROWS, 0));
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(found(&dir, "word3word"), (ROWS, 0));
    // A directory of that name is nobody's catalogue, and no reason to fail.
    std::fs::create_dir(&file).unwrap();
    assert_eq!(found(&dir, "word3word"), (ROWS, 0));
    std::fs::remove_dir(&file).unwrap();
    // The next collector brings it back.
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    assert_eq!(found(&dir, "word3word"), (ROWS, ARCHIVES - 1));
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    channel.writer().write(b"a word9word").unwrap();
    Collector::open(options).unwrap().drain(&Control::new()).unwrap();
    assert_eq!(found(&dir, "word9word"), (1, ARCHIVES));
}

/// What is archived of a channel that lives is not shown a second time from the channel.
#[test]
fn archives_of_living_channels_are_opened() {
    let (dir, _, channel) = filled(true);
    channel.as_ref().unwrap().writer().write(b"live word9word").unwrap();
    assert_eq!(found(&dir, "word3word"), (ROWS, 0));
    assert_eq!(found(&dir, "word9word"), (1, 0));
}

/// The first `most` messages, in this direction, and the snapshot that they came from.
fn first(dir: &Dir, reverse: bool, most: usize) -> (Vec<Vec<u8>>, Snapshot) {
    let store = Store::open(dir.path(), None).unwrap().threads(2);
    let mut snapshot = Snapshot::take_for(&store, &Filter::new()).unwrap();
    let mut found = Vec::new();
    snapshot.events(&mut Filter::new(), reverse, &mut |event| {
        found.push(event.values.to_vec());
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    (found, snapshot)
}

#[test]
fn the_newest_and_the_oldest_are_found_in_one_archive() {
    let (dir, ..) = filled(false);
    for (reverse, n) in [(true, ARCHIVES - 1), (false, 0)] {
        let (found, snapshot) = first(&dir, reverse, 1);
        assert!(found[0].ends_with(format!("word{n}word").as_bytes()), "{found:?}");
        let plan = snapshot.plan;
        assert_eq!((plan.archives_opened, plan.archives_not_needed), (1, ARCHIVES - 1));
        assert_eq!(plan.rows, ROWS * ARCHIVES, "also what was not needed is counted");
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
    }
    // Two records more than the newest archive has.
    let (_, snapshot) = first(&dir, true, ROWS as usize + 2);
    let plan = snapshot.plan;
    assert_eq!((plan.archives_opened, plan.archives_not_needed), (2, ARCHIVES - 2));
}

/// One after the other lies on disk, so one after the other is in memory.
#[test]
fn archives_are_open_while_they_are_needed() {
    let (dir, ..) = filled(false);
    for reverse in [false, true] {
        let (found, snapshot) = first(&dir, reverse, usize::MAX);
        assert_eq!(found.len() as u64, ROWS * ARCHIVES);
        assert_eq!(snapshot.plan.archives_opened, ARCHIVES);
        assert_eq!(snapshot.plan.archives_not_needed, 0);
        // The last row of one is given back when the one behind it is opened.
        let at_once = snapshot.plan.archives_at_once;
        assert!((1..=2).contains(&at_once), "{at_once}");
    }
}

/// Everything, in either direction, read by one thread and by several.
fn all(dir: &Dir) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for reverse in [false, true] {
        all.push(first(dir, reverse, usize::MAX).0.join(&b'\n'));
        let more: &[&str] = if reverse { &["--reverse"] } else { &[] };
        let shown = dir.run(&[&["cat", "--format", "json"], more].concat());
        assert!(shown.status.success());
        all.push(shown.stdout);
        all.push(dir.run(&[&["cat", "--stats", "--grep", "1word"], more].concat()).stdout);
        all.push(dir.run(&[&["cat", "-n", "7000"], more].concat()).stdout);
    }
    all
}

/// Archives of two channels that overlap in time come in the order that they come in when all are opened
/// at once, as they are without a catalogue.
#[test]
fn order_is_the_same_with_and_without() {
    let dir = Dir::new();
    let options = Options::new(dir.path());
    let mut collector = Collector::open(options.clone()).unwrap();
    for round in 0..4 {
        let of = |name: &str| RawChannel::create(Config::new(&options.live_dir, name)).unwrap();
        let (a, b) = (of("a"), of("b"));
        let (mut of_a, mut of_b) = (a.writer(), b.writer());
        for n in 0..2000 {
            of_a.write(format!("a {round} {n}").as_bytes()).unwrap();
            if n % (round + 2) == 0 {
                of_b.write(format!("b {round} {n} 1word").as_bytes()).unwrap();
            }
        }
        drop((of_a, of_b));
        if round % 2 == 0 {
            drop(a);
            drop(b);
            collector.drain(&Control::new()).unwrap();
        } else {
            // These end, and are archived, later than the others begin.
            drop((a, b));
        }
    }
    collector.drain(&Control::new()).unwrap();
    let file = dir.path().join("archive/catalogue");
    assert!(first(&dir, true, 1).1.plan.archives_not_needed > 0);
    let with = all(&dir);
    std::fs::remove_file(file).unwrap();
    assert!(all(&dir) == with);
}

/// How many records `filter` means, counted by one thread.
fn counted(dir: &Dir, filter: &Filter) -> (u64, Plan) {
    let store = Store::open(dir.path(), None).unwrap().threads(1);
    let mut snapshot = Snapshot::take_for(&store, filter).unwrap();
    let none = &mut |_: &[u8]| ControlFlow::Continue(());
    let counts = snapshot.work(filter, false, &Count::default, none);
    assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
    (counts.iter().map(|count| count.0).sum(), snapshot.plan)
}

/// Who only counts does not care for the order: archives that all overlap in time are opened one after the
/// other. Where headers say that all rows are records by themselves, their blocks are not read.
#[test]
fn archives_are_counted_one_after_the_other() {
    let dir = Dir::new();
    let options = Options::new(dir.path());
    let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let of = |name: &String| RawChannel::create(Config::new(&options.live_dir, name)).unwrap();
    let channels: Vec<RawChannel> = names.iter().map(of).collect();
    let mut writers: Vec<_> = channels.iter().map(RawChannel::writer).collect();
    for n in 0..500 {
        for writer in &mut writers {
            writer.write(format!("record {n}").as_bytes()).unwrap();
        }
    }
    // Larger than a sub-buffer: it comes in parts, which are one record.
    writers.first_mut().unwrap().write(&vec![b'x'; 1 << 20]).unwrap();
    drop((writers, channels));
    Collector::open(options).unwrap().drain(&Control::new()).unwrap();
    let (all, plan) = counted(&dir, &Filter::new());
    assert_eq!(all, 8 * 500 + 1);
    // One that is read, and one that is opened meanwhile.
    assert!(plan.archives_opened == 8 && plan.archives_at_once <= 2, "{plan}");
    assert!(plan.by_header >= 7 && plan.decoded >= 1, "{plan}");
    // A time that cuts through them, or one that does not.
    let since = |time_ns| Filter::new().since_ns(time_ns);
    assert_eq!(counted(&dir, &since(0)).0, all);
    let middle = {
        let mut times = Vec::new();
        let store = Store::open(dir.path(), None).unwrap();
        let mut snapshot = Snapshot::take(&store).unwrap();
        assert_eq!(snapshot.range_ns(&Filter::new()).map(|(from, to)| from < to), Some(true));
        snapshot.events(&mut Filter::new(), false, &mut |event| {
            times.push(event.row.time_ns);
            ControlFlow::Continue(())
        });
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (behind, plan) = counted(&dir, &since(middle));
    let (before, _) = counted(&dir, &Filter::new().until_ns(middle));
    assert!(behind + before == all && plan.decoded > 1, "{behind} {before} {plan}");
    assert_eq!(counted(&dir, &Filter::new().channel("c3")).0, 500);
}

/// Whoever reads holds what was there when it began: retention may delete archives, and an idle collector
/// may pack them again, before they are opened.
#[test]
fn archives_that_go_before_they_are_opened_are_shown() {
    for reverse in [false, true] {
        let (dir, mut options, _) = filled(false);
        let archive = dir.path().join("archive");
        let before = ArchiveName::list(&archive).unwrap();
        let store = Store::open(dir.path(), None).unwrap().threads(2);
        let packed = Snapshot::take_for(&store, &Filter::new()).unwrap();
        repack(dir.path(), 3, &mut |_, became| assert!(matches!(became, Repacked::Done { .. })))
            .unwrap();
        // The catalogue is brought up to date, and then most of what it lists goes.
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
        let deleted = Snapshot::take_for(&store, &Filter::new()).unwrap();
        options.keep_count = Some(1);
        Collector::open(options).unwrap().drain(&Control::new()).unwrap();
        let left = ArchiveName::list(&archive).unwrap();
        let gone = before.iter().filter(|name| !left.contains(name)).count() as u64;
        assert_eq!(gone, ARCHIVES - 1);
        for mut snapshot in [packed, deleted] {
            // One that the catalogue does not know as it is now is opened at once.
            assert!(snapshot.plan.archives_opened <= 1, "they were only found");
            let mut count = 0;
            snapshot.events(&mut Filter::new(), reverse, &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            });
            assert_eq!((count, snapshot.plan.archives_opened), (ROWS * ARCHIVES, ARCHIVES));
            assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        }
    }
}

/// Archives of three writers of each of two channels that have a few moments in common: whichever are opened,
/// and when, the newest are the last of all, and rows at equal times keep their order.
#[test]
fn the_newest_are_the_last_of_all_at_equal_times_too() {
    let mut seed = 7u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for grain in [1, 300_000, 1_000_000_000] {
        let dir = Dir::new();
        let channels = ["a", "b"].map(|name| dir.channel(name));
        let mut minis: Vec<Mini> = channels.iter().map(|of| Mini::new(&dir, of)).collect();
        let mut writers: Vec<Vec<_>> =
            channels.iter().map(|of| (0..3).map(|_| of.writer()).collect()).collect();
        let mut archives = [0u64; 2];
        minis.iter_mut().for_each(|mini| mini.grain = grain);
        for n in 0..400 {
            let of = random(2) as usize;
            let text = format!("{n} of {of}");
            writers[of][random(3) as usize].write(text.as_bytes()).unwrap();
            if random(25) == 0 || n > 397 {
                let begin =
                    if archives[of] == 0 { minis[of].announce() } else { minis[of].positions() };
                let frames = [begin, minis[of].look(true)];
                dir.archive(["a", "b"][of], archives[of], &frames, true);
                archives[of] += 1;
            }
        }
        drop((writers, channels, minis));
        std::fs::remove_dir_all(dir.path().join("live")).unwrap();
        let all = dir.cat(&[]);
        assert!(archives.iter().all(|n| *n > 2) && all.len() > 300);
        for catalogue in [false, true] {
            if catalogue {
                Collector::open(Options::new(dir.path())).unwrap().drain(&Control::new()).unwrap();
                assert!(first(&dir, true, 1).1.plan.archives_not_needed > 0 || grain > 1);
            }
            assert_eq!(dir.cat(&[]), all);
            let backwards: Vec<_> = all.iter().rev().cloned().collect();
            assert_eq!(dir.cat(&["-r"]), backwards);
            for _ in 0..12 {
                let most = random(all.len() as u64 + 9) as usize;
                let (n, last) = (most.to_string(), all.len().saturating_sub(most));
                assert_eq!(dir.cat(&["-n", &n]), all[last..], "{grain} {catalogue} {n}");
                assert_eq!(dir.cat(&["-r", "-n", &n]), backwards[..all.len() - last]);
            }
        }
    }
}

/// What it says of how many blocks there are is not relied on.
#[test]
fn counts_that_are_not_true_hide_nothing() {
    let (dir, ..) = filled(false);
    let file = dir.path().join("archive/catalogue");
    let mut summaries = take_catalogue(&std::fs::read(&file).unwrap()).unwrap();
    for summary in &mut summaries {
        (summary.blocks, summary.rows) = (0, 0);
    }
    std::fs::write(&file, put_catalogue(&summaries)).unwrap();
    let shown = dir.run(&["cat", "--count"]);
    assert_eq!(shown.stdout, format!("{}\n", ROWS * ARCHIVES).into_bytes());
    assert!(shown.status.success());
}

/// Where it says other times than the archive does, that is said: order rests on it.
#[test]
fn times_that_are_not_true_are_told() {
    let (dir, ..) = filled(false);
    let file = dir.path().join("archive/catalogue");
    let mut summaries = take_catalogue(&std::fs::read(&file).unwrap()).unwrap();
    let times = summaries[2].times.as_mut().unwrap();
    times.min_ns += 1;
    std::fs::write(&file, put_catalogue(&summaries)).unwrap();
    let (found, snapshot) = first(&dir, false, usize::MAX);
    assert_eq!(found.len() as u64, ROWS * ARCHIVES);
    assert_eq!(snapshot.problems.len(), 1, "{:?}", snapshot.problems);
    assert!(snapshot.problems[0].contains("than the catalogue says"));
}
