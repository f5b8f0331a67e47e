//! Damage is told, and costs what is damaged alone.

use super::sample::{Sample, block, header};
use proptest::prelude::*;
use relay_fmt::archive::{
    ArchiveWriter, DamageKind, Error, FileHeader, Opened, Scan, ScanOptions, open, read_block,
    scan, verify,
};
use relay_fmt::block::RowBuffer;

pub(crate) fn scan_all(file: &[u8]) -> Result<Scan, Error> {
    scan(file, &ScanOptions { all_bodies: true })
}

fn readable(file: &[u8], scan: &Scan) -> Vec<RowBuffer> {
    scan.directory.blocks.iter().filter_map(|block| read_block(file, block).ok()).collect()
}

/// The rows that stay when the piece that holds this byte is gone.
fn others(sample: &Sample, at: usize) -> Vec<RowBuffer> {
    let hit = sample.ends.iter().position(|end| at < *end).unwrap_or(sample.ends.len());
    let kept = sample.pieces.iter().enumerate().filter(|(i, _)| i + 1 != hit);
    kept.filter_map(|(_, piece)| piece.rows().cloned()).collect()
}

#[test]
fn every_bit_flipped() {
    let sample = Sample::new();
    let whole = scan_all(&sample.bytes).unwrap();
    let mut file = sample.bytes.clone();
    for at in 0..file.len() {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            let scan = scan_all(&file).unwrap();
            assert!(!scan.damages.is_empty(), "bit {bit} of byte {at} is not missed");
            assert_eq!(readable(&file, &scan), others(&sample, at), "bit {bit} of byte {at}");
            assert!(!verify(&file[..]).unwrap().is_sound(), "bit {bit} of byte {at}");
            match open(&file[..]).unwrap() {
                Opened::Sealed(directory) => assert_eq!(directory, whole.directory),
                Opened::Scanned(scan) => assert!(!scan.damages.is_empty()),
            }
            file[at] ^= 1 << bit;
        }
    }
}

/// A header that is gone costs what it says, not the blocks.
#[test]
fn a_header_that_is_gone() {
    let sample = Sample::new();
    let mut file = sample.bytes.clone();
    file[..sample.ends[0]].fill(0xEE);
    let scan = scan_all(&file).unwrap();
    assert_eq!(scan.damages[0].kind, DamageKind::Header);
    assert_eq!(readable(&file, &scan).len(), 3);
    assert_eq!(scan.directory.header, header(), "the directory repeats it");
    let unsealed = &file[..*sample.ends.last().unwrap()];
    let scan = scan_all(unsealed).unwrap();
    assert_eq!(scan.directory.header.uuid, header().uuid);
    assert_eq!(readable(unsealed, &scan).len(), 3);
}

/// A log that holds an archive's own bytes is no archive.
#[test]
fn an_archive_inside_a_damaged_block_is_not_found() {
    let (mut writer, mut file) = ArchiveWriter::create(header()).unwrap();
    let (_, mut hollow) = block(0);
    // A body that is another archive with the same identity.
    hollow.body = Sample::new().bytes;
    hollow.sections.0 = vec![u32::try_from(hollow.body.len()).unwrap()];
    let start = file.len();
    file.extend_from_slice(writer.block(&hollow).unwrap());
    file.extend_from_slice(writer.block(&block(1).1).unwrap());
    file[start + 5] ^= 1;
    let scan = scan_all(&file).unwrap();
    assert_eq!(scan.directory.blocks.len(), 1);
    assert_eq!(scan.directory.blocks[0].header.sequence, 1);
    assert_eq!((scan.damages.len(), scan.damages[0].kind), (1, DamageKind::Frame));
    assert_eq!(scan.damages[0].offset, start as u64);
}

/// A block from another history of the same archive has every checksum right but one.
#[test]
fn a_block_that_does_not_follow_is_told() {
    let (_, mut file) = ArchiveWriter::create(header()).unwrap();
    let other = FileHeader { created_ns: header().created_ns + 1, ..header() };
    let (mut writer, _) = ArchiveWriter::create(other).unwrap();
    file.extend_from_slice(writer.block(&block(0).1).unwrap());
    let report = verify(&file[..]).unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(report.problems[0].what.contains("does not follow"), "{report:?}");
}

/// The collector goes on behind damage; the archive then says which block is missing.
#[test]
fn damage_in_the_middle_stays_told_after_sealing() {
    let sample = Sample::new();
    let mut file = sample.bytes[..*sample.ends.last().unwrap()].to_vec();
    file[sample.ends[1] + 40] ^= 1;
    let scan = scan_all(&file).unwrap();
    assert_eq!(scan.valid_len, file.len() as u64, "nothing whole is cut");
    let mut writer = ArchiveWriter::resume(&scan).unwrap();
    file.extend_from_slice(writer.block(&block(5).1).unwrap());
    file.extend(writer.seal().unwrap());
    let opened = open(&file[..]).unwrap();
    assert!(matches!(opened, Opened::Sealed(_)));
    let sequences: Vec<u64> =
        opened.directory().blocks.iter().map(|block| block.header.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
    let report = verify(&file[..]).unwrap();
    let told = report.problems.iter().any(|problem| problem.what.contains("where 0 belongs"));
    assert!(told, "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_damage_ends(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut: prop::sample::Index,
    ) {
        let mut file = Sample::new().bytes;
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(scan) = scan_all(&file) {
            prop_assert!(scan.valid_len <= file.len() as u64);
            readable(&file, &scan);
        }
        let _ = open(&file[..]);
        let _ = verify(&file[..]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = open(&bytes[..]);
        let _ = verify(&bytes[..]);
    }
}
