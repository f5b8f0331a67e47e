//! What commands say and end with when output, files or directories are not what they should be.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini, lines, said, skipped};
use relay_collect::{Collector, Options};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Archives of a channel that has ended, of which each holds a record, and a live channel.
fn store(archives: u64) -> (Dir, Vec<PathBuf>, relay_log::channel::RawChannel) {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    let mut paths = Vec::new();
    for n in 0..archives {
        writer.write(format!("record {n}").as_bytes()).unwrap();
        let begin = if n == 0 { mini.announce() } else { mini.positions() };
        let mut frames = vec![begin, mini.look(false)];
        if n + 1 == archives {
            frames.push(mini.last_word());
        }
        paths.push(dir.archive("app", n, &frames, true));
    }
    drop((mini, writer, channel));
    std::fs::remove_dir_all(dir.path().join("live")).unwrap();
    let live = dir.channel("live");
    live.writer().write(b"of the live one").unwrap();
    (dir, paths, live)
}

/// Damages the body of the first block, which everybody reads.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let opened = relay_fmt::archive::open(&bytes[..]).unwrap();
    let at = opened.directory().blocks[0].body_offset() as usize + 20;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// With a standard output that nobody reads.
fn unread(dir: &Dir, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    dir.command(arguments).stdout(writer).output().unwrap()
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// `audit | head -1` says what was found all the same: 0 would mean that nothing is lost.
#[test]
fn exit_codes_are_the_same_when_nobody_reads() {
    let commands =
        [&["audit"][..], &["audit", "--format", "json"], &["verify"], &["status"], &["repack"]];
    let cats = [&["cat"][..], &["cat", "--count"], &["cat", "--stats"], &["cat", "-n", "9"]];
    for damaged in [false, true] {
        let (dir, archives, _live) = store(3);
        if damaged {
            flip(&archives[1]);
            std::fs::write(dir.path().join("live/odd.1-00.relay"), b"no channel").unwrap();
        }
        for arguments in commands.iter().chain(&cats) {
            let output = unread(&dir, arguments);
            let code = Some(i32::from(damaged));
            assert_eq!(output.status.code(), code, "{arguments:?}: {}", said(&output));
            assert_eq!(dir.run(arguments).status.code(), code, "{arguments:?}");
        }
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_said_by_every_command() {
    let (dir, _archives, _live) = store(2);
    for arguments in [
        &["audit"][..],
        &["audit", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["verify"],
        &["repack"],
        &["resize", "--channel", "live", "1MiB"],
        &["cat"],
        &["cat", "--count"],
        &["cat", "--stats"],
        &["cat", "--stats", "--format", "json"],
    ] {
        let output = dir.command(arguments).stdout(full()).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        let expected = "relay-collect: cannot write to standard output: ";
        assert!(text.starts_with(expected) && text.lines().count() == 1, "{arguments:?}: {text}");
    }
}

/// Standard error may be a file on the disk that is full.
#[test]
fn a_full_disk_behind_standard_error_ends_nothing() {
    let (dir, _archives, _live) = store(2);
    for arguments in [
        &["cat", "--format", "raw", "--explain"][..],
        &["cat", "--format", "raw", "--where", "zzz"],
    ] {
        let output = dir.command(arguments).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
    let _held = Collector::open(Options::new(dir.path())).unwrap();
    assert_eq!(dir.command(&["--once"]).stderr(full()).status().unwrap().code(), Some(1));
}

/// Of many archives, what cannot be read is named, and the others are looked at.
#[test]
fn one_archive_of_many_that_cannot_be_read_hides_no_other() {
    let (dir, archives, _live) = store(5);
    assert_eq!(dir.run(&["verify"]).status.code(), Some(0));
    std::fs::remove_file(&archives[0]).unwrap();
    std::fs::create_dir(&archives[0]).unwrap();
    std::fs::write(&archives[2], b"").unwrap();
    std::fs::write(dir.path().join("archive/notes.txt"), b"nobody's").unwrap();
    let good = [1, 3, 4].map(|n| format!("record {n}"));
    let output = dir.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let found = lines(&output.stdout);
    for (n, path) in archives.iter().enumerate() {
        let of: Vec<_> = found.iter().filter(|l| l.contains(path.to_str().unwrap())).collect();
        assert_eq!(of.len(), 1, "{n}: {found:?}");
        assert_eq!(of[0].contains("sound"), n != 0 && n != 2, "{n}: {found:?}");
    }
    let output = dir.run(&["cat", "--format", "raw", "--channel", "app"]);
    assert_eq!((output.status.code(), lines(&output.stdout)), (Some(1), good.to_vec()));
    let text = said(&output);
    for path in [&archives[0], &archives[2]] {
        assert_eq!(text.matches(path.to_str().unwrap()).count(), 1, "{text}");
    }
    let output = dir.run(&["audit"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 3)), "{text}");
    for path in [&archives[0], &archives[2]] {
        assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
    }
    // Said by `verify` too where there is none at all.
    let empty = Dir::new().run(&["verify"]);
    assert_eq!(
        (empty.status.code(), lines(&empty.stdout)),
        (Some(0), vec!["there are no archives".into()])
    );
}

/// A channel whose newest archive is lost cannot go on: nobody knows where. All others do.
#[test]
fn a_channel_whose_newest_archive_is_lost_holds_up_no_other() {
    let dir = Dir::new();
    let (bad, good) = (dir.channel("bad"), dir.channel("good"));
    let (mut of_bad, mut of_good) = (bad.writer(), good.writer());
    of_bad.write(b"bad 1").unwrap();
    of_good.write(b"good 1").unwrap();
    assert_eq!(dir.run(&["--once"]).status.code(), Some(0));
    let archive = dir.path().join("archive");
    let of = |channel: &str| {
        let names = std::fs::read_dir(&archive).unwrap().map(|e| e.unwrap().path());
        let is_of = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().starts_with(channel);
        names.filter(is_of).max().unwrap()
    };
    let newest = of("bad");
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, b"").unwrap();
    of_bad.write(b"bad 2").unwrap();
    of_good.write(b"good 2").unwrap();
    let output = dir.run(&["--once"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches(newest.to_str().unwrap()).count(), 1, "{text}");
    drop((of_good, good));
    std::fs::remove_file(dir.path().join("live").join(live_file(&dir, "good"))).unwrap();
    assert_eq!(dir.cat_only(&["--channel", "good"]), ["good 1", "good 2"]);
    // It is tried again: nothing is lost, and nothing is there twice.
    std::fs::write(&newest, bytes).unwrap();
    let output = dir.run(&["--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(dir.cat(&["--channel", "bad"]), ["bad 1", "bad 2"]);
}

fn live_file(dir: &Dir, channel: &str) -> String {
    let names = std::fs::read_dir(dir.path().join("live")).unwrap();
    let mut names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    names.find(|name| name.starts_with(&format!("{channel}."))).unwrap()
}

/// The same of a channel that is idle, when retention would delete archives of it.
#[test]
fn retention_goes_on_behind_a_channel_whose_newest_archive_is_lost() {
    let (dir, archives, _live) = store(4);
    std::fs::write(&archives[3], b"").unwrap();
    let output = dir.run(&["--once", "--keep-count", "1"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(archives[0].to_str().unwrap()), "{text}");
    assert!(archives.iter().all(|path| path.exists()), "what goes is written down, or it stays");
    let sealed =
        std::fs::read_dir(dir.path().join("archive")).unwrap().map(|e| e.unwrap().file_name());
    let sealed = sealed.filter(|name| name.to_str().unwrap().starts_with("live-"));
    assert!(sealed.into_iter().all(|name| name.to_str().unwrap().ends_with(".zst")));
}

/// More archives than files may be open by default.
#[test]
fn more_archives_than_the_usual_limit_of_open_files() {
    let (dir, _archives, _live) = store(60);
    for arguments in ["cat --format raw", "audit", "--once"] {
        let script = format!(r#"ulimit -S -n 40 && exec "$0" {arguments} --dir "$1""#);
        let mut sh = Command::new("sh");
        sh.args(["-c", &script, env!("CARGO_BIN_EXE_relay-collect")]).arg(dir.path());
        let output = sh.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", said(&output));
        if arguments.starts_with("cat") {
            assert_eq!(lines(&output.stdout).len(), 61);
        }
    }
}

/// On a full disk a collector holds the lock and could not write down who it is.
#[test]
fn a_collector_that_could_not_say_who_it_is_is_there_all_the_same() {
    let (dir, _archives, _live) = store(1);
    let status = |arguments: &[&str]| {
        let output = dir.run(&[&["status"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(status(&[]).1.starts_with("no collector\n"));
    let _held = Collector::open(Options::new(dir.path())).unwrap();
    let file = dir.path().join("archive/.collector");
    assert!(status(&[]).1.starts_with(&format!("collector · pid {}\n", std::process::id())));
    OpenOptions::new().write(true).truncate(true).open(&file).unwrap();
    let (code, text) = status(&[]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("collector · pid unknown\n"), "{text}");
    let (_, json) = status(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["collector"].is_object() && json["collector"]["pid"].is_null(), "{json}");
    let second = dir.run(&["--once"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said(&second).contains("another collector (pid unknown) works on"),
        "{}",
        said(&second)
    );
}

/// As another user, who may list everything and open nothing.
#[test]
fn what_another_user_may_not_see_is_said() {
    const NOBODY: u32 = 65534;
    let (dir, archives, _live) = store(2);
    let _held = Collector::open(Options::new(dir.path())).unwrap();
    for path in [dir.path().to_owned(), dir.path().join("archive"), dir.path().join("live")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for path in &archives {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can be somebody else");
    }
    let run = |arguments: &[&str]| dir.command(arguments).uid(NOBODY).gid(NOBODY).output();
    if !run(&["--version"]).is_ok_and(|output| output.status.success()) {
        return skipped("other users may not run what is built here");
    }
    let denied = "Permission denied";
    let output = run(&["status"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lock = dir.path().join("archive/.collector");
    assert!(
        text.starts_with(&format!("collector: cannot tell: {}: {denied}", lock.display())),
        "{text}"
    );
    let live = live_file(&dir, "live");
    assert!(text.contains(&live), "{text}");
    for (arguments, code) in [(&["cat"][..], 1), (&["audit"], 3), (&["verify"], 1)] {
        let output = run(arguments).unwrap();
        let all = [output.stdout.clone(), output.stderr.clone()].concat();
        let text = String::from_utf8(all).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for path in &archives {
            let file = path.file_name().unwrap().to_str().unwrap();
            assert!(text.contains(file) && text.contains(denied), "{arguments:?}: {text}");
        }
    }
    // It may be read.
    let file = dir.path().join("live").join(&live);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
    let output = run(&["resize", "--channel", "live", "1MiB", "--allow-uid", "0"]).unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&live) && text.contains("it may be read, not written"), "{text}");
    let output = run(&["--once"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains(&format!("{}: {denied}", dir.path().join("archive").display())),
        "{}",
        said(&output)
    );
    // And now not even the directory.
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
    for arguments in [&["cat"][..], &["audit"], &["verify"], &["status"], &["--once"]] {
        let output = run(arguments).unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(
            text.contains(dir.path().to_str().unwrap()) && text.contains(denied),
            "{arguments:?}: {text}"
        );
    }
}

/// Names of files and programs may be anything; what is shown of them moves no cursor.
#[test]
fn names_of_files_cannot_reach_a_terminal() {
    let dir = Dir::new();
    let evil = "\u{1b}]0;owned\u{7}\u{202e}";
    std::fs::write(dir.path().join(format!("live/{evil}.1-00.relay")), b"no channel").unwrap();
    std::fs::write(
        dir.path().join(format!("archive/{evil}-20261124T130000Z-0.relay.zst")),
        b"no archive",
    )
    .unwrap();
    for arguments in [
        &["status"][..],
        &["audit"],
        &["verify"],
        &["repack"],
        &["cat"],
        &["cat", "--stats"],
        &["cat", "--channel", "other"],
        &["resize", "--channel", "other", "1MiB"],
        &["--once"],
    ] {
        let output = dir.run(arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("owned"), "{arguments:?}: {text:?}");
        let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(bad), "{arguments:?}: {text:?}");
    }
}

/// Followed while the directory goes and comes again, under the same name.
#[test]
fn following_goes_on_when_the_directory_is_made_again() {
    use std::io::BufRead;
    let (dir, ..) = store(1);
    let mut child = dir.command(&["cat", "-f", "--format", "raw"]).spawn().unwrap();
    let mut shown =
        std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(shown.next().unwrap(), "record 0");
    assert_eq!(shown.next().unwrap(), "of the live one");
    for n in 0..2 {
        std::fs::remove_dir_all(dir.path()).unwrap();
        std::fs::create_dir_all(dir.path().join("archive")).unwrap();
        let channel = dir.channel("again");
        channel.writer().write(format!("again {n}").as_bytes()).unwrap();
        assert_eq!(shown.next().unwrap(), format!("again {n}"));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()));
}

#[test]
fn a_pipe_makes_no_directory_that_may_be_mistyped_without_a_word() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str], dir: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        command.args(["pipe", "--channel", "lines"]).args(args).arg(dir);
        command.env_remove("RELAY_DIR").env_remove("RELAY_LIVE_DIR").stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let deep = home.path().join("mistyped").join("logs");
    let (code, said) = run(&["--dir"], &deep);
    assert!(code == Some(2) && said.contains("mistyped/logs"), "{code:?} {said}");
    assert!(!home.path().join("mistyped").exists());
    let new = home.path().join("logs");
    let (code, said) = run(&["--dir"], &new);
    assert!(
        code == Some(0) && said.lines().count() == 1 && said.contains("logs was made"),
        "{said}"
    );
    assert_eq!(run(&["--dir"], &new), (Some(0), String::new()), "it is not new any more");
    // Of the two the one that is written to matters.
    let dir = home.path().to_str().unwrap();
    let (code, said) = run(&["--dir", dir, "--live-dir"], &deep);
    assert!(code == Some(2) && said.contains("mistyped/logs"), "{code:?} {said}");
    let live = home.path().join("channels");
    let (code, said) = run(&["--dir", "/nowhere/at/all", "--live-dir"], &live);
    assert!(code == Some(0) && said.contains("channels was made"), "{code:?} {said}");
}
