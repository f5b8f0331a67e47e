//! `cat`: order, once each, newest, backwards, followed.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Frame, Mini, lines};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|i| format!("record {i}")).collect()
}

/// A channel whose first 200 records are in archives (a sealed one and an open one) and whose next
/// 100 are live; a part of a sub-buffer is in both.
fn store() -> (Dir, relay_log::channel::RawChannel, relay_log::channel::Writer) {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    let mut looks = Vec::new();
    for i in 0..300 {
        if i == 70 || i == 140 || i == 200 {
            looks.push(mini.look(true));
        }
        if i == 140 {
            let frames = [vec![mini.announce()], std::mem::take(&mut looks)].concat();
            dir.archive("app", 0, &frames, true);
            looks.push(mini.positions());
        }
        writer.write(format!("record {i}").as_bytes()).unwrap();
    }
    dir.archive("app", 1, &looks, false);
    (dir, channel, writer)
}

#[test]
fn archives_and_live_channels_are_one_stream() {
    let (dir, _channel, _writer) = store();
    assert_eq!(dir.cat(&[]), numbers(0..300));
    assert_eq!(dir.cat(&["-n", "120"]), numbers(180..300));
    assert_eq!(dir.cat(&["-n", "0"]), numbers(0..0));
    let mut backwards = numbers(0..300);
    backwards.reverse();
    assert_eq!(dir.cat(&["-r"]), backwards);
    assert_eq!(dir.cat(&["-r", "-n", "7"]), backwards[..7]);
    assert_eq!(dir.cat(&["--grep", "record 2[0-9]$"]), numbers(20..30));
    assert_eq!(dir.cat(&["--since", "-1h"]).len(), 300);
    assert!(dir.cat(&["--until", "-1h"]).is_empty());
    assert_eq!(dir.run(&["cat", "--channel", "other"]).status.code(), Some(2));
    assert!(dir.cat(&["--level", "error"]).is_empty(), "raw records have no level");
    assert_eq!(dir.run(&["cat", "--format", "raw", "-0"]).stdout.split(|b| *b == 0).count(), 301);
}

#[test]
fn several_writers_keep_their_order_and_times_decide_between_them() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut mini = Mini::new(&dir, &channel);
    let mut writers: Vec<_> = (0..4).map(|_| channel.writer()).collect();
    let (mut frames, mut expected) = (vec![mini.announce()], Vec::new());
    for i in 0..800 {
        let text = format!("{i}");
        writers[(i * 7) % 4].write(text.as_bytes()).unwrap();
        expected.push(text);
        if i % 130 == 129 && i < 700 {
            frames.push(mini.look(true));
        }
    }
    dir.archive("app", 0, &frames, false);
    let shown = dir.cat(&[]);
    assert_eq!(shown.len(), 800);
    for w in 0..4 {
        let of = |all: &[String]| -> Vec<usize> {
            let all = all.iter().map(|text| text.parse::<usize>().unwrap());
            all.filter(|i| (i * 7) % 4 == w).collect()
        };
        assert_eq!(of(&shown), of(&expected), "writer {w}");
    }
}

#[test]
fn large_records_are_whole_and_incomplete_ones_are_said() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    let large = "x".repeat(20_000);
    writer.write(b"before").unwrap();
    writer.write(large.as_bytes()).unwrap();
    let first = mini.look(false);
    writer.write(b"behind").unwrap();
    dir.archive("app", 0, &[mini.announce(), first], false);
    let expected = ["before".to_owned(), large, "behind".to_owned()];
    let lens = |shown: &[String]| shown.iter().map(String::len).collect::<Vec<_>>();
    assert_eq!(lens(&dir.cat(&[])), lens(&expected));
    assert_eq!(lens(&dir.cat(&["-n", "2"])), lens(&expected[1..]));
    assert_eq!(dir.cat(&[]), expected);
    // Without its first sub-buffer the record has no beginning.
    let mut mini = Mini::new(&dir, &channel);
    mini.skip = Some(0);
    let second = mini.look(false);
    let announce = mini.announce();
    drop((writer, channel, mini));
    std::fs::remove_dir_all(dir.path().join("live")).unwrap();
    dir.archive("app", 0, &[announce, second], false);
    let output = dir.run(&["cat", "--format", "raw"]);
    let shown = lines(&output.stdout);
    assert_eq!(shown.len(), 2, "{:?}", output.stderr);
    assert_eq!(shown[0], "behind", "what is incomplete comes last");
    assert!(shown[1].len() < 20_000 && shown[1].bytes().all(|b| b == b'x'));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is incomplete"));
}

