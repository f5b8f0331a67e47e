//! Calls that must come to an end although nobody helps: in a channel that is full and cannot grow, and
//! in a child of a child that was forked in the middle of its parent's first call.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::channel::{Counter, OnFull};
use relay_log::{ByteSize, Relay};
use relay_tests::drain::{Drain, find};
use relay_tests::recover::{Violation, recover};
use relay_tests::report::Outcome;
use relay_tests::sys::{self, Shared, Waited};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Words of the shared page.
const ENDED: usize = 0;
const GRANDCHILD: usize = 1;
const CALLS: usize = 2;
const DISCARDED: usize = 3;

static SHARED: OnceLock<Shared> = OnceLock::new();

/// Waits for a child to end, and ends it where it does not.
fn watch(pid: i32, shared: &Shared, outcome: &mut Outcome) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while shared.word(ENDED).load(SeqCst) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
    outcome.cases += 1;
    let hangs = shared.word(ENDED).load(SeqCst) == 0;
    if hangs {
        let grandchild = shared.word(GRANDCHILD).load(SeqCst) as i32;
        [grandchild, pid].iter().filter(|pid| **pid > 0).for_each(|pid| {
            sys::kill(*pid, libc::SIGKILL);
        });
    }
    let ended = sys::wait(pid);
    outcome.hangs += u64::from(hangs);
    outcome.crashes += u64::from(!hangs && ended != Waited::Exited(0));
}

fn called() {
    SHARED.get().unwrap().word(CALLS).fetch_add(1, SeqCst);
}

extern "C" fn on_alarm(_: i32) {
    log::info!("in a handler");
    called();
}

/// Logs at hundreds of statements, and in handlers, into a channel that can have four more sub-buffers.
fn fill(home: &Path, full: OnFull, early: u64) {
    let shared = SHARED.get_or_init(|| Shared::open(&home.join("shared")));
    relay_log::early();
    for n in 0..early {
        log::info!("early {n}");
        called();
    }
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(7 * 4096), maximum }).unwrap();
    let relay = Relay::builder(home).channel("full").sub_buffer(ByteSize::kib(4));
    let relay = relay.buffer(ByteSize::kib(8)).buffer_max(ByteSize::gib(1));
    let relay = relay.keeper(false).on_full(full).init().unwrap();
    if early == 0 {
        // The first record of a statement needs memory.
        on_alarm(0);
        sys::on_signal(libc::SIGALRM, on_alarm);
        sys::interrupt_this_thread(100);
    }
    for n in 0..10_000 {
        log::info!(target: &format!("target {}", n % 500), "{n}");
        called();
    }
    if early == 0 {
        sys::interrupt_this_thread(0);
    }
    let stats = &relay.stats()[0];
    let discarded = [Counter::DiscardedFull, Counter::DiscardedDisk].map(|c| stats.counter(c));
    shared.word(DISCARDED).store(discarded.iter().sum(), SeqCst);
    shared.word(ENDED).store(1, SeqCst);
}

#[test]
fn a_channel_that_may_lose_never_waits() {
    let mut outcome = Outcome::default();
    let cases = [OnFull::Discard, OnFull::Overwrite].map(|full| [(full, 0), (full, 1_000)]);
    for (full, early) in cases.into_iter().flatten() {
        let home = tempfile::tempdir().unwrap();
        let shared = Shared::open(&home.path().join("shared"));
        let at = home.path().to_owned();
        let pid = sys::fork(move || {
            fill(&at, full, early);
            0
        });
        watch(pid, &shared, &mut outcome);
        let live = home.path().join("live");
        let streams = recover(&std::fs::read(live.join(find(&live).unwrap())).unwrap());
        let there: u64 = streams.writers.values().map(|all| all.len() as u64).sum();
        let is_torn = |v: &&Violation| !matches!(v, Violation::Gap(..));
        outcome.torn += streams.violations.iter().filter(is_torn).count() as u64;
        let (calls, discarded) =
            (shared.word(CALLS).load(SeqCst), shared.word(DISCARDED).load(SeqCst));
        if full == OnFull::Discard {
            outcome.lost += calls.abs_diff(there + discarded);
        }
        outcome.lost += u64::from(there == 0);
        outcome.note += &format!("{full:?}: {calls} calls, {there} there, {discarded} counted; ");
    }
    outcome
        .print("full, no room to grow, nobody collects: new statements, handlers, early records");
    assert!(outcome.is_clean(), "{outcome:?}");
}

/// 64 bytes, and with them texts of a KiB: three descriptions fill a sub-buffer.
macro_rules! dashes {
    () => {
        "----------------------------------------------------------------"
    };
    ($($part:literal)*) => {
        concat!($(dashes!(), $part),*)
    };
}

/// A statement for each name.
macro_rules! statements {
    ($($name:literal)*) => {
        [$(|| log::info!(concat!(
            $name, dashes!("0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f")
        ))),*]
    };
}

