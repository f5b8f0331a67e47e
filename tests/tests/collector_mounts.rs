//! Real file systems, and limits on memory: small, full, suddenly read-only.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::arena::scratch;
use relay_tests::disk::{alone, fill, mount_ext4, unmount};
use relay_tests::report::{Outcome, skipped};
use relay_tests::theatre::Theatre;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PRODUCER: &str = env!("CARGO_BIN_EXE_producer");
const NO_LOOP: &str = "an ext4 on a loop device cannot be made and mounted here";
const SMALL: &str = "rotate=60000 block=60000 age=10";

fn theatre(dir: &Path) -> Theatre {
    Theatre::new(dir, PRODUCER, env!("CARGO_BIN_EXE_collector"))
}

/// An ext4 that holds these directories of a theatre.
fn on_ext4(dir: &Path, mebibytes: u64, names: &[&str]) -> Option<PathBuf> {
    let at = dir.join("disk");
    mount_ext4(&dir.join("image"), mebibytes, &at).then(|| {
        for name in names {
            std::fs::create_dir(at.join(name)).unwrap();
            std::os::unix::fs::symlink(at.join(name), dir.join(name)).unwrap();
        }
        at
    })
}

fn settle(all: &Theatre) {
    let mut before = Vec::new();
    while before != all.producers[0].returned() {
        before = all.producers[0].returned();
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_small_ext4_is_full_before_and_during() {
    let attack = "a small ext4 with channels and archives is full, then is not";
    if !alone("a_small_ext4_is_full_before_and_during", attack) {
        return;
    }
    let mut sum = Outcome::default();
    for before in [true, false] {
        let dir = scratch();
        let Some(at) = on_ext4(dir.path(), 16, &["live", "archive"]) else {
            return skipped(attack, NO_LOOP);
        };
        let mut all = theatre(dir.path());
        all.produce("threads=2 count=12000 len=400 pause=1");
        let filler = at.join("filler");
        if before {
            fill(&filler);
        }
        all.collect(SMALL);
        if !before {
            std::thread::sleep(Duration::from_millis(50));
            fill(&filler);
        }
        settle(&all);
        let alive = all.producers[0].child.try_wait().unwrap().is_none();
        let collector_lives = all.collectors[0].try_wait().unwrap().is_none();
        std::fs::remove_file(&filler).unwrap();
        let hangs = all.wait(Duration::from_secs(120));
        let mut outcome = all.finish();
        outcome.hangs += hangs;
        outcome.crashes += u64::from(!collector_lives);
        assert!(outcome.is_clean(), "{before} {alive} {outcome:?}\n{}", all.said());
        assert!(all.said().lines().count() < 40, "again and again: {}", all.said());
        sum.add(&outcome);
        drop(all);
        unmount(&at);
    }
    sum.note = "full before and during; everything arrived".into();
    sum.print(attack);
}

/// The kernel makes a file system read-only when it finds an error in it.
#[test]
fn a_file_system_becomes_read_only_under_load() {
    let attack = "ext4 becomes read-only under load";
    if !alone("a_file_system_becomes_read_only_under_load", attack) {
        return;
    }
    let mut sum = Outcome::default();
    for what in ["archive", "live"] {
        let dir = scratch();
        let Some(at) = on_ext4(dir.path(), 64, &[what]) else {
            return skipped(attack, NO_LOOP);
        };
        let mut all = theatre(dir.path());
        all.collect(SMALL);
        // Without a collector durable would be the channel, which is in memory.
        while !dir.path().join("live/.collector").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        // What archives held and was not synced goes with their disk: there only what is durable counts.
        let durable = u64::from(what == "archive");
        all.produce(&format!("threads=2 max=262144 pause=20 durable={durable}"));
        std::thread::sleep(Duration::from_millis(300));
        let done = Command::new("mount").args(["-o", "remount,abort"]).arg(&at).status();
        if !done.is_ok_and(|status| status.success()) {
            return skipped(attack, "this kernel does not abort an ext4");
        }
        settle(&all);
        let alive = all.producers[0].child.try_wait().unwrap().is_none();
        let collector_lives = all.collectors[0].try_wait().unwrap().is_none();
        let mut outcome = if what == "archive" {
            all.end();
            unmount(&at);
            assert!(mount_ext4(&dir.path().join("image"), 64, &at));
            all.finish()
        } else {
            // A collector does not start on channels that it cannot hand back; this one runs on.
            std::thread::sleep(Duration::from_millis(500));
            all.judge()
        };
        outcome.crashes += u64::from(!alive) + u64::from(!collector_lives);
        assert!(outcome.is_clean(), "{what}: {outcome:?}\n{}", all.said());
        assert!(all.said().lines().count() < 40, "again and again: {}", all.said());
        sum.add(&outcome);
        drop(all);
        unmount(&at);
    }
    sum.note = "archives, then channels; nobody died".into();
    sum.print(attack);
}

#[test]
fn a_memory_limit_is_no_reason_to_die() {
    let attack = "channels in memory under a memory limit of 64 MiB, nobody collects";
    let group = PathBuf::from(format!("/sys/fs/cgroup/memory/relay-{}", std::process::id()));
    let limit = group.join("memory.limit_in_bytes");
    if std::fs::create_dir(&group).is_err() || std::fs::write(&limit, "67108864").is_err() {
        let _ = std::fs::remove_dir(&group);
        return skipped(attack, "there is no memory controller (version 1) that may be used");
    }
    let dir = scratch();
    let script = dir.path().join("limited");
    let text =
        format!("#!/bin/sh\necho $$ > {}/cgroup.procs\nexec {PRODUCER} \"$@\"\n", group.display());
    std::fs::write(&script, text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let script: &'static str = script.to_str().unwrap().to_owned().leak();
    let mut all = Theatre::new(dir.path(), script, env!("CARGO_BIN_EXE_collector"));
    all.produce("threads=2 count=400000 len=400 max=0 sub=65536");
    settle(&all);
    let alive = all.producers[0].child.try_wait().unwrap().is_none();
    let waited: u64 = all.producers[0].returned().iter().sum();
    all.collect("rotate=30000000 block=1000000 age=10");
    let hangs = all.wait(Duration::from_secs(60));
    let mut outcome = all.finish();
    outcome.hangs += hangs;
    outcome.crashes += u64::from(!alive);
    outcome.note = format!("waited after {waited} records");
    drop(all);
    let _ = std::fs::remove_dir(&group);
    outcome.print(attack);
    assert!(outcome.is_clean(), "{outcome:?}");
}
