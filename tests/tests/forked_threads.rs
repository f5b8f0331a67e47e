//! Threads of a forked child that log for the first time all at once.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::{ByteSize, Relay};
use relay_tests::recover::recover;
use relay_tests::report::Outcome;
use relay_tests::sys::{self, Waited};

const THREADS: usize = 4;

#[test]
fn a_forked_childs_threads_all_find_its_channel() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let relay = Relay::builder(dir.path()).channel("forks").sub_buffer(ByteSize::kib(4));
    let _relay = relay.buffer(ByteSize::kib(8)).buffer_max(ByteSize::mib(1)).init().unwrap();
    let say = |who: usize| log::info!("{who} says so");
    say(0);
    let mut outcome = Outcome::default();
    for _ in 0..150 {
        let pid = sys::fork(|| {
            let barrier = std::sync::Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for who in 0..THREADS {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        say(who);
                    });
                }
            });
            0
        });
        let ended = sys::wait(pid);
        outcome.cases += 1;
        outcome.crashes += u64::from(ended != Waited::Exited(0));
        let childs = format!("forks.{pid}-");
        let entries = std::fs::read_dir(dir.path().join("live")).unwrap().flatten();
        let mut records = 0;
        for entry in entries.filter(|e| e.file_name().to_string_lossy().starts_with(&childs)) {
            let streams = recover(&std::fs::read(entry.path()).unwrap());
            records += streams.writers.values().map(Vec::len).sum::<usize>();
            std::fs::remove_file(entry.path()).unwrap();
        }
        outcome.lost += (THREADS as u64).saturating_sub(records as u64);
        outcome.doubled += (records as u64).saturating_sub(THREADS as u64);
    }
    outcome.print("a forked child's threads log for the first time at once");
    assert!(outcome.is_clean(), "{outcome:?}");
}
