//! Packing archives again: killed at its every system call, or told that it has failed, or on a disk that
//! loses what was not synced, either the old archive or the new one is there.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::read::{ArchiveFd, ArchiveName};
use relay_fmt::archive::{REPACKED, open};
use relay_tests::archived::{judge_own, unsound};
use relay_tests::arena::{Arena, Template, scratch};
use relay_tests::inject;
use relay_tests::payload::{Random, seed};
use relay_tests::report::{Outcome, skipped};
use relay_tests::traced::{Disk, Step, steps, tracer};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const EXE: &str = env!("CARGO_BIN_EXE_collector");

/// A sealed archive of several blocks.
fn archives() -> (Arena, Vec<String>) {
    let arena = Template::new().arena();
    let dir = arena.dir.path().to_str().unwrap();
    let args = [dir, "once", "rotate=9000", "block=6000"];
    assert!(Command::new(EXE).args(args).output().unwrap().status.success());
    let names = ArchiveName::list(&arena.dir.path().join("archive")).unwrap();
    (arena, names.into_iter().map(|name| name.file).collect())
}

fn copy(arena: &Arena, names: &[String]) -> TempDir {
    let dir = scratch();
    std::fs::create_dir_all(dir.path().join("live")).unwrap();
    std::fs::create_dir_all(dir.path().join("archive")).unwrap();
    for name in names {
        let at = |dir: &Path| dir.join("archive").join(name);
        std::fs::copy(at(arena.dir.path()), at(dir.path())).unwrap();
    }
    dir
}

fn judged(dir: &Path, what: &str) -> Outcome {
    let mut outcome = judge_own(dir, &Arena::returned());
    for problem in unsound(dir, true) {
        outcome.torn += 1;
        outcome.note += &problem;
    }
    if !outcome.is_clean() {
        println!("{what}: {outcome:?}");
    }
    outcome
}

/// After the attack everything is there, and a clean run ends what was begun.
fn judge(dir: &Path, what: &str) -> Outcome {
    let mut outcome = judged(dir, what);
    let again = Command::new(EXE).args([dir.to_str().unwrap(), "repack"]).output().unwrap();
    outcome.crashes += u64::from(!again.status.success());
    outcome.add(&judged(dir, what));
    let archive = dir.join("archive");
    for name in ArchiveName::list(&archive).unwrap() {
        let opened = open(&ArchiveFd::open(&archive.join(&name.file)).unwrap()).unwrap();
        let done = opened.directory().header.compatible & REPACKED != 0;
        outcome.torn += u64::from(!done);
    }
    let left = std::fs::read_dir(archive).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".repack"));
    outcome.torn += left.count() as u64;
    outcome
}

/// The system calls that have to do with files, each so often as a run makes it.
fn points(arena: &Arena, names: &[String]) -> Vec<(String, u64)> {
    let (dir, log) = (copy(arena, names), scratch());
    let args = [dir.path().to_str().unwrap(), "repack"];
    let calls = inject::count(EXE, &args, &log.path().join("log"));
    let of_files = [
        "openat",
        "pread64",
        "write",
        "fsync",
        "rename",
        "unlink",
        "statx",
        "fstat",
        "fchmod",
        "getdents64",
        "flock",
        "ftruncate",
        "read",
        "close",
    ];
    let calls = calls.into_iter().filter(|(name, _)| of_files.contains(&name.as_str()));
    calls.flat_map(|(name, n)| (1..=n).map(move |i| (name.clone(), i))).collect()
}

#[test]
fn killed_at_and_failed_by_every_system_call() {
    let attack = "packing archives again, killed and failed";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let (arena, names) = archives();
    assert!(!names.is_empty());
    let points = points(&arena, &names);
    let (mut all, mut killed, mut cases) = (Outcome::default(), 0, 0);
    // The first calls, where all kinds are, and then some of each.
    for (name, n) in points.iter().filter(|(_, n)| *n <= 12 || n % 7 == 0) {
        let failure = if *n % 2 == 0 { "error=EIO" } else { "error=ENOSPC" };
        for what in ["signal=KILL", failure] {
            let dir = copy(&arena, &names);
            let args = [dir.path().to_str().unwrap(), "repack"];
            let output = inject::run(&format!("{name}:{what}:when={n}"), 20, EXE, &args);
            all.hangs += u64::from(output.is_none());
            killed += u64::from(output.is_some_and(|output| !output.status.success()));
            all.add(&judge(dir.path(), &format!("{what} at {name} {n}")));
            cases += 1;
        }
    }
    all.note = format!("{cases} cases at {} calls, {killed} did not succeed", points.len());
    all.print(attack);
    assert!(all.is_clean() && killed > 0, "{all:?}");
}

/// The power goes after each thing that was done to files: of what was not synced any part may be there.
#[test]
fn power_is_lost() {
    let attack = "power loss while archives are packed again, modelled";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let (arena, names) = archives();
    let (dir, log) = (copy(&arena, &names), scratch());
    let archive = dir.path().join("archive");
    let mut disk = Disk::of(&archive);
    let log = log.path().join("log");
    let done = tracer(&log).arg(EXE).arg(dir.path()).arg("repack").status().unwrap();
    assert!(done.success());
    let seed = seed();
    let (mut random, mut all, mut replaced) = (Random::new(seed), Outcome::default(), 0);
    for step in steps(&log) {
        disk.step(&step);
        replaced += u64::from(matches!(&step, Step::Rename(from, _) if is_temporary(from)));
        for _ in 0..8 {
            let image = scratch();
            let there = image.path().join("archive");
            std::fs::create_dir_all(image.path().join("live")).unwrap();
            std::fs::create_dir(&there).unwrap();
            disk.lose_power(&mut random, &there);
            all.add(&judged(image.path(), &format!("{step:?}")));
        }
    }
    all.note = format!("{replaced} archives replaced, seed {seed}");
    all.print(attack);
    assert!(all.is_clean() && replaced == names.len() as u64, "{all:?}");
}

fn is_temporary(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".repack")
}
