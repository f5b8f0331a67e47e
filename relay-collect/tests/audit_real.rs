//! `audit` of what the real collector wrote, against counts that the test makes itself.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::read::{ArchiveFd, ArchiveName, Audit, Store, Verdict};
use relay_collect::{Collector, Control, Options};
use relay_fmt::archive::{
    ArchiveWriter, BlockEntry, Directory, Entry, Note, Scan, ScanOptions, open, read_block, scan,
};
use relay_fmt::callsite::Level;
use relay_fmt::record::{Kind, Records};
use relay_log::channel::{self, ChannelReader, Config, OnFull, RawChannel, Writer};
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

struct Made {
    dir: tempfile::TempDir,
    options: Options,
    /// Records whose calls have returned.
    written: u64,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path());
        (options.rotate_size, options.block_bytes) = (20_000, 8_000);
        Self { dir, options, written: 0 }
    }

    fn channel(&self, on_full: OnFull) -> RawChannel {
        let mut config = Config::new(&self.options.live_dir, "app");
        (config.sub_buffer, config.initial, config.max) = (4096, 32 << 10, Some(32 << 10));
        config.on_full = on_full;
        RawChannel::create(config).unwrap()
    }

    /// Tries to write so many records; no two are the same.
    fn write(&mut self, writer: &mut Writer, tries: u64) {
        for _ in 0..tries {
            let i = self.written;
            let text = format!("{i}:{}", "x".repeat((i * 31 % 90) as usize));
            self.written += u64::from(writer.write(text.as_bytes()).is_ok());
        }
    }

    fn drain(&self) {
        Collector::open(self.options.clone()).unwrap().drain(&Control::new()).unwrap();
    }

    fn archives(&self) -> Vec<PathBuf> {
        let dir = self.options.archive_dir();
        let names = ArchiveName::list(&dir).unwrap();
        names.into_iter().map(|name| dir.join(name.file)).collect()
    }

    /// How many records can be read from archives: the oracle.
    fn readable(&self) -> u64 {
        let mut all = HashSet::new();
        for path in self.archives() {
            let bytes = ArchiveFd::open(&path).unwrap();
            let found = scan(&bytes, &ScanOptions::default()).unwrap();
            for block in &found.directory.blocks {
                let Ok(rows) = read_block(&bytes, block) else { continue };
                all.extend(rows.rows().map(|row| row.payload.to_vec()));
            }
        }
        all.len() as u64
    }

    fn audit(&self) -> Audit {
        Audit::of(&Store::open(self.dir.path(), None).unwrap()).unwrap()
    }

    /// A channel that came to its end, in several archives of several blocks.
    fn ended(on_full: OnFull, rounds: u64, each: u64) -> Self {
        let mut made = Self::new();
        let channel = made.channel(on_full);
        let mut writers = [channel.writer(), channel.writer(), channel.writer()];
        for round in 0..rounds {
            made.write(&mut writers[(round % 3) as usize], each);
            made.drain();
        }
        drop((writers, channel));
        made.drain();
        made
    }
}

fn directory(path: &Path) -> Directory {
    open(&ArchiveFd::open(path).unwrap()).unwrap().directory().clone()
}

/// Puts notes into the place of a block. The archive stays readable throughout.
fn replace(path: &Path, block: &BlockEntry) {
    let mut bytes = std::fs::read(path).unwrap();
    let empty = Directory { blocks: Vec::new(), controls: Vec::new(), ..directory(path) };
    let frame = |valid_len, notes: &[usize]| {
        let (entries, directory) = (Vec::new(), empty.clone());
        let scan = Scan { directory, entries, valid_len, sealed: false, damages: Vec::new() };
        let note = |len: &usize| {
            Entry::Note(Note { level: Level::Info, time_ns: 0, text: "x".repeat(*len) })
        };
        let notes: Vec<Entry> = notes.iter().map(note).collect();
        ArchiveWriter::resume(&scan).unwrap().control(&notes).unwrap()
    };
    let (mut at, end) = (block.offset, block.end());
    while end - at > 900 {
        let frame = frame(at, &[400]);
        bytes[at as usize..][..frame.len()].copy_from_slice(&frame);
        at += frame.len() as u64;
    }
    // Lengths of one note alone skip some, where the length of a length grows.
    let rest = (end - at) as usize;
    let mut frames =
        (rest.saturating_sub(80)..rest).flat_map(|len| [frame(at, &[len]), frame(at, &[len, 0])]);
    let last = frames.find(|frame| frame.len() == rest).unwrap();
    bytes[at as usize..end as usize].copy_from_slice(&last);
    std::fs::write(path, bytes).unwrap();
}

/// Cuts the directory at the end off.
fn unseal(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let trailer = &bytes[bytes.len() - 24..];
    let at = u64::from_le_bytes(trailer[..8].try_into().unwrap());
    bytes.truncate(at as usize);
    std::fs::write(path, bytes).unwrap();
}

