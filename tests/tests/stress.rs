//! Records that prove themselves, written by threads that come and go, under a reader that spins over
//! the live file and checks everything that is there, again and again.
//!
//! After `lib/tests/printk_ringbuffer_kunit_test.c` of Linux. `RELAY_STRESS` is how many seconds each of
//! the tests takes (`ci/stress.sh`), `RELAY_SEED` repeats the lengths.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::record::{Kind, Lease, Records};
use relay_log::channel::{ChannelReader, Config, Counter, Data, OnFull, RawChannel, Sub};
use relay_tests::payload::{self, Random};
use relay_tests::report::Outcome;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

const WRITERS: u64 = 4;

/// Bytes of a generation as records that must prove themselves. Begins at a generation's first byte.
#[derive(Debug, Clone, Default)]
struct Checker {
    /// The writer of what comes next, and its next number.
    at: Option<(u64, u64)>,
}

impl Checker {
    /// Calls `seen` with writer, number and whose payload it is; `None` where anything is torn.
    fn check(
        &mut self,
        generation: u64,
        data: &Data,
        mut seen: impl FnMut(u64, u64, u64),
    ) -> Option<()> {
        for record in Records::new(&data.bytes, generation) {
            let record = record.ok()?;
            match record.kind {
                Kind::Lease => {
                    let lease = Lease::parse(record.payload).ok()?;
                    self.at = Some((lease.writer, lease.first_number));
                }
                Kind::Anchor => {}
                Kind::Raw => {
                    let (writer, number) = self.at.as_mut()?;
                    let (who, claimed) = payload::check(record.payload)?;
                    (claimed == *number).then_some(())?;
                    seen(*writer, *number, who);
                    *number += 1;
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// Which payloads belong to which writer: always the same.
#[derive(Debug, Default)]
struct Owners(HashMap<u64, u64>);

impl Owners {
    fn is_wrong(&mut self, writer: u64, who: u64) -> bool {
        *self.0.entry(writer).or_insert(who) != who
    }
}

/// Reads everything that is there, as often as it can.
fn spin(reader: &ChannelReader, done: &AtomicBool, outcome: &mut Outcome) -> (u64, u64) {
    let (mut owners, mut passes, mut void) = (Owners::default(), 0, 0);
    while !done.load(Acquire) {
        passes += 1;
        for sub in reader.scan().unwrap() {
            let Some(data) = reader.read(&sub, 0).unwrap() else {
                void += 1;
                continue;
            };
            let mut wrong = false;
            let whole = Checker::default().check(sub.generation, &data, |writer, _, who| {
                outcome.cases += 1;
                wrong |= owners.is_wrong(writer, who);
            });
            outcome.torn += u64::from(whole.is_none() || wrong);
        }
    }
    (passes, void)
}

/// A collector that keeps no more than what it cannot judge yet.
#[derive(Debug, Default)]
struct Collector {
    /// For each sub-buffer: its generation, how many bytes of it were taken, who wrote them.
    taken: HashMap<u32, (u64, u32, Checker)>,
    /// For each writer: its next number, and what came before its turn.
    streams: HashMap<u64, (u64, BTreeSet<u64>)>,
    records: u64,
    outcome: Outcome,
}

impl Collector {
    fn take(&mut self, reader: &ChannelReader, sub: &Sub) {
        let place = self.taken.entry(sub.index).or_default();
        if place.0 != sub.generation {
            *place = (sub.generation, 0, Checker::default());
        }
        let Some(data) = reader.read(sub, place.1).unwrap() else { return };
        place.1 = sub.committed;
        let (streams, outcome, records) = (&mut self.streams, &mut self.outcome, &mut self.records);
        let whole = place.2.check(sub.generation, &data, |writer, number, _| {
            let (next, early) = streams.entry(writer).or_default();
            *records += 1;
            outcome.doubled += u64::from(number < *next || !early.insert(number));
            while early.remove(next) {
                *next += 1;
            }
        });
        outcome.torn += u64::from(whole.is_none());
        if sub.is_ready() && sub.archived != sub.generation {
            reader.hand_back(sub).unwrap();
            reader.wake_writers().unwrap();
        }
    }

    fn drain(&mut self, reader: &ChannelReader) {
        reader.scan().unwrap().iter().for_each(|sub| self.take(reader, sub));
    }
}

/// Writes until it is over; every so often a new writer takes the place of the old one.
fn write(channel: &RawChannel, until: Instant, seed: u64, who: &AtomicU64) -> u64 {
    let (mut random, mut written) = (Random::new(seed), 0);
    while Instant::now() < until {
        let (mut writer, who) = (channel.writer(), who.fetch_add(1, Relaxed));
        let longest = writer.longest() as u64;
        for number in 0..1 + random.below(3_000) {
            // Mostly short, sometimes as long as a sub-buffer.
            let most = if random.below(50) == 0 { longest } else { 300 };
            writer.write(&payload::make(who, number, random.below(most) as usize)).unwrap();
            written += 1;
        }
    }
    written
}

fn seconds() -> Duration {
    let seconds = std::env::var("RELAY_STRESS").ok().and_then(|n| n.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

fn stress(attack: &str, on_full: OnFull) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut config = Config::new(dir.path(), "stress");
    (config.sub_buffer, config.initial, config.on_full) = (4096, 32 << 10, on_full);
    config.max = Some(256 << 10);
    let channel = RawChannel::create(config).unwrap();
    let open = || ChannelReader::open(dir.path(), channel.file_name().as_ref(), None).unwrap();
    let (seed, until) = (payload::seed(), Instant::now() + seconds());
    let (done, who) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut outcome, mut collector) = (Outcome::default(), Collector::default());
    let (written, (passes, void)) = std::thread::scope(|scope| {
        let spinning = scope.spawn(|| spin(&open(), &done, &mut outcome));
        let collecting = scope.spawn(|| {
            let reader = open();
            while on_full == OnFull::Block && !done.load(Acquire) {
                collector.drain(&reader);
            }
        });
        let (channel, who) = (&channel, &who);
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| scope.spawn(move || write(channel, until, seed ^ n << 32, who)))
            .collect();
        let resizing = scope.spawn(move || {
            for kib in (4..).step_by(28).take_while(|_| Instant::now() < until) {
                channel.resize((kib % 128) << 10);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let written: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        resizing.join().unwrap();
        done.store(true, Release);
        collecting.join().unwrap();
        (written, spinning.join().unwrap())
    });
    if on_full == OnFull::Block {
        collector.drain(&open());
        outcome.add(&Outcome { cases: 0, ..collector.outcome });
        let early: u64 = collector.streams.values().map(|(_, early)| early.len() as u64).sum();
        outcome.lost += written.abs_diff(collector.records).max(early);
    }
    assert!(outcome.cases > 0 && passes > 0, "the reader has read something");
    let grown = channel.counter(Counter::Grown);
    outcome.note = format!("{written} written, {passes} passes, {void} void, {grown} grown");
    outcome.print(attack);
    assert!(outcome.is_clean(), "seed {seed}: {outcome:?}");
}

#[test]
fn under_a_spinning_reader() {
    stress("stress: a spinning reader, a collector, resizing", OnFull::Block);
}

#[test]
fn under_a_spinning_reader_while_it_is_overwritten() {
    stress("stress: a spinning reader of what is overwritten", OnFull::Overwrite);
}

/// The control: a byte that changes after its record was committed is seen.
#[test]
fn a_changed_byte_is_torn() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let channel = RawChannel::create(Config::new(dir.path(), "stress")).unwrap();
    let mut writer = channel.writer();
    (0..3).for_each(|number| writer.write(&payload::make(0, number, 100)).unwrap());
    let name = channel.file_name();
    let reader = ChannelReader::open(dir.path(), name.as_ref(), None).unwrap();
    let sub = reader.scan().unwrap()[0];
    let check = || {
        let data = reader.read(&sub, 0).unwrap().unwrap();
        Checker::default().check(sub.generation, &data, |_, _, _| {})
    };
    assert_eq!(check(), Some(()));
    let file = std::fs::File::options().write(true).open(dir.path().join(name)).unwrap();
    file.write_all_at(b"!", 4096 + 256 + u64::from(sub.committed) - 20).unwrap();
    assert_eq!(check(), None);
}
