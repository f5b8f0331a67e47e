//! `audit` and the rest of the command line: exact counts for every kind of damage.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, Frame, Mini};
use relay_fmt::archive::{Entry, Tombstone};

/// Frames of three archives with 10 records a block, 4 blocks each, and the channel's last word.
struct Made {
    dir: Dir,
    archives: Vec<Vec<Frame>>,
}

impl Made {
    fn new() -> Self {
        let dir = Dir::new();
        let channel = dir.channel("app");
        let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
        let mut archives = Vec::new();
        for n in 0..3 {
            let mut frames = vec![if n == 0 { mini.announce() } else { mini.positions() }];
            for _ in 0..4 {
                (0..10).for_each(|i| writer.write(format!("record {i}").as_bytes()).unwrap());
                frames.push(mini.look(true));
            }
            archives.push(frames);
        }
        archives[2].push(mini.last_word());
        let file = dir.path().join("live").join(channel.file_name());
        drop((writer, channel));
        std::fs::remove_file(file).unwrap();
        let made = Self { dir, archives };
        made.write();
        made
    }

    fn write(&self) {
        for (n, frames) in (0..).zip(&self.archives) {
            self.dir.archive("app", n, frames, true);
        }
    }

    fn delete(&self, number: u64) {
        let name = Dir::archive_name("app", number, true);
        std::fs::remove_file(self.dir.path().join("archive").join(name)).unwrap();
    }

    /// Exit code, records, lost, doubled, and all that is said.
    fn audit(&self) -> (i32, u64, u64, u64, String) {
        let (code, audit) = self.dir.audit();
        let of = |name: &str| audit[name].as_u64().unwrap();
        let doubled = audit["channels"][0]["doubled"].as_u64().unwrap();
        (code, of("records"), of("lost"), doubled, audit.to_string())
    }
}

#[test]
fn nothing_is_lost() {
    let made = Made::new();
    let (code, records, lost, doubled, said) = made.audit();
    assert_eq!((code, records, lost, doubled), (0, 120, 0, 0), "{said}");
    let text = made.dir.run(&["audit"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("nothing lost: 120 records, 1 threads, 1 processes, 3 archives"),
        "{text}"
    );
}

#[test]
fn any_deleted_block_is_counted_and_named() {
    for archive in 0..3 {
        for block in 1..5 {
            let mut made = Made::new();
            made.archives[archive].remove(block);
            made.write();
            let (code, records, lost, doubled, said) = made.audit();
            assert_eq!(
                (code, records, lost, doubled),
                (1, 110, 10, 0),
                "{archive} {block}: {said}"
            );
            let first = archive * 40 + (block - 1) * 10;
            let named = format!("records {first}..={} of thread", first + 9);
            let at_end = (archive, block) == (2, 4);
            assert!(said.contains(&named) || at_end, "{archive} {block}: {said}");
        }
    }
}

#[test]
fn a_damaged_block_is_named_with_its_records() {
    for block in 0..4 {
        let made = Made::new();
        let path = made.dir.path().join("archive").join(Dir::archive_name("app", 2, true));
        let mut bytes = std::fs::read(&path).unwrap();
        let opened = relay_fmt::archive::open(&bytes[..]).unwrap();
        let at = opened.directory().blocks[block].body_offset() as usize + 9;
        bytes[at] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
        let (code, records, lost, doubled, said) = made.audit();
        assert_eq!((code, records, lost, doubled), (1, 110, 10, 0), "{block}: {said}");
        let first = 80 + 10 * block;
        assert!(said.contains(&format!("{first}..={} of writer", first + 9)), "{said}");
        let verified = made.dir.run(&["verify"]);
        assert_eq!(verified.status.code(), Some(1));
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert_eq!((text.matches("sound:").count(), text.matches("DAMAGED:").count()), (2, 1));
    }
}

#[test]
fn a_deleted_archive_is_counted_and_named() {
    for archive in 0..3 {
        let made = Made::new();
        made.delete(archive);
        let (code, records, lost, _, said) = made.audit();
        assert_eq!(records, 80, "{said}");
        if archive < 2 {
            assert_eq!((code, lost), (1, 40), "{archive}: {said}");
            assert!(said.contains(&Dir::archive_name("app", archive, true)), "{said}");
        } else {
            // The newest: neither live nor finished.
            assert_eq!((code, lost), (3, 0), "{said}");
        }
    }
}

#[test]
fn what_retention_deleted_is_not_lost() {
    let mut made = Made::new();
    let tombstone = Tombstone {
        file: Dir::archive_name("app", 0, true),
        number: 0,
        rows: 40,
        min_order_ns: 0,
        max_order_ns: 0,
        channels: Vec::new(),
    };
    made.archives[2].push(Frame::Control(vec![Entry::Tombstone(tombstone)]));
    made.write();
    made.delete(0);
    let (code, records, lost, doubled, said) = made.audit();
    assert_eq!((code, records, lost, doubled), (0, 80, 0, 0), "{said}");
}

#[test]
fn a_doubled_block_is_counted() {
    let mut made = Made::new();
    let again = made.archives[1][2].clone();
    made.archives[1].push(again);
    made.write();
    let (code, records, lost, doubled, said) = made.audit();
    assert_eq!((code, records, lost, doubled), (3, 120, 0, 10), "{said}");
}

#[test]
fn what_waits_is_not_lost_until_its_file_is() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let (mut mini, mut writer) = (Mini::new(&dir, &channel), channel.writer());
    (0..300).for_each(|i| writer.write(format!("{i}").as_bytes()).unwrap());
    let frames = [mini.announce(), mini.look(true)];
    (0..500).for_each(|i| writer.write(format!("{i}").as_bytes()).unwrap());
    dir.archive("app", 0, &frames, false);
    let (code, audit) = dir.audit();
    assert_eq!(
        (code, audit["records"].as_u64(), audit["waiting"].as_u64()),
        (0, Some(300), Some(500))
    );
    // A block that was archived and is gone, while the channel lives.
    dir.archive("app", 0, &frames[..1], false);
    let (code, audit) = dir.audit();
    assert_eq!(code, 1, "{audit}");
    let handed_back = audit["lost"].as_u64().unwrap();
    assert_eq!(handed_back + audit["waiting"].as_u64().unwrap(), 800, "{audit}");
    dir.archive("app", 0, &frames, false);
    std::fs::remove_file(dir.path().join("live").join(channel.file_name())).unwrap();
    let (code, audit) = dir.audit();
    assert_eq!((code, audit["lost"].as_u64()), (3, Some(0)), "{audit}");
}

