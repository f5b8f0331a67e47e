//! What an operator runs into: signals, full disks, what may not be read, exit codes.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini, lines};
use relay_collect::{Collector, Options};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until something is so; a test that never ends names its place.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn standby_ends_when_it_is_told_to() {
    let dir = Dir::new();
    let _held = Collector::open(Options::new(dir.path())).unwrap();
    for with in [Signal::TERM, Signal::INT] {
        let mut waiting = dir.command(&["--standby"]).spawn().unwrap();
        let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("waiting"), "{line}");
        signal(&waiting, with);
        assert_eq!(waiting.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_pipe_that_is_told_to_end_keeps_the_line_that_was_begun() {
    let dir = Dir::new();
    for (n, with) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let channel = format!("lines{n}");
        let mut pipe = dir.command(&["pipe", "--channel", &channel]);
        let mut pipe = pipe.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = pipe.stdin.take().unwrap();
        stdin.write_all(b"a whole line\nthen a line with no").unwrap();
        // The first line has been read: so it listens to signals.
        until(|| dir.cat(&["--channel", &channel]).len() == 1);
        stdin.write_all(b" end").unwrap();
        signal(&pipe, with);
        assert_eq!(pipe.wait().unwrap().code(), Some(0));
        assert_eq!(dir.cat(&["--channel", &channel]), ["a whole line", "then a line with no end"]);
        drop(stdin);
    }
}

#[test]
fn an_interrupted_file_leaves_nothing_behind() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    let out = tempfile::tempdir().unwrap();
    for with in [Signal::INT, Signal::TERM] {
        let path = out.path().join("all.txt");
        let arguments = ["cat", "-o", path.to_str().unwrap()];
        let mut command = dir.command(&arguments);
        let mut cat = stopped_at_the_end(&mut command, &dir);
        until(|| std::fs::read_dir(out.path()).unwrap().count() == 1);
        signal(&cat, with);
        assert!(cat.wait().unwrap().code().is_none(), "it dies by the signal");
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    }
}

/// `cat` that cannot get on, since its standard error, to which it has much to say, is not read.
fn stopped_at_the_end(command: &mut Command, dir: &Dir) -> Child {
    for n in 0..2000 {
        let file = format!("{:0>200}.relay", n);
        std::fs::write(dir.path().join("live").join(file), b"no channel").unwrap();
    }
    command.spawn().unwrap()
}

#[test]
fn what_cannot_be_read_is_said_with_its_path_and_has_its_exit_code() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    let path = dir.path().join("live/odd.1-00.relay");
    std::fs::write(&path, b"this is no channel").unwrap();
    for arguments in [&["cat"][..], &["cat", "--count"], &["cat", "-n", "5"], &["--once"]] {
        let output = dir.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = said(&output);
        let about: Vec<_> = said.lines().filter(|l| l.contains(path.to_str().unwrap())).collect();
        assert_eq!(about.len(), 1, "{arguments:?}: {said}");
    }
    std::fs::remove_file(path).unwrap();
    assert_eq!(dir.run(&["cat"]).status.code(), Some(0));
    assert_eq!(dir.run(&["--once"]).status.code(), Some(0));
}

#[test]
fn once_does_not_wait_for_ever_on_a_full_disk() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    // No file may grow: to the collector that is a full disk.
    let script = r#"trap '' XFSZ; ulimit -f 0; exec "$0" --dir "$1" --once --full-wait 300ms"#;
    let mut sh = Command::new("sh");
    sh.args(["-c", script, env!("CARGO_BIN_EXE_relay-collect")]).arg(dir.path());
    let output = sh.stdin(Stdio::null()).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches("waiting").count(), 1, "{text}");
    assert!(text.contains("the disk is full, and has been for 0.3 s"), "{text}");
    assert_eq!(dir.run(&["--once"]).status.code(), Some(0));
    assert_eq!(dir.cat(&[]), ["one"]);
}

#[test]
fn the_directory_may_stand_before_the_command() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        command.args(arguments).output().unwrap()
    };
    let at: &Path = dir.path();
    let at = at.to_str().unwrap();
    let joined = format!("--dir={at}");
    for arguments in [
        &["--dir", at, "cat", "--format", "raw"][..],
        &[&joined, "cat", "--format", "raw"],
        &["cat", "--dir", at, "--format", "raw"],
        &["cat", "--format", "raw", &joined],
        &["--dir", at, "--live-dir", &format!("{at}/live"), "cat", "--format", "raw"],
    ] {
        let output = run(arguments);
        assert_eq!(lines(&output.stdout), ["one"], "{arguments:?}: {}", said(&output));
    }
    // An option of the collector is none of a command.
    assert_eq!(run(&["--once", "--dir", at, "cat"]).status.code(), Some(2));
    drop(Mini::new(&dir, &channel));
}

#[test]
fn json_behind_blanks_and_numbers_beyond_64_bits() {
    let dir = Dir::new();
    let lines = [
        "{\"n\": 18446744073709551617}",
        "  {\"n\": 18446744073709551616}",
        "\u{feff}{\"n\": 18446744073709551618}",
    ];
    let piped = dir.run_with(&["pipe", "--channel", "json"], lines.join("\n").as_bytes());
    assert_eq!(piped.status.code(), Some(0));
    for (n, line) in [(17, lines[0]), (16, lines[1]), (18, lines[2])] {
        let expr = format!("n == 184467440737095516{n}");
        assert_eq!(dir.cat(&["--where", &expr]), [line], "{expr}");
    }
}
