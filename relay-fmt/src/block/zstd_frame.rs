//! Single zstd frames that state their size and carry a checksum.
//!
//! What a frame states is checked before memory is taken for it: a content size above the cap, above
//! what its compressed bytes can hold, or a window above the cap is refused.

use super::error::{Error, Result, malformed};
use crate::bytes::Cursor;
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

/// The most that one frame may decompress to, in bytes, unless the caller says otherwise.
pub const MAX_CONTENT: u64 = 256 << 20;
/// The largest window that a frame may ask for, in bytes.
pub(crate) const MAX_WINDOW: u64 = 1 << 27;
/// No zstd block of at least three bytes decompresses to more than this.
const MAX_PER_BLOCK: u64 = 128 << 10;
const MAGIC: u32 = 0xFD2F_B528;

fn zstd_error(error: &std::io::Error) -> Error {
    let why = error.to_string();
    Error::Zstd { why }
}

/// Compresses `content` into one frame at the end of `out`; returns the frame's length.
pub(crate) fn compress(content: &[u8], level: i32, out: &mut Vec<u8>) -> Result<usize> {
    if content.len() as u64 > MAX_CONTENT {
        let (what, bytes) = ("the content of a zstd frame", content.len() as u64);
        return Err(Error::TooLarge { what, bytes, most: MAX_CONTENT });
    }
    let mut compressor = Compressor::new(level).map_err(|e| zstd_error(&e))?;
    for parameter in
        [zstd_safe::CParameter::ChecksumFlag(true), zstd_safe::CParameter::ContentSizeFlag(true)]
    {
        compressor.set_parameter(parameter).map_err(|e| zstd_error(&e))?;
    }
    let frame = compressor.compress(content).map_err(|e| zstd_error(&e))?;
    out.extend_from_slice(&frame);
    Ok(frame.len())
}

/// What a frame's header states.
struct Stated {
    content: u64,
    /// 0 when the content itself is the window.
    window: u64,
}

fn stated(frame: &[u8]) -> Result<Stated> {
    let mut input = Cursor::new(frame);
    if input.u32()? != MAGIC {
        return malformed("a zstd frame does not begin like one");
    }
    let descriptor = input.u8()?;
    let (single, checksum) = (descriptor & 0x20 != 0, descriptor & 0x04 != 0);
    if descriptor & 0x08 != 0 || !checksum || descriptor & 0x03 != 0 {
        return malformed("a zstd frame has no checksum, or a dictionary, or reserved bits");
    }
    let window = if single {
        0
    } else {
        let byte = input.u8()?;
        let base = 1u64 << (10 + u32::from(byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    };
    let content = match descriptor >> 6 {
        0 if single => u64::from(input.u8()?),
        0 => return malformed("a zstd frame does not state its content size"),
        1 => u64::from(input.u16()?) + 256,
        2 => u64::from(input.u32()?),
        _ => input.u64()?,
    };
    Ok(Stated { content, window })
}

thread_local! {
    /// A search takes thousands of small frames: making one of these costs as much as that.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(frame: &[u8], content: &mut Vec<u8>) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|known| {
        let decompressor = match known {
            Some(known) => known,
            None => known.insert(Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(frame, content)
    })
}

/// Takes one frame from the front of `input` and returns what it decompresses to, at most `most`
/// bytes.
pub(crate) fn take(input: &mut Cursor<'_>, most: u64) -> Result<Vec<u8>> {
    let stated = stated(input.rest())?;
    let length = zstd_safe::find_frame_compressed_size(input.rest()).map_err(|code| {
        let why = zstd_safe::get_error_name(code).to_owned();
        Error::Zstd { why }
    })?;
    let frame = input.bytes(length)?;
    let justified = (length as u64 / 3 + 1).saturating_mul(MAX_PER_BLOCK);
    let too_large = |what, bytes, most| Err(Error::TooLarge { what, bytes, most });
    if stated.content > most.min(justified) {
        return too_large("the content of a zstd frame", stated.content, most.min(justified));
    }
    if stated.window > MAX_WINDOW {
        return too_large("the window of a zstd frame", stated.window, MAX_WINDOW);
    }
    let size = usize::try_from(stated.content)
        .map_err(|_| crate::Error::new("a zstd frame is larger than memory"))?;
    let mut content = Vec::with_capacity(size);
    let written = decompress(frame, &mut content).map_err(|e| zstd_error(&e))?;
    if written != size || content.len() != size {
        return malformed("a zstd frame does not hold what it states");
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_one_after_the_other() {
        let mut out = Vec::new();
        let contents: [&[u8]; 3] = [b"", b"x", &[7; 100_000]];
        for content in contents {
            compress(content, 3, &mut out).unwrap();
        }
        let mut input = Cursor::new(&out);
        for content in contents {
            assert_eq!(take(&mut input, MAX_CONTENT).unwrap(), content);
        }
        assert!(input.is_empty());
    }

    #[test]
    fn a_bomb_is_refused_before_it_costs_anything() {
        let mut out = Vec::new();
        compress(&vec![0; 1 << 20], 3, &mut out).unwrap();
        let refused = take(&mut Cursor::new(&out), (1 << 20) - 1);
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        // A header that states 200 MiB with nothing behind it.
        let mut lie = MAGIC.to_le_bytes().to_vec();
        lie.push(0x80 | 0x20 | 0x04);
        lie.extend_from_slice(&(200u32 << 20).to_le_bytes());
        lie.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0]);
        assert!(take(&mut Cursor::new(&lie), MAX_CONTENT).is_err());
    }

    #[test]
    fn a_window_that_is_too_large_is_refused() {
        let mut frame = MAGIC.to_le_bytes().to_vec();
        // Checksum, one byte of window (256 MiB), four bytes of content size, one empty block.
        frame.extend_from_slice(&[0x84, 18 << 3, 0, 0, 0, 0, 1, 0, 0]);
        frame.extend_from_slice(&0x51D8_E999u32.to_le_bytes());
        let refused = take(&mut Cursor::new(&frame), MAX_CONTENT);
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        frame[5] = 17 << 3;
        assert_eq!(take(&mut Cursor::new(&frame), MAX_CONTENT).unwrap(), [0u8; 0]);
    }

    #[test]
    fn a_frame_without_checksum_or_size_is_refused() {
        let plain = zstd::bulk::compress(b"no checksum", 1).unwrap();
        assert!(take(&mut Cursor::new(&plain), MAX_CONTENT).is_err());
        let stream = zstd::stream::encode_all(&b"no size"[..], 1).unwrap();
        assert!(take(&mut Cursor::new(&stream), MAX_CONTENT).is_err());
    }
}
