//! Lives of threads and processes: many short ones, the same number twice, and interrupted ten thousand
//! times a second.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::channel::ChannelReader;
use relay_log::{ByteSize, Relay};
use relay_tests::archived::audited;
use relay_tests::arena::{apart, scratch};
use relay_tests::producer::{DONE, GATE, READY};
use relay_tests::report::skipped;
use relay_tests::sys::{self, Shared};
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence};
use std::time::{Duration, Instant};

/// A number from the environment: the long runs of these attacks take minutes.
fn number(variable: &str, short: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(short)
}

/// Memory of this process that is there, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn many_short_threads_leak_nothing() {
    let home = scratch();
    let Some(dir) = apart("many_short_threads_leak_nothing", home.path()) else { return };
    let count = number("RELAY_THREADS", 20_000);
    let relay = Relay::builder(&dir).channel("app").buffer(ByteSize::mib(1)).keeper(false);
    let relay = relay.init().unwrap();
    let collector = relay_collect::spawn(relay_collect::Options::new(&dir)).unwrap();
    let begun = Instant::now();
    let (mut allocated, mut memory) = (0, 0);
    for round in 0..count / 8 {
        let lives = (0..8).map(|i| std::thread::spawn(move || log::info!("thread {round} {i}")));
        lives.collect::<Vec<_>>().into_iter().for_each(|life| life.join().unwrap());
        if round == count / 80 {
            (allocated, memory) = (relay.stats()[0].allocated.as_u64(), resident());
        }
    }
    let grown = resident().saturating_sub(memory);
    let took = begun.elapsed().as_micros() as u64 / count;
    let more = relay.stats()[0].allocated.as_u64().saturating_sub(allocated);
    collector.stop().unwrap();
    let mut outcome = audited(&dir, count / 8 * 8);
    outcome.note =
        format!("{took} us each; after a tenth: {more} bytes of file, {grown} KiB of memory");
    outcome.print("short threads that log once, eight at a time");
    assert!(outcome.is_clean(), "{outcome:?}");
    // Of a million threads the collector remembers 65,536.
    assert!(more <= 16 << 20 && grown <= 48 << 10, "{}", outcome.note);
}

static HANDLED: AtomicU64 = AtomicU64::new(0);
/// Whether the thread that is interrupted is in the middle of a call.
static CALLING: AtomicBool = AtomicBool::new(false);
static COLLECTED: AtomicBool = AtomicBool::new(false);

/// Between two calls it waits for a collector as any call does: it says nothing before there is one.
extern "C" fn handler(_: i32) {
    if !CALLING.load(Ordering::Relaxed) && !COLLECTED.load(Ordering::Relaxed) {
        return;
    }
    log::info!("handler {}", HANDLED.load(Ordering::Relaxed));
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn ten_thousand_signals_a_second_and_nobody_collects() {
    let home = scratch();
    let Some(dir) = apart("ten_thousand_signals_a_second_and_nobody_collects", home.path()) else {
        return;
    };
    let stall = Duration::from_secs(number("RELAY_STALL", 2));
    let size = ByteSize::kib(8);
    let relay = Relay::builder(&dir).channel("app").sub_buffer(ByteSize::kib(4)).keeper(false);
    relay.buffer(size).buffer_max(size).init().unwrap();
    static STOP: AtomicU64 = AtomicU64::new(0);
    let mut written = 0;
    let collected = std::thread::spawn({
        let dir = dir.clone();
        move || {
            std::thread::sleep(stall);
            // What is in the middle of a call never waits, however long the call does.
            while HANDLED.load(Ordering::Relaxed) <= 100 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let before = HANDLED.load(Ordering::Relaxed);
            let collector = relay_collect::spawn(relay_collect::Options::new(&dir)).unwrap();
            COLLECTED.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(1));
            STOP.store(1, Ordering::Relaxed);
            (collector, before)
        }
    });
    CALLING.store(true, Ordering::Relaxed);
    // A statement's first use allocates, which a handler must not.
    handler(0);
    sys::on_signal(libc::SIGALRM, handler);
    // Only this thread is interrupted, in the middle of its calls and while it waits for room.
    sys::interrupt_this_thread(100);
    while STOP.load(Ordering::Relaxed) == 0 {
        CALLING.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        log::info!("main {written}");
        compiler_fence(Ordering::SeqCst);
        CALLING.store(false, Ordering::Relaxed);
        written += 1;
    }
    sys::interrupt_this_thread(0);
    let (collector, while_stalled) = collected.join().unwrap();
    collector.stop().unwrap();
    let handled = HANDLED.load(Ordering::Relaxed);
    let mut outcome = audited(&dir, written + handled);
    outcome.note = format!(
        "{while_stalled} handlers in {} s without a collector, {handled} in all, {written} calls",
        stall.as_secs()
    );
    outcome.print("handlers at 10 kHz, 2 sub-buffers, no collector, then one");
    assert!(outcome.is_clean(), "{outcome:?}");
}

