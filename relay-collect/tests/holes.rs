//! Holes in the numbers of writers: real ones hold nothing up, and nothing grows with what is behind them.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::skipped;
use relay_collect::read::{ArchiveFd, ArchiveName, Audit, Store, Verdict};
use relay_collect::{Collector, Control, Options};
use relay_fmt::archive::{ScanOptions, read_block, scan};
use relay_log::channel::{self, ChannelReader, Config, OnFull, RawChannel, Writer};
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SUB_BUFFER: u32 = 4096;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.block_bytes = 16 << 10;
    options
}

fn channel(options: &Options, on_full: OnFull, bytes: u64) -> RawChannel {
    let mut config = Config::new(&options.live_dir, "app");
    (config.sub_buffer, config.initial, config.max) = (SUB_BUFFER, bytes, Some(bytes));
    config.on_full = on_full;
    RawChannel::create(config).unwrap()
}

/// Writes `count` records of a writer, as `<who>:<number>`.
fn write(writer: &mut Writer, who: char, from: u32, count: u32) {
    for n in from..from + count {
        writer.write(format!("{who}:{n}").as_bytes()).unwrap();
    }
}

/// The numbers that each writer has in the archives, in the order in which they stand there, and the most
/// rows of a block.
fn archived(options: &Options) -> (HashMap<char, Vec<u32>>, usize) {
    let (mut all, mut most) = (HashMap::new(), 0);
    let dir = options.archive_dir();
    for name in ArchiveName::list(&dir).unwrap() {
        let bytes = ArchiveFd::open(&dir.join(name.file)).unwrap();
        for block in scan(&bytes, &ScanOptions::default()).unwrap().directory.blocks {
            let rows = read_block(&bytes, &block).unwrap();
            most = most.max(rows.rows().count());
            for row in rows.rows() {
                let (who, number) =
                    std::str::from_utf8(row.payload).unwrap().split_once(':').unwrap();
                let of: &mut Vec<u32> = all.entry(who.chars().next().unwrap()).or_default();
                of.push(number.parse().unwrap());
            }
        }
    }
    (all, most)
}

#[test]
fn a_hole_does_not_make_one_block_of_all_that_waits() {
    for ended in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        let channel = channel(&options, OnFull::Overwrite, 512 << 10);
        let (mut old, mut young) = (channel.writer(), channel.writer());
        write(&mut old, 'o', 0, 30_000);
        write(&mut young, 'y', 0, 8_000);
        write(&mut old, 'o', 30_000, 1_000);
        let kept = ended.then(|| drop((old, young, channel)));
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
        let (all, most) = archived(&options);
        assert_eq!(all[&'y'], (0..8_000).collect::<Vec<_>>());
        let old = &all[&'o'];
        assert!(old[0] > 0, "it was meant to overwrite");
        assert_eq!(*old, (old[0]..31_000).collect::<Vec<_>>(), "all that was there, in order");
        // A record takes at least 24 bytes.
        assert!(most <= (16 << 10) / 24 + SUB_BUFFER as usize / 24, "{most} rows in a block");
        assert_eq!(ended, kept.is_some());
    }
}

/// Destroys the heads of sub-buffers of a channel: all that they hold is gone.
fn destroy(options: &Options, file: &str, which: impl Fn(u32) -> bool) {
    let path = options.live_dir.join(file);
    let reader = ChannelReader::open(&options.live_dir, file.as_ref(), None).unwrap();
    let bytes = std::fs::File::options().write(true).open(path).unwrap();
    for sub in reader.scan().unwrap().iter().filter(|sub| which(sub.index)) {
        let at = channel::HEADER_BYTES as u64 + u64::from(sub.index) * u64::from(SUB_BUFFER);
        bytes.write_all_at(&[0; channel::SUB_HEADER_BYTES], at).unwrap();
    }
}

#[test]
fn a_dead_writer_with_many_holes_is_drained_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let channel = channel(&options, OnFull::Block, 512 << 10);
    let file = channel.file_name().to_owned();
    let mut writer = channel.writer();
    write(&mut writer, 'w', 0, 10_000);
    drop((writer, channel));
    destroy(&options, &file, |index| index % 7 == 3);
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    let (all, _) = archived(&options);
    let there = &all[&'w'];
    assert!(there.is_sorted() && there.last() == Some(&9_999), "up to its end");
    assert!(there.windows(2).filter(|two| two[0] + 1 < two[1]).count() > 5, "many holes");
    assert!(!options.live_dir.join(&file).exists(), "it is finished");
    let audit = Audit::of(&Store::open(dir.path(), None).unwrap()).unwrap();
    let lost = 10_000 - there.len() as u64;
    assert_eq!((audit.verdict, audit.lost), (Verdict::Lost, lost), "{audit:?}");
}

/// A file that nobody can delete, not even root, until this is dropped; `None` where that cannot be had.
struct Immutable<'a>(&'a Path);

fn chattr(change: &str, path: &Path) -> bool {
    let status = std::process::Command::new("chattr").arg(change).arg(path).status();
    status.is_ok_and(|status| status.success())
}

impl<'a> Immutable<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        chattr("+i", path).then_some(Self(path))
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        chattr("-i", self.0);
    }
}

#[test]
fn what_is_finished_stays_so_where_its_file_cannot_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let first = channel(&options, OnFull::Block, 64 << 10);
    let file = options.live_dir.join(first.file_name());
    write(&mut first.writer(), 'f', 0, 100);
    drop(first);
    let Some(kept) = Immutable::new(&file) else {
        return skipped("no file here can be made immutable");
    };
    for round in 0..3 {
        // Archives of others come in between, and the newest alone is asked by the next start.
        let other = channel(&options, OnFull::Block, 64 << 10);
        let mut collector = Collector::open(options.clone()).unwrap();
        for who in ['o', 'p'] {
            write(&mut other.writer(), who, round, 1);
            collector.drain(&Control::new()).unwrap();
        }
    }
    drop(kept);
    let (all, _) = archived(&options);
    assert_eq!(all[&'f'], (0..100).collect::<Vec<_>>());
    assert_eq!((&all[&'o'], &all[&'p']), (&vec![0, 1, 2], &vec![0, 1, 2]));
    let audit = Audit::of(&Store::open(dir.path(), None).unwrap()).unwrap();
    assert_eq!((audit.verdict, audit.records), (Verdict::Whole, 106), "{audit:?}");
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    assert!(!file.exists(), "now it can be");
}