fn flip(path: &Path, at: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at as usize] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn of_an_empty_directory_nothing_can_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::of(&Store::open(dir.path(), None).unwrap()).unwrap();
    assert_eq!(
        (audit.verdict, audit.records, audit.lost),
        (Verdict::CannotTell, 0, 0),
        "{audit:?}"
    );
}

#[test]
fn what_is_overwritten_is_not_lost_and_what_is_lost_is_not_overwritten() {
    for unsealed in [false, true] {
        let made = Made::ended(OnFull::Overwrite, 8, 3_000);
        let (audit, readable) = (made.audit(), made.readable());
        assert!(readable < made.written, "it was meant to overwrite");
        assert_eq!((audit.verdict, audit.lost), (Verdict::Whole, 0), "{audit:?}");
        assert_eq!(audit.channels[0].discarded, made.written - readable, "{audit:?}");
        let path = made.archives().swap_remove(1);
        let block = directory(&path).blocks[0].clone();
        assert!(directory(&path).blocks.len() > 1);
        replace(&path, &block);
        if unsealed {
            unseal(&path);
        }
        let (audit, left) = (made.audit(), made.readable());
        assert_eq!(left, readable - block.header.facts.rows);
        // How many of them were overwritten cannot be told any more.
        assert_eq!((audit.verdict, audit.lost), (Verdict::Lost, made.written - left), "{audit:?}");
        assert_eq!(audit.channels[0].discarded, 0, "{audit:?}");
        let file = path.file_name().unwrap().to_str().unwrap();
        let named = |doubt: &String| doubt.contains(file) && doubt.contains("block 0 should");
        assert!(audit.doubts.iter().any(named), "{audit:?}");
    }
}

#[test]
fn an_overwriting_channel_without_one_of_its_archives_has_lost_records() {
    let made = Made::ended(OnFull::Overwrite, 8, 1_000);
    std::fs::remove_file(&made.archives()[1]).unwrap();
    let audit = made.audit();
    assert_eq!(audit.verdict, Verdict::Lost, "{audit:?}");
    assert_eq!(audit.lost, made.written - made.readable(), "{audit:?}");
}

#[test]
fn what_is_discarded_is_counted_exactly() {
    let mut made = Made::new();
    let channel = made.channel(OnFull::Discard);
    let mut writer = channel.writer();
    let tries = 6 * 2_000;
    for _ in 0..6 {
        made.write(&mut writer, 2_000);
        made.drain();
    }
    made.write(&mut writer, 10);
    let discarded = tries + 10 - made.written;
    let live = made.audit();
    assert_eq!((live.verdict, live.lost), (Verdict::Whole, 0), "{live:?}");
    assert_eq!(live.channels[0].discarded, discarded, "{live:?}");
    drop((writer, channel));
    made.drain();
    let audit = made.audit();
    assert!(discarded > 100, "it was meant to discard");
    assert_eq!((audit.verdict, audit.records), (Verdict::Whole, made.written), "{audit:?}");
    assert_eq!(audit.channels[0].discarded, discarded, "{audit:?}");
    let path = made.archives().swap_remove(1);
    flip(&path, directory(&path).blocks[0].body_offset() + 5);
    let audit = made.audit();
    assert_eq!(audit.lost, made.written - made.readable(), "{audit:?}");
}

#[test]
fn the_newest_archive_of_a_live_channel_is_missed() {
    for case in 0..8 {
        let mut made = Made::new();
        made.options.rotate_size = 1 << 20;
        let on_full = if case < 4 { OnFull::Block } else { OnFull::Overwrite };
        let channel = made.channel(on_full);
        let mut writer = channel.writer();
        for round in 0..=case % 4 {
            // A writer that writes no more: no number behind its last one tells of it.
            made.write(&mut channel.writer(), 5);
            made.write(&mut writer, 100 + 40 * round);
            made.drain();
        }
        made.write(&mut writer, 3);
        let whole = made.audit();
        assert_eq!((whole.verdict, whole.waiting), (Verdict::Whole, 3), "{whole:?}");
        std::fs::remove_file(made.archives().last().unwrap()).unwrap();
        let audit = made.audit();
        assert_eq!(audit.verdict, Verdict::Lost, "{audit:?}");
        // What was not handed back is in the channel still.
        let lost = made.written - made.readable() - audit.waiting;
        assert!(lost > 0 && audit.lost == lost, "{lost}: {audit:?}");
    }
}

