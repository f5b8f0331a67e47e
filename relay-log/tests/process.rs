//! What the operating system does to a process that logs: forks, signals, exit handlers.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "tracing")]

mod common;

use common::{Event, child, messages, read, role};
use relay_fmt::record::Kind;
use relay_log::Relay;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Runs `f` in a forked child, which ends without running anything of the parent's.
fn in_fork(f: impl FnOnce()) {
    // SAFETY: the child uses what the C library keeps usable after a fork, memory included.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        f();
        // SAFETY: it ends the process.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the status is a place of this function's own.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child did not end well");
}

extern "C" fn log_at_exit() {
    log::info!("exit handler");
}

static ALARMS: AtomicU32 = AtomicU32::new(0);

extern "C" fn log_alarm(_: libc::c_int) {
    let n = ALARMS.fetch_add(1, Ordering::Relaxed);
    log::info!(target: "alarm", "{n}");
}

/// Runs `f` while another thread sends this one SIGALRM as fast as it can.
fn under_alarms(f: impl FnOnce()) {
    let handler = log_alarm as extern "C" fn(libc::c_int);
    // SAFETY: the handler logs, which is what is tested.
    unsafe { libc::signal(libc::SIGALRM, handler as *const () as libc::sighandler_t) };
    // SAFETY: it only asks.
    let here = unsafe { libc::pthread_self() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the thread is there: it waits for this one to end.
                unsafe { libc::pthread_kill(here, libc::SIGALRM) };
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
        });
        f();
        stop.store(true, Ordering::Relaxed);
    });
}

fn fork(dir: &Path) {
    let _relay = Relay::builder(dir).channel("app").init_tracing().unwrap();
    let log = |who: &str| {
        for n in 0..3 {
            log::info!("{who} {n}");
        }
    };
    log("parent");
    let span = tracing::info_span!("around", open = "before the fork").entered();
    in_fork(|| {
        log("child");
        tracing::info!("child in span");
        in_fork(|| log("grandchild"));
        // A process that has never logged is forked too.
        in_fork(|| in_fork(|| log("great-grandchild")));
        std::thread::spawn(|| log::info!("a thread of the child")).join().unwrap();
    });
    drop(span);
    log("parent again");
    // A child that ends in order and has not logged must not touch what is not its own.
    // SAFETY: as in `in_fork`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: as in `in_fork`.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0);
}

fn fork_early(dir: &Path) {
    assert!(relay_log::early());
    log::info!("early parent");
    in_fork(|| {
        log::info!("early child");
        Relay::builder(dir).channel("child").init().unwrap();
        log::info!("late child");
    });
    Relay::builder(dir).channel("parent").init().unwrap();
    in_fork(|| log::info!("child of the late parent"));
    log::info!("late parent");
}

fn alarms(dir: &Path) {
    Relay::builder(dir).channel("app").init().unwrap();
    log_alarm(0);
    under_alarms(|| {
        for n in 0..300_000u32 {
            log::info!(target: "main", n; "{n}");
        }
    });
    log::info!(target: "count", "{}", ALARMS.load(Ordering::Relaxed));
}

fn events(name: &str, part: &str) -> Vec<Event> {
    let dir = tempfile::tempdir().unwrap();
    let output = child(name, part, dir.path());
    assert!(output.status.success(), "{output:?}");
    read(&dir.path().join("live"))
}

fn three(who: &str) -> Vec<String> {
    (0..3).map(|n| format!("{who} {n}")).collect()
}

#[test]
fn forked_children_have_channels_of_their_own() {
    const NAME: &str = "forked_children_have_channels_of_their_own";
    if let Some((role, dir)) = role() {
        return if role == "fork" { fork(&dir) } else { fork_early(&dir) };
    }
    let events = self::events(NAME, "fork");
    let mut pids: Vec<u32> = events.iter().map(|e| e.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let of = |pid: u32| messages(&events, |e| e.pid == pid);
    let all: Vec<Vec<String>> = pids.iter().map(|pid| of(*pid)).collect();
    let has = |expected: Vec<String>| assert!(all.contains(&expected), "{expected:?} in {all:?}");
    assert_eq!(all.len(), 4, "{all:?}");
    has([three("parent"), three("parent again")].concat());
    let own = ["child in span".to_owned(), "a thread of the child".to_owned()];
    has([three("child"), own.to_vec()].concat());
    has(three("grandchild"));
    has(three("great-grandchild"));
    // The child's channel says what the span around is, though the parent began it.
    let inside = events.iter().find(|e| e.kind == Kind::SpanEvent).unwrap();
    let began: Vec<_> = events.iter().filter(|e| e.kind == Kind::SpanNew).collect();
    assert_eq!(began.len(), 2);
    assert!(began.iter().any(|e| e.pid == inside.pid && e.span == inside.span));
    assert_eq!(began[0].fields(), began[1].fields());

    let events = self::events(NAME, "early");
    let of = |channel: &str| messages(&events, |e| e.channel == channel);
    assert_eq!(of("child"), ["early child", "late child"]);
    let mut parents = of("parent");
    parents.sort();
    assert_eq!(parents, ["child of the late parent", "early parent", "late parent"]);
}

#[test]
fn a_handler_that_logs_in_the_middle_of_a_call_loses_nothing() {
    const NAME: &str = "a_handler_that_logs_in_the_middle_of_a_call_loses_nothing";
    if let Some((_, dir)) = role() {
        return alarms(&dir);
    }
    let events = self::events(NAME, "alarms");
    let of = |target: &str| messages(&events, |e| e.callsite().target == target);
    assert!(of("main").into_iter().eq((0..300_000).map(|n| n.to_string())));
    let count: u32 = of("count")[0].parse().unwrap();
    let mut heard: Vec<u32> = of("alarm").iter().map(|n| n.parse().unwrap()).collect();
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..count));
    assert!(events.iter().any(|e| e.nesting == 1), "no handler came in the middle of a call");
}

#[test]
fn exit_handlers_log() {
    if let Some((_, dir)) = role() {
        // Registered first, so it runs after Relay's own.
        // SAFETY: the handler is a function of this program.
        unsafe { libc::atexit(log_at_exit) };
        Relay::builder(dir).channel("app").init().unwrap();
        log::info!("main");
        std::process::exit(0);
    }
    assert_eq!(messages(&events("exit_handlers_log", ""), |_| true), ["main", "exit handler"]);
}
