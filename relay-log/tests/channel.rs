//! The channel under load: every record written is read once, in order, whole.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::record::{Fragment, Kind, Lease, Records};
use relay_log::channel::{ChannelReader, Config, Counter, OnFull, RawChannel, Sub};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

/// A collector that keeps everything in memory.
struct Collector {
    reader: ChannelReader,
    /// What the last look saw.
    subs: Vec<Sub>,
    /// For each sub-buffer the generation and how many of its bytes were taken.
    seen: HashMap<u32, (u64, u32)>,
    /// For each sub-buffer the writer of what comes next, and its next number.
    writer: HashMap<u32, (u64, u64)>,
    /// For each writer its records by number.
    records: HashMap<u64, Vec<(u64, Vec<u8>, Kind)>>,
    hand_back: bool,
}

impl Collector {
    fn new(dir: &std::path::Path, channel: &RawChannel) -> Self {
        let reader = ChannelReader::open(dir, channel.file_name().as_ref(), None).unwrap();
        Self {
            reader,
            subs: Vec::new(),
            seen: HashMap::new(),
            writer: HashMap::new(),
            records: HashMap::new(),
            hand_back: true,
        }
    }

    fn drain(&mut self) {
        self.subs = self.reader.scan_again(&self.subs).unwrap().subs;
        for sub in self.subs.clone() {
            let seen = self.seen.entry(sub.index).or_default();
            if seen.0 != sub.generation {
                *seen = (sub.generation, 0);
            }
            if let Some(data) = self.reader.read(&sub, seen.1).unwrap() {
                let mut records = Records::new(&data.bytes, sub.generation);
                for record in records.by_ref() {
                    let record = record.unwrap();
                    if record.kind == Kind::Lease {
                        let lease = Lease::parse(record.payload).unwrap();
                        self.writer.insert(sub.index, (lease.writer, lease.first_number));
                    } else if record.kind.is_numbered() {
                        let at = self.writer.get_mut(&sub.index).unwrap();
                        let all = self.records.entry(at.0).or_default();
                        all.push((at.1, record.payload.to_vec(), record.kind));
                        at.1 += 1;
                    }
                }
                seen.1 = sub.committed;
                if sub.is_ready() && sub.archived != sub.generation && self.hand_back {
                    self.reader.hand_back(&sub).unwrap();
                    self.reader.wake_writers().unwrap();
                }
            }
        }
    }

    /// What each writer wrote, in the order of the numbers; panics at a gap or a double.
    fn streams(&mut self) -> Vec<Vec<Vec<u8>>> {
        let mut streams = Vec::new();
        for records in self.records.values_mut() {
            records.sort_by_key(|(number, ..)| *number);
            for (expected, (number, ..)) in records.iter().enumerate() {
                assert_eq!(*number, expected as u64, "a gap or a double");
            }
            streams.push(joined(records));
        }
        streams
    }
}

fn joined(records: &[(u64, Vec<u8>, Kind)]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut part: Vec<u8> = Vec::new();
    for (_, payload, kind) in records {
        if *kind != Kind::Fragment {
            out.push(payload.clone());
            continue;
        }
        let fragment = Fragment::parse(payload).unwrap();
        assert_eq!(fragment.offset, part.len() as u64);
        part.extend_from_slice(fragment.bytes);
        if part.len() as u64 == fragment.total {
            out.push(std::mem::take(&mut part));
        }
    }
    assert!(part.is_empty(), "a chain of fragments does not end");
    out
}

fn payload(thread: u64, i: u64) -> Vec<u8> {
    let mut bytes = format!("{thread}:{i}:").into_bytes();
    bytes.resize(bytes.len() + (i as usize * 7919) % 200, b'a' + (i % 26) as u8);
    bytes
}

