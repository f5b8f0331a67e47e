//! Archives and blocks as a list of pieces, without the checksums and the compression.
//!
//! A piece is `u8` kind, `u32` length, content:
//!
//! | kind | becomes |
//! |---|---|
//! | 0 to 2, 4 | a frame of this kind with right checksums, at the place it comes to |
//! | 3 | the directory: a frame with the content compressed, and the trailer |
//! | 5 | these bytes: the body of the block before, whose checksum is put right |
//! | 6 | as 5, the content being four or three streams that are compressed |

use relay_fmt::archive::Directory;
use relay_fmt::bytes::{Cursor, put_prefixed};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

const SKIPPABLE: u32 = 0x184D_2A50;
const HEAD_LEN: usize = 32;
const UUID: [u8; 16] = *b"sixteen bytes id";

/// Appends a piece.
pub fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
}

/// Takes the pieces apart; what is cut short is cut off.
pub fn get(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut input = Cursor::new(input);
    std::iter::from_fn(move || {
        let kind = input.u8().ok()?;
        let len = input.u32().ok()? as usize;
        let len = len.min(input.rest().len());
        Some((kind, input.bytes(len).ok()?))
    })
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

/// Appends a frame with right checksums; returns that of its content.
pub fn put_frame(out: &mut Vec<u8>, kind: u8, content: &[u8]) -> u32 {
    let offset = out.len() as u64;
    let begin = out.len();
    out.extend_from_slice(&(SKIPPABLE + u32::from(kind)).to_le_bytes());
    out.extend_from_slice(&((content.len() + HEAD_LEN - 8) as u32).to_le_bytes());
    out.extend_from_slice(&UUID);
    let head = crc(&[&out[begin..], &offset.to_le_bytes()]).to_le_bytes();
    let sum = crc(&[&head, content]);
    out.extend_from_slice(&head);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(content);
    sum
}

/// Appends a directory, whose list is in this zstd frame, and the trailer that leads to it.
pub fn put_directory(out: &mut Vec<u8>, list: &[u8]) {
    let (mut stored, begin) = (Vec::new(), out.len() as u64);
    put_prefixed(&mut stored, list);
    let len = (HEAD_LEN + stored.len() + 24) as u64;
    stored.extend_from_slice(&begin.to_le_bytes());
    stored.extend_from_slice(&len.to_le_bytes());
    stored.extend_from_slice(b"RELAYEND");
    put_frame(out, 3, &stored);
}

/// A zstd frame with size and checksum, as blocks have them.
#[must_use]
pub fn frame(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(1).unwrap();
    compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    compressor.set_parameter(CParameter::ContentSizeFlag(true)).unwrap();
    compressor.compress(content).unwrap()
}

/// What the zstd frames at the front of `bytes` hold.
fn unframe(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    while let Ok(len @ 1..) = zstd::zstd_safe::find_frame_compressed_size(bytes) {
        let (frame, rest) = bytes.split_at(len);
        contents.push(zstd::stream::decode_all(frame).unwrap());
        bytes = rest;
    }
    contents
}

/// The frames of a block's body: its streams, each with `u32` length in front, compressed.
#[must_use]
pub fn frames(streams: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut input = Cursor::new(streams);
    let mut next = || {
        let len = input.u32().unwrap_or_default() as usize;
        frame(input.bytes(len.min(input.rest().len())).unwrap())
    };
    (0..count).map(|_| next()).collect()
}

/// The body of a block: its [`frames`].
#[must_use]
pub fn body(streams: &[u8], count: usize) -> Vec<u8> {
    frames(streams, count).concat()
}

/// The way back from [`body`].
#[must_use]
pub fn streams(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for content in unframe(body) {
        out.extend_from_slice(&(content.len() as u32).to_le_bytes());
        out.extend(content);
    }
    out
}

/// The archive that these pieces make.
#[must_use]
pub fn archive(pieces: &[u8]) -> Vec<u8> {
    let (mut out, mut previous) = (Vec::new(), 0u32);
    let mut pieces = get(pieces).peekable();
    while let Some((kind, content)) = pieces.next() {
        match kind % 7 {
            1 => {
                let mut content = content.to_vec();
                let mut next = pieces.next_if(|(kind, _)| *kind % 7 > 4).map(|(kind, bytes)| {
                    let count = if content.get(1) == Some(&1) { 3 } else { 4 };
                    if kind % 7 == 6 { body(bytes, count) } else { bytes.to_vec() }
                });
                let crcs = [previous, next.as_ref().map_or(0, |body| crc(&[body]))];
                for (at, crc) in [2, 6].into_iter().zip(crcs) {
                    let place = content.get_mut(at..at + 4);
                    place.into_iter().for_each(|to| to.copy_from_slice(&crc.to_le_bytes()));
                }
                previous = put_frame(&mut out, 1, &content);
                out.append(next.get_or_insert_default());
            }
            3 => put_directory(&mut out, &frame(content)),
            5 => out.extend_from_slice(content),
            6 => out.extend(body(content, 4)),
            kind => {
                let crc = put_frame(&mut out, kind, content);
                previous = if kind == 0 { crc } else { previous };
            }
        }
    }
    out
}

/// Takes a sound, sealed archive apart.
#[must_use]
pub fn split(bytes: &[u8], directory: &Directory) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let block = directory.blocks.iter().find(|block| block.body_offset() as usize == offset);
        if let Some(block) = block {
            let end = block.end() as usize;
            put(&mut out, 6, &streams(&bytes[offset..end]));
            offset = end;
            continue;
        }
        let len = u32::from_le_bytes(bytes[offset + 4..offset + 8].try_into().unwrap()) as usize;
        let end = offset + 8 + len;
        let (kind, content) = (bytes[offset] & 15, &bytes[offset + HEAD_LEN..end]);
        if kind == 3 {
            let list = Cursor::new(content).prefixed().unwrap();
            put(&mut out, 3, &unframe(list).concat());
        } else {
            put(&mut out, kind, content);
        }
        offset = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_fmt::archive::open;

    /// So that what is fuzzed is what is written.
    #[test]
    fn a_split_archive_put_together_is_the_archive() {
        for bytes in crate::seeds::archive_files() {
            let directory = open(&bytes[..]).unwrap().directory().clone();
            let again = archive(&split(&bytes, &directory));
            // The level of compression is another, so lengths in headers do not fit where it shows.
            let opened = open(&again[..]).unwrap();
            assert_eq!(opened.directory().header, directory.header);
        }
    }
}
