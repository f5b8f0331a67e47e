//! Any zstd tool can open an archive.

use super::sample::Sample;
use std::io::Read;

#[test]
fn the_whole_file_is_legal_zstd() {
    let sample = Sample::new();
    let mut text = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::new(&sample.bytes[..]).unwrap();
    decoder.read_to_end(&mut text).unwrap();
    // Block 1 is of kind Columns: its texts are taken apart.
    for n in [0, 2] {
        let lines = format!("block {n} line 0\nblock {n} line 1\nblock {n} line 2\n");
        let found = text.windows(lines.len()).any(|window| window == lines.as_bytes());
        assert!(found, "the lines of block {n} stand as in a text file");
    }
}

#[test]
fn content_checksums_are_there() {
    let sample = Sample::new();
    let at = sample.ends[2] - 1;
    let mut file = sample.bytes;
    file[at] ^= 1;
    let mut decoder = zstd::stream::read::Decoder::new(&file[..]).unwrap();
    assert!(decoder.read_to_end(&mut Vec::new()).is_err(), "the last byte of a block is checked");
}
