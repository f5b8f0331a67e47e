//! What a process and a thread have used.

use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

fn clock(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of all threads of this process.
#[must_use]
pub fn cpu_seconds() -> f64 {
    clock(ClockId::ProcessCPUTime)
}

/// CPU nanoseconds of this thread.
#[must_use]
pub fn thread_cpu_nanos() -> f64 {
    clock(ClockId::ThreadCPUTime) * 1e9
}

/// The most memory that this process has had, mapped files included, MiB.
#[must_use]
pub fn peak_mib() -> f64 {
    status_mib("VmHWM:")
}

/// A line of this process's status that is an amount of memory (`proc(5)`), MiB.
#[must_use]
pub fn status_mib(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rest = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Minor faults of this thread so far.
#[must_use]
pub fn minor_faults() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(7).and_then(|n| n.parse().ok()).unwrap_or(f64::NAN)
}

/// Bytes of files in a directory and below.
#[must_use]
pub fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Bytes that files in a directory and below have on the disk, or in memory.
#[must_use]
pub fn allocated(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => allocated(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Has all file systems write everything that they have in memory, and waits for it.
pub fn sync() {
    rustix::fs::sync();
}
