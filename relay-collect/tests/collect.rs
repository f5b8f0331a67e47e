//! What goes into channels comes out of archives: once, in order, whole.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::skipped;
use relay_collect::read::{ArchiveFd, ArchiveName, Audit, Store};
use relay_collect::{Collector, Control, Options};
use relay_fmt::archive::{Entry, open, read_block, read_control};
use relay_fmt::record::Kind;
use relay_log::channel::{Config, RawChannel};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Every record in the archives, by channel and writer, in the order of the archives.
type Streams = HashMap<(String, u64), Vec<(u64, Vec<u8>)>>;

fn read_all(dir: &Path) -> (Streams, Vec<Entry>) {
    let (mut streams, mut entries) = (Streams::new(), Vec::new());
    let archive = dir.join("archive");
    for name in ArchiveName::list(&archive).unwrap() {
        let bytes = ArchiveFd::open(&archive.join(&name.file)).unwrap();
        let opened = open(&bytes).unwrap();
        for place in &opened.directory().controls {
            entries.extend(read_control(&bytes, opened.directory(), *place).unwrap());
        }
        for block in &opened.directory().blocks {
            let rows = read_block(&bytes, block).unwrap();
            let mut last = i64::MIN;
            for row in rows.rows() {
                assert!(row.order_ns >= last, "rows stand in the order they sort in");
                last = row.order_ns;
                assert_eq!(row.kind, Kind::Raw);
                let run = &rows.runs[row.run as usize];
                let key = (rows.sources[run.source as usize].id.to_string(), run.writer);
                streams.entry(key).or_default().push((row.number, row.payload.to_vec()));
            }
        }
    }
    (streams, entries)
}

fn check(streams: &Streams, threads: usize, each: u64) {
    assert_eq!(streams.len(), threads);
    for records in streams.values() {
        assert_eq!(records.len() as u64, each);
        for (i, (number, payload)) in records.iter().enumerate() {
            assert_eq!(*number, i as u64, "in order, once");
            let text = String::from_utf8(payload.clone()).unwrap();
            assert_eq!(text.split(':').nth(1).unwrap(), i.to_string());
        }
    }
}

fn write(channel: &RawChannel, threads: usize, each: u64) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mut writer = channel.writer();
            scope.spawn(move || {
                for i in 0..each {
                    writer
                        .write(format!("{thread}:{i}:{}", "x".repeat(i as usize % 90)).as_bytes())
                        .unwrap();
                }
            });
        }
    });
}

#[test]
fn a_channel_is_drained_and_removed_once_its_process_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    for round in 1..=3 {
        let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
        write(&channel, 4, 5_000);
        let live = options.live_dir.join(channel.file_name());
        drop(channel);
        assert!(live.exists());
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
        assert!(!live.exists(), "drained and gone");
        check(&read_all(dir.path()).0, 4 * round, 5_000);
    }
    let finals = read_all(dir.path()).1.into_iter().filter_map(|entry| match entry {
        Entry::Final(end) => Some(end.claimed),
        _ => None,
    });
    assert_eq!(finals.collect::<Vec<_>>(), [20_000; 3]);
}

#[test]
fn a_collector_alongside_keeps_up_through_small_buffers_and_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    (options.rotate_size, options.block_bytes) = (40_000, 200_000);
    let spawned = relay_collect::spawn(options.clone()).unwrap();
    let mut config = Config::new(&options.live_dir, "app");
    (config.sub_buffer, config.initial, config.max) = (4096, 16384, Some(65536));
    let channel = RawChannel::create(config).unwrap();
    write(&channel, 4, 20_000);
    spawned.stop().unwrap();
    let names = ArchiveName::list(&options.archive_dir()).unwrap();
    assert!(names.len() > 2, "{names:?}");
    assert!(names.iter().all(|name| name.sealed));
    check(&read_all(dir.path()).0, 4, 20_000);
}

#[test]
fn every_restart_goes_on_where_the_archive_stands() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let mut writer = channel.writer();
    for i in 0..1_000u64 {
        writer.write(format!("0:{i}:").as_bytes()).unwrap();
        if i % 50 == 49 {
            Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
        }
    }
    check(&read_all(dir.path()).0, 1, 1_000);
}

#[test]
fn retention_deletes_the_oldest_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    options.keep_count = Some(3);
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    for i in 0..8u64 {
        channel.writer().write(format!("0:{i}").as_bytes()).unwrap();
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    }
    let names = ArchiveName::list(&options.archive_dir()).unwrap();
    assert!(names.len() <= 4, "{names:?}");
    let stones = read_all(dir.path()).1.into_iter().filter(|e| matches!(e, Entry::Tombstone(_)));
    assert!(stones.count() > 0);
}