#[test]
fn a_damaged_block_is_named_and_the_rest_is_shown() {
    let (dir, _channel, _writer) = store();
    let path = dir.path().join("archive").join(Dir::archive_name("app", 0, true));
    let mut bytes = std::fs::read(&path).unwrap();
    let opened = relay_fmt::archive::open(&bytes[..]).unwrap();
    let at = opened.directory().blocks[1].body_offset() as usize + 20;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = dir.run(&["cat", "--format", "raw"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("app-20261124T130000Z-0.relay.zst") && said.contains("70..=139"),
        "{said}"
    );
    assert_eq!(lines(&output.stdout), [numbers(0..70), numbers(140..300)].concat());
}

#[test]
fn what_is_superseded_is_shown_once() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    let mut blocks = vec![mini.announce()];
    for i in 0..30 {
        writer.write(format!("record {i}").as_bytes()).unwrap();
        if i % 10 == 9 {
            blocks.push(mini.look(true));
        }
    }
    let path = dir.archive("app", 0, &blocks, false);
    let bytes = std::fs::read(&path).unwrap();
    let offset = relay_fmt::archive::open(&bytes[..]).unwrap().directory().blocks[1].offset;
    let file = Dir::archive_name("app", 0, false);
    let supersedes = relay_fmt::archive::Supersedes { file, offset };
    let entry = relay_fmt::archive::Entry::Supersedes(supersedes);
    let frames = [vec![Frame::Control(vec![entry])], blocks[2..].to_vec()].concat();
    dir.archive("app", 1, &frames, false);
    assert_eq!(dir.cat(&[]), numbers(0..30));
    let (code, audit) = dir.audit();
    assert_eq!((code, audit["records"].as_u64()), (0, Some(30)), "{audit}");
}

#[test]
fn following_shows_each_record_once_across_archives() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    let mut frames = vec![mini.announce()];
    for i in 0..50 {
        writer.write(format!("record {i}").as_bytes()).unwrap();
    }
    let mut child = dir.command(&["cat", "-f", "--format", "raw", "-n", "10"]).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (send, shown) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    let mut all = Vec::new();
    // On a loaded machine it takes its time to begin, and to see what came last.
    let mut see = |count: usize| {
        while all.len() < count
            && let Ok(line) = shown.recv_timeout(Duration::from_secs(120))
        {
            all.push(line);
        }
        std::mem::take(&mut all)
    };
    let mut lines = see(10);
    for i in 50..400 {
        writer.write(format!("record {i}").as_bytes()).unwrap();
        if i % 40 == 0 {
            frames.push(mini.look(false));
            dir.archive("app", i / 200, &frames, false);
            mini.hand_back_all();
            std::thread::sleep(Duration::from_millis(30));
        }
        if i == 199 {
            let part = dir.archive("app", 0, &frames, true);
            std::fs::remove_file(format!("{}.part", part.display())).unwrap();
            frames = vec![mini.positions()];
        }
    }
    lines.extend(see(350));
    // Nothing more may come.
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(reader.join().unwrap().is_ok());
    lines.extend(see(usize::MAX));
    assert_eq!(lines, numbers(40..400));
}

#[test]
fn nobody_reads_the_output() {
    let (dir, _channel, _writer) = store();
    let mut child = dir.command(&["cat", "--format", "raw"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

/// `cat -f | grep -m 1 ready` in a script: nothing more may come for hours.
#[test]
fn following_ends_when_nobody_reads_though_nothing_comes() {
    let (dir, _channel, _writer) = store();
    let mut child = dir.command(&["cat", "-f", "--format", "raw"]).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..40 {
        reader.read_line(&mut line).unwrap();
    }
    assert!(line.ends_with('\n'), "{line}");
    drop(reader);
    let since = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if since.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(code, Some(0));
}
