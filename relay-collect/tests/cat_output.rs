//! `cat -o`, `cat --stats`: files that appear when they are whole, counts that agree with the lines.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini};
use serde_json::Value;
use std::collections::BTreeMap;

/// 300 records of two threads, of which some are archived, some live, and some both.
fn store(dir: &Dir) -> (relay_log::channel::RawChannel, Vec<relay_log::channel::Writer>) {
    let channel = dir.channel("app");
    let mut mini = Mini::new(dir, &channel);
    let mut writers: Vec<_> = (0..2).map(|_| channel.writer()).collect();
    let mut frames = vec![mini.announce()];
    for i in 0..300usize {
        let text = if i % 3 == 0 { format!("took {i} ms") } else { format!("item{i} left") };
        writers[i % 2].write(text.as_bytes()).unwrap();
        if i == 90 || i == 200 {
            frames.push(mini.look(true));
        }
    }
    dir.archive("app", 0, &frames, false);
    (channel, writers)
}

#[test]
fn a_file_is_what_standard_output_is_and_appears_when_it_is_whole() {
    let dir = Dir::new();
    let _open = store(&dir);
    let out = tempfile::tempdir().unwrap();
    let expected = dir.run(&["cat", "--format", "raw"]).stdout;
    assert_eq!(expected.iter().filter(|b| **b == b'\n').count(), 300);
    assert!(dir.run(&["cat", "--format", "raw", "-o", "-"]).stdout == expected);
    for (name, packed) in [("all.txt", false), ("all.txt.zst", true)] {
        let path = out.path().join(name);
        let arguments = ["cat", "--format", "raw", "-o", path.to_str().unwrap()];
        let first = dir.run(&arguments);
        assert!(first.status.success() && first.stdout.is_empty(), "{:?}", first.stderr);
        let bytes = std::fs::read(&path).unwrap();
        let bytes = if packed { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
        assert!(bytes == expected, "{name}");
        std::fs::write(&path, "precious").unwrap();
        let again = dir.run(&arguments);
        assert_eq!(again.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&again.stderr).contains("--force"));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        assert!(dir.run(&[&arguments[..], &["--force"]].concat()).status.success());
        assert_ne!(std::fs::read(&path).unwrap(), b"precious");
    }
    let none = dir.run(&["cat", "-o", out.path().join("no/file").to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2, "nothing is left over");
    let path = out.path().join("followed");
    let followed = dir.run(&["cat", "-f", "-o", path.to_str().unwrap()]);
    assert_eq!(followed.status.code(), Some(2), "what has no end never is whole");
}

fn stats(dir: &Dir, arguments: &[&str]) -> Value {
    let all = [&["cat", "--stats", "--format", "json"], arguments].concat();
    let output = dir.run(&all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn counts_agree_with_the_lines() {
    let dir = Dir::new();
    let _open = store(&dir);
    let middle = dir.run(&["cat", "--fields", "time", "--tz", "UTC", "-n", "150"]).stdout;
    let middle = String::from_utf8(middle).unwrap().lines().next().unwrap().to_owned();
    let channel = ["--channel", "app"];
    for arguments in [
        &[][..],
        &["--since", &middle],
        &["--until", &middle],
        &["--grep", "took 1"],
        &channel,
        &["--pid", "1"],
        &["--level", "info"],
    ] {
        let lines = dir.run(&[&["cat", "--format", "json"], arguments].concat()).stdout;
        let lines: Vec<Value> = serde_json::Deserializer::from_slice(&lines)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        let stats = stats(&dir, arguments);
        assert_eq!(stats["records"], lines.len(), "{arguments:?}");
        let mut writers = BTreeMap::new();
        lines.iter().for_each(|l| *writers.entry(l["writer"].as_u64().unwrap()).or_insert(0) += 1);
        let counted = stats["writers"].as_array().unwrap().iter();
        let counted: BTreeMap<u64, u64> = counted
            .map(|w| (w["writer"].as_u64().unwrap(), w["records"].as_u64().unwrap()))
            .collect();
        assert_eq!(counted, writers, "{arguments:?}");
        for list in ["levels", "targets", "templates", "times"] {
            let counts = stats[list].as_array().unwrap().iter();
            let sum: u64 = counts.map(|of| of["records"].as_u64().unwrap()).sum();
            assert_eq!(sum, lines.len() as u64, "{list} {arguments:?}");
        }
    }
    let all = stats(&dir, &[]);
    let template = &all["templates"][1];
    assert_eq!((&template["template"], &template["records"]), (&"took * ms".into(), &100.into()));
    let text = dir.run(&["cat", "--stats"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("300 records\n") && text.contains("100  33.3%  "), "{text}");
}

/// A filter knows three bytes in a row: lines that have all those of `level"` may say a level, as far as it
/// knows. What they do say, the columns know.
#[test]
fn lines_are_not_put_together_for_levels_that_they_do_not_say() {
    let dir = Dir::new();
    let options = relay_collect::Options::new(dir.path());
    let mut collector = relay_collect::Collector::open(options.clone()).unwrap();
    for (name, says) in [("some", true), ("none", false)] {
        let config = relay_log::channel::Config::new(&options.live_dir, name);
        let channel = relay_log::channel::RawChannel::create(config).unwrap();
        let mut writer = channel.writer();
        for n in 0..3000 {
            writer
                .write(format!("{n} the lever was even, velvet, and el\" it said").as_bytes())
                .unwrap();
        }
        if says {
            writer.write(br#"{"level":"error","n":1}"#).unwrap();
        }
        drop(writer);
        drop(channel);
        collector.drain(&relay_collect::Control::new()).unwrap();
        let counted = stats(&dir, &["--channel", name]);
        assert_eq!(counted["records"], 3000 + u64::from(says));
        let errors = counted["levels"].as_array().unwrap().iter().find(|of| of["level"] == "ERROR");
        assert_eq!(errors.is_some(), says, "{counted}");
        let output = dir.run(&["cat", "--stats", "--explain", "--channel", name]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.contains("looked at: 0 records of them"), !says, "{text}");
    }
}
