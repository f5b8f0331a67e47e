//! With a catalogue, searches open what they need, and find what they find without one.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::Dir;
use relay_collect::query::{Filter, Grep};
use relay_collect::read::{ArchiveName, Snapshot, Store};
use relay_collect::{Collector, Control, Options, Repacked, repack};
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
