//! What is not there: archives that are gone, which `audit` explains or tells; names of fields and
//! channels that nothing has.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, said};
use relay_collect::query::Filter;
use relay_collect::read::{ArchiveName, Follow, Store};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::{Config, RawChannel};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// One archive of a channel, whose program has ended.
fn session(options: &Options, channel: &str, text: &str) {
    let of = RawChannel::create(Config::new(&options.live_dir, channel)).unwrap();
    of.writer().write(text.as_bytes()).unwrap();
    drop(of);
    Collector::open(options.clone()).unwrap().drain(&Control::new()).unwrap();
}

fn archives(dir: &Dir, channel: &str) -> Vec<PathBuf> {
    let archive = dir.path().join("archive");
    let names = ArchiveName::list(&archive).unwrap().into_iter();
    names.filter(|n| n.channel == channel).map(|n| archive.join(n.file)).collect()
}

fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn what_is_no_directory_of_logs_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let dir = Dir(tempfile::tempdir().unwrap());
    for command in [&["audit"][..], &["cat"], &["cat", "--count"], &["status"], &["verify"]] {
        let output = dir.run(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(said.contains(&dir.path().display().to_string()), "{said}");
        assert!(output.stdout.is_empty());
    }
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(dir.run(&["audit"]).status.code(), Some(2));
    drop(empty);
}

#[test]
fn where_nothing_ever_was_the_audit_cannot_tell() {
    let dir = Dir::new();
    let (code, audit) = dir.audit();
    assert_eq!(code, 3, "{audit}");
    assert!(audit["doubts"][0].as_str().unwrap().contains("nothing was ever recorded"), "{audit}");
}

/// The only archive of a channel, the newest of one, any of another: whichever is deleted by hand is
/// named, also after a collector has been there again, and archives go on behind it.
#[test]
fn what_was_deleted_by_hand_is_named() {
    for victim in 0..4 {
        let dir = Dir::new();
        let options = Options::new(dir.path());
        session(&options, "only", "alone");
        (0..3).for_each(|n| session(&options, "app", &format!("record {n}")));
        assert_eq!(dir.audit().0, 0);
        let all = [archives(&dir, "only"), archives(&dir, "app")].concat();
        assert_eq!(all.len(), 4);
        let gone = &all[victim];
        std::fs::remove_file(gone).unwrap();
        for again in 0..3 {
            let (code, audit) = dir.audit();
            assert!(code == 1 || code == 3, "{victim} {again}: {audit}");
            assert!(audit.to_string().contains(&name(gone)), "{victim} {again}: {audit}");
            session(&options, if victim == 0 { "only" } else { "app" }, "later");
        }
        // Also without the catalogue, once there is an archive behind it.
        std::fs::remove_file(dir.path().join("archive/catalogue")).unwrap();
        let (code, audit) = dir.audit();
        assert!(code == 1 || code == 3, "{victim}: {audit}");
        assert!(audit.to_string().contains(&name(gone)), "{victim}: {audit}");
    }
}

#[test]
fn all_archives_deleted_is_not_nothing_lost() {
    let dir = Dir::new();
    let options = Options::new(dir.path());
    (0..3).for_each(|n| session(&options, "app", &format!("record {n}")));
    archives(&dir, "app").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (code, audit) = dir.audit();
    assert_eq!(code, 3, "{audit}");
    assert!(audit.to_string().contains("it held 1 records"), "{audit}");
}

/// Tombstones go with the archives that they stand in; that something was deleted on purpose is known
/// all the same, and what was deleted by others among it is told.
#[test]
fn what_retention_deleted_long_ago_stays_explained() {
    let dir = Dir::new();
    let mut options = Options::new(dir.path());
    options.keep_count = Some(2);
    for n in 0..9 {
        session(&options, "app", &format!("record {n}"));
        let (code, audit) = dir.audit();
        assert_eq!((code, audit["lost"].as_u64()), (0, Some(0)), "{n}: {audit}");
    }
    let (_, audit) = dir.audit();
    assert!(audit["deleted"].as_u64().unwrap() >= 6, "{audit}");
    // A channel that nothing was deleted of, beside it.
    session(&options, "other", "one");
    session(&options, "other", "two");
    let all = archives(&dir, "app");
    let with_records = all.iter().find(|path| {
        let bytes = std::fs::read(path).unwrap();
        let opened = relay_fmt::archive::open(&bytes[..]).unwrap();
        opened.directory().blocks.iter().any(|block| block.header.facts.rows > 0)
    });
    let gone = with_records.unwrap();
    std::fs::remove_file(gone).unwrap();
    let (code, audit) = dir.audit();
    assert!(code == 1 || code == 3, "{audit}");
    assert!(audit.to_string().contains(&name(gone)), "{audit}");
}

