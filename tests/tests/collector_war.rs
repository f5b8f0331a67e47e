//! Producers and collectors killed and stopped at random; directories deleted under them.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::arena::scratch;
use relay_tests::payload::{Random, seed};
use relay_tests::report::Outcome;
use relay_tests::sys;
use relay_tests::theatre::Theatre;
use std::time::{Duration, Instant};

const SMALL: &str = "rotate=60000 block=60000 age=10";

/// Whoever is not through by then hangs, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);

const RETAINS: &str = "rotate=30000 block=60000 age=10 keep=3";

fn theatre(dir: &std::path::Path) -> Theatre {
    Theatre::new(dir, env!("CARGO_BIN_EXE_producer"), env!("CARGO_BIN_EXE_collector"))
}

fn signal(child: &std::process::Child, signal: i32) {
    sys::kill(child.id().cast_signed(), signal);
}

fn judged(attack: &str, mut outcome: Outcome, said: &str) {
    outcome.cases = 1;
    outcome.print(attack);
    assert!(outcome.is_clean(), "{attack}: {outcome:?}\n{said}");
}

#[test]
fn a_stopped_collector_is_waited_for() {
    let dir = scratch();
    let mut all = theatre(dir.path());
    let collector = all.collect(SMALL);
    let producer = all.produce("threads=2 count=60000 max=65536");
    std::thread::sleep(Duration::from_millis(30));
    signal(&all.collectors[collector], libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(500));
    let before = all.producers[producer].returned();
    std::thread::sleep(Duration::from_millis(1500));
    let waits = all.producers[producer].returned() == before;
    signal(&all.collectors[collector], libc::SIGCONT);
    let hangs = all.wait(PATIENCE);
    let mut outcome = all.finish();
    outcome.hangs += hangs + u64::from(!waits);
    judged("SIGSTOP of the collector for 2 s, cap 64 KiB", outcome, &all.said());
}

#[test]
fn a_stopped_producer_holds_up_nobody() {
    let dir = scratch();
    let mut all = theatre(dir.path());
    all.collect(SMALL);
    let stopped = all.produce("threads=2 count=4000000 max=65536 pause=20");
    std::thread::sleep(Duration::from_millis(100));
    signal(&all.producers[stopped].child, libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(50));
    let returned = all.producers[stopped].returned();
    let others = all.produce("threads=2 count=30000 max=65536");
    let begun = Instant::now();
    while all.producers[others].child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "the others hang");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begun.elapsed();
    // What the stopped one had returned can be read while it is stopped.
    let mut seen = all.judge();
    seen.lost += u64::from(all.producers[stopped].returned() != returned);
    signal(&all.producers[stopped].child, libc::SIGCONT);
    std::thread::sleep(Duration::from_millis(100));
    let mut outcome = all.finish();
    outcome.add(&seen);
    outcome.note = format!("60000 records of others in {} ms", took.as_millis());
    judged("SIGSTOP of a producer that holds sub-buffers", outcome, &all.said());
}

