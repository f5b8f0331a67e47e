//! Skippable frames and the head that each of them begins with.

use crate::bytes::{Cursor, Error, Result};

/// Bytes of a frame before its content: magic, length, and the head.
pub(crate) const HEAD_LEN: usize = 32;
/// The magic of a zstd skippable frame; the low four bits are the frame's kind here.
const SKIPPABLE: u32 = 0x184D_2A50;
/// What every frame's magic has behind its first byte.
pub(crate) const MAGIC_TAIL: [u8; 3] = [0x2A, 0x4D, 0x18];
/// The most bytes that the content of a frame may have.
pub(crate) const MAX_FRAME: u64 = 256 << 20;

/// What a skippable frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// The first frame of the file.
    File = 0,
    /// Stands in front of a block's body.
    Block = 1,
    /// Entries about channels and archives.
    Control = 2,
    /// The last frame of a sealed file, as it was written once: block headers are in it whole.
    WholeDirectory = 3,
    /// The last frame of a sealed file.
    Directory = 4,
    /// Any kind that this version does not know: to be skipped.
    Other = 5,
}

impl FrameKind {
    const fn from_magic(magic: u32) -> Option<Self> {
        Some(match magic.wrapping_sub(SKIPPABLE) {
            0 => Self::File,
            1 => Self::Block,
            2 => Self::Control,
            3 => Self::WholeDirectory,
            4 => Self::Directory,
            5..16 => Self::Other,
            _ => return None,
        })
    }

    /// Whether it ends a sealed file.
    pub(crate) const fn is_directory(self) -> bool {
        matches!(self, Self::WholeDirectory | Self::Directory)
    }
}

/// The head of a frame, its own checksum found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: FrameKind,
    pub(crate) uuid: [u8; 16],
    /// Length of the whole frame, in bytes.
    pub(crate) len: u64,
    head_crc: u32,
    /// The checksum of the content.
    pub(crate) content_crc: u32,
}

fn head_crc(first_24: &[u8], offset: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(first_24);
    crc.update(&offset.to_le_bytes());
    crc.finalize()
}

fn content_crc(head_crc: u32, content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head_crc.to_le_bytes());
    crc.update(content);
    crc.finalize()
}

impl Head {
    /// Reads the head of a frame that stands at `offset` of the file.
    pub(crate) fn parse(bytes: &[u8], offset: u64) -> Result<Self> {
        let mut input = Cursor::new(bytes);
        let first = input.bytes(24)?;
        let (stated_crc, content_crc) = (input.u32()?, input.u32()?);
        let mut input = Cursor::new(first);
        let kind = FrameKind::from_magic(input.u32()?);
        let kind = kind.ok_or(Error::new("no frame of an archive begins here"))?;
        let len = u64::from(input.u32()?) + 8;
        let uuid = input.array()?;
        if head_crc(first, offset) != stated_crc {
            return Err(Error::new("the checksum of a frame's head is wrong"));
        }
        if len < HEAD_LEN as u64 || len - HEAD_LEN as u64 > MAX_FRAME {
            return Err(Error::new("a frame is shorter than its head or too long"));
        }
        Ok(Self { kind, uuid, len, head_crc: stated_crc, content_crc })
    }

    /// Checks the content against the head.
    pub(crate) fn check(&self, content: &[u8]) -> Result<()> {
        if content_crc(self.head_crc, content) != self.content_crc {
            return Err(Error::new("the checksum of a frame is wrong"));
        }
        Ok(())
    }
}

/// Appends a frame that will stand at `offset` of the file; returns the checksum of its content.
pub(crate) fn put_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    uuid: &[u8; 16],
    offset: u64,
    content: &[u8],
) -> Result<u32> {
    if content.len() as u64 > MAX_FRAME {
        return Err(Error::new("a frame would be too long"));
    }
    let len = u32::try_from(content.len() + HEAD_LEN - 8);
    let len = len.map_err(|_| Error::new("a frame would be too long"))?;
    let mut first = [0u8; 24];
    let (magic, rest) = first.split_at_mut(4);
    magic.copy_from_slice(&(SKIPPABLE + kind as u32).to_le_bytes());
    let (length, id) = rest.split_at_mut(4);
    length.copy_from_slice(&len.to_le_bytes());
    id.copy_from_slice(uuid);
    let head = head_crc(&first, offset);
    let crc = content_crc(head, content);
    out.extend_from_slice(&first);
    out.extend_from_slice(&head.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(content);
    Ok(crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_magics_are_frames() {
        let known = (0..=255).filter(|n| FrameKind::from_magic(SKIPPABLE - 16 + n).is_some());
        assert!(known.eq(16..32));
    }

    #[test]
    fn a_frame_is_one_only_where_it_was_put() {
        let mut out = Vec::new();
        let crc = put_frame(&mut out, FrameKind::Control, &[7; 16], 100, b"content").unwrap();
        let head = Head::parse(&out, 100).unwrap();
        assert_eq!((head.kind, head.uuid, head.len), (FrameKind::Control, [7; 16], 39));
        assert_eq!(head.content_crc, crc);
        head.check(&out[HEAD_LEN..]).unwrap();
        assert!(head.check(b"other").is_err());
        assert!(Head::parse(&out, 101).is_err(), "elsewhere it is somebody's bytes");
    }
}
