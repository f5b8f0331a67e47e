//! Forks, exec, and threads by the thousand.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::channel::{ChannelReader, Config, RawChannel};
use relay_tests::payload::make;
use relay_tests::recover::{Streams, recover};
use relay_tests::report::Outcome;
use relay_tests::sys::{self, Waited};
use relay_tests::verdict::judge;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir, "family");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
    config
}

/// The channels of a directory, but not `known`.
fn others(dir: &Path, known: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let paths = entries.filter(|e| e.file_name() != known).map(|e| e.path());
    paths.filter(|p| p.extension().is_some_and(|e| e == "relay")).collect()
}

fn read(path: &Path) -> Streams {
    recover(&std::fs::read(path).unwrap())
}

/// One test at a time: the child of a bare clone has a copy of every lock that another thread held, the
/// allocator's among them.
static ALONE: Mutex<()> = Mutex::new(());

type Fork = fn(Box<dyn FnOnce() -> i32>) -> i32;

#[test]
fn a_forked_child_writes_into_a_channel_of_its_own() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let forks: [(&str, Fork); 2] =
        [("fork", |f| sys::fork(f)), ("raw clone", |f| sys::raw_fork(f))];
    for (how, fork) in forks {
        let dir = tempfile::tempdir().unwrap();
        let channel = RawChannel::create(config(dir.path())).unwrap();
        let name = channel.file_name();
        let mut writer = channel.writer();
        (0..50).for_each(|i| writer.write(&make(0, i, 300)).unwrap());
        let before = std::fs::read(dir.path().join(&name)).unwrap();
        let mut child_writer = writer;
        // Until the threads of the other tests wait for their turn.
        std::thread::sleep(Duration::from_millis(100));
        let pid = fork(Box::new(move || {
            (0..50).for_each(|i| child_writer.write(&make(0, i, 300)).unwrap());
            drop(child_writer);
            0
        }));
        assert_eq!(sys::wait(pid), Waited::Exited(0));
        // The closure's copy of the writer was dropped here in the parent: it parked.
        let after = std::fs::read(dir.path().join(&name)).unwrap();
        let childs = others(dir.path(), &name);
        assert_eq!(childs.len(), 1, "{how}: {childs:?}");
        let mut outcome = judge(&read(&childs[0]), &[50]);
        outcome.add(&judge(&recover(&after), &[50]));
        let count = |image: &[u8]| recover(image).writers.values().map(Vec::len).sum::<usize>();
        outcome.torn += u64::from(count(&before) != count(&after));
        outcome.print(&format!("a child ({how}) writes through its parent's writer"));
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

#[test]
fn a_channel_that_a_forked_child_opens_is_the_one_it_writes_to() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let parents = RawChannel::create(config(dir.path())).unwrap();
    let at = dir.path().to_owned();
    let pid = sys::fork(move || {
        let mut config = config(&at);
        config.name = "childs".into();
        let channel = RawChannel::create(config).unwrap();
        channel.writer().write(&make(0, 0, 100)).unwrap();
        std::fs::write(at.join("name"), channel.file_name()).unwrap();
        0
    });
    assert_eq!(sys::wait(pid), Waited::Exited(0));
    let name = std::fs::read_to_string(dir.path().join("name")).unwrap();
    let mut outcome = judge(&read(&dir.path().join(&name)), &[1]);
    outcome.torn += others(dir.path(), &parents.file_name()).len() as u64 - 1;
    outcome.print("a forked child opens a channel before it logs");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn the_death_of_a_parent_is_seen_while_its_child_lives() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let shared = sys::Shared::open(&dir.path().join("shared"));
    let (live, page) = (dir.path().join("live"), dir.path().join("shared"));
    let parent = sys::fork(move || {
        use std::sync::atomic::Ordering::SeqCst;
        let channel = RawChannel::create(config(&live)).unwrap();
        channel.writer().write(&make(0, 0, 100)).unwrap();
        let shared = sys::Shared::open(&page);
        let child = sys::fork(|| {
            std::thread::sleep(std::time::Duration::from_secs(20));
            0
        });
        shared.word(0).store(child as u64, SeqCst);
        std::thread::sleep(std::time::Duration::from_secs(20));
        0
    });
    let child = loop {
        let child = shared.word(0).load(std::sync::atomic::Ordering::SeqCst);
        if child != 0 {
            break child as i32;
        }
        std::thread::yield_now();
    };
    let path = others(&dir.path().join("live"), "").remove(0);
    let name = path.file_name().unwrap();
    let reader = ChannelReader::open(path.parent().unwrap(), name, None).unwrap();
    assert!(reader.is_alive().unwrap());
    let started = Instant::now();
    sys::kill(parent, libc::SIGKILL);
    while reader.is_alive().unwrap() && started.elapsed().as_secs() < 5 {}
    let took = started.elapsed();
    sys::kill(child, libc::SIGKILL);
    assert_eq!(sys::wait(parent), Waited::Killed(libc::SIGKILL));
    let mut outcome = judge(&read(&path), &[1]);
    outcome.hangs += u64::from(took.as_secs() >= 5);
    outcome.note = format!("seen after {} us, before it was reaped", took.as_micros());
    outcome.print("a parent is killed, its child lives on");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn forks_under_load() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let channel = RawChannel::create(config(dir.path())).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let returned = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2u64)
            .map(|thread| {
                let (stop, mut writer) = (&stop, channel.writer());
                scope.spawn(move || {
                    let mut number = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) && number < 200_000 {
                        writer.write(&make(thread, number, 60)).unwrap();
                        number += 1;
                    }
                    number
                })
            })
            .collect();
        for _ in 0..30 {
            let mut writer = channel.writer();
            let pid = sys::fork(move || {
                (0..20).for_each(|i| writer.write(&make(0, i, 60)).unwrap());
                0
            });
            assert_eq!(sys::wait(pid), Waited::Exited(0));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<u64>>()
    });
    let mut outcome = judge(&read(&dir.path().join(channel.file_name())), &returned);
    for path in others(dir.path(), &channel.file_name()) {
        outcome.add(&judge(&read(&path), &[20]));
    }
    assert_eq!(outcome.cases, 31);
    outcome.print("forks while other threads log");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn exec_right_after_a_record() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().to_owned();
    let pid = sys::fork(move || {
        let channel = RawChannel::create(config(&live)).unwrap();
        channel.writer().write(&make(0, 0, 100)).unwrap();
        let _ = std::process::Command::new("sleep").arg("5").exec();
        1
    });
    let path = loop {
        if let Some(path) = others(dir.path(), "").pop() {
            break path;
        }
        std::thread::yield_now();
    };
    let name = path.file_name().unwrap();
    let reader = ChannelReader::open(dir.path(), name, None).unwrap();
    let started = Instant::now();
    while reader.is_alive().unwrap() && started.elapsed().as_secs() < 4 {}
    let mut outcome = judge(&read(&path), &[1]);
    outcome.hangs += u64::from(started.elapsed().as_secs() >= 4);
    sys::kill(pid, libc::SIGKILL);
    assert_eq!(sys::wait(pid), Waited::Killed(libc::SIGKILL));
    outcome.print("exec right after a record");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn ten_thousand_threads() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let channel = RawChannel::create(config(dir.path())).unwrap();
    let count = 10_000u64;
    let barrier = std::sync::Barrier::new(count as usize);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..count {
            let (channel, barrier) = (&channel, &barrier);
            let builder = std::thread::Builder::new().stack_size(64 << 10);
            let spawned = builder.spawn_scoped(scope, move || {
                let mut writer = channel.writer();
                (0..10).for_each(|i| writer.write(&make(thread, i, 50)).unwrap());
                barrier.wait();
            });
            spawned.unwrap();
        }
    });
    let each = started.elapsed().as_micros() as u64 / count;
    let mut outcome = judge(&read(&dir.path().join(channel.file_name())), &vec![10; 10_000]);
    let allocated = channel.allocated_bytes();
    outcome.note = format!("{each} us a thread, {} bytes a thread", allocated / count);
    outcome.print("10,000 threads, a writer each, all alive at once");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn short_lives_leak_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let channel = RawChannel::create(config(dir.path())).unwrap();
    let reader = ChannelReader::open(dir.path(), channel.file_name().as_ref(), None).unwrap();
    let archive = || {
        for sub in reader.scan().unwrap().iter().filter(|s| s.is_ready()) {
            reader.hand_back(sub).unwrap();
        }
    };
    // Eight at a time, as a pool of request threads would.
    let mut after_ten = 0;
    for round in 0..12_500u64 {
        let mut writers: Vec<_> = (0..8).map(|_| channel.writer()).collect();
        for (i, writer) in writers.iter_mut().enumerate() {
            writer.write(&make(i as u64, round, 16)).unwrap();
        }
        // They end in an order that differs from round to round.
        writers.rotate_left(round as usize % 8);
        drop(writers);
        if round % 16 == 0 {
            archive();
        }
        if round == 100 {
            after_ten = channel.allocated_bytes();
        }
    }
    let (last, first) = (channel.allocated_bytes(), after_ten);
    let mut outcome = Outcome { cases: 100_000, ..Outcome::default() };
    outcome.note = format!("allocated after 800: {first} bytes, after 100,000: {last}");
    outcome.print("100,000 short-lived writers, eight at a time");
    assert!(last <= first + 8 * 4096, "{}", outcome.note);
}

#[test]
fn children_keep_no_collector_out() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let channel = RawChannel::create(config(dir.path())).unwrap();
    let lock = dir.path().join(".collector");
    std::fs::write(&lock, "").unwrap();
    let stop = AtomicBool::new(false);
    let children: Vec<i32> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                // Asks whether there is a collector.
                let _ = channel.flush_durable(std::time::Duration::ZERO);
            }
        });
        let forks = (0..60).map(|_| {
            sys::fork(|| {
                std::thread::sleep(std::time::Duration::from_secs(60));
                0
            })
        });
        let children = forks.collect();
        stop.store(true, SeqCst);
        children
    });
    let file = std::fs::File::open(&lock).unwrap();
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    let taken = rustix::fs::flock(&file, exclusive);
    for pid in &children {
        sys::kill(*pid, libc::SIGKILL);
        assert_eq!(sys::wait(*pid), Waited::Killed(libc::SIGKILL));
    }
    let outcome = Outcome { cases: 60, hangs: u64::from(taken.is_err()), ..Outcome::default() };
    outcome.print("forks while a program asks whether there is a collector");
    assert!(outcome.is_clean(), "{outcome:?}");
}
