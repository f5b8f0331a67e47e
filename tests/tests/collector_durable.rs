//! What a program made durable in its channel's file, before there was a collector, stays durable: the
//! collector syncs its archive before it hands back what the disk would forget otherwise. Seen from its
//! system calls, in their order.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::channel::{Config, HEADER_BYTES, NotDurable, RawChannel};
use relay_tests::inject;
use relay_tests::report::{Outcome, skipped};
use std::process::Command;
use std::time::Duration;

const EXE: &str = env!("CARGO_BIN_EXE_collector");
const SUB_BUFFER: u64 = 4096;
/// Where the collector says that something handed back is not synced; `docs/format/channel.md`.
const UNSYNCED: u64 = 2080;
const SECOND: Duration = Duration::from_secs(1);

/// What the collector did, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wrote,
    Synced,
    HandedBack,
    SaidUnsynced(bool),
}

/// A line of the tracer: `123 pwrite64(7</x/live/app.1-2.relay>, "\1\0"..., 8, 8256) = 8`.
fn step(line: &str) -> Option<Step> {
    let archive = line.contains("/archive/");
    if line.contains("sync(") {
        return archive.then_some(Step::Synced);
    }
    if !line.contains("pwrite64(") || archive {
        return archive.then_some(Step::Wrote);
    }
    let end = line.rsplit_once(") ")?.0;
    let offset: u64 = end.rsplit_once(", ")?.1.trim().parse().ok()?;
    if offset == UNSYNCED {
        return Some(Step::SaidUnsynced(line.contains("\"\\1")));
    }
    let in_sub_buffer = offset.checked_sub(HEADER_BYTES as u64)? % SUB_BUFFER;
    (in_sub_buffer == 64).then_some(Step::HandedBack)
}

/// A channel with much in it, drained once. The order of what the collector did.
fn drain(flushed: bool) -> Vec<Step> {
    // Not on a file system in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = Config::new(dir.path().join("live"), "app");
    (config.sub_buffer, config.initial) = (SUB_BUFFER as u32, 64 * SUB_BUFFER);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    (0..2_000u32).for_each(|i| writer.write(format!("{i:60}").as_bytes()).unwrap());
    if flushed {
        channel.flush_durable(SECOND).unwrap();
    }
    let log = dir.path().join("log");
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-qq", "-y", "-e", "trace=pwrite64,fsync,fdatasync", "-o"]).arg(&log);
    tracer.arg(EXE).arg(dir.path()).args(["once", "block=20000"]);
    assert!(tracer.status().unwrap().success());
    std::fs::read_to_string(&log).unwrap().lines().filter_map(step).collect()
}

/// How many sub-buffers were handed back while the archive was not synced, and how many of these were
/// not said to be.
fn too_early(steps: &[Step]) -> (u64, u64, u64) {
    let (mut dirty, mut said) = (false, false);
    let (mut all, mut early, mut unsaid) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Wrote => dirty = true,
            Step::Synced => dirty = false,
            Step::SaidUnsynced(now) => {
                // Never taken back while it is so.
                unsaid += u64::from(dirty && !now);
                said = *now;
            }
            Step::HandedBack => {
                all += 1;
                early += u64::from(dirty);
                unsaid += u64::from(dirty && !said);
            }
        }
    }
    (all, early, unsaid)
}

#[test]
fn what_is_durable_is_not_handed_back_before_the_archive_is() {
    let attack = "handed back before it is synced";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let mut outcome = Outcome::default();
    let (handed_back, early, unsaid) = too_early(&drain(true));
    assert!(handed_back > 10, "{handed_back}");
    outcome.cases = handed_back;
    outcome.lost = early + unsaid;
    let (others, early, unsaid) = too_early(&drain(false));
    outcome.cases += others;
    outcome.lost += unsaid;
    outcome.note =
        format!("of {others} that nobody asked to be durable {early} were, and it was said");
    outcome.print(attack);
    assert!(outcome.is_clean(), "{outcome:?}");
    assert!(early > 0, "this is the control: it must be seen");
}

/// A collector killed between handing back and syncing: the channel's file is not all there is.
#[test]
fn without_its_collector_a_channel_does_not_claim_what_only_the_collector_can() {
    let attack = "durability after the collector was killed";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = Config::new(dir.path().join("live"), "app");
    (config.sub_buffer, config.initial) = (SUB_BUFFER as u32, 64 * SUB_BUFFER);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    let text = dir.path().to_str().unwrap().to_owned();
    let args = [text.as_str(), "once", "block=20000"];
    let mut outcome = Outcome::default();
    let mut refused = 0;
    for n in 1..40 {
        (0..300u32).for_each(|i| writer.write(format!("{i:60}").as_bytes()).unwrap());
        let killed = inject::run(&format!("fdatasync:signal=KILL:when={n}"), 20, EXE, &args);
        let status = channel.flush_durable(SECOND / 5);
        outcome.cases += 1;
        refused += u64::from(status == Err(NotDurable::Timeout));
        // The next collector has it, and then it is durable again.
        assert!(Command::new(EXE).args(args).output().unwrap().status.success());
        outcome.lost += u64::from(channel.flush_durable(SECOND).is_err());
        if killed.unwrap().status.success() {
            break;
        }
    }
    outcome.note = format!("{refused} times it was refused");
    outcome.print(attack);
    assert!(outcome.is_clean() && refused > 0, "{outcome:?}");
}
