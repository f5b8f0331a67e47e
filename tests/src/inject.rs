//! A program whose system calls fail, or are its last, by the system call tracer `strace`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Whether there is a tracer here that may trace.
#[must_use]
pub fn can() -> bool {
    let tried = Command::new("strace").args(["-f", "-qq", "-e", "trace=none", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// What is injected: `pwrite64:error=EIO:when=3`.
fn command(injection: &str, seconds: u32, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args([
        "-s",
        "KILL",
        &seconds.to_string(),
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
    ]);
    // What is not traced is not injected into either.
    let call = injection.split(':').next().unwrap_or_default();
    command.arg(format!("trace={call}")).arg("-e").arg(format!("inject={injection}"));
    command.arg(program).args(args);
    command
}

/// Runs a program under an injection. `None` when it did not end in time: then it was killed.
#[must_use]
pub fn run(injection: &str, seconds: u32, program: &str, args: &[&str]) -> Option<Output> {
    let begun = Instant::now();
    let output = command(injection, seconds, program, args).output().unwrap();
    (begun.elapsed() < Duration::from_secs(seconds.into())).then_some(output)
}

/// How often a program makes each system call once it is past loading: those before its first look
/// at `dir` are the loader's.
#[must_use]
pub fn count(program: &str, args: &[&str], log: &Path) -> BTreeMap<String, u64> {
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-qq", "-o"]).arg(log).arg(program).args(args);
    let status = tracer.output().unwrap().status;
    assert!(status.success(), "{status}");
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        if let Some((name, _)) = call.split_once('(')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}
