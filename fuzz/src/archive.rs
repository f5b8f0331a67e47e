//! An archive's bytes, all checksums made right, so that what is behind them is reached.

use crate::sample;
use relay_fmt::archive::{
    ArchiveWriter, Opened, Scan, ScanOptions, open, read_block, read_control, rescan, scan, verify,
};
use relay_fmt::block::{BlockKind, BlockOptions};
use relay_fmt::bytes::Cursor;

/// Bytes of a frame in front of its content.
const HEAD: usize = 32;
/// How many blocks and control frames of one archive are read.
const MANY: usize = 100;

fn crc(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

fn u32_at(image: &[u8], at: usize) -> u32 {
    Cursor::new(image.get(at..).unwrap_or_default()).u32().unwrap_or_default()
}

/// Makes the checksums of a block header's content right; gives the length of its body.
fn seal_block(content: &mut [u8], behind: &[u8], previous: u32) -> Option<usize> {
    let mut input = Cursor::new(content.get(10..)?);
    let (_sequence, len) = (input.varint().ok()?, input.varint_len().ok()?);
    let body = behind.get(..len)?;
    content[2..6].copy_from_slice(&previous.to_le_bytes());
    content[6..10].copy_from_slice(&crc(&[body]).to_le_bytes());
    Some(len)
}

/// Makes every checksum of an archive right, wherever a frame seems to begin.
#[must_use]
pub fn sealed(mut image: Vec<u8>) -> Vec<u8> {
    let uuid: Option<[u8; 16]> = image.get(8..24).map(|uuid| uuid.try_into().unwrap());
    let Some(uuid) = uuid else { return image };
    let (mut at, mut previous) = (0, 0);
    while at + HEAD <= image.len() {
        let kind = u32_at(&image, at).wrapping_sub(0x184D_2A50);
        let end = (at + 8).saturating_add(u32_at(&image, at + 4) as usize);
        if kind >= 16 || end < at + HEAD || end > image.len() {
            at += 1;
            continue;
        }
        let (frame, behind) = image.split_at_mut(end);
        let (head, content) = frame[at..].split_at_mut(HEAD);
        let body = if kind == 1 { seal_block(content, behind, previous) } else { None };
        head[8..24].copy_from_slice(&uuid);
        let head_crc = crc(&[&head[..24], &(at as u64).to_le_bytes()]).to_le_bytes();
        let content_crc = crc(&[&head_crc, content]);
        head[24..28].copy_from_slice(&head_crc);
        head[28..32].copy_from_slice(&content_crc.to_le_bytes());
        if kind <= 1 {
            previous = content_crc;
        }
        at = end + body.unwrap_or_default();
    }
    image
}

fn places(image: &[u8], found: &Scan) {
    let blocks = &found.directory.blocks;
    assert!(found.valid_len <= image.len() as u64);
    assert!(blocks.iter().all(|block| block.end() <= found.valid_len));
    assert!(blocks.windows(2).all(|pair| pair[0].end() <= pair[1].offset));
    assert!(found.damages.is_sorted_by_key(|damage| damage.offset));
    assert_eq!(found.entries.len(), found.directory.controls.len());
    for block in blocks.iter().take(MANY) {
        let _ = read_block(image, block);
    }
    for (control, entries) in found.directory.controls.iter().zip(&found.entries).take(MANY) {
        let damaged = found.damages.iter().any(|damage| damage.offset == control.offset);
        match read_control(image, &found.directory, *control) {
            Ok(again) => assert_eq!(&again, entries),
            Err(error) => assert!(damaged && entries.is_empty(), "{error}"),
        }
    }
}

/// What is appended to an archive whose writer died is found, and all that was there before.
fn append(image: &[u8], found: &Scan) {
    let Ok(mut writer) = ArchiveWriter::resume(found) else {
        assert!(found.sealed, "only what is sealed is not gone on with");
        return;
    };
    let mut longer = image[..found.valid_len as usize].to_vec();
    assert_eq!(writer.offset(), found.valid_len);
    let rows = sample::rows();
    let options = BlockOptions { kind: BlockKind::Rows, ..BlockOptions::default() };
    longer.extend_from_slice(writer.block(&sample::block(&rows, &options)).unwrap());
    longer.extend_from_slice(&writer.seal().unwrap());
    let again = scan(&longer[..], &ScanOptions::default()).unwrap();
    assert!(again.sealed);
    let (last, before) = again.directory.blocks.split_last().expect("one was appended");
    assert_eq!(before, &found.directory.blocks[..]);
    assert!(read_block(&longer[..], last).unwrap() == rows);
}

/// Every way to read an archive agrees with every other.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let image = &sealed(data.to_vec())[..];
    let Ok(found) = scan(image, &ScanOptions::default()) else {
        assert!(verify(image).is_err(), "what cannot be walked is not verified");
        let _ = open(image);
        return;
    };
    places(image, &found);
    let report = verify(image).unwrap();
    let opened = open(image);
    if report.is_sound() {
        assert!(found.damages.is_empty());
        let rows: u64 = found.directory.blocks.iter().map(|b| b.header.facts.rows).sum();
        assert_eq!(report.rows, rows);
        assert_eq!(opened.unwrap().directory(), &found.directory);
    } else if let Ok(Opened::Sealed(directory)) = opened {
        directory.blocks.iter().take(MANY).for_each(|block| drop(read_block(image, block)));
    }
    if found.damages.is_empty() {
        let half = &image[..image.len() / 2];
        if let Ok(first) = scan(half, &ScanOptions::default()) {
            assert_eq!(rescan(image, first, &ScanOptions::default()).unwrap(), found);
        }
    }
    append(image, &found);
}
