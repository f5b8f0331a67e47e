//! The reserved space of a record, as the arguments see it.

/// A cursor over the bytes that a record reserved.
///
/// It cannot reach past them: an argument that needs more than it said is cut, and what it leaves
/// stays zero. Either way the record's other bytes, and other records, are untouched.
#[derive(Debug)]
pub struct Sink<'a> {
    rest: &'a mut [u8],
}

impl<'a> Sink<'a> {
    /// A cursor at the start of `reserved`.
    #[inline]
    pub const fn new(reserved: &'a mut [u8]) -> Self {
        Self { rest: reserved }
    }

    /// How many bytes have not been written.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Writes bytes.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        debug_assert!(bytes.len() <= rest.len(), "an argument outgrew its size");
        if let Some((to, rest)) = rest.split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            self.rest = rest;
        }
    }

    /// Writes a byte.
    #[inline]
    pub fn put_u8(&mut self, n: u8) {
        self.put_bytes(&[n]);
    }

    /// Writes a little-endian number.
    #[inline]
    pub fn put_u32(&mut self, n: u32) {
        self.put_bytes(&n.to_le_bytes());
    }
}
