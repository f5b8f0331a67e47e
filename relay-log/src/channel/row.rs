//! A row of bytes that grows in borrowed memory. How much of it is filled is known without looking, so
//! that nothing is set to zero for it.

use super::payload::Payload;

/// The filled beginning of borrowed memory.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    start: *mut u8,
    /// Bytes that are filled; never more than `size`.
    len: usize,
    size: usize,
    of: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Row<'a> {
    /// An empty row in this memory.
    #[inline(always)]
    pub(crate) fn over(bytes: &'a mut [u8]) -> Self {
        Self { start: bytes.as_mut_ptr(), len: 0, size: bytes.len(), of: std::marker::PhantomData }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What was filled.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of what was borrowed; all of it was initialised when it was.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// The next `len` bytes, to be filled; `None` where there is no room for all of them.
    #[inline(always)]
    pub(crate) fn grow(&mut self, len: usize) -> Option<Payload<'_>> {
        if self.size - self.len < len {
            return None;
        }
        let at = self.start.wrapping_add(self.len);
        self.len += len;
        // SAFETY: `len` bytes from there on were borrowed and are seen to be there; they are this row's
        // for as long as it is borrowed itself.
        Some(unsafe { Payload::at(at, len) })
    }

    /// Says in the four bytes before `start` how many have been filled from there on.
    ///
    /// # Panics
    /// When there are no such four bytes.
    #[inline(always)]
    pub(crate) fn put_length_before(&mut self, start: usize) {
        assert!(4 <= start && start <= self.len, "no place for a length");
        let length = ((self.len - start) as u32).to_le_bytes();
        // SAFETY: the four bytes before `start` are filled ones of this row (checked).
        unsafe { self.start.wrapping_add(start - 4).cast::<[u8; 4]>().write(length) };
    }

    /// From now on there is room for nothing.
    pub(crate) fn end(&mut self) {
        self.size = self.len;
    }
}