#[test]
fn any_bytes_go_through_a_pipe() {
    let dir = Dir::new();
    let mut input = Vec::new();
    let mut state = 7u64;
    for i in 0..30_000usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        input.push(if i % 61 == 0 { b'\n' } else { (state >> 56) as u8 });
    }
    input.extend_from_slice(b"\r\n\n\0a\0\nno newline at the end");
    input.extend(std::iter::repeat_n(b'y', 200_000));
    let piped = dir.run_with(&["pipe", "--channel", "lines"], &input);
    assert_eq!((piped.status.code(), &piped.stderr[..]), (Some(0), &b""[..]));
    let mut expected = input;
    expected.push(b'\n');
    let shown = dir.run(&["cat", "--format", "raw"]);
    assert!(shown.stdout == expected, "{} and {} bytes", shown.stdout.len(), expected.len());
}

#[test]
fn status_resize_and_exit_codes() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut writer = channel.writer();
    writer.write(b"one").unwrap();
    let status = dir.run(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let of = &status["channels"][0];
    assert_eq!((of["channel"].as_str(), of["alive"].as_bool()), (Some("app"), Some(true)));
    assert_eq!(of["writers"].as_u64(), Some(1));
    assert!(of["waiting_bytes"].as_u64().unwrap() > 0);
    assert_eq!(dir.run(&["resize", "--channel", "app", "1MiB"]).status.code(), Some(0));
    assert_eq!(dir.run(&["resize", "--channel", "other", "1MiB"]).status.code(), Some(2));
    for usage in [
        &["cat", "--level", "loud"][..],
        &["cat", "--where", "level = warn"],
        &["cat", "--grep", "("],
        &["resize", "--channel", "app", "many"],
        &["pipe", "--channel", "a/b"],
        &["sing"],
    ] {
        assert_eq!(dir.run(usage).status.code(), Some(2), "{usage:?}");
    }
    assert_eq!(dir.run(&["verify"]).status.code(), Some(0));
    assert_eq!(dir.run(&["verify", "/dev/null"]).status.code(), Some(1));
}
