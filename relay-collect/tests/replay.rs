//! Text through the `log` facade from four threads, with the collector running: every line comes back,
//! byte for byte, in order within each thread, and any zstd accepts the archives. With data made here;
//! and with the real logs of `../shared/data`, where they are.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::skipped;
use relay_collect::Options;
use relay_collect::query::Filter;
use relay_collect::read::{ArchiveFd, ArchiveName, Audit, Snapshot, Store, Verdict};
use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

const THREADS: usize = 4;

fn text_of(path: &Path) -> String {
    let file = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "zst") {
        zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text).unwrap();
    }
    text
}

/// Not a test of its own: logs the lines of a file, line i from thread i mod 4.
#[test]
fn play_a_program() {
    let Some(file) = std::env::var_os("RELAY_TEST_FILE").map(PathBuf::from) else { return };
    let dir = std::env::var_os("RELAY_TEST_DIR").unwrap();
    relay_log::Relay::builder(dir).channel("replay").filter("trace").init().unwrap();
    let text = text_of(&file);
    let lines: Vec<&str> = text.lines().collect();
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            let lines = &lines;
            scope.spawn(move || {
                let level = log::Level::iter().nth(first).unwrap();
                for line in lines.iter().skip(first).step_by(THREADS) {
                    log::log!(target: "replay", level, "{line}");
                }
            });
        }
    });
}

fn comes_back(file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    let spawned = relay_collect::spawn(options.clone()).unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "play_a_program"])
        .env("RELAY_TEST_DIR", dir.path())
        .env("RELAY_TEST_FILE", file)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
    spawned.stop().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let mut streams: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
    let mut filter = Filter::new().target("replay");
    Snapshot::take(&store).unwrap().events(&mut filter, false, &mut |event| {
        let mut message = Vec::new();
        event.write_message(&mut message).unwrap();
        streams.entry(event.run.writer).or_default().push(message);
        ControlFlow::Continue(())
    });
    let text = text_of(file);
    let mut found: Vec<Vec<Vec<u8>>> = streams.into_values().collect();
    let mut expected: Vec<Vec<Vec<u8>>> = (0..THREADS)
        .map(|t| text.lines().skip(t).step_by(THREADS).map(|l| l.as_bytes().to_vec()).collect())
        .collect();
    found.sort();
    expected.sort();
    assert!(found == expected, "{}", file.display());
    assert_eq!(Audit::of(&store).unwrap().verdict, Verdict::Whole, "{}", file.display());
    for name in ArchiveName::list(&options.archive_dir()).unwrap() {
        let path = options.archive_dir().join(&name.file);
        let report = relay_fmt::archive::verify(&ArchiveFd::open(&path).unwrap()).unwrap();
        assert!(report.is_sound(), "{report:?}");
        let mut all = zstd::Decoder::new(std::fs::File::open(&path).unwrap()).unwrap();
        std::io::copy(&mut all, &mut std::io::sink()).unwrap();
    }
}

#[test]
fn text_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made.log");
    let lines: String = (0..40_000u64)
        .map(|i| match i % 7 {
            0 => format!(
                "2026-11-24 13:{:02}:{:02},{:03} INFO request {i} took 0.{i} s\n",
                i / 60 % 60,
                i % 60,
                i % 1000
            ),
            1 => format!(
                "{{\"id\":{i},\"user\":\"u{}\",\"ok\":{},\"t\":1.{i}e-3}}\n",
                i % 91,
                i % 2 == 0
            ),
            2 => "\n".into(),
            3 => format!("\t{{}} {{{i}}} %s\\n {}\r\n", "é".repeat(i as usize % 9)),
            4 => format!("0x{i:08x} 10.0.{}.{} -{i} +{i} 00{i} {i}.{i}.{i}\n", i % 256, i % 199),
            5 => format!("\u{1b}[31mred\u{1b}[0m {}\n", "y".repeat(i as usize % 400)),
            _ => format!("path=/a/b/{}/c?x={i}&y={}\n", i % 13, u64::MAX - i),
        })
        .collect();
    // `lines` takes a carriage return off; what the logger gets is compared with the same.
    std::fs::write(&file, lines).unwrap();
    comes_back(&file);
}

#[test]
fn real_logs_come_back() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let Ok(entries) = std::fs::read_dir(&data) else {
        return skipped(&format!("there is no {}", data.display()));
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "zst") {
            comes_back(&path);
        }
    }
}
