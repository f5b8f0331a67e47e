//! A disk that loses what was not synced: what a restart makes of the archive.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::archive::{
    ArchiveWriter, Entry, FileHeader, Note, Opened, ScanOptions, open, read_block, scan, verify,
};
use relay_fmt::block::{BlockBuilder, BlockOptions, EncodedBlock};
use relay_fmt::callsite::Level;
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source};
use relay_tests::archived::streams;
use relay_tests::arena::scratch;
use relay_tests::inject;
use relay_tests::payload::{Random, make, seed};
use relay_tests::report::{Outcome, skipped};
use relay_tests::sys;
use relay_tests::theatre::Theatre;
use relay_tests::traced::{Disk, Step, steps, tracer};
use relay_tests::verdict::judge;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;

/// The bytes of an archive, where each block ends, and how much was synced.
fn archive(random: &mut Random, blocks: u64) -> (Vec<u8>, Vec<(u64, usize)>, usize) {
    let header = FileHeader { channel: "app".into(), uuid: [7; 16], ..FileHeader::default() };
    let (mut writer, mut file) = ArchiveWriter::create(header).unwrap();
    let (mut ends, mut synced) = (Vec::new(), file.len());
    for i in 0..blocks {
        let (offset, facts) = (writer.offset(), block(random));
        file.extend_from_slice(writer.block(&facts).unwrap());
        ends.push((offset, file.len()));
        if random.below(3) == 0 {
            let text = format!("note {i}");
            let note = Note { level: Level::Warn, time_ns: 0, text };
            file.extend(writer.control(&[Entry::Note(note)]).unwrap());
        }
        if random.below(4) == 0 {
            synced = file.len();
        }
    }
    (file, ends, synced)
}

fn block(random: &mut Random) -> EncodedBlock {
    let mut builder = BlockBuilder::new();
    let count = 1 + random.below(120) as u32;
    let source = builder.source(&Source {
        id: ChannelId([3; 16]),
        channel: "app".into(),
        pid: 1,
        program: "program".into(),
        host: "host".into(),
        boot: [1; 16],
        opened_ns: 0,
    });
    let run = builder.run(Run {
        source,
        sub_buffer: 0,
        generation: 1,
        from: 0,
        to: 1,
        prior_generations: 0,
        prior_records: 0,
        records: count,
        writer: 1,
        first_number: 0,
        tid: 1,
        nesting: 0,
        thread: Vec::new(),
        floor_ns: 0,
    });
    for number in 0..count {
        let bytes = make(1, random.below(1 << 40), 100);
        builder.push(run, Kind::Raw, None, 0, i64::from(number), &bytes);
    }
    builder.finish(&BlockOptions::default()).unwrap()
}

/// The power fails: of the pages that were not synced any may be there, as zeros or not at all.
#[test]
fn power_is_lost() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut outcome = Outcome::default();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until && outcome.cases < 20_000 {
        let blocks = 1 + random.below(9);
        let (whole, ends, synced) = archive(&mut random, blocks);
        for _ in 0..8 {
            let mut image = whole.clone();
            for page in (0..whole.len()).step_by(PAGE) {
                let (from, to) = (page.max(synced), (page + PAGE).min(whole.len()));
                // A page that holds synced bytes was written once: only what came later may be gone.
                if from < to && random.below(2) == 0 {
                    image[from..to].fill(0);
                }
            }
            let cut = synced + random.below((whole.len() - synced) as u64 + 1) as usize;
            if random.below(2) == 0 {
                image.truncate(cut);
            }
            outcome.cases += 1;
            judge_image(&image, &whole, &ends, synced, &mut outcome);
        }
    }
    outcome.note = format!("images with any unsynced 4 KiB pages gone, seed {seed}");
    outcome.print("power loss of an archive, modelled");
    assert!(outcome.is_clean(), "{outcome:?}");
}

/// Where the collector says which request for durability is fulfilled; `docs/format/channel.md`.
const SYNCED: usize = 2072;