/// Waits until a process has a file open: what it holds outlives its name.
fn until_open(process: &std::process::Child, file: &std::path::Path) {
    let descriptors = format!("/proc/{}/fd", process.id());
    let is_open = || {
        let all = std::fs::read_dir(&descriptors).unwrap().flatten();
        all.map(|fd| std::fs::read_link(fd.path())).any(|of| of.is_ok_and(|of| of == file))
    };
    while !is_open() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn files_and_directories_are_deleted_under_load() {
    for what in ["the live file", "the live directory"] {
        let dir = scratch();
        let mut all = theatre(dir.path());
        let collector = all.collect(SMALL);
        let producer = all.produce("threads=2 count=60000 max=65536");
        std::thread::sleep(Duration::from_millis(60));
        let live = dir.path().join("live");
        let file = live.join(all.producers[producer].channel()).canonicalize().unwrap();
        until_open(&all.collectors[collector], &file);
        if what == "the live file" {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::remove_dir_all(&live).unwrap();
        }
        let hangs = all.wait(PATIENCE);
        // One that comes afterwards needs the directory.
        while !live.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        all.produce("threads=1 count=5000");
        let hangs = hangs + all.wait(PATIENCE);
        // The unlinked one is drained by the collector that has it open.
        std::thread::sleep(Duration::from_millis(500));
        let mut outcome = all.finish();
        outcome.hangs += hangs;
        judged(&format!("{what} is deleted under load"), outcome, &all.said());
        let once = all.said().matches("was deleted: going on").count();
        assert!(once <= 1, "{}", all.said());
    }
}

#[test]
fn a_second_collector_takes_over() {
    let dir = scratch();
    let mut all = theatre(dir.path());
    let mut last = all.collect(SMALL);
    all.produce("threads=2 count=80000 max=65536");
    for _ in 0..8 {
        let next = all.collect(SMALL);
        std::thread::sleep(Duration::from_millis(40));
        all.collectors[last].kill().unwrap();
        last = next;
    }
    let hangs = all.wait(PATIENCE);
    let mut outcome = all.finish();
    outcome.hangs += hangs;
    judged("a waiting collector takes over from a killed one, 8 times", outcome, &all.said());
}

/// One round: something happens to somebody.
fn round(
    all: &mut Theatre,
    random: &mut Random,
    (producer, collector): (&mut usize, &mut usize),
    options: &str,
) {
    let pause = Duration::from_micros(2_000 + random.below(25_000));
    match random.below(8) {
        0 | 1 => {
            all.producers[*producer].child.kill().unwrap();
            all.producers[*producer].child.wait().unwrap();
            let keeper = random.below(2);
            let options = format!("threads=3 max=131072 big=40 churn=90 keeper={keeper}");
            *producer = all.produce(&options);
        }
        2..=4 => {
            all.collectors[*collector].kill().unwrap();
            all.collectors[*collector].wait().unwrap();
            *collector = all.collect(options);
        }
        5 => {
            signal(&all.producers[*producer].child, libc::SIGSTOP);
            std::thread::sleep(pause);
            signal(&all.producers[*producer].child, libc::SIGCONT);
        }
        6 => {
            signal(&all.collectors[*collector], libc::SIGSTOP);
            std::thread::sleep(pause);
            signal(&all.collectors[*collector], libc::SIGCONT);
        }
        _ => resize(all, random),
    }
    std::thread::sleep(pause);
}

fn resize(all: &Theatre, random: &mut Random) {
    let live = all.dir.join("live");
    for entry in std::fs::read_dir(live).unwrap().flatten() {
        let name = entry.file_name();
        if let Ok(reader) =
            relay_log::channel::ChannelReader::open(&all.dir.join("live"), &name, None)
        {
            let _ = reader.request_resize(random.below(40) * 4096);
        }
    }
}

#[test]
fn war() {
    let rounds = std::env::var("RELAY_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(180);
    let seed = seed();
    println!("RELAY_SEED={seed}");
    let mut random = Random::new(seed);
    let mut sum = Outcome::default();
    // Several short wars: each is judged, and none fills the disk.
    let mut left: u64 = rounds;
    while left > 0 {
        let now = left.min(60);
        left -= now;
        let dir = scratch();
        let mut all = theatre(dir.path());
        let (mut producer, mut collector) = (all.produce("threads=3 max=65536"), 0);
        // With retention only what is there can be judged.
        let retains = left.is_multiple_of(120);
        let options = if retains { RETAINS } else { SMALL };
        all.collect(options);
        for _ in 0..now {
            round(&mut all, &mut random, (&mut producer, &mut collector), options);
        }
        let outcome = if retains { all.finish_against(&[]) } else { all.finish() };
        assert!(outcome.is_clean(), "RELAY_SEED={seed}: {outcome:?}\n{}", all.said());
        sum.add(&outcome);
    }
    sum.cases = rounds;
    sum.note = format!("kill, stop, resize, rotate, retain; seed {seed}");
    sum.print("war of producers and collectors at random");
}
