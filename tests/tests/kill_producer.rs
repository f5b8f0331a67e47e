//! Producers killed at random moments: every returned record is there, once, in order.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::drain::Drain;
use relay_tests::payload::{Random, seed};
use relay_tests::producer::Producer;
use relay_tests::recover::{Streams, recover};
use relay_tests::report::Outcome;
use relay_tests::verdict::judge;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn start(home: &Path, options: &str) -> Producer {
    Producer::start(Command::new(env!("CARGO_BIN_EXE_producer")), home, options)
}

/// Kills a producer after a while, and judges what is in its file.
fn killed(options: &str, after: Duration, read: impl Fn(&Path, &str) -> Streams) -> Outcome {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut producer = start(home.path(), options);
    let name = producer.channel();
    std::thread::sleep(after);
    producer.child.kill().unwrap();
    producer.child.wait().unwrap();
    judge(&read(&producer.live, &name), &producer.returned())
}

/// As [`killed`], with a collector that drains and hands back all the while.
fn killed_while_collected(options: &str, after: Duration) -> Outcome {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut producer = start(home.path(), options);
    let mut drain = Drain::open(&producer.live, &producer.channel());
    let until = Instant::now() + after;
    while Instant::now() < until {
        drain.drain();
    }
    producer.child.kill().unwrap();
    while drain.reader.is_alive().unwrap() {
        drain.drain();
    }
    drain.drain();
    producer.child.wait().unwrap();
    judge(&drain.finish(), &producer.returned())
}

fn image(live: &Path, name: &str) -> Streams {
    recover(&std::fs::read(live.join(name)).unwrap())
}

fn rounds() -> u64 {
    std::env::var("RELAY_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(200)
}

#[test]
fn killed_at_random() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut all = Outcome::default();
    for round in 0..rounds() {
        let keeper = random.below(2);
        let churn = if random.below(3) == 0 { "churn=50" } else { "" };
        let big = if random.below(3) == 0 { "big=20" } else { "" };
        let after = Duration::from_micros(random.below(12_000));
        let options = format!("threads=4 keeper={keeper} {churn} {big}");
        let outcome = if round % 2 == 0 {
            killed(&options, after, image)
        } else {
            killed_while_collected(&format!("{options} max=65536"), after)
        };
        assert!(outcome.is_clean(), "RELAY_SEED={seed} round {round} {options}: {outcome:?}");
        all.add(&outcome);
    }
    all.note = format!("4 threads each, half of them collected meanwhile, seed {seed}");
    all.print("SIGKILL of producers at random");
}

/// The same checker on what is known to lose.
#[test]
fn controls_are_seen_to_lose() {
    let after = Duration::from_millis(20);
    let over = killed("threads=4 full=overwrite max=16384", after, image);
    assert!(over.lost > 0 && over.torn == 0, "a ring of four pages keeps all: {over:?}");
    over.print("CONTROL overwriting ring, must lose");
    let file = killed("threads=4 file=1", after, |live, _| {
        let mut streams = Streams::default();
        for thread in 0..4u64 {
            let path = live.parent().unwrap().join(format!("file{thread}"));
            let bytes = std::fs::read(path).unwrap_or_default();
            let mut rest = &bytes[..];
            let records = streams.writers.entry(thread).or_default();
            while let Some((len, after)) = rest.split_first_chunk::<4>() {
                let len = u32::from_le_bytes(*len) as usize;
                let Some((record, after)) = after.split_at_checked(len) else { break };
                records.push((records.len() as u64, record.to_vec()));
                rest = after;
            }
        }
        streams
    });
    assert!(file.lost > 0 && file.torn == 0, "a BufWriter keeps all: {file:?}");
    file.print("CONTROL BufWriter, must lose");
}

/// Sub-buffers are overwritten while they are read: what is read is whole, and there once.
#[test]
fn read_while_overwritten() {
    let mut all = Outcome::default();
    for round in 0..4u64 {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let options = format!("threads=3 full=overwrite max=16384 keeper={} len=60", round % 2);
        let mut producer = start(home.path(), &options);
        let mut drain = Drain::open(&producer.live, &producer.channel());
        drain.hand_back = round >= 2;
        let until = Instant::now() + Duration::from_secs(1);
        let mut reads = 0;
        while Instant::now() < until {
            drain.drain();
            reads += 1;
        }
        producer.child.kill().unwrap();
        producer.child.wait().unwrap();
        drain.drain();
        let mut outcome = judge(&drain.finish(), &producer.returned());
        outcome.lost = 0;
        assert!(outcome.is_clean(), "{options}: {outcome:?}");
        outcome.cases = reads;
        all.add(&outcome);
    }
    all.note = "losing is allowed here, tearing is not".into();
    all.print("read while it is overwritten");
}
