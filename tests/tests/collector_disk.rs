//! Disks that are full or small.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::arena::scratch;
use relay_tests::disk::{alone, fill, mount, mount_ext4};
use relay_tests::report::{Outcome, skipped};
use relay_tests::sys;
use relay_tests::theatre::Theatre;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn theatre(dir: &Path) -> Theatre {
    Theatre::new(dir, env!("CARGO_BIN_EXE_producer"), env!("CARGO_BIN_EXE_collector"))
}

/// Waits until a producer's thread waits for room: that is what its status shows. `false`: it never
/// did.
fn seen_waiting(all: &Theatre) -> bool {
    let live = all.dir.join("live");
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        let name = all.producers[0].channel();
        let reader = relay_log::channel::ChannelReader::open(&live, name.as_ref(), None).unwrap();
        if reader.status().unwrap().waiters > 0 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn the_archives_disk_is_full() {
    let attack = "the archives' disk is full, then is not";
    if !alone("the_archives_disk_is_full", attack) {
        return;
    }
    let mut sum = Outcome::default();
    for before in [true, false] {
        let dir = scratch();
        let filler = mount("1m", &dir.path().join("archive"));
        if before {
            fill(&filler);
        }
        let mut all = theatre(dir.path());
        all.collect("rotate=30000 block=60000 age=10");
        all.produce("threads=2 count=8000 len=60 max=65536");
        if !before {
            std::thread::sleep(Duration::from_millis(20));
            fill(&filler);
        }
        let waited = seen_waiting(&all);
        let alive = all.producers[0].child.try_wait().unwrap().is_none();
        // A collector that is restarted on the full disk is there when there is room.
        all.collectors[0].kill().unwrap();
        all.collectors[0].wait().unwrap();
        all.collect("rotate=300000 block=60000 age=10");
        std::thread::sleep(Duration::from_millis(300));
        let collector_lives = all.collectors[1].try_wait().unwrap().is_none();
        std::fs::remove_file(&filler).unwrap();
        let hangs = all.wait(Duration::from_secs(120));
        let mut outcome = all.finish();
        outcome.hangs += hangs;
        outcome.crashes += u64::from(!alive) + u64::from(!collector_lives);
        let said = all.said();
        assert!(outcome.is_clean() && waited, "waited {waited} {outcome:?}\n{said}");
        assert!(
            said.matches("cannot grow").count() + said.matches("is full").count() >= 1,
            "{said}"
        );
        assert!(said.lines().count() < 40, "it says it again and again: {said}");
        sum.add(&outcome);
    }
    sum.cases = 2;
    sum.note = "full before and during; producers were seen to wait; collector restarted".into();
    sum.print(attack);
}

#[test]
fn the_channels_disk_is_small() {
    let attack = "the channels' disk is small";
    if !alone("the_channels_disk_is_small", attack) {
        return;
    }
    let dir = scratch();
    let _filler = mount("512k", &dir.path().join("live"));
    let mut all = theatre(dir.path());
    all.produce("threads=3 count=8000 len=100");
    let waited = seen_waiting(&all);
    all.collect("rotate=300000 block=60000 age=10");
    let hangs = all.wait(Duration::from_secs(120));
    let mut outcome = all.finish();
    (outcome.cases, outcome.note) = (1, format!("waited: {waited}"));
    outcome.hangs += hangs;
    outcome.print(attack);
    assert!(outcome.is_clean() && waited, "{outcome:?}\n{}", all.said());
}

/// The archives' disk stops under load and comes back with what was synced. Channels are in memory.
#[test]
fn the_archives_disk_is_cut_off() {
    let attack = "power cut of the archives' ext4 under load";
    if !alone("the_archives_disk_is_cut_off", attack) {
        return;
    }
    let mut sum = Outcome::default();
    for round in 0..2 {
        let dir = scratch();
        let (image, at) = (dir.path().join("image"), dir.path().join("archive"));
        if !mount_ext4(&image, 64, &at) {
            return skipped(attack, "an ext4 on a loop device cannot be made and mounted here");
        }
        let mut all = theatre(dir.path());
        all.collect("rotate=300000 block=60000 age=10");
        all.produce("threads=2 max=262144 pause=50");
        std::thread::sleep(Duration::from_millis(600));
        let durable = all.producers[0].returned();
        // Everything is synced every second.
        std::thread::sleep(Duration::from_millis(2_500 + 300 * round));
        if let Err(error) = sys::shut_down(&at) {
            return skipped(attack, &format!("the file system cannot be shut down: {error}"));
        }
        std::thread::sleep(Duration::from_millis(500));
        let alive = all.producers[0].child.try_wait().unwrap().is_none();
        let collector_lives = all.collectors[0].try_wait().unwrap().is_none();
        all.end();
        assert!(Command::new("umount").arg(&at).status().unwrap().success());
        assert!(mount_ext4(&image, 64, &at));
        let mut outcome = all.finish_against(&[durable]);
        outcome.crashes += u64::from(!alive);
        outcome.note = format!("the collector went on: {collector_lives}");
        assert!(outcome.is_clean(), "{outcome:?}\n{}", all.said());
        sum.add(&outcome);
        sum.note = outcome.note;
        let _ = Command::new("umount").arg(&at).status();
    }
    sum.cases = 2;
    sum.print(attack);
}
