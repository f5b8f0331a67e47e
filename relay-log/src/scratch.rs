//! Where values are put together before the channel is touched: what a `Display` prints may log,
//! panic, block or be huge, and none of that may happen between reserve and commit.

use crate::channel::row::Row;
use crate::channel::thread;
use relay_fmt::value::{NAMED, Type};
use std::fmt;
use std::sync::atomic::{Ordering, compiler_fence};

/// Bytes of the scratch of a call inside a call, on its stack.
const NESTED: usize = 512;

/// A growing row of bytes that begins in borrowed memory.
///
/// What does not fit goes on in a `Vec`, by functions of their own that are called last: what is done
/// for nearly every value then needs no registers saved.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    /// Without room once it did not suffice.
    row: Row<'a>,
    /// All bytes, once there are any.
    heap: Vec<u8>,
}

/// Runs `f` with empty scratch. A call inside `f` gets other scratch.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Scratch<'_>) -> R) -> R {
    let Some(mut bytes) = thread::desk() else {
        return nested(f);
    };
    // A signal handler must see that it is borrowed before it is written.
    compiler_fence(Ordering::SeqCst);
    let result = f(Scratch::over(&mut bytes[..]));
    compiler_fence(Ordering::SeqCst);
    result
}

#[cold]
#[inline(never)]
fn nested<R>(f: impl FnOnce(Scratch<'_>) -> R) -> R {
    f(Scratch::over(&mut [0; NESTED]))
}

/// A length as records have it.
#[inline(always)]
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

impl<'a> Scratch<'a> {
    #[inline(always)]
    fn over(fixed: &'a mut [u8]) -> Self {
        Self { row: Row::over(fixed), heap: Vec::new() }
    }

    /// What has been put.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.heap.is_empty() { self.row.bytes() } else { &self.heap }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        if self.heap.is_empty() { self.row.len() } else { self.heap.len() }
    }

    /// Puts a field's index and its tagged value of fixed width.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    pub(crate) fn put_field<const N: usize>(&mut self, index: u8, of: Type, bytes: [u8; N]) {
        match self.row.grow(2 + N) {
            Some(mut place) => {
                place.put_array([index, of as u8]);
                place.put_array(bytes);
            }
            None => self.spill_field(index, of, bytes),
        }
    }

    #[cfg(feature = "tracing")]
    #[cold]
    #[inline(never)]
    fn spill_field<const N: usize>(&mut self, index: u8, of: Type, bytes: [u8; N]) {
        self.spill(&[index, of as u8]);
        self.spill(&bytes);
    }

    /// Puts a field's index and its tagged string-like value.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    pub(crate) fn put_field_str(&mut self, index: u8, of: Type, bytes: &[u8]) {
        match self.row.grow(6 + bytes.len()) {
            Some(mut place) => {
                place.put_array([index, of as u8]);
                place.put_array(length(bytes.len()));
                place.put(bytes);
            }
            None => self.spill_field_str(index, of, bytes),
        }
    }

    #[cfg(feature = "tracing")]
    #[cold]
    #[inline(never)]
    fn spill_field_str(&mut self, index: u8, of: Type, bytes: &[u8]) {
        self.spill_field(index, of, length(bytes.len()));
        self.spill(bytes);
    }

    /// Puts bytes whose number is known.
    #[inline(always)]
    pub(crate) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        match self.row.grow(N) {
            Some(mut place) => place.put_array(bytes),
            None => self.spill(&bytes),
        }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match self.row.grow(bytes.len()) {
            // What `Display` prints comes in many small pieces.
            Some(mut place) => place.put(bytes),
            None => self.spill(bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self, bytes: &[u8]) {
        if self.heap.is_empty() {
            self.heap.reserve((self.row.len() + bytes.len()) * 2);
            self.heap.extend_from_slice(self.row.bytes());
            self.row.end();
        }
        self.heap.extend_from_slice(bytes);
    }

    /// Puts a tagged string-like value.
    #[inline]
    pub(crate) fn put_str(&mut self, of: Type, bytes: &[u8]) {
        self.head(of, bytes.len());
        self.put(bytes);
    }

    #[inline(always)]
    fn head(&mut self, of: Type, len: usize) {
        let [a, b, c, d] = length(len);
        self.put_array([of as u8, a, b, c, d]);
    }

    /// Puts what a `Display` or `Debug` prints. When it fails half-way, what it has printed stays.
    #[inline]
    pub(crate) fn put_text(&mut self, of: Type, text: fmt::Arguments<'_>) {
        self.head(of, 0);
        self.print(text);
    }

    /// Puts a field's index and what a `Display` or `Debug` prints.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    pub(crate) fn put_field_text(&mut self, index: u8, of: Type, text: fmt::Arguments<'_>) {
        self.put_field(index, of, length(0));
        self.print(text);
    }

    /// Prints, and says how much in the four bytes before it.
    #[inline(always)]
    fn print(&mut self, text: fmt::Arguments<'_>) {
        let start = self.len();
        let _ = fmt::Write::write_fmt(self, text);
        if self.heap.is_empty() {
            self.row.put_length_before(start);
        } else {
            self.put_spilled_length(start);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_spilled_length(&mut self, start: usize) {
        let len = length(self.heap.len() - start);
        if let Some(place) = self.heap.get_mut(start - 4..start) {
            place.copy_from_slice(&len);
        }
    }

    /// Puts a tagged value of fixed width.
    #[inline]
    pub(crate) fn put_fixed<const N: usize>(&mut self, of: Type, bytes: [u8; N]) {
        self.put_array([of as u8]);
        self.put_array(bytes);
    }

    /// Begins a field whose name the callsite does not know.
    pub(crate) fn put_name(&mut self, name: &str) {
        self.put_array([NAMED]);
        let mut rest = name.len() as u64;
        while rest >= 0x80 {
            self.put_array([rest as u8 | 0x80]);
            rest >>= 7;
        }
        self.put_array([rest as u8]);
        self.put(name.as_bytes());
    }
}

impl fmt::Write for Scratch<'_> {
    #[inline]
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.put(s.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::thread::DESK as SCRATCH;

    #[test]
    fn what_does_not_fit_goes_on_elsewhere() {
        for long in [0, 1, SCRATCH - 6, SCRATCH - 5, SCRATCH - 4, SCRATCH, 3 * SCRATCH] {
            let text = "x".repeat(long);
            with(|mut s| {
                s.put(b"a");
                s.put_text(Type::Text, format_args!("{text}"));
                s.put(b"z");
                let bytes = s.bytes();
                assert_eq!(&bytes[..2], &[b'a', Type::Text as u8]);
                assert_eq!(&bytes[2..6], &(long as u32).to_le_bytes());
                assert_eq!(&bytes[6..], format!("{text}z").as_bytes());
                with(|mut inner| {
                    inner.put(&[1; 600]);
                    assert_eq!(inner.bytes(), &[1; 600]);
                });
            });
        }
    }
}
