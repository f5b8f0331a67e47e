//! Four programs with four threads each at full speed, on buffers that begin at 256 KiB: they grow,
//! nothing blocks for ever, nothing is lost, and after the burst the files' blocks are given back.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::query::Filter;
use relay_collect::read::{Snapshot, Store};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::{Config, Counter, RawChannel};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAMS: usize = 4;
const THREADS: u64 = 4;
const EACH: u64 = 20_000;

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "play_a_program", "--nocapture", "--test-threads=1"])
        .env("RELAY_TEST_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test of its own: the program that the other one starts. It says when it has logged, and idles
/// until its standard input ends.
#[test]
fn play_a_program() {
    let Some(dir) = std::env::var_os("RELAY_TEST_DIR").map(PathBuf::from) else { return };
    let mut config = Config::new(Options::new(dir).live_dir, "app");
    config.initial = 256 << 10;
    let channel = RawChannel::create(config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut writer = channel.writer();
            scope.spawn(move || {
                for i in 0..EACH {
                    writer.write(format!("{thread}:{i}:{}", "x".repeat(100)).as_bytes()).unwrap();
                }
            });
        }
    });
    println!("\nlogged, grown by {} sub-buffers", channel.counter(Counter::Grown));
    let _ = std::io::stdin().lines().next();
}

fn allocated(store: &Store) -> u64 {
    let channels = store.channels().unwrap().channels;
    channels.iter().map(|(_, reader)| reader.status().unwrap().allocated).sum()
}

#[test]
fn four_programs_at_full_speed() {
    if std::env::var_os("RELAY_TEST_DIR").is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut programs: Vec<Child> = (0..PROGRAMS).map(|_| start(dir.path())).collect();
    for program in &mut programs {
        let lines = BufReader::new(program.stdout.as_mut().unwrap()).lines();
        let grown = lines.map(Result::unwrap).find(|line| line.starts_with("logged")).unwrap();
        assert!(!grown.contains("by 0 "), "its buffers were meant to grow: {grown}");
    }
    // All have logged, and nobody has collected yet: the buffers hold everything.
    let store = Store::open(dir.path(), None).unwrap();
    let full = allocated(&store);
    assert!(full > 4 * THREADS * EACH * 100, "{full}");
    let spawned = relay_collect::spawn(Options::new(dir.path())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while allocated(&store) > full / 4 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(allocated(&store) <= full / 4, "given back: {} of {full}", allocated(&store));
    for mut program in programs {
        program.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(program.wait().unwrap().success());
    }
    spawned.stop().unwrap();
    Collector::open(Options::new(dir.path())).unwrap().drain(&Control::new()).unwrap();
    let mut next: HashMap<(u32, u64), u64> = HashMap::new();
    Snapshot::take(&store).unwrap().events(&mut Filter::new(), false, &mut |event| {
        let mut message = Vec::new();
        event.write_message(&mut message).unwrap();
        let text = String::from_utf8(message).unwrap();
        let mut parts = text.split(':').map_while(|part| part.parse::<u64>().ok());
        let (thread, i) = (parts.next().unwrap(), parts.next().unwrap());
        let next = next.entry((event.source.pid, thread)).or_default();
        assert_eq!(i, *next, "in order, once");
        *next += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(next.len() as u64, PROGRAMS as u64 * THREADS);
    assert!(next.values().all(|n| *n == EACH));
}
