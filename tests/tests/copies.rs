//! Handlers that never return to what they interrupt, and programs that have Relay in them twice.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::{ByteSize, Relay};
use relay_tests::archived::audited;
use relay_tests::arena::{apart, scratch};
use relay_tests::sys::{self, Library, Waited};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// Calls that have returned.
static RETURNED: AtomicU64 = AtomicU64::new(0);
/// How often a handler came.
static HANDLED: AtomicU64 = AtomicU64::new(0);

fn log(who: &str) {
    log::info!("{who}");
    RETURNED.fetch_add(1, SeqCst);
}

/// Every second one logs before it leaves.
extern "C" fn leave(_: i32) {
    if HANDLED.fetch_add(1, SeqCst).is_multiple_of(2) {
        log("handler");
    }
    sys::escape();
}

extern "C" fn log_on() {
    loop {
        log("interrupted");
    }
}

#[test]
fn calls_that_are_left_by_siglongjmp() {
    let home = scratch();
    let Some(dir) = apart("calls_that_are_left_by_siglongjmp", home.path()) else { return };
    let relay = Relay::builder(&dir).channel("app").sub_buffer(ByteSize::kib(4)).keeper(false);
    let _relay = relay.buffer(ByteSize::kib(64)).init().unwrap();
    let collector = relay_collect::spawn(relay_collect::Options::new(&dir)).unwrap();
    sys::on_signal(libc::SIGALRM, leave);
    log("a statement's first use allocates, which a handler must not");
    let escapes = 400;
    for escape in 0..escapes {
        sys::interrupt_this_thread(50 + escape * 7 % 90);
        sys::until_escape(log_on);
        sys::interrupt_this_thread(0);
        // The thread logs on, and so do others.
        log("after");
        std::thread::spawn(|| log("another")).join().unwrap();
    }
    collector.stop().unwrap();
    let returned = RETURNED.load(SeqCst);
    let mut outcome = audited(&dir, returned);
    // A call that was left may have come as far as its record.
    outcome.torn = outcome.torn.saturating_sub(HANDLED.load(SeqCst));
    outcome.note = format!("{escapes} calls were left for good, {returned} returned");
    outcome.print("siglongjmp out of handlers, in the middle of calls");
    assert!(outcome.is_clean(), "{outcome:?}");
}

/// Each thread leaves one call and ends: what it gives back then must be its own. Small sub-buffers, so that
/// many are left on their way from one to the next.
#[test]
fn threads_end_with_a_call_that_was_left() {
    let home = scratch();
    let Some(dir) = apart("threads_end_with_a_call_that_was_left", home.path()) else { return };
    let relay = Relay::builder(&dir).channel("app").sub_buffer(ByteSize::kib(4)).keeper(false);
    let _relay = relay.buffer(ByteSize::kib(64)).init().unwrap();
    let collector = relay_collect::spawn(relay_collect::Options::new(&dir)).unwrap();
    sys::on_signal(libc::SIGALRM, leave);
    let threads = if std::env::var_os("RELAY_LONG").is_some() { 3_000 } else { 400 };
    for _ in 0..threads {
        static READY: AtomicU64 = AtomicU64::new(0);
        READY.store(0, SeqCst);
        let thread = std::thread::spawn(|| {
            log("a thread's first call allocates, which a handler must not");
            READY.store(1, SeqCst);
            sys::until_escape(log_on);
        });
        while READY.load(SeqCst) == 0 {
            std::hint::spin_loop();
        }
        // The first may come before there is anything to be left.
        while !thread.is_finished() {
            sys::signal_thread(&thread, libc::SIGALRM);
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        thread.join().unwrap();
    }
    collector.stop().unwrap();
    let returned = RETURNED.load(SeqCst);
    let mut outcome = audited(&dir, returned);
    outcome.torn = outcome.torn.saturating_sub(HANDLED.load(SeqCst));
    outcome.note =
        format!("{threads} threads ended with a call left for good, {returned} returned");
    outcome.print("siglongjmp out of a call, and the thread ends");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn a_library_with_a_copy_of_its_own() {
    let home = scratch();
    let Some(dir) = apart("a_library_with_a_copy_of_its_own", home.path()) else { return };
    let _relay = Relay::builder(&dir).channel("app").init().unwrap();
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = Library::open(&deps.join("librelay_tests.so"));
    library.call(c"relay_plugin_init", 0);
    let both = |from: u64| {
        for number in from..from + 1_000 {
            library.call(c"relay_plugin_log", number);
            log::info!("app {number}");
        }
    };
    both(0);
    // A forked child has two channels of its own.
    let child = sys::fork(|| {
        both(1_000);
        0
    });
    both(2_000);
    assert_eq!(sys::wait(child), Waited::Exited(0));
    library.close();
    (0..1_000).for_each(|number| log::info!("app, after the library: {number}"));
    let live = std::fs::read_dir(dir.join("live")).unwrap().count();
    let options = relay_collect::Options::new(&dir);
    let mut collector = relay_collect::Collector::open(options).unwrap();
    collector.drain(&relay_collect::Control::new()).unwrap();
    let mut outcome = audited(&dir, 7_000);
    outcome.note = format!("{live} channels of two processes, each with two copies; then dlclose");
    outcome.print("a library that was loaded logs through a copy of its own");
    assert!(outcome.is_clean() && live == 4, "{outcome:?}");
}