#[test]
fn blocks_that_are_gone_are_counted() {
    for seed in 0..8u64 {
        let made = Made::ended(OnFull::Block, 9, 250);
        assert_eq!((made.readable(), made.audit().lost), (made.written, 0));
        let mut state = seed;
        let mut below = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            (state >> 33) % most
        };
        for path in made.archives() {
            for block in directory(&path).blocks {
                match below(9) {
                    0 => replace(&path, &block),
                    1 => flip(&path, block.offset + below(block.header_len)),
                    2 => flip(&path, block.body_offset() + below(block.header.body_len)),
                    _ => {}
                }
            }
            if below(3) == 0 {
                unseal(&path);
            }
        }
        let (audit, readable) = (made.audit(), made.readable());
        assert_eq!(audit.records, readable, "seed {seed}: {audit:?}");
        assert_eq!(audit.lost, made.written - readable, "seed {seed}: {audit:?}");
        assert_eq!(audit.verdict == Verdict::Lost, readable < made.written, "{audit:?}");
    }
}

#[test]
fn channels_that_come_and_go_during_audits_lose_nothing() {
    let mut made = Made::new();
    made.options.block_age = Duration::from_millis(5);
    let spawned = relay_collect::spawn(made.options.clone()).unwrap();
    let end = Instant::now() + Duration::from_millis(1_500);
    std::thread::scope(|scope| {
        let made = &made;
        for _ in 0..2 {
            scope.spawn(move || {
                while Instant::now() < end {
                    let channel = made.channel(OnFull::Block);
                    let mut writer = channel.writer();
                    (0..2_000).for_each(|i| writer.write(format!("{i}").as_bytes()).unwrap());
                }
            });
        }
        while Instant::now() < end {
            let audit = made.audit();
            assert_eq!((audit.lost, audit.verdict == Verdict::Lost), (0, false), "{audit:?}");
        }
    });
    spawned.stop().unwrap();
    let audit = made.audit();
    assert_eq!((audit.verdict, audit.waiting), (Verdict::Whole, 0), "{audit:?}");
}

/// Spoils the head of one record that waits in the channel, of those from the `from`th on, and says
/// which sub-buffer it is in.
fn spoil(made: &Made, channel: &RawChannel, from: u64, choice: usize) -> u32 {
    let (live, file) = (&made.options.live_dir, channel.file_name());
    let reader = ChannelReader::open(live, file.as_ref(), None).unwrap();
    let mut heads = Vec::new();
    for sub in reader.scan().unwrap() {
        let Some(data) = reader.read(&sub, 0).unwrap() else { continue };
        let mut records = Records::new(&data.bytes, sub.generation);
        let offset = channel::HEADER_BYTES as u64
            + u64::from(sub.index) * u64::from(reader.identity().sub_buffer)
            + channel::SUB_HEADER_BYTES as u64;
        let mut at = 0;
        while let Some(record) = records.next() {
            let record = record.unwrap();
            let text = String::from_utf8_lossy(record.payload);
            let number = text.split(':').next().and_then(|number| number.parse::<u64>().ok());
            if record.kind == Kind::Raw && number.is_some_and(|number| number >= from) {
                heads.push((sub.index, offset + at as u64));
            }
            at = records.offset();
        }
    }
    let (index, offset) = heads[choice % heads.len()];
    let file = File::options().read(true).write(true).open(live.join(file)).unwrap();
    let mut head = [0u8; 8];
    file.read_exact_at(&mut head, offset).unwrap();
    match choice % 4 {
        0 => head[3] ^= 0x10,   // another generation
        1 => head[4] ^= 0x80,   // a kind that is not known
        2 => head[..3].fill(0), // shorter than itself
        _ => head[2] = 0xff,    // longer than the sub-buffer
    }
    file.write_all_at(&head, offset).unwrap();
    index
}

#[test]
fn what_does_not_parse_is_set_aside_and_never_called_whole() {
    for choice in 0..12usize {
        let mut made = Made::new();
        let channel = made.channel(OnFull::Block);
        let mut writers = [channel.writer(), channel.writer()];
        let mut drained = 0;
        for round in 0..3 {
            made.write(&mut writers[round % 2], 40);
            if round == choice % 3 {
                made.drain();
                drained = made.written;
            }
        }
        made.write(&mut writers[choice % 2], 1);
        let index = spoil(&made, &channel, drained, choice);
        made.drain();
        made.write(&mut writers[0], 60);
        made.drain();
        drop((writers, channel));
        made.drain();
        let (audit, readable) = (made.audit(), made.readable());
        assert!(readable < made.written, "case {choice}: nothing was spoilt");
        assert_ne!(audit.verdict, Verdict::Whole, "case {choice}: {audit:?}");
        assert!(audit.lost <= made.written - readable, "case {choice}: {audit:?}");
        if audit.verdict == Verdict::Lost {
            assert_eq!(audit.lost, made.written - readable, "case {choice}: {audit:?}");
        }
        let aside: Vec<_> = std::fs::read_dir(made.options.quarantine_dir()).unwrap().collect();
        assert!(!aside.is_empty(), "case {choice}");
        let named =
            |doubt: &String| doubt.contains(&format!(".{index}.")) && doubt.contains("set aside");
        assert!(audit.doubts.iter().any(named), "case {choice}: {audit:?}");
    }
}
