//! Where values are put together before the channel is touched: what a `Display` prints may log,
//! panic, block or be huge, and none of that may happen between reserve and commit.

use relay_fmt::value::{NAMED, Type};
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{Ordering, compiler_fence};

/// Bytes of a thread's scratch. What is longer costs an allocation.
const SCRATCH: usize = 2048;
/// Bytes of the scratch of a call inside a call, on its stack.
const NESTED: usize = 512;

thread_local! {
    // Const and without a destructor: there as long as the thread is, and no memory is allocated
    // for it in a signal handler.
    static BYTES: RefCell<[u8; SCRATCH]> = const { RefCell::new([0; SCRATCH]) };
}

/// A growing row of bytes that begins in borrowed memory.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    /// Empty once it did not suffice.
    fixed: &'a mut [u8],
    len: usize,
    heap: Vec<u8>,
}

/// Runs `f` with empty scratch. A call inside `f` gets other scratch.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Scratch<'_>) -> R) -> R {
    BYTES.with(|bytes| {
        if let Ok(mut bytes) = bytes.try_borrow_mut() {
            // A signal handler must see that it is borrowed before it is written.
            compiler_fence(Ordering::SeqCst);
            let result = f(&mut Scratch::over(&mut bytes[..]));
            compiler_fence(Ordering::SeqCst);
            return result;
        }
        nested(f)
    })
}

#[cold]
#[inline(never)]
fn nested<R>(f: impl FnOnce(&mut Scratch<'_>) -> R) -> R {
    f(&mut Scratch::over(&mut [0; NESTED]))
}

impl<'a> Scratch<'a> {
    fn over(fixed: &'a mut [u8]) -> Self {
        Self { fixed, len: 0, heap: Vec::new() }
    }

    /// What has been put.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.heap.is_empty() { &self.fixed[..self.len] } else { &self.heap }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(to) = self.fixed.get_mut(self.len..end) {
            copy(bytes, to);
            self.len = end;
        } else {
            self.spill(bytes);
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.heap.is_empty() {
            self.heap.reserve((self.len + bytes.len()) * 2);
            self.heap.extend_from_slice(&self.fixed[..self.len]);
            self.fixed = &mut [];
        }
        self.heap.extend_from_slice(bytes);
        // Beyond the end of `fixed` in any case: all that follows spills too.
        self.len = self.heap.len();
    }

    fn len(&self) -> usize {
        self.len
    }

    /// Puts a tag, a length to be known later, and what `f` puts.
    #[inline]
    pub(crate) fn put_long(&mut self, of: Type, f: impl FnOnce(&mut Self)) {
        self.put(&[of as u8, 0, 0, 0, 0]);
        let start = self.len();
        f(self);
        let len = u32::try_from(self.len() - start).unwrap_or(u32::MAX).to_le_bytes();
        let all = if self.heap.is_empty() { &mut *self.fixed } else { &mut self.heap[..] };
        all[start - 4..start].copy_from_slice(&len);
    }

    /// Puts a tagged string-like value.
    #[inline]
    pub(crate) fn put_str(&mut self, of: Type, bytes: &[u8]) {
        self.put_long(of, |s| s.put(bytes));
    }

    /// Puts what a `Display` or `Debug` prints. When it fails half-way, what it has printed stays.
    #[inline]
    pub(crate) fn put_text(&mut self, of: Type, text: fmt::Arguments<'_>) {
        self.put_long(of, |s| {
            let _ = fmt::Write::write_fmt(s, text);
        });
    }

    /// Puts a tagged value of fixed width.
    #[inline]
    pub(crate) fn put_fixed<const N: usize>(&mut self, of: Type, bytes: [u8; N]) {
        self.put(&[of as u8]);
        self.put(&bytes);
    }

    /// Begins a field whose name the callsite does not know.
    pub(crate) fn put_name(&mut self, name: &str) {
        self.put(&[NAMED]);
        let mut rest = name.len() as u64;
        while rest >= 0x80 {
            self.put(&[rest as u8 | 0x80]);
            rest >>= 7;
        }
        self.put(&[rest as u8]);
        self.put(name.as_bytes());
    }
}

/// Copies bytes between slices of one length. Short ones are two copies of a fixed size that may
/// overlap: what `Display` prints comes in many small pieces, each of them a call of `memcpy`
/// otherwise.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    match from.len() {
        16..=32 => ends::<16>(from, to),
        8..16 => ends::<8>(from, to),
        4..8 => ends::<4>(from, to),
        2..4 => ends::<2>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes.
#[inline(always)]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let Some((from, to)) = from.first_chunk::<N>().zip(to.first_chunk_mut::<N>()) {
        *to = *from;
    }
    if let Some((from, to)) = from.last_chunk::<N>().zip(to.last_chunk_mut::<N>()) {
        *to = *from;
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

    #[test]
    fn every_length_is_copied() {
        let from: Vec<u8> = (1..=100).collect();
        for len in 0..=70 {
            let mut to = [0u8; 70];
            copy(&from[..len], &mut to[..len]);
            assert_eq!(&to[..len], &from[..len]);
            assert!(to[len..].iter().all(|b| *b == 0), "{len}");
        }
    }

    #[test]
    fn what_does_not_fit_goes_on_elsewhere() {
        for long in [0, 1, SCRATCH - 6, SCRATCH - 5, SCRATCH - 4, SCRATCH, 3 * SCRATCH] {
            let text = "x".repeat(long);
            with(|s| {
                s.put(b"a");
                s.put_text(Type::Text, format_args!("{text}"));
                s.put(b"z");
                let bytes = s.bytes();
                assert_eq!(&bytes[..2], &[b'a', Type::Text as u8]);
                assert_eq!(&bytes[2..6], &(long as u32).to_le_bytes());
                assert_eq!(&bytes[6..], format!("{text}z").as_bytes());
                with(|inner| {
                    inner.put(&[1; 600]);
                    assert_eq!(inner.bytes(), &[1; 600]);
                });
            });
        }
    }
}
