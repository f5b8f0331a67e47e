//! Small inputs that say or hold far too much: refused before they cost anything.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::archive::{ScanOptions, open, scan, verify};
use relay_fmt::block::{BlockKind, MAX_CONTENT, decode};
use relay_fmt::bytes::put_prefixed;
use relay_fuzz::limits::{MIB, within};
use relay_fuzz::pieces::{archive, frame, frames, get, put, put_directory, put_frame};
use relay_fuzz::seeds::{archives as archives_as_pieces, columns_bodies, rows_bodies};
use relay_tests::report::Outcome;

/// What refusing may cost, in bytes.
const LITTLE: usize = 4 * MIB;

/// A frame that states `content` bytes, with a window of 2 to the power of `window`, and holds an
/// empty last block.
fn lie(content: u32, window: Option<u8>) -> Vec<u8> {
    let mut frame = 0xFD2F_B528u32.to_le_bytes().to_vec();
    match window {
        None => frame.push(0x80 | 0x20 | 0x04),
        Some(log) => frame.extend([0x80 | 0x04, (log - 10) << 3]),
    }
    frame.extend_from_slice(&content.to_le_bytes());
    frame.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0]);
    frame
}

/// Everything that stands where a frame can stand.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("states 4 GiB", lie(u32::MAX, None)),
        ("states 200 MiB", lie(200 << 20, None)),
        ("states a window of 2 GiB", lie(1 << 20, Some(31))),
        ("states a window of 256 MiB", lie(1 << 20, Some(28))),
        ("holds 300 MiB of zeros", frame(&vec![0; 300 * MIB])),
    ]
}

fn bodies(bomb: &[u8]) {
    for (kind, seeds, count) in
        [(BlockKind::Columns, columns_bodies(), 4), (BlockKind::Rows, rows_bodies(), 3)]
    {
        for at in 0..count {
            // The other frames are those of a good block.
            let mut frames = frames(&seeds[0], count);
            frames[at] = bomb.to_vec();
            let body = frames.concat();
            let refused = within(LITTLE, || decode(kind as u8, &body, MAX_CONTENT));
            assert!(refused.is_err(), "{kind:?}, frame {at}");
        }
    }
}

fn archives(bomb: &[u8]) {
    let header = |content: &mut Vec<u8>| {
        let mut out = Vec::new();
        let first = &archives_as_pieces()[1];
        let (kind, bytes) = get(first).next().unwrap();
        put(&mut out, kind, bytes);
        content.extend(archive(&out));
    };
    let mut compressed = Vec::new();
    put_prefixed(&mut compressed, bomb);
    for which in ["control", "block", "directory"] {
        let mut file = Vec::new();
        header(&mut file);
        match which {
            "control" => drop(put_frame(&mut file, 2, &[&[1], &compressed[..]].concat())),
            // Flag and kind, two checksums, and ten fields of one byte before the lists.
            "block" => {
                let content = [&[1, 2][..], &[0; 8], &[0; 10], &compressed].concat();
                put_frame(&mut file, 1, &content);
            }
            _ => put_directory(&mut file, bomb),
        }
        // What frames may be found by is read besides.
        let most = LITTLE + 8 * file.len();
        let scanned = within(most, || scan(&file[..], &ScanOptions::default())).unwrap();
        assert!(!scanned.damages.is_empty(), "{which} is damaged");
        assert!(within(most, || open(&file[..])).is_ok());
        assert!(!within(most, || verify(&file[..])).unwrap().is_sound(), "{which}");
    }
}

/// One test, since what is allocated is counted for the whole process.
#[test]
fn bombs_are_refused() {
    let mut outcome = Outcome::default();
    for (what, bomb) in bombs() {
        println!("a frame of {} bytes that {what}", bomb.len());
        bodies(&bomb);
        archives(&bomb);
        outcome.cases += 10;
    }
    outcome.note = format!("refused for less than {} MiB", LITTLE / MIB);
    outcome.print("zip bombs: size, window, output");
}
