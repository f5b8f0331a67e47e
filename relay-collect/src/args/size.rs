//! Sizes in bytes.

use super::ArgError;
use super::decimal::Decimal;
use std::fmt;
use std::str::FromStr;

/// A size in bytes: `4096`, `64MiB`, `10GB`, `4k`, `1.5 GiB`.
///
/// `KiB`, `MiB`, … and single letters count in 1024s, `kB`, `MB`, … in 1000s; case does not matter.
///
/// ```
/// let size: relay_collect::args::ByteSize = "64MiB".parse()?;
/// assert_eq!(size.bytes(), 67_108_864);
/// assert_eq!(size.to_string(), "64MiB");
/// # Ok::<(), relay_collect::args::ArgError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const PREFIXES: [char; 6] = ['k', 'm', 'g', 't', 'p', 'e'];

impl ByteSize {
    /// A size of so many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

fn unit(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    if matches!(text.as_str(), "" | "b") {
        return Some(1);
    }
    let mut chars = text.chars();
    let prefix = chars.next()?;
    let power = PREFIXES.iter().position(|p| *p == prefix)? + 1;
    let base: u64 = match chars.as_str() {
        "" | "i" | "ib" => 1024,
        "b" => 1000,
        _ => return None,
    };
    base.checked_pow(u32::try_from(power).ok()?)
}

impl FromStr for ByteSize {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let trimmed = text.trim();
        let Some((number, rest)) = Decimal::take(trimmed) else {
            return Err(ArgError::new(format!(
                "`{text}` is not a size: it must begin with a number, as in 64MiB, 10GB or 4k"
            )));
        };
        let Some(unit) = unit(rest.trim_start()) else {
            let rest = rest.trim_start();
            return Err(ArgError::new(format!(
                "`{text}` is not a size: `{rest}` is no unit; use B, kB, KiB, MB, MiB, GB, GiB, TB or TiB"
            )));
        };
        let too_large = || ArgError::new(format!("`{text}` is larger than any file can be"));
        number.times(unit).map(Self).ok_or_else(too_large)
    }
}

impl fmt::Display for ByteSize {
    /// The size in the largest unit that shows it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = (self.0.trailing_zeros() / 10).min(6);
        if self.0 == 0 || power == 0 {
            return write!(f, "{}", self.0);
        }
        let prefix = PREFIXES.get(power as usize - 1).unwrap_or(&'?');
        let whole = self.0 >> (10 * power);
        write!(f, "{whole}{}iB", prefix.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4k", 4096),
            ("4K", 4096),
            ("4kB", 4000),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("10GB", 10_000_000_000),
            ("1.5GiB", 3 << 29),
            ("7B", 7),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_said() {
        for (text, part) in [
            ("", "must begin with a number"),
            ("MiB", "must begin with a number"),
            ("-5", "must begin with a number"),
            ("1.", "must begin with a number"),
            ("1.2.3", "must begin with a number"),
            ("5 parsecs", "`parsecs` is no unit"),
            ("5é", "`é` is no unit"),
            ("16EiB", "larger than any file"),
            ("99999999999999999999", "larger than any file"),
        ] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn shown_sizes_are_read_back(bytes: u64, shift in 0u32..64) {
            let size = ByteSize::new(bytes >> shift << (shift / 2));
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<ByteSize>();
        }
    }
}
