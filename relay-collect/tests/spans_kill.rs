//! SIGKILL of producers in the middle of their spans, and of collectors, with archives that are sealed all
//! the time: every event whose call had returned is there, once, within all the spans that it was logged in.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, lines};
use relay_collect::{Collector, Control, Options};
use relay_log::{ByteSize, Relay};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

const THREADS: usize = 2;
/// Events of one request.
const QUERIES: u64 = 5;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    (options.rotate_size, options.block_bytes) = (4_000, 10_000);
    options.block_age = Duration::from_millis(15);
    options
}

fn start(role: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "play_a_role", "--nocapture", "--test-threads=1"])
        .env("RELAY_TEST_ROLE", role)
        .env("RELAY_TEST_DIR", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what the processes do that the other one starts.
#[test]
fn play_a_role() {
    let Some(dir) = std::env::var_os("RELAY_TEST_DIR").map(PathBuf::from) else { return };
    if std::env::var("RELAY_TEST_ROLE").unwrap() == "producer" {
        return produce(&dir);
    }
    // The one before may not be dead yet.
    let mut collector = loop {
        match Collector::open(options(&dir)) {
            Ok(collector) => break collector,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    collector.run(&Control::new()).unwrap();
}

fn oracle(dir: &Path, pid: u32) -> PathBuf {
    dir.join(format!("oracle.{pid}"))
}

/// Each thread is in one span for all its life, in another for each request, in a third for each event.
fn produce(dir: &Path) {
    let relay = Relay::builder(dir).channel("app").sub_buffer(ByteSize::kib(4));
    let relay = relay.buffer(ByteSize::kib(16)).buffer_max(ByteSize::kib(256)).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(relay.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let oracle = File::create(oracle(dir, std::process::id())).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let oracle = &oracle;
            scope.spawn(move || {
                let _life = tracing::info_span!("life", thread).entered();
                for request in 0.. {
                    let _request = tracing::info_span!("request", request).entered();
                    for query in 0..QUERIES {
                        let number = request * QUERIES + query;
                        let late = tracing::field::Empty;
                        let span = tracing::info_span!("query", query, late).entered();
                        span.record("late", number);
                        tracing::info!(thread, number, "event");
                        oracle.write_all_at(&(number + 1).to_le_bytes(), 8 * thread).unwrap();
                    }
                }
            });
        }
    });
}

fn returned(dir: &Path, pid: u32) -> [u64; THREADS] {
    let bytes = std::fs::read(oracle(dir, pid)).unwrap_or_default();
    let word = |thread: usize| {
        let word = bytes.get(8 * thread..8 * thread + 8);
        word.map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap()))
    };
    std::array::from_fn(word)
}

/// How many archives there are.
fn archives(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir.join("archive")).unwrap().flatten();
    names.filter(|name| name.file_name().to_string_lossy().contains(".relay.zst")).count()
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The numbers of a process's threads, each with all its spans around it.
fn events(dir: &Dir) -> HashMap<(u64, u64), Vec<u64>> {
    let output = dir.run(&["cat", "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: HashMap<(u64, u64), Vec<u64>> = HashMap::new();
    for line in lines(&output.stdout) {
        let row: Value = serde_json::from_str(&line).unwrap();
        // What the channel says of itself.
        if row["target"] == "relay::channel" {
            continue;
        }
        assert_eq!(row["message"], "event", "{line}");
        let (fields, pid) = (&row["fields"], row["pid"].as_u64().unwrap());
        let (thread, number) = (fields["thread"].as_u64(), fields["number"].as_u64());
        let (thread, number) = (thread.unwrap(), number.unwrap());
        let of = |span: &Value| (span["name"].clone(), span["fields"].clone());
        let spans: Vec<_> = row["spans"].as_array().unwrap().iter().map(of).collect();
        let expected = [
            ("life", serde_json::json!({ "thread": thread })),
            ("request", serde_json::json!({ "request": number / QUERIES })),
            ("query", serde_json::json!({ "query": number % QUERIES, "late": number })),
        ];
        let expected = expected.map(|(name, fields)| (Value::from(name), fields));
        assert_eq!(spans, expected, "{line}");
        found.entry((pid, thread)).or_default().push(number);
    }
    found
}

#[test]
fn every_event_is_within_all_its_spans() {
    if std::env::var_os("RELAY_TEST_DIR").is_some() {
        return;
    }
    let rounds = std::env::var("RELAY_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let dir = Dir::new();
    let path = dir.path();
    let mut collector = start("collector", path);
    let mut producers = Vec::new();
    for round in 0..rounds {
        let mut producer = start("producer", path);
        let pid = producer.id();
        producers.push(pid);
        // Each time at another place, and twice or more in one life of a producer the collector, too.
        for kills in 0..1 + round % 4 {
            let wanted = returned(path, pid).map(|n| n + 100 + 37 * round % 211);
            let late = || returned(path, pid).iter().zip(wanted).any(|(there, n)| *there < n);
            // And its spans go on from archive to archive.
            let sealed = archives(path);
            while late() || archives(path) == sealed {
                assert!(producer.try_wait().unwrap().is_none(), "it does not end by itself");
                std::thread::sleep(Duration::from_millis(1));
            }
            if kills > 0 || round % 3 == 0 {
                kill(&mut collector);
                collector = start("collector", path);
            }
        }
        kill(&mut producer);
    }
    kill(&mut collector);
    Collector::open(options(path)).unwrap().drain(&Control::new()).unwrap();
    let mut found = events(&dir);
    for pid in producers {
        for (thread, returned) in returned(path, pid).into_iter().enumerate() {
            let numbers = found.remove(&(pid.into(), thread as u64)).unwrap_or_default();
            // Each once, in order, and at most the one that was under way.
            let there = numbers.len() as u64;
            assert!((returned..=returned + 1).contains(&there), "{there}, not {returned}");
            assert!(numbers.into_iter().eq(0..there), "thread {thread} of {pid}");
        }
    }
    assert!(found.is_empty(), "events that nobody wrote");
    let (code, audit) = dir.audit();
    assert_eq!((code, &audit["verdict"]), (0, &Value::from("whole")), "{audit}");
}
