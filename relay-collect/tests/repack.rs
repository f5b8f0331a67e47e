//! Archives that are packed again are smaller, and nobody sees anything else.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::Dir;
use relay_collect::read::{ArchiveFd, ArchiveName};
use relay_collect::{Collector, Control, Options, Repack, Repacked, repack};
use relay_fmt::archive::{Entry, REPACKED, ScanOptions, Supersedes, open, read_block, scan};
use relay_log::channel::{Config, RawChannel};
use std::path::Path;
use std::time::{Duration, Instant};

const LEVEL: i32 = 9;

/// Several archives of many small blocks, as an idle program leaves them.
fn filled() -> (Dir, Options) {
    let dir = Dir::new();
    let mut options = Options::new(dir.path());
    (options.block_bytes, options.rotate_size) = (20_000, 40_000);
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let mut collector = Collector::open(options.clone()).unwrap();
    for round in 0..3u64 {
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let mut writer = channel.writer();
                scope.spawn(move || {
                    for i in 0..4_000u64 {
                        // Ids that each block must say anew, and so long that they outweigh what
                        // depends on how the threads take turns: times and writers.
                        let id = [1u64, 3, 5, 7].map(|odd| {
                            let word =
                                (round + i % 97 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 + odd);
                            word.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
                        });
                        let line = format!("request {id:x?} of {thread} took {} us", i % 50);
                        writer.write(line.as_bytes()).unwrap();
                    }
                });
            }
        });
        collector.drain(&Control::new()).unwrap();
    }
    drop(channel);
    collector.drain(&Control::new()).unwrap();
    (dir, options)
}

/// All that can be seen of a store but its size.
fn seen(dir: &Dir) -> [Vec<u8>; 4] {
    let (code, mut audit) = dir.audit();
    assert_eq!(code, 0, "{audit}");
    audit.as_object_mut().unwrap().retain(|key, _| key != "bytes" && key != "archive_bytes");
    let of = |args: &[&str]| {
        let output = dir.run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert!(!of(&["verify"]).is_empty());
    [
        of(&["cat", "--format", "json"]),
        of(&["cat", "--grep", "of 2 took 16", "--count"]),
        of(&["cat", "-n", "100"]),
        audit.to_string().into_bytes(),
    ]
}

/// Compares what was seen, and says the first line that is another.
fn assert_same(dir: &Dir, before: &[Vec<u8>; 4]) {
    for (now, before) in seen(dir).iter().zip(before) {
        let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (now, before) = (lines(now), lines(before));
        let other = now.lines().zip(before.lines()).find(|(now, before)| now != before);
        assert_eq!(other, None, "what is shown has changed");
        assert_eq!(now.len(), before.len(), "what is shown has changed");
    }
}

fn sealed(dir: &Path) -> Vec<std::path::PathBuf> {
    let archive = dir.join("archive");
    let names = ArchiveName::list(&archive).unwrap();
    names.iter().filter(|name| name.sealed).map(|name| archive.join(&name.file)).collect()
}

fn is_repacked(path: &Path) -> bool {
    let opened = open(&ArchiveFd::open(path).unwrap()).unwrap();
    opened.directory().header.compatible & REPACKED != 0
}

fn repack_all(dir: &Path) -> Vec<Repacked> {
    let mut all = Vec::new();
    repack(dir, LEVEL, &mut |_, became| all.push(became)).unwrap();
    all
}

#[test]
fn smaller_and_the_same() {
    let (dir, _) = filled();
    let before = seen(&dir);
    let paths = sealed(dir.path());
    assert!(paths.len() >= 3);
    // A reader that has them open.
    let old: Vec<_> = paths.iter().map(|path| ArchiveFd::open(path).unwrap()).collect();
    let opened: Vec<_> = old.iter().map(|bytes| open(bytes).unwrap()).collect();
    let packed = repack_all(dir.path());
    let (mut was, mut is) = (0, 0);
    for became in &packed {
        let Repacked::Done { before, after } = became else { panic!("{became:?}") };
        (was, is) = (was + before, is + after);
    }
    assert!(is * 10 < was * 9, "{was} to {is} bytes");
    assert_same(&dir, &before);
    assert!(paths.iter().all(|path| is_repacked(path)));
    for ((bytes, opened), path) in old.iter().zip(&opened).zip(&paths) {
        let now = ArchiveFd::open(path).unwrap();
        let now = open(&now).unwrap();
        assert!(now.directory().blocks.len() <= opened.directory().blocks.len());
        for block in &opened.directory().blocks {
            read_block(bytes, block).unwrap();
        }
    }
    assert!(repack_all(dir.path()).iter().all(|became| *became == Repacked::Already));
}

/// A collector that starts from archives that were packed again goes on where they stand.
#[test]
fn a_collector_goes_on_from_it() {
    let (dir, options) = filled();
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let mut writer = channel.writer();
    for i in 0..50 {
        writer.write(format!("first {i}").as_bytes()).unwrap();
    }
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    repack_all(dir.path());
    for i in 0..50 {
        writer.write(format!("second {i}").as_bytes()).unwrap();
    }
    Collector::open(options).unwrap().drain(&Control::new()).unwrap();
    assert_eq!(dir.cat(&["--grep", "first"]).len(), 50);
    assert_eq!(dir.cat(&["--grep", "second"]).len(), 50);
    assert_eq!(dir.audit().0, 0);
}

#[test]
fn what_is_damaged_or_superseded_stays_as_it_is() {
    let (dir, _) = filled();
    let paths = sealed(dir.path());
    // A byte of a body.
    let mut bytes = std::fs::read(&paths[0]).unwrap();
    let body = open(&bytes[..]).unwrap().directory().blocks[0].body_offset();
    bytes[body as usize + 9] ^= 1;
    std::fs::write(&paths[0], &bytes).unwrap();
    let superseded = paths[1].file_name().unwrap().to_str().unwrap();
    let entry = Entry::Supersedes(Supersedes { file: superseded.into(), offset: 1 << 40 });
    dir.archive("other", 0, &[common::Frame::Control(vec![entry])], true);
    let packed = repack_all(dir.path());
    assert!(matches!(&packed[0], Repacked::Left(_)), "{packed:?}");
    assert_eq!(std::fs::read(&paths[0]).unwrap(), bytes);
    assert!(!is_repacked(&paths[1]));
    assert!(is_repacked(&paths[2]));
    let left = std::fs::read_dir(dir.path().join("archive")).unwrap();
    let hidden = left.flatten().filter(|e| e.file_name().to_string_lossy().ends_with(".repack"));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn an_idle_collector_does_it_by_itself() {
    let (dir, mut options) = filled();
    let before = seen(&dir);
    options.repack_level = LEVEL;
    let spawned = relay_collect::spawn(options.clone()).unwrap();
    let begun = Instant::now();
    let paths = sealed(dir.path());
    while !paths.iter().all(|path| is_repacked(path)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut refused = 0;
    let held = repack(dir.path(), LEVEL, &mut |_, _| refused += 1);
    assert!(held.is_err() && refused == 0, "a collector works on it");
    spawned.stop().unwrap();
    assert_same(&dir, &before);
    for path in &paths {
        let found = scan(&ArchiveFd::open(path).unwrap(), &ScanOptions { all_bodies: true });
        assert!(found.unwrap().damages.is_empty());
    }
}

#[test]
fn who_does_not_want_it_does_not_get_it() {
    let (dir, mut options) = filled();
    options.repack = Repack::Never;
    let paths = sealed(dir.path());
    let spawned = relay_collect::spawn(options).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    spawned.stop().unwrap();
    assert!(!paths.iter().any(|path| is_repacked(path)));
}
