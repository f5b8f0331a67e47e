//! What is put into an archive comes out of it.

use super::sample::{Sample, block, first_entries, header, last_entries, run, source};
use proptest::collection::vec;
use proptest::prelude::*;
use relay_fmt::archive::{
    ArchiveWriter, Deleted, Entry, FileHeader, Note, Opened, ReadAt, ScanOptions, Tombstone,
    Unproven, open, read_block, read_control, read_filter, scan, verify,
};
use relay_fmt::block::{BlockBuilder, BlockOptions, Times};
use relay_fmt::callsite::Level;
use relay_fmt::record::Kind;
use relay_fmt::rows::ChannelId;
use std::cell::Cell;
use std::io;

#[test]
fn everything_comes_back_from_the_tail() {
    let sample = Sample::new();
    let file = &sample.bytes[..];
    let Opened::Sealed(directory) = open(file).unwrap() else {
        panic!("the archive is sealed");
    };
    assert_eq!(directory.header, header());
    let rows: Vec<_> =
        directory.blocks.iter().map(|block| read_block(file, block).unwrap()).collect();
    assert!(rows.iter().eq(sample.pieces.iter().filter_map(|piece| piece.rows())));
    let entries =
        directory.controls.iter().map(|place| read_control(file, &directory, *place).unwrap());
    assert!(entries.eq(sample.pieces.iter().filter_map(|piece| piece.entries().cloned())));
    let walked = scan(file, &ScanOptions::default()).unwrap();
    assert_eq!((&walked.directory, walked.sealed), (&directory, true));
    assert_eq!(walked.entries, [first_entries(), last_entries()]);
    let report = verify(file).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.blocks, report.rows, report.controls), (3, 18, 2));
}

struct Counting<'a>(&'a [u8], Cell<usize>);

impl ReadAt for Counting<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.1.set(self.1.get() + 1);
        self.0.read_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.0)
    }
}

#[test]
fn a_sealed_archive_opens_with_one_read() {
    let sample = Sample::new();
    let counting = Counting(&sample.bytes, Cell::new(0));
    open(&counting).unwrap();
    assert_eq!(counting.1.get(), 1);
}

/// Frames longer than what is read at once, and a directory longer than the tail.
#[test]
fn long_frames_are_read_in_pieces() {
    let mut seed = 1u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + (seed >> 33) as u8 % 94)
    };
    let host: String = (0..100_000).map(|_| next()).collect();
    let (mut writer, mut file) = ArchiveWriter::create(FileHeader { host, ..header() }).unwrap();
    let (rows, block) = block(0);
    file.extend_from_slice(writer.block(&block).unwrap());
    file.extend(writer.seal().unwrap());
    let opened = open(&file[..]).unwrap();
    assert!(matches!(opened, Opened::Sealed(_)));
    assert_eq!(read_block(&file[..], &opened.directory().blocks[0]).unwrap(), rows);
    assert!(verify(&file[..]).unwrap().is_sound());
}

#[test]
fn positions_are_known_without_decompressing() {
    let sample = Sample::new();
    let opened = open(&sample.bytes[..]).unwrap();
    for (n, block) in opened.directory().blocks.iter().enumerate() {
        let facts = block.facts().unwrap();
        assert_eq!(block.header.facts, (&facts).into());
        assert_eq!(block.names().unwrap(), (facts.sources.clone(), facts.targets.clone()));
        assert_eq!(facts.sources, [source()]);
        assert_eq!(facts.runs, [run(0, n as u32, 6)]);
        assert!(facts.has_level(Level::Warn) && !facts.has_level(Level::Error));
        let filter = read_filter(&sample.bytes[..], block).unwrap();
        assert!(filter.can_contain(b"line"));
        assert_eq!(filter.can_contain(b"lone"), n != 1, "only block 1 has a filter");
        assert_eq!(facts.targets[0].name, "server::http");
        let time = 1_750_000_000_000_000_000 + n as i64 * 1_000_000;
        assert_eq!((facts.min_order_ns, facts.max_order_ns), (time, time + 5_000));
    }
}

/// A clock that is set back does not move rows back in order, but the header knows when they were.
#[test]
fn headers_know_what_time_the_rows_have() {
    let mut builder = BlockBuilder::new();
    let source = builder.source(&source());
    let mut run = run(source, 0, 3);
    run.floor_ns = 900;
    let run = builder.run(run);
    for time in [500, -200, 700] {
        builder.push(run, Kind::Raw, None, 0, time, b"line");
    }
    let (mut writer, mut file) = ArchiveWriter::create(header()).unwrap();
    file.extend_from_slice(
        writer.block(&builder.finish(&BlockOptions::default()).unwrap()).unwrap(),
    );
    file.extend(writer.seal().unwrap());
    let opened = open(&file[..]).unwrap();
    let facts = &opened.directory().blocks[0].header.facts;
    assert_eq!((facts.min_order_ns, facts.max_order_ns), (900, 900));
    assert_eq!(facts.times, Some(Times { min_ns: -200, max_ns: 700 }));
    assert!(verify(&file[..]).unwrap().is_sound());
}

