//! What is typed wrongly is told by option and value; what asks for nothing that is there, by name.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, said};
use relay_log::{ChannelOptions, Relay};
use std::process::{Command, Stdio};

/// A directory with a record in it.
fn store() -> Dir {
    let dir = Dir::new();
    assert!(dir.run_with(&["pipe", "--channel", "app"], b"record 0\n").status.success());
    dir
}

const LINES: &[u8] = br#"{"status": 503, "id": {"port": 17}, "user": "jb"}
{"status": 200, "id": {"port": 18}}
plain text, which has no fields
"#;

/// As `--where` says it; whoever asks only for the time of what has no such field as well.
#[test]
fn fields_to_be_shown_that_no_record_has_are_said() {
    for archived in [false, true] {
        let dir = Dir::new();
        assert!(dir.run_with(&["pipe", "--channel", "json"], LINES).status.success());
        if archived {
            assert!(dir.run(&["--once"]).status.success());
        }
        for (fields, notes) in [
            (
                "time,level,target,message,channel,pid,thread,number,writer,source,kind,spans,fields",
                &[][..],
            ),
            ("status,id.port,user", &[]),
            ("field.status,span.zzz", &[]),
            ("time,stauts", &["`stauts`"]),
            ("zzz,status,kqx,zzz", &["`kqx`", "`zzz`"]),
        ] {
            for more in [
                &[][..],
                &["-n", "1"],
                &["--reverse"],
                &["--grep", "nothing at all"],
                &["--where", "user"],
            ] {
                for format in ["text", "json", "logfmt"] {
                    let cat = ["cat", "--fields", fields, "--format", format];
                    let output = dir.run(&[&cat, more].concat());
                    let text = said(&output);
                    assert_eq!(output.status.code(), Some(0), "{fields} {more:?}: {text}");
                    let found: Vec<_> = text.lines().collect();
                    assert_eq!(
                        found.len(),
                        notes.len(),
                        "{archived} {fields} {more:?} {format}: {text}"
                    );
                    for (line, note) in found.iter().zip(notes) {
                        assert!(line.contains("note: no record of this selection"), "{text}");
                        assert!(line.contains(note), "{fields} {more:?}: {text}");
                    }
                }
            }
        }
        // Both ask for it: it is said once.
        let output = dir.run(&["cat", "--fields", "zzz", "--where", "zzz == 1"]);
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
}

/// Names of key-values stand in the records, not in what is said of their statements once.
#[test]
fn fields_of_key_values_are_known_whether_or_not_they_were_looked_at() {
    let dir = Dir::new();
    let large = ChannelOptions::new("large");
    Relay::builder(dir.path()).channel("app").route("large", large).init().unwrap();
    log::warn!(latency_ms = 2.5, path:? = "x"; "slow");
    log::warn!(target: "large", text = "x".repeat(200_000), behind = 1; "in parts");
    log::info!("the last one has none");
    let app = ["--channel", "app"];
    for archived in [false, true, true] {
        for (expr, channel, notes) in [
            ("target ^= nothing && latency_ms > 2", "app", 0),
            ("message *= nothing && (path || latency_ms)", "app", 0),
            ("target ^= nothing && latencyms > 2", "app", 1),
            ("target ^= nothing && (text || behind)", "large", 0),
        ] {
            for more in [&[][..], &["-n", "1"], &["--count"], &["--reverse"]] {
                let cat = ["cat", "--where", expr, "--channel", channel];
                let text = said(&dir.run(&[&cat, more].concat()));
                assert_eq!(text.lines().count(), notes, "{archived} {expr} {more:?}: {text}");
                let hint = archived && notes > 0;
                assert_eq!(text.contains("is it `latency_ms`?"), hint, "{archived}: {text}");
            }
        }
        for (fields, notes) in [("time,latency_ms,path", 0), ("time,latencyms", 1)] {
            let cat = ["cat", "-n", "1", "--fields", fields];
            let text = said(&dir.run(&[&cat[..], &app].concat()));
            assert_eq!(text.lines().count(), notes, "{archived} {fields}: {text}");
        }
        assert!(dir.run(&["--once"]).status.success());
        if archived {
            // What is archived of a channel that is gone is opened when it is needed.
            std::fs::remove_dir_all(dir.path().join("live")).unwrap();
        }
    }
}

/// An empty variable counts as not set, whatever it is of.
#[test]
fn empty_variables_are_none() {
    let dir = store();
    let run = |arguments: &[&str], variables: &[&str]| {
        let mut command = dir.command(arguments);
        command.envs(variables.iter().map(|name| (name, "")));
        command.stdin(Stdio::null()).output().unwrap()
    };
    let of_dir = ["RELAY_DIR", "RELAY_LIVE_DIR", "RELAY_ALLOW_UID"];
    let of_cat = [&of_dir[..], &["RELAY_FORMAT", "RELAY_TZ", "TZ"]].concat();
    let of_collector = [
        "RELAY_ROTATE_SIZE",
        "RELAY_ROTATE_AGE",
        "RELAY_KEEP_SIZE",
        "RELAY_KEEP_AGE",
        "RELAY_KEEP_COUNT",
        "RELAY_ZSTD_LEVEL",
        "RELAY_REPACK",
        "RELAY_REPACK_LEVEL",
        "RELAY_TIME_PRECISION",
        "RELAY_MODE",
    ];
    for (arguments, variables) in [
        (&["cat"][..], &of_cat[..]),
        (&["audit"], &[&of_dir[..], &["RELAY_REPORT"]].concat()),
        (&["status"], &[&of_dir[..], &["RELAY_REPORT"]].concat()),
        (&["verify"], &of_dir),
        (&["repack"], &of_dir),
        (
            &["pipe", "--channel", "x"],
            &[&of_dir[..], &["RELAY_BUFFER", "RELAY_BUFFER_MAX"]].concat(),
        ),
        (&["--once"], &[&of_dir[..], &of_collector].concat()),
    ] {
        let output = run(arguments, variables);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        assert_eq!(said(&output), "", "{arguments:?}");
    }
    let mut bare = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
    let output = bare.arg("cat").env("RELAY_DIR", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--dir <DIR>"), "{}", said(&output));
}

/// The option, the value, and what is allowed.
#[test]
fn values_that_cannot_be_are_told() {
    let dir = store();
    for (arguments, option, allowed) in [
        (&["cat", "-n", "-1"][..], "--lines", "whole number"),
        (&["cat", "-n", "many"], "--lines", "whole number"),
        (&["cat", "--pid", "-3"], "--pid", "whole number"),
        (&["cat", "--pid", "4294967296"], "--pid", "whole number"),
        (&["cat", "--allow-uid", "root"], "--allow-uid", "whole number"),
        (&["cat", "--since", "nonsense"], "--since", "2026-11-24"),
        (&["cat", "--level", "loud"], "--level", "error, warn, info, debug or trace"),
        (&["cat", "--format", "yaml"], "--format", "text, json, logfmt, raw"),
        (&["cat", "--tz", "Mars"], "--tz", "Europe/Berlin"),
        (&["cat", "--fields", "time,,level"], "--fields", "a field has a name"),
        (&["--once", "--rotate-size", "0"], "--rotate-size", "behind every block"),
        (&["--once", "--rotate-age", "0s"], "--rotate-age", "behind every block"),
        (&["--once", "--rotate-age", "5"], "--rotate-age", "30s"),
        (&["--once", "--keep-size", "0MiB"], "--keep-size", "everything is kept"),
        (&["--once", "--keep-age", "0"], "--keep-age", "everything is kept"),
        (&["--once", "--keep-count", "some"], "--keep-count", "number of archives"),
        (&["--once", "--level", "20"], "--level", "1..=19"),
        (&["--once", "--mode", "999"], "--mode", "octal"),
        (&["pipe", "--channel", "a b"], "--channel", "letters, digits"),
        (&["pipe", "--channel", "x", "--buffer", "some"], "--buffer", "64MiB"),
    ] {
        let output = dir.run(arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        let value = arguments.last().unwrap().split(",,").last().unwrap();
        let value = if option == "--fields" { "''" } else { value };
        for part in [option, allowed, value] {
            assert!(text.contains(part), "{arguments:?} {part}: {text}");
        }
    }
}

/// Help is broken into lines where it is written, for terminals of 80 columns.
#[test]
fn help_fits_a_terminal() {
    for command in ["", "cat", "audit", "status", "verify", "repack", "resize", "pipe"] {
        let mut help = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        if !command.is_empty() {
            help.arg(command);
        }
        let wide = help.arg("--help").env("COLUMNS", "200").output().unwrap();
        let text = String::from_utf8(wide.stdout).unwrap();
        let (_, behind) = text.rsplit_once("Print help").unwrap();
        for line in behind.lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
        // Whatever the terminal says of itself, there is help.
        for columns in ["1", "0", "-5", "wide"] {
            let narrow = help.env("COLUMNS", columns).output().unwrap();
            assert!(narrow.status.success() && narrow.stdout.len() > 100, "{command} {columns}");
        }
    }
}

#[test]
fn a_file_where_a_directory_should_be_is_said() {
    let dir = Dir::new();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for arguments in [&["--once"][..], &["cat"], &["audit"], &["status"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        let output = command.args(arguments).arg("--dir").arg(&file).output().unwrap();
        let text = said(&output);
        assert_eq!(
            output.status.code(),
            Some(if arguments[0] == "--once" { 1 } else { 2 }),
            "{text}"
        );
        assert!(text.contains(&format!("{}: not a directory", file.display())), "{text}");
    }
}

/// Times would be another zone's without a word.
#[test]
fn a_time_zone_that_is_not_known_is_said() {
    let dir = store();
    for (zone, note) in [("UTC", false), ("XYZ-3", false), ("", false), ("Non/Sense", true)] {
        let output = dir.command(&["cat"]).env("TZ", zone).output().unwrap();
        let text = said(&output);
        assert_eq!(
            (output.status.code(), text.contains("note: TZ")),
            (Some(0), note),
            "{zone}: {text}"
        );
        let output = dir.command(&["cat", "--tz", "UTC"]).env("TZ", zone).output().unwrap();
        assert_eq!(said(&output), "", "{zone}");
    }
}
