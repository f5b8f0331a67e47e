//! The collector's every system call: killed at it, or told that it has failed.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::archived::{judge_own, unsound};
use relay_tests::arena::{Arena, Template, scratch};
use relay_tests::inject;
use relay_tests::report::{Outcome, skipped};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const EXE: &str = env!("CARGO_BIN_EXE_collector");

/// So long each of the two attacks may take; `RELAY_LONG=1`: every case, however long.
fn budget() -> Option<Duration> {
    std::env::var_os("RELAY_LONG").is_none().then(|| Duration::from_secs(14))
}

fn args(dir: &Path) -> [&str; 5] {
    [dir.to_str().unwrap(), "once", "rotate=9000", "block=6000", "keep=2000"]
}

/// A clean run afterwards: everything is there, once, in sound archives.
fn clean_run(arena: &Arena, what: &str) -> Outcome {
    let output = Command::new(EXE).args(args(arena.dir.path())).output().unwrap();
    let mut outcome = judge_own(arena.dir.path(), &Arena::returned());
    outcome.crashes += u64::from(!output.status.success());
    for problem in unsound(arena.dir.path(), true) {
        outcome.torn += 1;
        outcome.note += &problem;
    }
    let left = std::fs::read_dir(arena.dir.path().join("live")).unwrap().flatten();
    let left = left.filter(|e| e.file_name().to_string_lossy().ends_with(".relay")).count();
    if left != 1 {
        outcome.torn += 1;
        outcome.note += &format!("{left} live files are left; ");
    }
    if !outcome.is_clean() {
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{what}: {outcome:?}\n{said}");
    }
    outcome
}

/// System calls of a run that have to do with files, and how often.
fn calls(template: &Template) -> BTreeMap<String, u64> {
    let (arena, log) = (template.arena(), scratch());
    let mut calls = inject::count(EXE, &args(arena.dir.path()), &log.path().join("log"));
    for of_memory in [
        "brk",
        "mprotect",
        "arch_prctl",
        "execve",
        "exit_group",
        "rt_sigaction",
        "sigaltstack",
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "prlimit64",
        "sched_getaffinity",
        "rt_sigprocmask",
        "clone3",
        "exit",
        "futex",
        "access",
        "prctl",
    ] {
        calls.remove(of_memory);
    }
    calls
}

/// Every case, or as many as there is time for, spread over all of them.
fn sampled<T: Copy>(cases: &[T], mut run: impl FnMut(T)) -> usize {
    let (begun, budget) = (Instant::now(), budget());
    let (mut done, stride) = (0, 37);
    // A stride that has no divisor in common with the length comes by every case once.
    let len = (cases.len()..).find(|len| len % stride != 0).unwrap_or(1);
    for i in 0..len {
        let Some(case) = cases.get(i * stride % len) else { continue };
        if budget.is_some_and(|budget| begun.elapsed() > budget) {
            break;
        }
        run(*case);
        done += 1;
    }
    done
}

#[test]
fn killed_at_every_system_call() {
    let attack = "collector killed at every system call";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let template = Template::new();
    let calls = calls(&template);
    println!("{calls:?}");
    let points = calls.iter().flat_map(|(name, n)| (1..=*n).map(move |i| (name.as_str(), i)));
    let points: Vec<(&str, u64)> = points.collect();
    let (mut all, mut killed) = (Outcome::default(), 0);
    let done = sampled(&points, |(name, n)| {
        let arena = template.arena();
        let dir = arena.dir.path();
        let output = inject::run(&format!("{name}:signal=KILL:when={n}"), 20, EXE, &args(dir));
        all.hangs += u64::from(output.is_none());
        killed += u64::from(output.is_some_and(|output| !output.status.success()));
        all.add(&clean_run(&arena, &format!("killed at {name} {n}")));
    });
    all.note =
        format!("{done} of {} calls of {} kinds, {killed} killed", points.len(), calls.len());
    all.print(attack);
    assert!(all.is_clean() && killed > 0, "{all:?}");
}

/// What a call may be told, and whether the collector has to say so.
fn failures(name: &str) -> &'static [&'static str] {
    match name {
        "fdatasync" | "fsync" => &["error=EIO", "error=ENOSPC", "error=EINTR"],
        "pwrite64" => &["error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EINTR"],
        "pread64" | "rename" | "unlink" | "openat" | "getdents64" | "ftruncate" => {
            &["error=EIO", "error=EINTR"]
        }
        "fstat" | "statx" | "flock" | "write" | "mkdir" | "lseek" | "read" => &["error=EIO"],
        _ => &[],
    }
}

#[test]
fn every_system_call_fails() {
    let attack = "every system call of the collector fails";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let template = Template::new();
    let calls = calls(&template);
    let mut points = Vec::new();
    for (name, n) in &calls {
        for failure in failures(name) {
            // Once, and from then on.
            points
                .extend((1..=*n).flat_map(|i| [(name, *failure, i, ""), (name, *failure, i, "+")]));
        }
    }
    // Interrupted for ever is nothing that happens.
    points.retain(|(_, failure, _, on)| on.is_empty() || *failure != "error=EINTR");
    let (mut all, mut failed, mut silent, mut waited) = (Outcome::default(), 0, 0, 0);
    let done = sampled(&points, |(name, failure, n, on)| {
        let arena = template.arena();
        let what = format!("{name}:{failure}:when={n}{on}");
        let seconds = if on.is_empty() { 20 } else { 1 };
        let Some(output) = inject::run(&what, seconds, EXE, &args(arena.dir.path())) else {
            if on.is_empty() {
                all.hangs += 1;
                println!("{what}: hangs");
            }
            waited += 1;
            all.add(&clean_run(&arena, &what));
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("panicked") {
            all.crashes += 1;
            println!("{what}: {said}");
        }
        failed += u64::from(!output.status.success());
        silent += u64::from(!output.status.success() && said.is_empty());
        let whole = clean_run(&arena, &what);
        if !whole.is_clean() {
            println!("before: {said}");
        }
        all.add(&whole);
    });
    all.crashes += silent;
    all.note = format!(
        "{done} of {} failures, {failed} ended with an error, {waited} waited",
        points.len()
    );
    all.print(attack);
    assert!(all.is_clean(), "{all:?}");
}
