//! Reading and writing little-endian bytes with every length checked.

use std::fmt;

/// Bytes that are not what the format says.
///
/// `what` names the thing that was being read and why it cannot be, as a sentence fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What could not be read.
    pub what: &'static str,
}

impl Error {
    /// An error that says `what` could not be read.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed bytes: {}", self.what)
    }
}

impl std::error::Error for Error {}

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A cursor over untrusted bytes: each `take` either yields what it promises or an [`Error`].
///
/// ```
/// let mut input = relay_fmt::bytes::Cursor::new(&[2, 0, 0, 0, 9]);
/// assert_eq!(input.u32()?, 2);
/// assert_eq!(input.u8()?, 9);
/// assert!(input.u8().is_err());
/// # Ok::<(), relay_fmt::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(Error::new("a length reaches past the end"));
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(Error::new("a fixed field reaches past the end"));
        };
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// When none is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A little-endian `u16`.
    ///
    /// # Errors
    /// When fewer than two bytes are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// A little-endian `u32`.
    ///
    /// # Errors
    /// When fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian `u64`.
    ///
    /// # Errors
    /// When fewer than eight bytes are left.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 number of at most 64 bits.
    ///
    /// # Errors
    /// When it is cut short or does not fit.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Error::new("a varint is larger than 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return Err(Error::new("a varint is longer than ten bytes"));
            }
        }
    }

    /// A varint that must fit `usize`.
    ///
    /// # Errors
    /// As [`Cursor::varint`], and when it does not fit.
    #[inline]
    pub fn varint_len(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| Error::new("a length is larger than memory"))
    }

    /// Bytes with a varint length in front.
    ///
    /// # Errors
    /// When the length reaches past the end.
    #[inline]
    pub fn prefixed(&mut self) -> Result<&'a [u8]> {
        let n = self.varint_len()?;
        self.bytes(n)
    }

    /// UTF-8 text with a varint length in front.
    ///
    /// # Errors
    /// When the length reaches past the end or the bytes are not UTF-8.
    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.prefixed()?).map_err(|_| Error::new("text is not UTF-8"))
    }
}

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends bytes with their length in front.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps a signed number to an unsigned one whose size follows the magnitude: 0, -1, 1, -2, …
#[inline]
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut input = Cursor::new(&out);
            prop_assert_eq!(input.varint().unwrap(), value);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn zigzag_comes_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut input = Cursor::new(&bytes);
            while input.varint().is_ok() && input.prefixed().is_ok() {}
        }
    }

    #[test]
    fn an_eleven_byte_varint_is_refused() {
        assert!(Cursor::new(&[0xff; 11]).varint().is_err());
        assert!(
            Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])
                .varint()
                .is_err()
        );
    }
}
