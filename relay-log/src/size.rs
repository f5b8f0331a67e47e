//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
///
/// ```
/// use relay_log::ByteSize;
///
/// assert_eq!("64MiB".parse(), Ok(ByteSize::mib(64)));
/// assert_eq!("64M".parse(), Ok(ByteSize::mib(64)));
/// assert_eq!(ByteSize::kib(1536).to_string(), "1536KiB");
/// assert!("64 horses".parse::<ByteSize>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Text that is no [`ByteSize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no size: write a number and B, KiB, MiB, GiB, KB, MB or GB, as in 64MiB")]
pub struct ParseSizeError {
    text: String,
}

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }

    /// So many times 1,024 bytes; at most `u64::MAX` bytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// So many times 1,048,576 bytes; at most `u64::MAX` bytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// So many times 1,073,741,824 bytes; at most `u64::MAX` bytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    /// A whole number and a unit, in capitals or not: none or `B`; `K`, `KiB`, `M`, `MiB`, `G`, `GiB`
    /// (powers of 1,024); `KB`, `MB`, `GB` (powers of 1,000).
    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let error = || ParseSizeError { text: text.to_owned() };
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return Err(error()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that states it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 != 0 && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let is = |text: &str, bytes| assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        is("4096", 4096);
        is(" 4096 B ", 4096);
        is("8k", 8192);
        is("2GB", 2_000_000_000);
        is("1 gib", 1 << 30);
        for wrong in ["", "MiB", "-1", "1.5MiB", "99999999999999GiB", "1TiBs"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }
}
