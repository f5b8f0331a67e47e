//! Channel files of every version are read forever.
//!
//! `RELAY_BLESS=1 cargo test -p relay-log --test golden_channel` writes the file of the current version
//! anew. That is only for a format that has not been released.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::record::{Kind, Lease, Records};
use relay_log::channel::{ChannelReader, Config, RawChannel, State};
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn bless() {
    let dir = golden();
    std::fs::create_dir_all(&dir).unwrap();
    for old in std::fs::read_dir(&dir).unwrap().flatten() {
        std::fs::remove_file(old.path()).unwrap();
    }
    let mut config = Config::new(&dir, "golden-v1");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    writer.write(b"first").unwrap();
    writer.write(&[b'x'; 3_000]).unwrap();
    writer.write(&[b'y'; 1_000]).unwrap();
    drop(writer);
    channel.writer().write(b"of another writer").unwrap();
    channel.announce_end();
}

#[test]
fn golden_v1() {
    if std::env::var_os("RELAY_BLESS").is_some_and(|bless| bless == "1") {
        bless();
    }
    let file = std::fs::read_dir(golden()).unwrap().flatten().next().unwrap();
    // A copy: a checkout may belong to anybody and be read-only.
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    let reader = ChannelReader::open(dir.path(), &file.file_name(), None).unwrap();
    assert_eq!(reader.identity().name, "golden-v1");
    assert_eq!(reader.identity().sub_buffer, 4096);
    assert!(!reader.is_alive().unwrap());
    assert!(reader.status().unwrap().closed);
    let subs = reader.scan().unwrap();
    let states: Vec<_> = subs.iter().map(|sub| sub.state.unwrap()).collect();
    assert_eq!(states, [(1, State::Ready), (1, State::Parked)]);
    let mut found = Vec::new();
    for sub in &subs {
        let data = reader.read(sub, 0).unwrap().unwrap();
        let mut writer = 0;
        for record in Records::new(&data.bytes, sub.generation) {
            let record = record.unwrap();
            match record.kind {
                Kind::Lease => writer = Lease::parse(record.payload).unwrap().writer,
                Kind::Raw => found.push((writer, record.payload.len())),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(found, [(1, 5), (1, 3_000), (1, 1_000), (2, 17)]);
    the_tables_hold();
}

/// The numbers that the tables of `docs/format/channel.md` name.
fn the_tables_hold() {
    let file = std::fs::read_dir(golden()).unwrap().flatten().next().unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"RELAYCHN");
    assert_eq!(bytes[8..12], [1, 0, 0, 16], "version 1, 4096 bytes of header");
    assert_eq!(bytes[60], 12, "sub-buffers of 4096 bytes");
    assert_eq!(&bytes[96..106], b"\x09golden-v1");
    assert_eq!(word(1048), 1, "ended in order");
    assert_eq!(word(1056 + 8 * 9), 2, "two writers");
    let sub = 4096;
    assert_eq!(word(sub), 1 << 24 | 3, "generation 1, ready");
    assert_eq!(word(sub + 8) >> 24, 1, "generation 1 is committed");
    assert_eq!(word(sub + 192), 1, "the slot of odd generations");
    assert_eq!(bytes[sub + 256 + 4], 1, "a lease stands first");
}
