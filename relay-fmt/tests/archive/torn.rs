//! A file cut anywhere is readable to its last whole block, and can be gone on with.

use super::sample::{Sample, block, last_entries};
use relay_fmt::archive::{
    ArchiveWriter, DamageKind, Error, Scan, ScanOptions, open, read_block, rescan, scan, verify,
};

fn rows_are(file: &[u8], scan: &Scan, sample: &Sample, cut: usize) {
    let expected = sample.rows_within(cut);
    assert_eq!(scan.directory.blocks.len(), expected.len(), "cut at {cut}");
    for (block, rows) in scan.directory.blocks.iter().zip(expected) {
        assert_eq!(&read_block(file, block).unwrap(), rows, "cut at {cut}");
    }
}

/// Goes on with a cut file, seals it, and checks everything.
fn go_on(file: &[u8], scan: &Scan) {
    let mut file = file[..usize::try_from(scan.valid_len).unwrap()].to_vec();
    let mut writer = ArchiveWriter::resume(scan).unwrap();
    file.extend(writer.control(&last_entries()).unwrap());
    file.extend_from_slice(writer.block(&block(9).1).unwrap());
    file.extend(writer.seal().unwrap());
    let report = verify(&file[..]).unwrap();
    assert!(report.is_sound() && report.sealed, "{report:?}");
    assert_eq!(report.blocks, scan.directory.blocks.len() as u64 + 1);
    let opened = open(&file[..]).unwrap();
    let again = super::flipped::scan_all(&file).unwrap();
    assert_eq!(opened.directory(), &again.directory);
}

#[test]
fn cut_at_every_byte() {
    let sample = Sample::new();
    for cut in 0..sample.bytes.len() {
        let file = &sample.bytes[..cut];
        let scan = match scan(file, &ScanOptions::default()) {
            Err(Error::TornHeader) if cut < sample.ends[0] => continue,
            scan => scan.unwrap(),
        };
        assert!(cut >= sample.ends[0] && !scan.sealed);
        let valid = usize::try_from(scan.valid_len).unwrap();
        assert_eq!(Some(&valid), sample.ends.iter().rfind(|end| **end <= cut));
        assert_eq!(scan.damages.len(), usize::from(valid < cut), "cut at {cut}");
        assert!(scan.damages.iter().all(|damage| damage.kind == DamageKind::TornTail));
        rows_are(file, &scan, &sample, cut);
        go_on(file, &scan);
    }
}

/// Who follows a file that grows sees what who comes later sees.
#[test]
fn a_scan_goes_on_where_it_ended() {
    let sample = Sample::new();
    let options = ScanOptions::default();
    let whole = scan(&sample.bytes[..], &options).unwrap();
    for cut in sample.ends[0]..sample.bytes.len() {
        let early = scan(&sample.bytes[..cut], &options).unwrap();
        assert_eq!(rescan(&sample.bytes[..], early, &options).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(rescan(&sample.bytes[..], whole.clone(), &options).unwrap(), whole);
}

/// After a power failure the file can have its length but not its bytes.
#[test]
fn zeros_from_every_byte() {
    let sample = Sample::new();
    for cut in sample.ends[0]..sample.bytes.len() {
        let mut file = sample.bytes[..cut].to_vec();
        file.resize(sample.bytes.len() + 100, 0);
        // Zeros that belong there are no damage.
        let same = sample.bytes.iter().zip(&file).take_while(|(a, b)| a == b).count();
        let scan = scan(&file[..], &ScanOptions::default()).unwrap();
        assert_eq!(scan.sealed, same == sample.bytes.len());
        rows_are(&file, &scan, &sample, same);
        if !scan.sealed {
            go_on(&file, &scan);
        }
    }
}

#[test]
fn a_sealed_archive_is_not_gone_on_with() {
    let sample = Sample::new();
    let mut file = sample.bytes.clone();
    let whole = scan(&file[..], &ScanOptions::default()).unwrap();
    assert!(matches!(ArchiveWriter::resume(&whole), Err(Error::Sealed)));
    file.extend_from_slice(b"something behind the end");
    let longer = scan(&file[..], &ScanOptions::default()).unwrap();
    assert!(longer.sealed);
    assert_eq!(longer.valid_len, sample.bytes.len() as u64);
    assert_eq!(longer.damages.len(), 1);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let not =
        |bytes: &[u8]| matches!(scan(bytes, &ScanOptions::default()), Err(Error::NotAnArchive));
    assert!(not(&[7; 100]) && not(b"x") && not(&zstd::bulk::compress(&[1; 1000], 3).unwrap()));
    assert!(matches!(scan(&[][..], &ScanOptions::default()), Err(Error::TornHeader)));
}