#[test]
fn retention_keeps_the_newest_records_and_reaches_channels_that_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    let session = |options: &Options, name: &str, text: Option<&str>| {
        let channel = RawChannel::create(Config::new(&options.live_dir, name)).unwrap();
        text.into_iter().for_each(|text| channel.writer().write(text.as_bytes()).unwrap());
        drop(channel);
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    };
    let there = || {
        let mut there: Vec<String> = Vec::new();
        for name in ArchiveName::list(&Options::new(dir.path()).archive_dir()).unwrap() {
            assert!(name.sealed, "{name:?}");
            let bytes = ArchiveFd::open(&dir.path().join("archive").join(&name.file)).unwrap();
            for block in &open(&bytes).unwrap().directory().blocks {
                let rows = read_block(&bytes, block).unwrap();
                let texts =
                    rows.rows().map(|row| String::from_utf8_lossy(row.payload).into_owned());
                there.extend(texts);
            }
        }
        there
    };
    for i in 0..4 {
        session(&options, "ended", Some(&format!("ended {i}")));
    }
    assert_eq!(there().len(), 4);
    // Starts and ends without a record push nothing out.
    options.keep_count = Some(2);
    for _ in 0..3 {
        session(&options, "ended", None);
        assert_eq!(there(), ["ended 2", "ended 3"]);
    }
    // What has long ended is older than what another channel says now.
    (options.keep_count, options.keep_size) = (None, Some(1));
    session(&options, "new", Some("new 0"));
    assert_eq!(there(), ["ended 3", "new 0"]);
    let audit = Audit::of(&Store::open(dir.path(), None).unwrap()).unwrap();
    assert_eq!(audit.lost, 0, "{audit:?}");
}

#[test]
fn an_archive_that_cannot_be_deleted_stays_and_the_others_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    options.keep_count = Some(2);
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let protect = |how: &str, path: &std::path::Path| {
        let done = std::process::Command::new("chattr").arg(how).arg(path).status();
        done.is_ok_and(|status| status.success())
    };
    let mut first = None;
    for i in 0..6u64 {
        channel.writer().write(format!("0:{i}").as_bytes()).unwrap();
        Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
        let names = ArchiveName::list(&options.archive_dir()).unwrap();
        let first = first.get_or_insert_with(|| options.archive_dir().join(&names[0].file));
        if i == 0 && !protect("+i", first) {
            return skipped("files cannot be protected here");
        }
    }
    let first = first.unwrap();
    assert!(first.exists());
    let names = ArchiveName::list(&options.archive_dir()).unwrap();
    assert!(protect("-i", &first) && names.len() <= 4, "{names:?}");
}

#[test]
fn what_is_no_channel_is_left_alone_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    write(&channel, 1, 10);
    let live = &options.live_dir;
    std::fs::write(live.join("text.relay"), "no channel").unwrap();
    std::fs::write(live.join("empty.relay"), "").unwrap();
    std::os::unix::fs::symlink("text.relay", live.join("link.relay")).unwrap();
    std::fs::create_dir(live.join("dir.relay")).unwrap();
    let fifo = live.join("fifo.relay");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let copy = live.join("other-name.relay");
    std::fs::copy(live.join(channel.file_name()), &copy).unwrap();
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
    let (streams, entries) = read_all(dir.path());
    check(&streams, 1, 10);
    let refused = entries.iter().filter(|entry| matches!(entry, Entry::Quarantine(_))).count();
    assert_eq!(refused, 6, "{entries:?}");
    assert_eq!(std::fs::read_dir(live).unwrap().count(), 6 + 1 + 1, "nothing is deleted");
}

/// A file that the system does not open now may be a channel: it is tried again.
#[test]
fn what_could_not_be_opened_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    write(&channel, 1, 10);
    let file = options.live_dir.join(channel.file_name());
    let (aside, program) = (dir.path().join("aside"), "/bin/sleep");
    std::fs::rename(&file, &aside).unwrap();
    // A program that runs is not opened for writing.
    std::fs::copy(program, &file).unwrap();
    let Ok(mut running) = std::process::Command::new(&file).arg("1000").spawn() else {
        return skipped("programs in temporary directories do not run");
    };
    let busy = std::fs::OpenOptions::new().read(true).write(true).open(&file).is_err();
    let mut collector = Collector::open(options.clone()).unwrap();
    collector.drain(&Control::new()).unwrap();
    let left = collector.left().to_vec();
    running.kill().unwrap();
    running.wait().unwrap();
    if !busy {
        return skipped("programs that run may be written here");
    }
    assert!(left.len() == 1 && left[0].contains(file.to_str().unwrap()), "{left:?}");
    std::fs::rename(&aside, &file).unwrap();
    collector.drain(&Control::new()).unwrap();
    drop(collector);
    check(&read_all(dir.path()).0, 1, 10);
}

#[test]
fn a_second_collector_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = relay_collect::spawn(Options::new(dir.path())).unwrap();
    let error = Collector::open(Options::new(dir.path())).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    first.stop().unwrap();
    Collector::open(Options::new(dir.path())).unwrap();
}

#[test]
fn a_quiet_channel_appears_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let spawned = relay_collect::spawn(options.clone()).unwrap();
    let channel = RawChannel::create(Config::new(&options.live_dir, "quiet")).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    channel.writer().write(b"0:0").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    check(&read_all(dir.path()).0, 1, 1);
    spawned.stop().unwrap();
}

#[test]
fn what_is_flushed_durably_is_archived_and_synced() {
    // Not on a file system in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = Options::new(dir.path());
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let mut writer = channel.writer();
    writer.write(b"0:0:before there is a collector").unwrap();
    let second = Duration::from_secs(1);
    channel.flush_durable(second).unwrap();
    let spawned = relay_collect::spawn(options.clone()).unwrap();
    for i in 1..20 {
        writer.write(format!("0:{i}").as_bytes()).unwrap();
        channel.flush_durable(10 * second).unwrap();
        // The answer came after the block was written: it is there, whatever happens now.
        check(&read_all(dir.path()).0, 1, i + 1);
    }
    spawned.stop().unwrap();
    if Path::new("/dev/shm").is_dir() {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let channel = RawChannel::create(Config::new(memory.path(), "app")).unwrap();
        let answer = channel.flush_durable(second);
        assert_eq!(answer, Err(relay_log::channel::NotDurable::Memory));
    }
}
