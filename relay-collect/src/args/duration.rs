//! Lengths of time.

use super::ArgError;
use super::decimal::Decimal;
use std::str::FromStr;
use std::time::Duration;

/// A length of time: `500ms`, `1h30m`, `2d`, `1.5 hours`.
///
/// A day is 24 hours, a week seven days. The unit is never left out, except after `0`.
///
/// ```
/// let age: relay_collect::args::HumanDuration = "1h30m".parse()?;
/// assert_eq!(age.duration().as_secs(), 5400);
/// # Ok::<(), relay_collect::args::ArgError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// The length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(length: HumanDuration) -> Self {
        length.0
    }
}

const SECOND: u64 = 1_000_000_000;

/// The nanoseconds of a unit.
fn unit(name: &str) -> Option<u64> {
    Some(match name.to_lowercase().as_str() {
        "ns" | "nsec" => 1,
        "us" | "µs" | "μs" | "usec" => 1_000,
        "ms" | "msec" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600 * SECOND,
        "d" | "day" | "days" => 86_400 * SECOND,
        "w" | "week" | "weeks" => 7 * 86_400 * SECOND,
        _ => return None,
    })
}

impl FromStr for HumanDuration {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let bad = |why: &str| {
            ArgError::new(format!(
                "`{text}` is not a duration: {why}; write it like 500ms, 30s, 1h30m or 2d"
            ))
        };
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if rest.is_empty() {
            return Err(bad("it is empty"));
        }
        let mut nanos = 0u64;
        while !rest.is_empty() {
            let (number, after) =
                Decimal::take(rest).ok_or_else(|| bad(&format!("`{rest}` is no number")))?;
            let after = after.trim_start();
            let end = after.find(|c: char| !c.is_alphabetic());
            let (name, after) = after.split_at(end.unwrap_or(after.len()));
            if name.is_empty() {
                return Err(bad("a number has no unit"));
            }
            let unit = unit(name).ok_or_else(|| bad(&format!("`{name}` is no unit")))?;
            let sum = number.times(unit).and_then(|n| nanos.checked_add(n));
            nanos = sum.ok_or_else(|| bad("it is longer than 584 years"))?;
            rest = after.trim_start();
        }
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms() {
        for (text, nanos) in [
            ("0", 0),
            ("500ms", SECOND / 2),
            ("1h30m", 5_400 * SECOND),
            ("1h 30min", 5_400 * SECOND),
            ("1.5 hours", 5_400 * SECOND),
            ("2d", 172_800 * SECOND),
            ("1w", 604_800 * SECOND),
            ("3µs", 3_000),
        ] {
            let length: HumanDuration = text.parse().unwrap();
            assert_eq!(length.duration(), Duration::from_nanos(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_said() {
        for (text, part) in [
            ("", "it is empty"),
            ("5", "a number has no unit"),
            ("1h30", "a number has no unit"),
            ("h", "`h` is no number"),
            ("-5s", "`-5s` is no number"),
            ("5 lightyears", "`lightyears` is no unit"),
            ("1000000w", "longer than 584 years"),
        ] {
            let error = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, near in "[0-9.hmsd µ-]{0,12}") {
            let _ = text.parse::<HumanDuration>();
            let _ = near.parse::<HumanDuration>();
        }
    }
}
