//! The last records: of dying threads, of a process that ends in whatever way.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "log")]

mod common;

use common::{child, messages, read, role};
use relay_log::channel::Counter;
use relay_log::{ByteSize, Relay};
use std::path::Path;

/// Logs when its thread ends.
struct Last(&'static str);

impl Drop for Last {
    fn drop(&mut self) {
        for n in 0..3 {
            log::info!("{} says {n}", self.0);
        }
    }
}

thread_local! {
    static BEFORE: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    static AFTER: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
}

fn set_up(dir: &Path) -> Relay {
    Relay::builder(dir).channel("app").init().unwrap()
}

/// A channel that is full, for whose collector a thread waits that never comes.
fn set_up_full(dir: &Path) {
    let size = ByteSize::kib(8);
    let relay = Relay::builder(dir).channel("app").sub_buffer(ByteSize::kib(4)).keeper(false);
    let relay = relay.buffer(size).buffer_max(size).init().unwrap();
    std::thread::spawn(|| {
        for n in 0u64.. {
            log::info!("in vain {n}");
        }
    });
    while relay.stats()[0].counter(Counter::Waits) == 0 {
        std::thread::yield_now();
    }
}

fn end(role: &str, dir: &Path) {
    match role {
        "full" => set_up_full(dir),
        _ => drop(set_up(dir)),
    }
    match role {
        "thread" => {
            let body = || {
                // One destructor is registered before the logger's own, one after it.
                BEFORE.with(|last| *last.borrow_mut() = Some(Last("before")));
                log::info!("the thread lives");
                AFTER.with(|last| *last.borrow_mut() = Some(Last("after")));
            };
            std::thread::spawn(body).join().unwrap();
            for _ in 0..20 {
                std::thread::spawn(|| log::info!("one of many")).join().unwrap();
            }
        }
        "abort" => {
            log::info!("the last word");
            std::process::abort();
        }
        "exit" => {
            log::info!("the last word");
            std::process::exit(3);
        }
        "panic" | "full" => {
            let thread = std::thread::Builder::new().name("doomed".into());
            let ended = thread.spawn(|| panic!("that was {}", "it")).unwrap().join();
            assert!(ended.is_err());
        }
        other => panic!("{other}"),
    }
}

fn events(role: &str) -> (Vec<common::Event>, std::process::Output) {
    let dir = tempfile::tempdir().unwrap();
    let output = child("the_last_words_are_kept", role, dir.path());
    (read(&dir.path().join("live")), output)
}

#[test]
fn the_last_words_are_kept() {
    if let Some((role, dir)) = role() {
        return end(&role, &dir);
    }
    let (thread, output) = events("thread");
    assert!(output.status.success(), "{output:?}");
    let mut said = messages(&thread, |e| !e.message().starts_with("one of"));
    said.sort();
    let mut expected = vec!["the thread lives".to_owned()];
    for who in ["after", "before"] {
        expected.extend((0..3).map(|n| format!("{who} says {n}")));
    }
    expected.sort();
    assert_eq!(said, expected);
    assert_eq!(messages(&thread, |e| e.message() == "one of many").len(), 20);

    for role in ["abort", "exit"] {
        let (events, output) = events(role);
        assert!(!output.status.success());
        assert_eq!(messages(&events, |_| true), ["the last word"], "{role}");
    }

    for role in ["panic", "full"] {
        let (events, output) = events(role);
        assert!(output.status.success(), "{output:?}");
        panicked(&events, &output);
    }
}

fn panicked(events: &[common::Event], output: &std::process::Output) {
    let said = messages(events, |e| !e.message().starts_with("in vain"));
    assert_eq!(said, ["that was it"]);
    let panic = events.iter().find(|e| e.message() == "that was it").unwrap();
    let fields = panic.fields();
    assert!(fields[0].starts_with("location=Str(\"relay-log/tests/ends.rs:"), "{fields:?}");
    assert_eq!(fields[1], "thread=Str(\"doomed\")");
    // The hook that was there runs too.
    assert!(String::from_utf8_lossy(&output.stderr).contains("that was it"));
}
