//! Records from before `init`: moved into the channel while other threads go on, or printed.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "log")]

mod common;

use common::{child, messages, read, role};
use relay_log::Relay;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const THREADS: u32 = 4;
const RECORDS: u32 = 2_000;

fn threads_log_while_main_sets_up(dir: &Path) {
    assert!(relay_log::early());
    log::info!("the first line of main");
    let (before, inside) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for t in 0..THREADS {
            let (before, inside) = (&before, &inside);
            let body = move || {
                for n in 0..RECORDS {
                    log::info!(thread = t; "{n}");
                    before.fetch_max(n, Ordering::Relaxed);
                    if n % 16 == 0 {
                        std::thread::yield_now();
                    }
                }
                inside.fetch_add(1, Ordering::Relaxed);
            };
            std::thread::Builder::new()
                .name(format!("early-{t}"))
                .spawn_scoped(scope, body)
                .unwrap();
        }
        while before.load(Ordering::Relaxed) < RECORDS / 4 {
            std::thread::yield_now();
        }
        Relay::builder(dir).channel("app").init().unwrap();
        log::info!("the first line after init");
    });
    assert_eq!(inside.load(Ordering::Relaxed), THREADS);
}

#[test]
fn every_early_record_is_the_beginning_of_its_threads_stream() {
    const NAME: &str = "every_early_record_is_the_beginning_of_its_threads_stream";
    if let Some((_, dir)) = role() {
        return threads_log_while_main_sets_up(&dir);
    }
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let output = child(NAME, "hand-over", dir.path());
        assert!(output.status.success(), "{output:?}");
        // `read` has seen to it that no number is missing or there twice.
        let events = read(&dir.path().join("live"));
        let mut writers: HashMap<u64, Vec<_>> = HashMap::new();
        for event in events {
            writers.entry(event.writer).or_default().push(event);
        }
        assert_eq!(writers.len(), THREADS as usize + 1, "one stream for each thread");
        for events in writers.values() {
            let ticks: Vec<u64> = events.iter().map(|e| e.tick).collect();
            assert!(ticks.is_sorted(), "a thread's times run backwards");
            assert!(events.iter().all(|e| e.tid == events[0].tid && e.thread == events[0].thread));
            let messages = messages(events, |_| true);
            if messages[0] == "the first line of main" {
                assert_eq!(messages[1], "the first line after init");
                continue;
            }
            assert!(
                messages.iter().eq((0..RECORDS).map(|n| n.to_string()).collect::<Vec<_>>().iter())
            );
            let thread = &events[0].thread;
            let number = thread.strip_prefix("early-").unwrap();
            assert!(events.iter().all(|e| e.fields() == [format!("thread=U64({number})")]));
        }
    }
}

/// Logs before `init`, and ends as the role says.
fn end_without_init(role: &str) {
    assert!(relay_log::early());
    log::info!(port = 80, "half" = 0.5; "kept {}", 1);
    log::debug!("not kept");
    std::thread::spawn(|| log::warn!("from a thread\nand a second line")).join().unwrap();
    match role {
        "return" => {}
        "exit" => std::process::exit(0),
        "panic" => panic!("main gives up"),
        "failed-init" => {
            let error = Relay::builder("/proc/nowhere").channel("app").init().unwrap_err();
            log::error!("no logs: {error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_never_handed_over_is_printed() {
    const NAME: &str = "what_is_never_handed_over_is_printed";
    if let Some((role, _)) = role() {
        return end_without_init(&role);
    }
    let dir = tempfile::tempdir().unwrap();
    for role in ["return", "exit", "panic", "failed-init"] {
        let output = child(NAME, role, dir.path());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let of =
            |text: &str| stderr.lines().filter(|l| l.starts_with('[') && l.contains(text)).count();
        assert_eq!(of("s INFO early] kept 1 port=80 half=0.5"), 1, "{role}: {stderr}");
        assert_eq!(of("WARN early] from a thread\\nand a second line"), 1, "{role}: {stderr}");
        assert_eq!(of("not kept"), 0, "{role}: {stderr}");
        assert_eq!(of("ERROR panic] main gives up"), usize::from(role == "panic"), "{stderr}");
        assert_eq!(of("ERROR early] no logs:"), usize::from(role == "failed-init"), "{stderr}");
    }
}
