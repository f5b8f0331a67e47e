//! Reading while everything moves: what had returned when a reader began is there, once, in order,
//! while the collector archives, rotates and frees underneath.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::query::Filter;
use relay_collect::read::{Snapshot, Store};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::{Config, RawChannel};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const THREADS: usize = 3;

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
    command.args(&arguments[..1]).arg("--dir").arg(dir).args(&arguments[1..]);
    command
}

fn output(dir: &Path, arguments: &[&str]) -> (i32, Vec<u8>) {
    let output = command(dir, arguments).output().unwrap();
    (output.status.code().unwrap(), output.stdout)
}

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    (options.rotate_size, options.block_bytes) = (40_000, 60_000);
    options.block_age = Duration::from_millis(20);
    options
}

fn small(options: &Options) -> Config {
    let mut config = Config::new(&options.live_dir, "app");
    (config.sub_buffer, config.initial, config.max) = (4096, 16 << 10, Some(128 << 10));
    config
}

/// Writes from several threads until told to stop; `returned` counts the calls that have returned.
fn produce(channel: &RawChannel, returned: &[AtomicU64; THREADS], stop: &AtomicBool) {
    std::thread::scope(|scope| {
        for (thread, returned) in returned.iter().enumerate() {
            let mut writer = channel.writer();
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let pad = "x".repeat(i as usize % 120);
                    writer.write(format!("{thread}:{i}:{pad}").as_bytes()).unwrap();
                    returned.store(i + 1, Ordering::Release);
                    if i % 64 == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
            });
        }
    });
}

/// Ends the producers when it goes: a check that fails must not wait for them.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn stamp(message: &[u8]) -> (usize, u64) {
    let text = std::str::from_utf8(message).unwrap();
    let mut parts = text.split(':');
    (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap())
}

#[test]
fn a_snapshot_is_whole_while_the_collector_moves_everything() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let channel = RawChannel::create(small(&options)).unwrap();
    let spawned = relay_collect::spawn(options).unwrap();
    let (returned, stop) = (std::array::from_fn(|_| AtomicU64::new(0)), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| produce(&channel, &returned, &stop));
        let _stop = Stop(&stop);
        let store = Store::open(dir.path(), None).unwrap();
        for round in 0..40 {
            // Every other time nothing is copied beforehand: the collector archives it meanwhile.
            let left = round % 2 == 1;
            let store = if left { store.clone().copy_at_once(0) } else { store.clone() };
            std::thread::sleep(Duration::from_millis(17));
            let before: Vec<u64> = returned.iter().map(|r| r.load(Ordering::Acquire)).collect();
            let mut snapshot = Snapshot::take(&store).unwrap();
            std::thread::sleep(Duration::from_millis(if left { 40 } else { 0 }));
            let mut next = [0u64; THREADS];
            let mut message = Vec::new();
            snapshot.events(&mut Filter::new(), false, &mut |event| {
                message.clear();
                event.write_message(&mut message).unwrap();
                let (thread, i) = stamp(&message);
                assert_eq!(i, next[thread], "round {round}, thread {thread}: a hole or a double");
                next[thread] += 1;
                ControlFlow::Continue(())
            });
            assert_eq!(snapshot.problems, Vec::<String>::new());
            for thread in 0..THREADS {
                assert!(
                    next[thread] >= before[thread],
                    "round {round}: what had returned is there"
                );
            }
        }
    });
    spawned.stop().unwrap();
}

#[test]
fn following_shows_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let channel = RawChannel::create(small(&options)).unwrap();
    let spawned = relay_collect::spawn(options).unwrap();
    let mut cat = command(dir.path(), &["cat", "-f", "--format", "raw"]);
    let mut cat = cat.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(cat.stdout.take().unwrap()).lines();
    let (returned, stop) = (std::array::from_fn(|_| AtomicU64::new(0)), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| produce(&channel, &returned, &stop));
        let _stop = Stop(&stop);
        let mut next = [0u64; THREADS];
        for line in lines {
            let (thread, i) = stamp(line.unwrap().as_bytes());
            assert_eq!(i, next[thread], "thread {thread}: a hole or a double");
            next[thread] += 1;
            if next.iter().sum::<u64>() > 20_000 {
                break;
            }
        }
        cat.kill().unwrap();
        cat.wait().unwrap();
    });
    spawned.stop().unwrap();
}

#[test]
fn lines_go_through_a_pipe_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<Vec<u8>> = (0..5_000u32)
        .map(|i| {
            let bytes =
                (0..i % 50).map(|k| (i.wrapping_mul(2_654_435_761).rotate_left(k) % 256) as u8);
            bytes.filter(|b| *b != b'\n').chain(*b"\r").collect()
        })
        .collect();
    let mut pipe = command(dir.path(), &["pipe", "--channel", "other"]);
    let mut pipe = pipe.stdin(Stdio::piped()).spawn().unwrap();
    let mut text = lines.join(&b'\n');
    text.extend_from_slice(b"\nthe last line has no end");
    pipe.stdin.take().unwrap().write_all(&text).unwrap();
    assert!(pipe.wait().unwrap().success());
    text.push(b'\n');
    let (_, before) = output(dir.path(), &["cat", "--format", "raw"]);
    assert!(before == text, "not archived yet");
    Collector::open(options(dir.path())).unwrap().drain(&Control::new()).unwrap();
    let (code, after) = output(dir.path(), &["cat", "--format", "raw"]);
    assert!(code == 0 && after == text, "archived");
    let (_, nul) = output(dir.path(), &["cat", "--format", "raw", "-0", "-n", "1"]);
    assert_eq!(nul, b"the last line has no end\0");
    let (_, newest) = output(dir.path(), &["cat", "--format", "raw", "-r", "-n", "2"]);
    assert_eq!(newest.split(|b| *b == b'\n').next().unwrap(), b"the last line has no end");
    let (_, count) = output(dir.path(), &["cat", "--count", "--grep", "^the last"]);
    assert_eq!(count, b"1\n");
}

#[test]
fn wrong_usage_and_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    for command in ["cat", "audit", "status", "verify"] {
        let (code, out) = output(&missing, &[command]);
        assert_eq!((code, out.len()), (2, 0), "{command} of what is not there");
        let (code, out) = output(dir.path(), &[command]);
        assert_eq!((code, out.len()), (2, 0), "{command} of what is no directory of logs");
    }
    std::fs::create_dir(dir.path().join("live")).unwrap();
    for wrong in [
        &["cat", "--level", "loud"][..],
        &["cat", "--since", "when I was young"],
        &["cat", "--grep", "("],
        &["cat", "--where", "level >"],
        &["resize", "--channel", "app", "much"],
    ] {
        let (code, _) = output(dir.path(), wrong);
        assert_eq!(code, 2, "{wrong:?}");
    }
    assert_eq!(output(dir.path(), &["resize", "--channel", "app", "1MiB"]).0, 2);
    assert_eq!(output(dir.path(), &["cat"]).0, 0, "nothing is there, and that is all");
}

#[test]
fn a_live_channel_is_seen_and_resized() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    channel.writer().write(b"hello").unwrap();
    let (code, status) = output(dir.path(), &["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    let shown = &status["channels"][0];
    assert_eq!((code, &shown["alive"], &shown["channel"]), (0, &true.into(), &"app".into()));
    assert!(shown["waiting_bytes"].as_u64().unwrap() > 0);
    assert_eq!(output(dir.path(), &["resize", "--channel", "app", "16MiB"]).0, 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while channel.allocated_bytes() < 16 << 20 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(channel.allocated_bytes(), 16 << 20);
}
