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
#[error(
    "{text:?} is no size: write a number and B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, as in 64MiB"
)]
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

    /// A number, with a fraction or without, and a unit, in capitals or not: none or `B`; `K`, `KiB`, `M`, `MiB`,
    /// `G`, `GiB`, `T`, `TiB` (powers of 1,024); `KB`, `MB`, `GB`, `TB` (powers of 1,000). Parts of a byte are
    /// left out.
    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let error = || ParseSizeError { text: text.to_owned() };
        let trimmed = text.trim();
        let digits =
            trimmed.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = trimmed.split_at(digits);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let all = [whole, part].concat();
        // So many digits, times any unit, fit a `u128`.
        if whole.is_empty() || number.ends_with('.') || all.len() > 20 {
            return Err(error());
        }
        let number: u128 = all.parse().map_err(|_| error())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(error()),
        };
        let bytes = number * u128::from(factor) / 10u128.pow(part.len() as u32);
        bytes.try_into().map(Self).map_err(|_| error())
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
        is("1.5MiB", 3 << 19);
        is("0.0009k", 0);
        is("2TB", 2_000_000_000_000);
        is("16777215.99999999999T", 18_446_744_073_709_551_605);
        for wrong in ["", "MiB", "-1", "1.MiB", ".5k", "1.5.5k", "99999999999999GiB", "1TiBs"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }
}