/// A real collector (of one thread, so that the order of what it does is known) and a program all of whose calls wait: at each answer that lets one of them return,
/// the power goes. Whatever is left of the archives has every record that was durable.
#[test]
fn power_is_lost_when_a_durable_call_returns() {
    let attack = "power loss of what had to be durable, modelled";
    if !inject::can() {
        return skipped(attack, "there is no strace that may trace");
    }
    // Not on a file system in memory: there nothing is durable.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = dir.path().join("log");
    let producer = env!("CARGO_BIN_EXE_producer");
    let mut all = Theatre::new(dir.path(), producer, env!("CARGO_BIN_EXE_collector"));
    let mut tracer = tracer(&log);
    tracer.arg(env!("CARGO_BIN_EXE_collector")).arg(dir.path()).args(["rotate=6000", "repack=0"]);
    all.collectors.push(tracer.spawn().unwrap());
    let lock = dir.path().join("live/.collector");
    while !lock.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    all.produce("threads=1 count=80 len=600 durable=1");
    let hangs = all.wait(Duration::from_secs(60));
    // The collector itself: a tracer that is killed lets its program run on.
    let collector = std::fs::read_to_string(&lock).unwrap();
    sys::kill(collector.trim().parse().unwrap(), libc::SIGKILL);
    all.collectors[0].wait().unwrap();
    let pid = all.producers[0].child.id();
    let seed = seed();
    let mut random = Random::new(seed);
    let (mut disk, mut outcome, mut answers) = (Disk::default(), Outcome::default(), 0);
    let archive = dir.path().join("archive");
    for step in steps(&log) {
        let durable = match &step {
            Step::Write(path, SYNCED, number) if path.starts_with(dir.path().join("live")) => {
                Some(u64::from_le_bytes(number[..8].try_into().unwrap()))
            }
            _ => None,
        };
        // Request n came after record n - 1 was written.
        let Some(durable) = durable else {
            disk.step(&step);
            continue;
        };
        answers += 1;
        for _ in 0..8 {
            let image = scratch();
            let there = image.path().join("archive");
            std::fs::create_dir_all(image.path().join("live")).unwrap();
            std::fs::create_dir(&there).unwrap();
            disk.lose_power(&mut random, &there);
            let mut of = streams(image.path());
            let found = judge(&of.remove(&pid).unwrap_or_default(), &[durable]);
            outcome.cases += 1;
            outcome.lost += found.lost;
            outcome.doubled += found.doubled;
        }
    }
    outcome.hangs += hangs;
    let files = std::fs::read_dir(archive).unwrap().count();
    outcome.note = format!("images at {answers} answers, {files} archives, seed {seed}");
    outcome.print(attack);
    assert!(outcome.is_clean() && answers >= 40, "{outcome:?}");
}

/// What a restart makes of an image: no torn block is shown, no synced one is missing, and the
/// archive that goes on is sound but for what it says is damaged.
fn judge_image(
    image: &[u8],
    whole: &[u8],
    ends: &[(u64, usize)],
    synced: usize,
    outcome: &mut Outcome,
) {
    let Ok(Opened::Scanned(scanned)) = open(image) else {
        outcome.lost += 1;
        return;
    };
    let found = &scanned.directory.blocks;
    for (offset, end) in ends.iter().filter(|(_, end)| *end <= synced) {
        let there = found.iter().find(|block| block.offset == *offset);
        let readable = there.is_some_and(|block| read_block(image, block).is_ok());
        outcome.lost += u64::from(!readable || *end as u64 > scanned.valid_len);
    }
    for block in found {
        let Ok(rows) = read_block(image, block) else { continue };
        let original = read_block(whole, block).unwrap();
        let same = rows.rows().map(|r| r.payload).eq(original.rows().map(|r| r.payload));
        outcome.torn += u64::from(!same);
    }
    let mut resumed = image[..scanned.valid_len as usize].to_vec();
    let Ok(mut writer) = ArchiveWriter::resume(&scanned) else {
        outcome.crashes += 1;
        return;
    };
    let more = block(&mut Random::new(1));
    let at = writer.offset();
    resumed.extend_from_slice(writer.block(&more).unwrap());
    resumed.extend(writer.seal().unwrap());
    let again = scan(&resumed[..], &ScanOptions { all_bodies: true }).unwrap();
    let new = again.directory.blocks.iter().find(|block| block.offset == at);
    outcome.lost += u64::from(new.is_none_or(|b| read_block(&resumed[..], b).is_err()));
    outcome.torn += u64::from(!again.sealed);
    // Damage in the middle was there before it went on, and none is new: a restart looks at the
    // bodies of the last blocks only, readers at those of all.
    let before = scan(image, &ScanOptions { all_bodies: true }).unwrap().damages;
    let report = verify(&resumed[..]).unwrap();
    outcome.torn += u64::from(!report.problems.is_empty() && before.is_empty());
}
