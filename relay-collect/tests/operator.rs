//! What an operator runs into: signals, full disks, what may not be read, exit codes.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Mini, lines, said, skipped};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::{Config, Counter, RawChannel};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until something is so; a test that never ends names its place.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(5));
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
        let read = || dir.run(&["cat", "--channel", &channel, "--format", "raw"]).stdout;
        until(|| read() == b"a whole line\n");
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
    // Every command takes what says where logs are, wherever it stands.
    let live = format!("{at}/live");
    for command in ["cat", "audit", "status", "verify", "repack"] {
        let before = run(&["--dir", at, "--live-dir", &live, "--allow-uid", "0", command]);
        let behind = run(&[command, "--dir", at, "--live-dir", &live, "--allow-uid", "0"]);
        for output in [before, behind] {
            assert_eq!(output.status.code(), Some(0), "{command}: {}", said(&output));
        }
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

#[test]
fn sizes_and_channels_that_cannot_be_are_refused() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let _other = dir.channel("other");
    drop(dir.channel("ended"));
    for (name, size, part) in [
        ("app", "0", "two sub-buffers at least, here 8KiB"),
        ("app", "8191", "two sub-buffers at least, here 8KiB"),
        ("app", "65GiB", "65GiB is too large"),
        ("app", "15EiB", "15EiB is too large"),
        ("app", "much", "must begin with a number"),
        ("app", "5 parsecs", "is no unit"),
        ("app", "20EiB", "larger than any file"),
        ("ap", "1MiB", "no live channel is named ap; there are: app, other"),
        ("ended", "1MiB", "no live channel is named ended; there are: app, other"),
    ] {
        let output = dir.run(&["resize", "--channel", name, size]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{name} {size}: {text}");
        assert!(text.contains(part), "{name} {size}: {text}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(dir.run(&["resize", "--channel", "app", "-5"]).status.code(), Some(2));
    assert_eq!(channel.counter(Counter::Resized), 0, "nothing was asked for");
    let output = dir.run(&["resize", "--channel", "app", "8KiB"]);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("keeps 8KiB allocated; what is beyond is given back"), "{told}");
    assert_eq!(channel.counter(Counter::Resized), 1, "it was waited for");
}

#[test]
fn a_program_that_does_not_take_a_size_up_is_said() {
    let dir = Dir::new();
    let mut config = Config::new(dir.path().join("live"), "app");
    config.keeper = false;
    let _channel = RawChannel::create(config).unwrap();
    let output = dir.run(&["resize", "--channel", "app", "8MiB"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("has not taken that up"), "{}", said(&output));
}

/// Smaller and larger sizes are asked for while threads write and a collector archives; in between the
/// channel is idle until it has given back what is beyond.
#[test]
fn a_channel_that_shrinks_while_it_is_written_loses_nothing() {
    const THREADS: usize = 3;
    const SMALL: u64 = 8 * 4096;
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut writers: Vec<_> = (0..THREADS).map(|_| (channel.writer(), 0u64)).collect();
    let mut collector = Collector::open(Options::new(dir.path())).unwrap();
    let control = Arc::new(Control::new());
    let of_collector = Arc::clone(&control);
    let collecting = std::thread::spawn(move || collector.run(&of_collector).unwrap());
    for _ in 0..2 {
        let rest = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (thread, (writer, next)) in writers.iter_mut().enumerate() {
                let rest = &rest;
                scope.spawn(move || {
                    while !rest.load(Ordering::Relaxed) {
                        writer.write(format!("{thread} {next}").as_bytes()).unwrap();
                        *next += 1;
                        if next.is_multiple_of(500) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                });
            }
            for size in ["16MiB", "32KiB"] {
                let output = dir.run(&["resize", "--channel", "app", size]);
                assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
            }
            rest.store(true, Ordering::Relaxed);
        });
        let given_back = channel.counter(Counter::Shrunk);
        until(|| channel.allocated_bytes() <= SMALL + 4096 * THREADS as u64);
        assert!(channel.counter(Counter::Shrunk) > given_back);
    }
    control.stop();
    collecting.join().unwrap();
    let mut found = [0; THREADS];
    let all = dir.run(&["cat", "--format", "raw"]);
    for line in lines(&all.stdout) {
        let (thread, number) = line.split_once(' ').unwrap();
        let next = &mut found[thread.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*next), "thread {thread}");
        *next += 1u64;
    }
    assert_eq!(found.to_vec(), writers.iter().map(|(_, next)| *next).collect::<Vec<_>>());
    assert_eq!(dir.audit().0, 0);
}

/// Lines of JSON as several loggers write them, with and without a level, and lines that are no JSON.
fn json_lines() -> (Vec<String>, Vec<Option<&'static str>>) {
    let kinds: [(&str, Option<&str>); 9] = [
        (r##"{"level":"info","msg":"served","n":#}"##, Some("INFO")),
        (r##"{"level":50,"time":1732449600000,"pid":7,"msg":"pino #"}"##, Some("ERROR")),
        (r##"{"severity":"WARNING","message":"slow","n":#}"##, Some("WARN")),
        (r##"{"lvl":"dbug","msg":"no level that anybody knows","n":#}"##, None),
        (r##"{"ts":#,"lvl":"trace"}"##, Some("TRACE")),
        (r##"{"n":#,"text":"a \"level\":\"error\" in a string"}"##, None),
        (r##"{"log":{"level":"debug"},"n":#}"##, Some("DEBUG")),
        ("level=\"error\" in plain text #", None),
        (r##"{"level":"error","n":#"##, None),
    ];
    let of = |n: usize| {
        let (line, level) = kinds[(n * 7 + n / 13) % kinds.len()];
        (line.replace('#', &n.to_string()), level)
    };
    (0..3000).map(of).unzip()
}

#[test]
fn lines_of_json_have_the_level_that_they_say() {
    let (lines, levels) = json_lines();
    let dir = Dir::new();
    // Something with a level of its own beside them: none here, but a channel of plain text.
    assert!(dir.run_with(&["pipe", "--channel", "plain"], b"nothing here\n").status.success());
    let input = lines.join("\n");
    assert!(dir.run_with(&["pipe", "--channel", "json"], input.as_bytes()).status.success());
    let of = |wanted: &dyn Fn(Option<&str>) -> bool| -> Vec<String> {
        let all = lines.iter().zip(&levels).filter(|(_, level)| wanted(**level));
        all.map(|(line, _)| line.clone()).collect()
    };
    let urgent = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
    for archived in [false, true] {
        for (i, most) in urgent.into_iter().enumerate() {
            let expected = of(&|level| level.is_some_and(|level| urgent[..=i].contains(&level)));
            assert!(!expected.is_empty());
            let than = format!("level <= {most}");
            for option in [["--level", most], ["--where", &than]] {
                let found = dir.cat(&option);
                assert!(found == expected, "{archived} {option:?}: {}", found.len());
                // The quote is in every line of JSON, whatever its level.
                for text in [&[][..], &["--grep", "\""]] {
                    let count = dir.run(&[&["cat", "--count"], text, &option[..]].concat()).stdout;
                    assert_eq!(count, format!("{}\n", expected.len()).into_bytes(), "{option:?}");
                }
                let newest = dir.cat(&[&option[..], &["-n", "7"]].concat());
                assert_eq!(newest, expected[expected.len().saturating_sub(7)..], "{option:?}");
            }
        }
        let json = ["--channel", "json"];
        assert!(
            dir.cat(&[&json[..], &["--where", "!(level <= trace)"]].concat())
                == of(&|l| l.is_none())
        );
        assert!(
            dir.cat(&["--where", "level != info && level"]) == {
                of(&|level| level.is_some_and(|level| level != "INFO"))
            }
        );
        let stats = dir.run(&["cat", "--stats", "--format", "json", "--channel", "json"]).stdout;
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        for level in urgent.map(Some).into_iter().chain([None]) {
            let is = |of: &&serde_json::Value| of["level"].as_str() == level;
            let counted = stats["levels"].as_array().unwrap().iter().find(is).unwrap();
            assert_eq!(counted["records"], levels.iter().filter(|l| **l == level).count());
        }
        let shown = dir.run(&["cat", "--format", "json", "--channel", "json"]).stdout;
        let shown = serde_json::Deserializer::from_slice(&shown).into_iter();
        let shown = shown.map(|line: Result<serde_json::Value, _>| line.unwrap());
        let shown: Vec<_> = shown.map(|l| l["level"].as_str().map(str::to_owned)).collect();
        let levels: Vec<_> = levels.iter().map(|level| level.map(str::to_owned)).collect();
        assert!(shown == levels);
        let line = dir.run(&["cat", "--where", "n == 0", "--color", "always", "--tz", "UTC"]);
        let line = String::from_utf8(line.stdout).unwrap();
        assert!(line.contains("\u{1b}[32mINFO\u{1b}[0m"), "{line:?}");
        // Once, whether the member is called so or not.
        for (n, level) in [(0, " level=info"), (8, " level=warn")] {
            let n = format!("n == {n}");
            let logfmt = dir.run(&["cat", "--where", &n, "--format", "logfmt"]).stdout;
            let logfmt = String::from_utf8(logfmt).unwrap();
            assert_eq!(logfmt.matches(" level=").count(), 1, "{logfmt}");
            assert!(logfmt.contains(level), "{logfmt}");
        }
        assert!(dir.run(&["--once"]).status.success());
    }
}

/// The command under a tracer that lets every `pread` of this file fail from the `n`th on; the child is the
/// command itself. `None` where there is no tracer that may trace.
fn unreadable(dir: &Dir, file: &Path, n: u32, arguments: &[&str]) -> Option<Command> {
    let tried = Command::new("strace").args(["-D", "-qq", "-e", "trace=none", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skipped("there is no strace that may trace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-P"]).arg(file);
    command.args(["-e", &format!("inject=pread64:error=EIO:when={n}+")]);
    command.arg(env!("CARGO_BIN_EXE_relay-collect")).args(arguments).arg("--dir").arg(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}

#[test]
fn a_channel_that_cannot_be_read_is_named_and_the_others_are_shown() {
    let dir = Dir::new();
    let (bad, good) = (dir.channel("bad"), dir.channel("good"));
    bad.writer().write(b"of the bad one").unwrap();
    good.writer().write(b"of the good one").unwrap();
    let path = dir.path().join("live").join(bad.file_name());
    let mut failed = 0;
    for n in 1..60 {
        let arguments = ["cat", "--format", "raw"];
        let Some(mut command) = unreadable(&dir, &path, n, &arguments) else { return };
        let output = command.output().unwrap();
        let text = said(&output);
        let shown = lines(&output.stdout);
        assert!(shown.contains(&"of the good one".to_owned()), "{n}: {text}");
        if output.status.code() == Some(0) {
            assert_eq!((shown.len(), text.as_str()), (2, ""), "{n}");
            continue;
        }
        failed += 1;
        assert_eq!((output.status.code(), shown.len()), (Some(1), 1), "{n}: {text}");
        assert_eq!(text.matches(path.to_str().unwrap()).count(), 1, "{n}: {text}");
    }
    assert!(failed > 3, "it is read more than once, and each time it may fail");
}

/// What `cat -f` says on standard output and error, line by line.
struct Following {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
}

impl Following {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn shows(&mut self, line: &str) {
        let mut found = String::new();
        self.out.read_line(&mut found).unwrap();
        assert_eq!(found.trim_end(), line);
    }

    fn says(&mut self, part: &str) {
        let mut found = String::new();
        self.err.read_line(&mut found).unwrap();
        assert!(found.contains(part), "{found}");
    }

    /// Its exit code once it is told to end, when it has no more to say.
    fn end(mut self) -> Option<i32> {
        signal(&self.child, Signal::INT);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.err, &mut rest).unwrap();
        assert_eq!(rest, "", "everything is said once");
        self.child.wait().unwrap().code()
    }
}

#[test]
fn following_goes_on_without_what_becomes_unreadable_and_ends_with_1() {
    let arguments = ["cat", "-f", "--format", "raw"];
    let dir = Dir::new();
    let good = dir.channel("good");
    let mut writer = good.writer();
    writer.write(b"first").unwrap();
    let mut whole = Following::start(&mut dir.command(&arguments));
    whole.shows("first");
    writer.write(b"second").unwrap();
    whole.shows("second");
    assert_eq!(whole.end(), Some(0));

    // One that comes, and is no channel.
    let mut odd = Following::start(&mut dir.command(&arguments));
    odd.shows("first");
    odd.shows("second");
    let path = dir.path().join("live/odd.1-00.relay");
    std::fs::write(&path, b"this is no channel").unwrap();
    odd.says(path.to_str().unwrap());
    writer.write(b"third").unwrap();
    odd.shows("third");
    assert_eq!(odd.end(), Some(1));
    std::fs::remove_file(&path).unwrap();

    // One that was read until then.
    let bad = dir.channel("bad");
    let path = dir.path().join("live").join(bad.file_name());
    let Some(mut command) = unreadable(&dir, &path, 60, &arguments) else { return };
    let mut ill = Following::start(&mut command);
    ["first", "second", "third"].iter().for_each(|line| ill.shows(line));
    ill.says(path.to_str().unwrap());
    writer.write(b"fourth").unwrap();
    ill.shows("fourth");
    assert_eq!(ill.end(), Some(1));
}

#[test]
fn explain_says_what_live_channels_alone_hold() {
    let dir = Dir::new();
    let (app, _empty) = (dir.channel("app"), dir.channel("empty"));
    (0..3).for_each(|_| app.writer().write(b"one").unwrap());
    for (more, read) in [(&[][..], 3), (&["--channel", "app"], 3), (&["--channel", "empty"], 0)] {
        let output = dir.run(&[&["cat", "--explain"], more].concat());
        let text = said(&output);
        let pieces = u64::from(read > 0);
        for part in [
            "0 archived blocks with 0 records".to_owned(),
            format!(
                "{pieces} blocks decoded, and pieces of live channels looked at: {read} records"
            ),
            format!("{pieces} pieces of live channels"),
        ] {
            assert!(text.contains(&part), "{more:?} {part}: {text}");
        }
        assert_eq!(lines(&output.stdout).len(), read);
    }
}

/// What a tired person types, and is told.
#[test]
fn mistakes_are_told_by_name() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    let bare = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        command.args(arguments).output().unwrap()
    };
    let at = dir.path().to_str().unwrap();
    for within in ["archive", "live"] {
        let output = bare(&["cat", "--dir", &format!("{at}/{within}")]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(&format!("is it {at}?")), "{}", said(&output));
    }
    let output = dir.run(&["cat", "--since", "-1min", "--until", "-1h"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("nothing lies between"), "{}", said(&output));
    let output = dir.run(&["--once", "--keep-count", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("keep nothing"), "{}", said(&output));
    // A disk that is full, where the output goes.
    for arguments in [&["cat"][..], &["cat", "--count"], &["cat", "--stats"], &["cat", "-n", "1"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = dir.command(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = said(&output);
        assert!(text.contains("cannot write to standard output: "), "{arguments:?}: {text}");
    }
    // A directory that is new, as by a mistyped name; the second time it is known.
    let new = format!("{at}/lgos");
    for told in [true, false] {
        let output = bare(&["--once", "--dir", &new]);
        assert_eq!(output.status.code(), Some(0));
        let expected = format!("relay-collect: note: nothing is in {new} yet: it is new\n");
        assert_eq!(said(&output), if told { expected } else { String::new() });
    }
}

#[test]
fn what_may_not_be_read_or_written_is_named() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    channel.writer().write(b"one").unwrap();
    // A file of a channel that cannot be opened: that it is one is known by its name.
    let path = dir.path().join("live/secret.1-00.relay");
    std::fs::write(&path, b"this is no channel").unwrap();
    for (arguments, code) in [
        (&["status"][..], 1),
        (&["status", "--format", "json"], 1),
        (&["cat", "--channel", "secret"], 1),
        (&["resize", "--channel", "secret", "1MiB"], 2),
    ] {
        let output = dir.run(arguments);
        let all = [output.stdout.clone(), output.stderr.clone()].concat();
        let all = String::from_utf8(all).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
        assert!(all.contains("secret.1-00.relay"), "{arguments:?}: {all}");
    }
    std::fs::remove_file(path).unwrap();
    assert_eq!(dir.run(&["status"]).status.code(), Some(0));
    // Archives that nobody can begin.
    let archive = dir.path().join("archive");
    let mut collector = Collector::open(Options::new(dir.path())).unwrap();
    std::fs::remove_dir_all(&archive).unwrap();
    std::os::unix::fs::symlink("/proc/nowhere", &archive).unwrap();
    let error = collector.drain(&Control::new()).unwrap_err().to_string();
    let expected = format!("cannot begin an archive in {}: ", archive.display());
    assert!(error.starts_with(&expected), "{error}");
}