fn run(config: Config, threads: u64, each: u64) -> (RawChannel, Collector) {
    let dir = config.dir.clone();
    let channel = RawChannel::create(config).unwrap();
    let mut collector = Collector::new(&dir, &channel);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                collector.drain();
                std::thread::sleep(Duration::from_micros(100));
            }
            collector.drain();
            collector
        });
        let writers: Vec<_> = (0..threads)
            .map(|thread| {
                let mut writer = channel.writer();
                scope.spawn(move || {
                    (0..each).for_each(|i| writer.write(&payload(thread, i)).unwrap())
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
        let mut collector = collecting.join().unwrap();
        let mut streams = collector.streams();
        streams.sort_by_key(|s| s[0].clone());
        assert_eq!(streams.len() as u64, threads);
        for stream in streams {
            let thread: u64 = String::from_utf8(stream[0].clone())
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(stream.len() as u64, each);
            for (i, record) in stream.iter().enumerate() {
                assert_eq!(record, &payload(thread, i as u64));
            }
        }
        (channel.clone(), collector)
    })
}

#[test]
fn eight_busy_threads_on_a_channel_capped_at_two_sub_buffers() {
    for keeper in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "small");
        (config.sub_buffer, config.initial, config.max, config.keeper) =
            (4096, 8192, Some(8192), keeper);
        let (channel, _) = run(config, 8, 5_000);
        assert!(channel.counter(Counter::Waits) > 0, "it was meant to be full");
    }
}

#[test]
fn a_channel_grows_and_gives_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "grows");
    (config.initial, config.max) = (256 << 10, Some(256 << 20));
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    for i in 0..100_000 {
        writer.write(&payload(0, i)).unwrap();
    }
    let grown = channel.allocated_bytes();
    assert!(grown > 10 << 20, "{grown}");
    assert_eq!(channel.counter(Counter::Waits), 0);
    let mut collector = Collector::new(dir.path(), &channel);
    collector.drain();
    let blocks = |c: &Collector| c.reader.status().unwrap().allocated;
    let before = blocks(&collector);
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while blocks(&collector) > before / 4 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(blocks(&collector) <= before / 4, "{} of {before}", blocks(&collector));
    for i in 0..100_000 {
        writer.write(&payload(0, 100_000 + i)).unwrap();
    }
    collector.drain();
    assert_eq!(collector.streams()[0].len(), 200_000, "generations never repeat after a hole");
}

#[test]
fn a_64_mib_record_passes_through_two_sub_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "large");
    (config.initial, config.max) = (128 << 10, Some(128 << 10));
    let channel = RawChannel::create(config).unwrap();
    let large: Vec<u8> = (0..64u32 << 20).map(|i| (i % 251) as u8).collect();
    let done = AtomicBool::new(false);
    let mut collector = Collector::new(dir.path(), &channel);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                collector.drain();
            }
            collector.drain();
        });
        let mut writer = channel.writer();
        writer.write(b"before").unwrap();
        writer.write(&large).unwrap();
        writer.write(b"after").unwrap();
        done.store(true, Ordering::Release);
    });
    let streams = collector.streams();
    assert_eq!(streams[0].len(), 3);
    assert!(streams[0][1] == large);
}

#[test]
fn idle_threads_never_exhaust_a_capped_channel() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "many");
    (config.initial, config.max) = (8 * 65536, Some(64 * 65536));
    let channel = RawChannel::create(config).unwrap();
    let (logged, end) = (Barrier::new(514), Barrier::new(514));
    std::thread::scope(|scope| {
        for i in 0..513usize {
            let (mut writer, logged, end) = (channel.writer(), &logged, &end);
            scope.spawn(move || {
                writer.write(&i.to_le_bytes()).unwrap();
                logged.wait();
                end.wait();
            });
        }
        logged.wait();
        let mut collector = Collector::new(dir.path(), &channel);
        collector.drain();
        assert_eq!(collector.streams().len(), 513, "nobody hangs, past the cap");
        assert_eq!(channel.counter(Counter::Waits), 0);
        end.wait();
    });
    let before = channel.allocated_bytes();
    for _ in 0..1_000 {
        channel.writer().write(b"a short life").unwrap();
    }
    assert_eq!(channel.allocated_bytes(), before, "what ended writers leave is continued");
}

