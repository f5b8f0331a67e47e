//! Archives whose checksums are right and whose contents are not, through everything that reads them.

use super::body::again;
use crate::limits::{MIB, within};
use crate::pieces;
use relay_fmt::archive::{
    ArchiveWriter, Damage, DamageKind, Opened, Scan, ScanOptions, open, read_block, read_control,
    rescan, scan, verify,
};

fn read(file: &[u8], found: &Scan) {
    let directory = &found.directory;
    let mut last = 0;
    for block in &directory.blocks {
        assert!(
            block.offset >= last && block.end() <= file.len() as u64,
            "blocks follow each other"
        );
        last = block.end();
        if let Ok(rows) = read_block(file, block) {
            again(&rows);
        }
    }
    for (place, entries) in directory.controls.iter().zip(&found.entries) {
        match read_control(file, directory, *place) {
            Ok(read) => assert_eq!(&read, entries),
            Err(_) => {
                let named = found.damages.iter().any(|damage| damage.offset == place.offset);
                assert!(named && entries.is_empty(), "what cannot be read is named");
            }
        }
    }
    assert!(found.valid_len <= file.len() as u64);
}

/// A scan that goes on where another ended finds what one from the beginning finds.
fn in_two(file: &[u8], cut: usize, whole: &Scan) {
    let options = ScanOptions::default();
    let Ok(first) = scan(&file[..cut], &options) else { return };
    let Ok(both) = rescan(file, first, &options) else { return };
    if whole.damages.is_empty() && both.damages.is_empty() {
        assert_eq!(both.directory, whole.directory);
    }
}

fn all(file: &[u8]) {
    let options = ScanOptions { all_bodies: true };
    let verified = verify(file);
    let Ok(found) = scan(file, &options) else { return };
    read(file, &found);
    if verified.is_ok_and(|report| report.is_sound()) && found.sealed {
        let opened = open(file).unwrap();
        assert!(matches!(opened, Opened::Sealed(_)));
        assert_eq!(opened.directory(), &found.directory, "a sound file has one directory");
    }
    in_two(file, file.len() / 2, &found);
    // A forged header in the middle may claim bytes that are yet to be appended, and gets them: then
    // they are lost. Known limit; whoever can forge it can as well delete the file.
    let forged = |damage: &Damage| damage.kind == DamageKind::Frame && damage.block.is_some();
    if !found.sealed && !found.damages.iter().any(forged) {
        // The collector cuts the torn tail and goes on.
        let mut cut = file[..found.valid_len as usize].to_vec();
        let writer = ArchiveWriter::resume(&found).unwrap();
        if let Ok(tail) = writer.seal() {
            cut.extend(tail);
            assert!(scan(&cut[..], &options).unwrap().sealed);
            assert!(matches!(open(&cut[..]), Ok(Opened::Sealed(_))));
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let file = pieces::archive(data);
    // Rows of constants cost nothing in a file: the bounds are the format's, not the file's.
    within(1024 * MIB, || all(&file));
}
