//! Snapshots while threads write, sub-buffers are archived and handed back, and archives are rotated.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Frame, Mini};
use relay_collect::query::Filter;
use relay_collect::read::{Audit, Snapshot, Store, Verdict};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const THREADS: usize = 3;
const EACH: u64 = 240_000;
const BURST: u64 = 800;

/// What a snapshot shows of each thread: how many records; panics at a gap, a double or a swap.
fn seen(store: &Store) -> HashMap<usize, u64> {
    let mut snapshot = Snapshot::take(store).unwrap();
    let mut next: HashMap<usize, u64> = HashMap::new();
    let mut time = i64::MIN;
    snapshot.events(&mut Filter::new(), false, &mut |event| {
        let text = std::str::from_utf8(event.row.payload).unwrap();
        let (thread, number) = text.split_once(':').unwrap();
        let next = next.entry(thread.parse().unwrap()).or_insert(0);
        assert_eq!(number.parse::<u64>().unwrap(), *next, "thread {thread}");
        assert!(event.row.order_ns >= time, "time goes back");
        time = event.row.order_ns;
        *next += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(snapshot.problems, Vec::<String>::new());
    next
}

/// Archives what is there, and only then hands it back.
///
/// It looks while nobody writes, so that no hole gets into the archive; readers have no such comfort.
fn collect(dir: &Dir, mini: &mut Mini, quiet: &RwLock<()>, done: &AtomicBool) {
    let (mut number, mut frames) = (0, vec![mini.announce()]);
    let live = |mini: &Mini| mini.reader.scan().unwrap();
    loop {
        let last = done.load(Ordering::Acquire);
        frames.push({
            let _quiet = quiet.write().unwrap();
            mini.look(false)
        });
        write(dir, number, &frames, false);
        live(mini).iter().for_each(|sub| mini.hand_back(sub));
        mini.reader.wake_writers().unwrap();
        if last {
            return;
        }
        if frames.len() > 6 {
            write(dir, number, &frames, true);
            number += 1;
            frames = vec![mini.positions()];
            write(dir, number, &frames, false);
        }
    }
}

/// Puts an archive there in one step.
fn write(dir: &Dir, number: u64, frames: &[Frame], sealed: bool) {
    let aside = Dir::new();
    let from = aside.archive("app", number, frames, sealed);
    let to = dir.path().join("archive").join(from.file_name().unwrap());
    let hidden = dir.path().join(".new");
    std::fs::copy(&from, &hidden).unwrap();
    if sealed {
        let part = dir.path().join("archive").join(Dir::archive_name("app", number, false));
        std::fs::rename(&hidden, &part).unwrap();
        std::fs::rename(part, to).unwrap();
    } else {
        std::fs::rename(&hidden, to).unwrap();
    }
}

#[test]
fn nothing_is_missing_or_twice_while_the_collector_works() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut mini = Mini::new(&dir, &channel);
    let quiet = RwLock::new(());
    let (done, writing) = (AtomicBool::new(false), AtomicBool::new(true));
    let written: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
    let store = Store::open(dir.path(), None).unwrap();
    let looks = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| collect(&dir, &mut mini, &quiet, &done));
        let reading = scope.spawn(|| {
            let mut looks = 0;
            while writing.load(Ordering::Acquire) {
                let before: Vec<u64> = written.iter().map(|w| w.load(Ordering::Acquire)).collect();
                let seen = seen(&store);
                for (thread, before) in before.iter().enumerate() {
                    let seen = seen.get(&thread).copied().unwrap_or(0);
                    assert!(seen >= *before, "thread {thread}: {seen} of {before}");
                }
                looks += 1;
            }
            looks
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (mut writer, written, quiet) = (channel.writer(), &written[thread], &quiet);
                scope.spawn(move || {
                    // In bursts: sub-buffers are filled faster than a reader can look at all of them.
                    for burst in 0..EACH / BURST {
                        let held = quiet.read().unwrap();
                        for i in burst * BURST..(burst + 1) * BURST {
                            writer.write(format!("{thread}:{i}").as_bytes()).unwrap();
                            written.store(i + 1, Ordering::Release);
                        }
                        drop(held);
                        std::thread::sleep(std::time::Duration::from_millis(3));
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        writing.store(false, Ordering::Release);
        let looks = reading.join().unwrap();
        done.store(true, Ordering::Release);
        collecting.join().unwrap();
        looks
    });
    assert!(looks > 3, "{looks} looks only");
    assert!(seen(&store).values().all(|seen| *seen == EACH));
    let audit = Audit::of(&store).unwrap();
    assert_eq!(audit.verdict, Verdict::Whole, "{audit:?}");
    assert_eq!(audit.records + audit.waiting, EACH * THREADS as u64);
}
