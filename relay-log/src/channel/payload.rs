//! The space of one record's payload, and how bytes come into it.

/// Space for one record's payload, reserved and not yet committed.
///
/// What is not written stays as it was: whoever reserves must fill all of it.
#[derive(Debug)]
pub struct Payload<'a> {
    at: *mut u8,
    /// Bytes that are left. The checks against it cost nothing where the compiler sees what was
    /// reserved and what is put.
    left: usize,
    of: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Payload<'a> {
    /// A payload in ordinary memory.
    #[inline(always)]
    pub(crate) fn over(bytes: &'a mut [u8]) -> Self {
        Self { at: bytes.as_mut_ptr(), left: bytes.len(), of: std::marker::PhantomData }
    }

    /// A payload in a sub-buffer.
    ///
    /// # Safety
    /// For as long as it lives, `left` bytes from `at` on must be mapped and nobody else's to write.
    #[inline(always)]
    pub(super) const unsafe fn at(at: *mut u8, left: usize) -> Self {
        Self { at, left, of: std::marker::PhantomData }
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When they do not fit what was reserved.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        let at = self.take(bytes.len());
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { copy_to(bytes.as_ptr(), at, bytes.len()) };
    }

    /// The next `len` bytes, to be filled.
    #[inline(always)]
    fn take(&mut self, len: usize) -> *mut u8 {
        assert!(len <= self.left, "more bytes than were reserved");
        let at = self.at;
        self.left -= len;
        self.at = at.wrapping_add(len);
        at
    }

    /// Appends bytes whose number is known, from registers: put together in memory first, they
    /// would be loaded again wider than they were stored, which the processor does slowly.
    #[inline(always)]
    pub(crate) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        let at = self.take(N);
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.cast::<[u8; N]>().write(bytes) };
    }

    /// Appends one byte, and bytes whose number is known.
    #[cfg(feature = "macros")]
    #[inline(always)]
    pub(crate) fn put_tagged<const N: usize>(&mut self, tag: u8, bytes: [u8; N]) {
        let at = self.take(1 + N);
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.write(tag) };
        // SAFETY: as above.
        unsafe { at.wrapping_add(1).cast::<[u8; N]>().write(bytes) };
    }

    /// Appends one byte, a `u32` length, and that many bytes.
    #[cfg(feature = "macros")]
    #[inline(always)]
    pub(crate) fn put_long(&mut self, tag: u8, bytes: &[u8]) {
        let at = self.take(5 + bytes.len());
        let len = (bytes.len() as u32).to_le_bytes();
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.write(tag) };
        // SAFETY: as above.
        unsafe { at.wrapping_add(1).cast::<[u8; 4]>().write(len) };
        // SAFETY: as above.
        unsafe { copy_to(bytes.as_ptr(), at.wrapping_add(5), bytes.len()) };
    }

    /// Appends one byte.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u8(&mut self, byte: u8) {
        self.put_array([byte]);
    }

    /// Appends a `u32`, little-endian.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u32(&mut self, value: u32) {
        self.put_array(value.to_le_bytes());
    }

    /// Appends a `u64`, little-endian.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u64(&mut self, value: u64) {
        self.put_array(value.to_le_bytes());
    }

    /// Bytes that are left.
    #[inline(always)]
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Copies bytes. Short ones are two loads and two stores that may overlap: a call of `memcpy` costs
/// as much as the rest of a record.
///
/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and they must not overlap.
#[inline(always)]
unsafe fn copy_to(from: *const u8, to: *mut u8, len: usize) {
    // The lengths of most strings and values come first.
    if !(2..=32).contains(&len) {
        // SAFETY: the caller's.
        unsafe { to.copy_from_nonoverlapping(from, len) }
    } else if len >= 16 {
        // SAFETY: the caller's; there are 16 bytes to 32.
        unsafe { ends::<u128>(from, to, len) }
    } else if len >= 8 {
        // SAFETY: the caller's; there are 8 bytes to 15.
        unsafe { ends::<u64>(from, to, len) }
    } else if len >= 4 {
        // SAFETY: the caller's; there are 4 bytes to 7.
        unsafe { ends::<u32>(from, to, len) }
    } else {
        // SAFETY: the caller's; there are 2 bytes or 3.
        unsafe { ends::<u16>(from, to, len) }
    }
}

/// Copies the first and the last `T` of `len` bytes.
///
/// # Safety
/// As [`copy_to`], and `len` must be at least the size of a `T` and at most twice that.
#[inline(always)]
unsafe fn ends<T: Copy>(from: *const u8, to: *mut u8, len: usize) {
    let last = len - size_of::<T>();
    // SAFETY: the caller's: a `T` of plain bytes fits there.
    let head = unsafe { from.cast::<T>().read_unaligned() };
    // SAFETY: as above.
    let tail = unsafe { from.wrapping_add(last).cast::<T>().read_unaligned() };
    // SAFETY: as above.
    unsafe { to.cast::<T>().write_unaligned(head) };
    // SAFETY: as above.
    unsafe { to.wrapping_add(last).cast::<T>().write_unaligned(tail) };
}

#[cfg(test)]
mod copies {
    use super::Payload;

    #[test]
    fn every_length_is_copied_and_nothing_beside_it() {
        let from: Vec<u8> = (1..=100).collect();
        for len in 0..=70 {
            let mut to = [0u8; 80];
            let mut payload = Payload::over(&mut to[3..3 + len]);
            payload.put(&from[..len]);
            assert_eq!(payload.left(), 0);
            assert_eq!(&to[3..3 + len], &from[..len]);
            assert!(to[..3].iter().chain(&to[3 + len..]).all(|b| *b == 0), "{len}");
        }
    }
}