const LINES: &[u8] = br#"{"status": 503, "id": {"port": 17}, "user": "jb", "b.c": 1}
{"status": 200, "id": {"port": 18}}
plain text, which has no fields
"#;

/// The same of a live channel and of an archive.
#[test]
fn fields_that_no_record_has_are_said() {
    for archived in [false, true] {
        let dir = Dir::new();
        assert!(dir.run_with(&["pipe", "--channel", "json"], LINES).status.success());
        if archived {
            assert!(dir.run(&["--once"]).status.success());
        }
        for (expr, notes) in [
            ("status >= 500", &[][..]),
            ("id.port == 17 || user", &[]),
            // What is there is known, whoever has it and whether or not it was looked at.
            ("message *= nothing && user == x", &[]),
            ("message *= nothing && b.c", &[]),
            ("stauts >= 500", &["`stauts`"]),
            ("levl == warn || status == 200", &["`levl`; is it `level`?"]),
            ("Message *= plain", &["`Message`; is it `message`?"]),
            ("status == 503 && !(zzz == 1 || kqx)", &["`kqx`", "`zzz`"]),
            ("message *= nothing && id.prot == 17", &["`id.prot`"]),
            ("span.name == x && span.zzz == 1", &[]),
        ] {
            for more in [&[][..], &["--count"], &["-n", "1"], &["--reverse"], &["--stats"]] {
                let output = dir.run(&[&["cat", "--where", expr], more].concat());
                let text = said(&output);
                assert_eq!(output.status.code(), Some(0), "{expr} {more:?}: {text}");
                let found: Vec<_> = text.lines().collect();
                assert_eq!(found.len(), notes.len(), "{archived} {expr} {more:?}: {text}");
                for (line, note) in found.iter().zip(notes) {
                    assert!(line.contains("note: no record of this selection"), "{text}");
                    assert!(line.contains(note), "{expr} {more:?}: {text}");
                }
            }
        }
        let hint = said(&dir.run(&["cat", "--where", "stauts == 200"]));
        assert_eq!(hint.contains("is it `status`?"), archived, "{hint}");
    }
}

#[test]
fn channels_that_are_not_there_are_said() {
    let dir = Dir::new();
    assert!(dir.run_with(&["pipe", "--channel", "live"], b"one\n").status.success());
    for _ in 0..2 {
        for more in [&[][..], &["--count"], &["--stats"], &["-n", "3"]] {
            let output = dir.run(&[&["cat", "--channel", "liv"], more].concat());
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{more:?}");
            assert!(said(&output).contains("no channel is named liv; there is: live"));
            let output =
                dir.run(&[&["cat", "--channel", "liv", "--channel", "live"], more].concat());
            assert_eq!(output.status.code(), Some(0));
            assert!(said(&output).contains("note: no channel is named liv"), "{}", said(&output));
            assert!(!output.stdout.is_empty());
        }
        // The same once it is archived.
        assert!(dir.run(&["--once"]).status.success());
    }
    let empty = Dir::new();
    let output = empty.run(&["cat", "--channel", "app"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no channel yet"), "{}", said(&output));
}

#[test]
fn who_follows_says_once_that_an_open_archive_cannot_be_read() {
    let dir = Dir(tempfile::tempdir().unwrap());
    session(&Options::new(dir.path()), "app", "hello");
    let file = dir.path().join("archive/other-20261124T130000Z-0.relay.zst.part");
    let store = Store::open(dir.path(), None).unwrap();
    let (first, mut follow) = Follow::start(&store).unwrap();
    follow.resume(first);
    for len in [200, 200, 300, 300] {
        std::fs::write(&file, vec![7; len]).unwrap();
        let flow = follow.poll(&mut Filter::new(), &mut |_| ControlFlow::Continue(()));
        assert!(flow.unwrap().is_continue());
    }
    assert_eq!(follow.problems.len(), 1, "{:?}", follow.problems);
}
