//! Looking at all sub-buffers of a channel, for the first time or again.

use super::layout::{HEADER_BYTES, sub, sub_buffer_offset, word};
use super::reader::{ChannelReader, Sub, pread_exact, state_of, word_at};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// What changes in a sub-buffer's header while its generation lasts stands in front of this.
const WORDS: usize = sub::ARCHIVED + 8;

impl ChannelReader {
    /// Looks at every sub-buffer that holds or held something.
    ///
    /// What is in the middle of being opened is left out; it has nothing new yet that counts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan(&self) -> Result<Vec<Sub>, Errno> {
        self.scan_again(&[])
    }

    /// As [`ChannelReader::scan`], by what it gave before: a sub-buffer to which nothing has happened
    /// since takes one short read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan_again(&self, before: &[Sub]) -> Result<Vec<Sub>, Errno> {
        let (mut subs, mut index) = (Vec::with_capacity(before.len()), 0);
        let mut before = before.iter().peekable();
        let count = self.sub_buffers()?;
        while index < count {
            while before.next_if(|sub| sub.index < index).is_some() {}
            let known = before.next_if(|sub| sub.index == index);
            let same = known.map_or(Ok(None), |sub| self.if_same(sub))?;
            if let Some(sub) = same.map_or_else(|| self.look(index), |sub| Ok(Some(sub)))? {
                subs.push(sub);
                index += 1;
            } else {
                index = self.next_with_data(index + 1);
            }
        }
        Ok(subs)
    }

    /// The sub-buffer, if nothing but being handed back has happened to it. Words that the kernel's copy
    /// tears can be like those before only where nothing new is seen yet.
    fn if_same(&self, before: &Sub) -> Result<Option<Sub>, Errno> {
        let mut words = [0; WORDS];
        let offset = sub_buffer_offset(before.index, self.identity.sub_buffer);
        pread_exact(&self.fd, &mut words, offset)?;
        let same = word_at(&words, sub::COMMITTED) == word(before.generation, before.committed)
            && state_of(word_at(&words, sub::STATE)) == before.state;
        Ok(same.then(|| Sub { archived: word_at(&words, sub::ARCHIVED), ..*before }))
    }

    /// How many sub-buffers the file has room for: what lies beyond was never used.
    fn sub_buffers(&self) -> Result<u32, Errno> {
        let length = rustix::fs::fstat(&self.fd)?.st_size.max(0) as u64;
        let size = u64::from(self.identity.sub_buffer);
        let count = length.saturating_sub(HEADER_BYTES as u64) / size;
        Ok(u32::try_from(count).unwrap_or(u32::MAX).min((64u64 << 30).div_ceil(size) as u32))
    }

    /// The first sub-buffer from `index` on that the file system has data for. A length is only a
    /// claim: a file of a tebibyte may hold nothing, and a channel that has shrunk is mostly holes.
    fn next_with_data(&self, index: u32) -> u32 {
        let size = self.identity.sub_buffer;
        match rustix::fs::seek(&self.fd, SeekFrom::Data(sub_buffer_offset(index, size))) {
            Ok(at) => {
                let found = at.saturating_sub(HEADER_BYTES as u64) / u64::from(size);
                u32::try_from(found).unwrap_or(u32::MAX).max(index)
            }
            // Nothing but holes up to the end.
            Err(Errno::NXIO) => u32::MAX,
            // The file system does not say.
            Err(_) => index,
        }
    }
}
