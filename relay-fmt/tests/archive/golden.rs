//! Archives of every version of the format are read forever.
//!
//! `RELAY_BLESS=1 cargo test -p relay-fmt --features archive golden` writes the file of the current
//! version anew. That is only for a format that has not been released.
//!
//! | file | what it has more than the one before it |
//! |---|---|
//! | `archive-v1` | |
//! | `archive-v1-times` | block headers with the rows' own times |
//! | `archive-v1-bare` | a directory that does not repeat the filters |
//! | `archive-v1-doubles` | a filter that tells differences of times apart |

use super::sample::{Sample, header};
use relay_fmt::archive::{Opened, open, read_block, read_control, read_filter, verify};
use relay_fmt::block::{Filter, Times};

fn path(name: &str) -> String {
    format!("{}/tests/golden/{name}.relay.zst", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn golden_v1() {
    check("archive-v1", false);
}

#[test]
fn golden_v1_times() {
    check("archive-v1-times", true);
}

#[test]
fn golden_v1_bare() {
    check("archive-v1-bare", true);
}

#[test]
fn golden_v1_doubles() {
    if std::env::var_os("RELAY_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(path("archive-v1-doubles"), Sample::new().bytes).unwrap();
    }
    check("archive-v1-doubles", true);
    let file = &std::fs::read(path("archive-v1-doubles")).unwrap()[..];
    let Opened::Sealed(directory) = open(file).unwrap() else {
        panic!("the archive is sealed");
    };
    let filter = read_filter(file, &directory.blocks[1]).unwrap();
    assert_eq!(filter.kind, Filter::DOUBLES);
    assert!(filter.can_contain(b"0.0011489391326904297 s") && filter.can_contain(b"0.001148"));
    assert!(!filter.can_contain(b"0.0011489391326904288 s") && !filter.can_contain(b"918273645"));
}

/// Reads a golden file, which holds what the sample holds.
fn check(name: &str, times: bool) {
    let sample = Sample::new();
    let file = &std::fs::read(path(name)).unwrap()[..];
    let Opened::Sealed(directory) = open(file).unwrap() else {
        panic!("the archive is sealed");
    };
    assert_eq!(directory.header, header());
    let rows: Vec<_> =
        directory.blocks.iter().map(|block| read_block(file, block).unwrap()).collect();
    for (block, rows) in directory.blocks.iter().zip(&rows) {
        assert_eq!(block.header.facts.times, Times::of(rows).filter(|_| times));
    }
    assert!(rows.iter().eq(sample.pieces.iter().filter_map(|piece| piece.rows())));
    let entries =
        directory.controls.iter().map(|place| read_control(file, &directory, *place).unwrap());
    assert!(entries.eq(sample.pieces.iter().filter_map(|piece| piece.entries().cloned())));
    for (n, block) in directory.blocks.iter().enumerate() {
        let filter = read_filter(file, block).unwrap();
        assert_eq!((filter.can_contain(b"line 0"), filter.can_contain(b"lone")), (true, n != 1));
    }
    let report = verify(file).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

/// The numbers that the tables of `docs/format/archive.md` name.
#[test]
fn the_tables_hold() {
    let sample = Sample::new();
    let file = &sample.bytes[..];
    assert_eq!(file[..4], [0x50, 0x2A, 0x4D, 0x18]);
    let length = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    assert_eq!(length + 8, sample.ends[0]);
    assert_eq!(file[8..24], header().uuid);
    assert_eq!(file[32..40], *b"RELAYARC");
    assert_eq!(file[40..42], [1, 0]);
    assert_eq!(file[sample.ends[1]..][..4], [0x51, 0x2A, 0x4D, 0x18]);
    assert_eq!(file[sample.ends[0]..][..4], [0x52, 0x2A, 0x4D, 0x18]);
    let end = *sample.ends.last().unwrap();
    assert_eq!(file[end..][..4], [0x54, 0x2A, 0x4D, 0x18]);
    let trailer = &file[file.len() - 24..];
    assert_eq!(u64::from_le_bytes(trailer[..8].try_into().unwrap()), end as u64);
    assert_eq!(u64::from_le_bytes(trailer[8..16].try_into().unwrap()), (file.len() - end) as u64);
    assert_eq!(trailer[16..], *b"RELAYEND");
}