extern "C" fn durable(_: i32) {
    log::error!("handler {}", HANDLED.load(Ordering::Relaxed));
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Handlers wait for the disk in the middle of calls that wait for the disk.
#[test]
fn handlers_whose_records_are_to_be_durable() {
    // Not on a file system in memory.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(dir) = apart("handlers_whose_records_are_to_be_durable", home.path()) else { return };
    let relay = Relay::builder(&dir).channel("app").sync_on(relay_log::Level::Error);
    let relay = relay.keeper(false).init().unwrap();
    log::error!("a statement's first use allocates, which a handler must not");
    durable(0);
    sys::on_signal(libc::SIGALRM, durable);
    let (mut written, mut longest) = (1, Duration::ZERO);
    // First the program syncs its file by itself, then a collector does it.
    for collects in [false, true] {
        let options = relay_collect::Options::new(&dir);
        let collector = collects.then(|| relay_collect::spawn(options).unwrap());
        sys::interrupt_this_thread(7_000);
        let until = Instant::now() + Duration::from_millis(400);
        while Instant::now() < until {
            let begun = Instant::now();
            log::info!("main {written}");
            log::error!("main {written}");
            written += 2;
            longest = longest.max(begun.elapsed());
        }
        sys::interrupt_this_thread(0);
        if let Some(collector) = collector {
            collector.stop().unwrap();
        }
    }
    relay.flush_durable(Duration::from_secs(5)).unwrap();
    let handled = HANDLED.load(Ordering::Relaxed);
    let mut outcome = audited(&dir, written + handled);
    outcome.note = format!("{handled} handlers, {written} calls, the longest {longest:?}");
    outcome.print("sync_on in handlers, alone and with a collector");
    assert!(outcome.is_clean() && handled > 10, "{outcome:?}");
}

#[test]
fn a_process_id_that_comes_again() {
    let attack = "the same process id twice, in a namespace";
    let dir = scratch();
    let producer = env!("CARGO_BIN_EXE_producer");
    let live = dir.path().join("live");
    std::fs::create_dir(&live).unwrap();
    for home in ["a", "b"] {
        std::fs::create_dir(dir.path().join(home)).unwrap();
        std::os::unix::fs::symlink(&live, dir.path().join(home).join("live")).unwrap();
    }
    // The first child of the shell is process 2, and the one after the second line is again.
    let script = format!(
        "{producer} a count=500 && echo 1 > /proc/sys/kernel/ns_last_pid && {producer} b count=500 gate=1; exit $?"
    );
    let can = Command::new("unshare").args(["-p", "-f", "--mount-proc", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        return skipped(attack, "process namespaces are not allowed here");
    }
    let shared = Shared::open(&dir.path().join("b/shared"));
    let mut shell = Command::new("unshare");
    shell.args(["-p", "-f", "--mount-proc", "sh", "-c", &script]).current_dir(dir.path());
    let mut shell = shell.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while shared.word(READY).load(SeqCst) == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let files = std::fs::read_dir(&live).unwrap().map(|entry| entry.unwrap().file_name());
    let readers = files.map(|file| ChannelReader::open(&live, &file, None).unwrap());
    let readers: Vec<_> = readers.collect();
    let pids: Vec<u32> = readers.iter().map(|reader| reader.identity().pid).collect();
    let alive = readers.iter().filter(|reader| reader.is_alive().unwrap()).count();
    shared.word(GATE).store(1, SeqCst);
    let ended = shell.wait().unwrap();
    assert!(ended.success() && shared.word(DONE).load(SeqCst) == 1);
    let mut collector = relay_collect::Collector::open(relay_collect::Options::new(dir.path()));
    collector.as_mut().unwrap().drain(&relay_collect::Control::new()).unwrap();
    let mut outcome = audited(dir.path(), 1_000);
    outcome.crashes += u64::from(alive != 1);
    outcome.note = format!("processes {pids:?}, {alive} alive before the second ended");
    outcome.print(attack);
    assert!(outcome.is_clean() && pids.len() == 2 && pids[0] == pids[1], "{outcome:?}");
}
