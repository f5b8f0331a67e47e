//! Looking at all sub-buffers of a channel, for the first time or again.

use super::layout::{HEADER_BYTES, sub, sub_buffer_offset, word};
use super::reader::{ChannelReader, Glance, Sub, pread_exact, state_of, word_at};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// What changes in a sub-buffer's header while its generation lasts stands in front of this.
const WORDS: usize = sub::ARCHIVED + 8;

/// What a channel held at one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The sub-buffers that hold or held something, by index.
    pub subs: Vec<Sub>,
    /// Those whose writers were so fast that it is not known what they hold: as long as one is here,
    /// nobody can say that all has been seen.
    pub busy: Vec<u32>,
}

/// So many more glances are spent on sub-buffers that do not hold still. A writer that is only fast fills
/// its sub-buffer within that time.
const MORE: u32 = 64;

impl ChannelReader {
    /// Looks at every sub-buffer that holds or held something.
    ///
    /// What is in the middle of being opened is left out; it has nothing new yet that counts. What does
    /// not hold still is left out too: [`ChannelReader::scan_again`] names it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan(&self) -> Result<Vec<Sub>, Errno> {
        self.scan_again(&[]).map(|scan| scan.subs)
    }

    /// As [`ChannelReader::scan`], by what it gave before: a sub-buffer to which nothing has happened
    /// since takes one short read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan_again(&self, before: &[Sub]) -> Result<Scan, Errno> {
        let mut scan = Scan { subs: Vec::with_capacity(before.len()), busy: Vec::new() };
        let mut index = 0;
        let mut before = before.iter().peekable();
        let count = self.sub_buffers()?;
        while index < count {
            while before.next_if(|sub| sub.index < index).is_some() {}
            let known = before.next_if(|sub| sub.index == index);
            let same = known.map_or(Ok(None), |sub| self.if_same(sub))?;
            match same.map_or_else(|| self.glance(index), |sub| Ok(Glance::Held(sub)))? {
                Glance::Held(sub) => scan.subs.push(sub),
                Glance::Busy => scan.busy.push(index),
                Glance::Nothing => {
                    index = self.next_with_data(index + 1);
                    continue;
                }
            }
            index += 1;
        }
        self.wait_for_busy(&mut scan)?;
        Ok(scan)
    }

    fn wait_for_busy(&self, scan: &mut Scan) -> Result<(), Errno> {
        let mut left = MORE;
        while !scan.busy.is_empty() && left > 0 {
            for index in std::mem::take(&mut scan.busy) {
                left = left.saturating_sub(1);
                match self.glance(index)? {
                    Glance::Held(sub) => scan.subs.push(sub),
                    Glance::Busy => scan.busy.push(index),
                    Glance::Nothing => {}
                }
            }
        }
        scan.subs.sort_unstable_by_key(|sub| sub.index);
        Ok(())
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