/// Many statements, each for the first time and then again, in a channel that can have four more
/// sub-buffers: descriptions alone would fill nine.
fn describe(home: &Path, full: OnFull) {
    let shared = SHARED.get_or_init(|| Shared::open(&home.join("shared")));
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(7 * 4096), maximum }).unwrap();
    let relay = Relay::builder(home).channel("full").sub_buffer(ByteSize::kib(4));
    let relay = relay.buffer(ByteSize::kib(8)).buffer_max(ByteSize::gib(1));
    let relay = relay.keeper(false).on_full(full).init().unwrap();
    let statements: [fn(); 27] = statements!(
        "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W"
        "X" "Y" "Z" "Ä"
    );
    let call = |statement: &fn()| {
        statement();
        called();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| statements.iter().rev().for_each(call)));
        (0..20).for_each(|_| statements.iter().for_each(call));
    });
    let discarded = || {
        let stats = &relay.stats()[0];
        [Counter::DiscardedFull, Counter::DiscardedDisk]
            .map(|c| stats.counter(c))
            .iter()
            .sum::<u64>()
    };
    // Whatever it has lost meanwhile: it takes records again, a sub-buffer full and more, as soon as the
    // collector has handed something back.
    let mut taken = 0;
    while taken < 200 {
        let before = discarded();
        call(&statements[0]);
        taken += u64::from(discarded() == before);
    }
    shared.word(DISCARDED).store(discarded(), SeqCst);
    shared.word(ENDED).store(1, SeqCst);
}

#[test]
fn descriptions_leave_room_for_records() {
    let mut outcome = Outcome::default();
    for full in [OnFull::Block, OnFull::Discard, OnFull::Overwrite] {
        let home = tempfile::tempdir().unwrap();
        let shared = Shared::open(&home.path().join("shared"));
        let at = home.path().to_owned();
        let pid = sys::fork(move || {
            describe(&at, full);
            0
        });
        let live = home.path().join("live");
        let stop = AtomicBool::new(false);
        let streams = std::thread::scope(|scope| {
            let collector = scope.spawn(|| {
                let mut drain = Drain::open(&live, &find(&live).unwrap());
                while !stop.load(SeqCst) {
                    drain.drain();
                    std::thread::sleep(Duration::from_micros(200));
                }
                drain.drain();
                drain.finish()
            });
            watch(pid, &shared, &mut outcome);
            stop.store(true, SeqCst);
            collector.join().unwrap()
        });
        let there: u64 = streams.writers.values().map(|all| all.len() as u64).sum();
        let is_torn = |v: &&Violation| !matches!(v, Violation::Gap(..));
        outcome.torn += streams.violations.iter().filter(is_torn).count() as u64;
        let (calls, discarded) =
            (shared.word(CALLS).load(SeqCst), shared.word(DISCARDED).load(SeqCst));
        if full != OnFull::Overwrite {
            outcome.lost += calls.abs_diff(there + discarded);
        }
        outcome.lost += u64::from(there == 0);
        outcome.note += &format!("{full:?}: {calls} calls, {there} there, {discarded} counted; ");
    }
    outcome.print("no room to grow, more descriptions than sub-buffers");
    assert!(outcome.is_clean(), "{outcome:?}");
}

/// A process forks; the child's threads log for the first time, and one of them forks meanwhile.
fn generations(home: &Path, after: Duration) -> i32 {
    let mut relay = Relay::builder(home).channel("forks");
    for target in ["a", "b", "c"] {
        relay = relay.route(target, relay_log::ChannelOptions::new(target));
    }
    let _relay = relay.keeper(false).init().unwrap();
    log::info!("the first");
    let child = sys::fork(|| {
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                log::info!("the child's first");
            });
            barrier.wait();
            let since = Instant::now();
            while since.elapsed() < after {
                std::hint::spin_loop();
            }
            let grandchild = sys::fork(|| {
                log::info!("its child's first");
                0
            });
            SHARED.get().unwrap().word(GRANDCHILD).store(grandchild as u64, SeqCst);
            i32::from(sys::wait(grandchild) != Waited::Exited(0))
        })
    });
    i32::from(sys::wait(child) != Waited::Exited(0))
}

#[test]
fn a_child_of_a_child_logs_whenever_it_was_forked() {
    let mut outcome = Outcome::default();
    for round in 0..40 {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let shared = Shared::open(&home.path().join("shared"));
        let at = home.path().to_owned();
        let pid = sys::fork(move || {
            let shared = SHARED.get_or_init(|| Shared::open(&at.join("shared")));
            let code = generations(&at, Duration::from_micros(50 * round));
            shared.word(ENDED).store(1, SeqCst);
            code
        });
        watch(pid, &shared, &mut outcome);
        if !outcome.is_clean() {
            break;
        }
    }
    outcome.print("a child forks while another of its threads logs for the first time");
    assert!(outcome.is_clean(), "{outcome:?}");
}