/// A block of 4 MiB of lines from 64 sub-buffers: its header is a small part of it.
#[test]
fn headers_are_small() {
    let (mut builder, mut seed) = (BlockBuilder::new(), 1u64);
    let source = builder.source(&source());
    for n in 0..64 {
        let index = builder.run(run(source, n, 1_000));
        for i in 0..1_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let line =
                format!("request {} of user {} took {} us", seed >> 48, seed >> 54, seed >> 60);
            builder.push(index, Kind::Raw, None, 0, i64::from(n * 1_000 + i), line.as_bytes());
        }
    }
    let block = builder.finish(&BlockOptions::default()).unwrap();
    let (mut writer, _) = ArchiveWriter::create(header()).unwrap();
    writer.block(&block).unwrap();
    let entry = &writer.directory().blocks[0];
    assert!(
        entry.header_len * 100 <= entry.header.body_len,
        "{} bytes of header for {} of body",
        entry.header_len,
        entry.header.body_len
    );
}

#[test]
fn a_header_that_disagrees_with_its_block_is_told() {
    let (mut writer, mut file) = ArchiveWriter::create(header()).unwrap();
    let mut lie = block(0).1;
    lie.facts.level_mask = 0;
    file.extend_from_slice(writer.block(&lie).unwrap());
    file.extend(writer.seal().unwrap());
    assert!(!verify(&file[..]).unwrap().is_sound());
}

#[test]
fn unknown_features_are_refused_by_name() {
    let asks = FileHeader { incompatible: 1 << 9, ..header() };
    let error = ArchiveWriter::create(asks).unwrap_err();
    assert!(error.to_string().contains("0x200"), "{error}");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let text = ".{0,40}";
    let channels = vec((any::<[u8; 16]>(), any::<u64>()), 0..80);
    let tombstone = (text, any::<u64>(), any::<(i64, i64)>(), channels);
    let tombstone = tombstone.prop_map(|(file, rows, (min_order_ns, max_order_ns), channels)| {
        let channels = channels.into_iter().map(|(id, rows)| (ChannelId(id), rows)).collect();
        Entry::Tombstone(Tombstone {
            file,
            number: rows,
            rows,
            min_order_ns,
            max_order_ns,
            channels,
        })
    });
    let note = (1u8..6, any::<i64>(), text).prop_map(|(level, time_ns, text)| {
        Entry::Note(Note { level: Level::from_u8(level).unwrap(), time_ns, text })
    });
    let unproven =
        (any::<[u8; 16]>(), any::<u64>(), any::<u64>()).prop_map(|(id, durable_ns, bytes)| {
            Entry::Unproven(Unproven { id: ChannelId(id), durable_ns, bytes })
        });
    let fixed = prop::sample::select([first_entries(), last_entries()].concat());
    let deleted = vec(any::<(u64, u64)>(), 0..9);
    let deleted = deleted.prop_map(|ranges| Entry::Deleted(Deleted { ranges }));
    prop_oneof![tombstone, note, unproven, deleted, fixed]
}

#[derive(Debug, Clone)]
enum Step {
    Block(u32),
    Control(Vec<Entry>),
    Resume,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..20).prop_map(Step::Block),
        vec(any_entry(), 0..5).prop_map(Step::Control),
        Just(Step::Resume)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_pieces_comes_back(
        steps in vec(any_step(), 0..12), uuid: [u8; 16], created_ns: i64, number: u64, host in ".{0,9}",
    ) {
        let header = FileHeader { uuid, created_ns, number, host, ..header() };
        let (mut writer, mut file) = ArchiveWriter::create(header.clone()).unwrap();
        let (mut blocks, mut entries) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Block(n) => {
                    let (rows, block) = block(n);
                    file.extend_from_slice(writer.block(&block).unwrap());
                    blocks.push(rows);
                }
                Step::Control(list) => {
                    file.extend(writer.control(&list).unwrap());
                    entries.push(list);
                }
                Step::Resume => {
                    let scan = scan(&file[..], &ScanOptions::default()).unwrap();
                    prop_assert_eq!(&scan.directory, writer.directory());
                    writer = ArchiveWriter::resume(&scan).unwrap();
                }
            }
        }
        file.extend(writer.seal().unwrap());
        let scan = scan(&file[..], &ScanOptions { all_bodies: true }).unwrap();
        prop_assert_eq!(&scan.directory.header, &header);
        prop_assert_eq!(&scan.entries, &entries);
        let read = scan.directory.blocks.iter().map(|block| read_block(&file[..], block).unwrap());
        prop_assert!(read.eq(blocks));
        prop_assert!(verify(&file[..]).unwrap().is_sound());
    }
}