#[test]
fn discard_loses_what_it_counts_and_overwrite_keeps_the_newest() {
    for (on_full, counter) in
        [(OnFull::Discard, Counter::DiscardedFull), (OnFull::Overwrite, Counter::Overwritten)]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "lossy");
        (config.sub_buffer, config.initial, config.max) = (4096, 8192, Some(8192));
        (config.on_full, config.keeper) = (on_full, false);
        let channel = RawChannel::create(config).unwrap();
        let mut writer = channel.writer();
        let results: Vec<bool> = (0..1_000).map(|i| writer.write(&payload(0, i)).is_ok()).collect();
        let mut collector = Collector::new(dir.path(), &channel);
        collector.drain();
        let records: Vec<u64> = collector.records.values().flatten().map(|r| r.0).collect();
        assert!(channel.counter(counter) > 0, "{on_full:?} was meant to lose");
        if on_full == OnFull::Discard {
            let lost = results.iter().filter(|ok| !**ok).count() as u64;
            assert_eq!(channel.counter(counter), lost);
            assert_eq!(records.len() as u64, 1_000 - lost);
            assert!(records.iter().all(|n| results[*n as usize]), "numbers name what is there");
        } else {
            assert!(records.contains(&999), "the newest is kept");
            let prior: u64 = collector.reader.scan().unwrap().iter().map(|s| s.prior).sum();
            assert_eq!(prior + records.len() as u64, 1_000, "the loss is known exactly");
        }
    }
}

#[test]
fn a_dead_channel_looks_dead_and_a_live_one_alive_even_with_a_forked_child() {
    let dir = tempfile::tempdir().unwrap();
    let channel = RawChannel::create(Config::new(dir.path(), "alive")).unwrap();
    let collector = Collector::new(dir.path(), &channel);
    assert!(collector.reader.is_alive().unwrap());
    let forks = FORKS.lock().unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    drop(forks);
    channel.writer().write(b"last words").unwrap();
    drop(channel);
    assert!(!collector.reader.is_alive().unwrap(), "the mapping held the lock, and it is gone");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A process that is started while a channel is created has a copy of the descriptor that is locked, until it
/// executes its program.
static FORKS: Mutex<()> = Mutex::new(());

/// Also where its keeper is at it just then, making room for what is written.
#[test]
fn a_channel_that_was_dropped_has_ended() {
    let _no_forks = FORKS.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for round in 0..300 {
        let mut config = Config::new(dir.path(), "ends");
        (config.sub_buffer, config.initial) = (4096, 16384);
        let channel = RawChannel::create(config).unwrap();
        let reader = ChannelReader::open(dir.path(), channel.file_name().as_ref(), None).unwrap();
        let mut writer = channel.writer();
        for i in 0..round % 100 * 4 {
            writer.write(&payload(0, i)).unwrap();
        }
        drop(writer);
        let clone = channel.clone();
        drop(channel);
        assert!(reader.is_alive().unwrap(), "a clone holds it");
        drop(clone);
        assert!(!reader.is_alive().unwrap(), "round {round}");
        std::fs::remove_file(dir.path().join(reader.identity().file_name())).unwrap();
    }
}

#[test]
fn a_second_look_sees_what_a_first_one_would() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "again");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 16384, false);
    let channel = RawChannel::create(config).unwrap();
    let reader = ChannelReader::open(dir.path(), channel.file_name().as_ref(), None).unwrap();
    let mut writers = [channel.writer(), channel.writer()];
    let mut known = Vec::new();
    for round in 0..200 {
        let writer = &mut writers[round % 2];
        match round % 7 {
            // Nothing but the state changes.
            3 => writer.flush(),
            5 => *writer = channel.writer(),
            6 => known.iter().for_each(|sub: &Sub| {
                if sub.is_ready() && sub.archived != sub.generation {
                    reader.hand_back(sub).unwrap();
                }
            }),
            _ => writer.write(&vec![round as u8; 40 * (round % 50)]).unwrap(),
        }
        known = reader.scan_again(&known).unwrap().subs;
        assert_eq!(known, reader.scan().unwrap(), "round {round}");
    }
    assert!(known.iter().any(|sub| sub.generation > 2), "nothing was leased again");
}
