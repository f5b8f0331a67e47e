//! Finding the way again behind damage.

use super::error::Result;
use super::frame::{FrameKind, HEAD_LEN, Head, MAGIC_TAIL};
use super::read::{ReadAt, frame_at, read_exact};
use super::walk::Walk;

/// Whole frames that do not check out are looked at so many times at most, so that a hostile file
/// cannot make a walk take forever.
const MAX_ATTEMPTS: u32 = 1024;

impl<R: ReadAt + ?Sized> Walk<'_, R> {
    /// Finds the first whole frame at or after `from`.
    pub(super) fn resync(&mut self, from: u64, uuid: Option<[u8; 16]>) -> Result<Option<u64>> {
        const CHUNK: u64 = 64 << 10;
        let mut at = from;
        while at.saturating_add(HEAD_LEN as u64) <= self.file_len {
            let len = CHUNK.min(self.file_len - at);
            let chunk = read_exact(self.source, at, len, self.file_len)?;
            for found in memchr::memmem::find_iter(&chunk, &MAGIC_TAIL) {
                let Some(offset) = (at + found as u64).checked_sub(1).filter(|o| *o >= at) else {
                    continue;
                };
                if self.is_frame(offset, uuid)? {
                    return Ok(Some(offset));
                }
            }
            if len < CHUNK {
                break;
            }
            // A magic may lie across the border.
            at += len - MAGIC_TAIL.len() as u64;
        }
        Ok(None)
    }

    fn is_frame(&mut self, offset: u64, uuid: Option<[u8; 16]>) -> Result<bool> {
        let rest = self.file_len.saturating_sub(offset);
        let first = read_exact(self.source, offset, rest.min(HEAD_LEN as u64), self.file_len)?;
        let Ok(head) = Head::parse(&first, offset) else {
            return Ok(false);
        };
        let ours = uuid.is_none_or(|uuid| uuid == head.uuid) && head.kind != FrameKind::File;
        if !ours || head.len > rest || self.attempts >= MAX_ATTEMPTS {
            return Ok(false);
        }
        let whole = frame_at(self.source, offset, self.file_len)?.is_ok();
        self.attempts += u32::from(!whole);
        Ok(whole)
    }
}
