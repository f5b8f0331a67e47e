//! Time zones.

use super::ArgError;
use jiff::tz::{Offset, TimeZone};
use std::str::FromStr;

/// A time zone: `local`, `UTC`, an IANA name (`Europe/Berlin`), or an offset (`+02:00`, `-0330`).
///
/// ```
/// let zone: relay_collect::args::Zone = "+02:00".parse()?;
/// let zone: jiff::tz::TimeZone = zone.into();
/// assert_eq!(zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds(), 7200);
/// # Ok::<(), relay_collect::args::ArgError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone.
    #[must_use]
    pub const fn get(&self) -> &TimeZone {
        &self.0
    }
}

impl From<Zone> for TimeZone {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

/// Reads `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(both) => both,
        None if digits.len() == 2 => (digits, "00"),
        None => digits.split_at_checked(2)?,
    };
    let two = |part: &str, max: i32| {
        let good = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i32>().ok().filter(|n| good && *n <= max)
    };
    Offset::from_seconds(sign * (two(hours, 25)? * 3600 + two(minutes, 59)? * 60)).ok()
}

impl FromStr for Zone {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("local") {
            return Ok(Self(TimeZone::system()));
        }
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Ok(Self(TimeZone::UTC));
        }
        if let Some(offset) = offset(text) {
            return Ok(Self(TimeZone::fixed(offset)));
        }
        TimeZone::get(text).map(Self).map_err(|_| {
            ArgError::new(format!(
                "`{text}` is not a time zone; use local, UTC, a name like Europe/Berlin, or an offset like +02:00"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms() {
        for (text, seconds) in
            [("UTC", 0), ("z", 0), ("+02:00", 7_200), ("-0330", -12_600), ("+14", 50_400)]
        {
            let zone: Zone = text.parse().unwrap();
            let found = zone.get().to_offset(jiff::Timestamp::UNIX_EPOCH).seconds();
            assert_eq!(found, seconds, "{text}");
        }
        assert!("local".parse::<Zone>().is_ok());
        assert!("Europe/Berlin".parse::<Zone>().is_ok());
        for text in ["", "Mars/Olympus", "+2", "+02:60", "+99:00", "++1:00", "+é"] {
            let error = text.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains("is not a time zone"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, near in "[+-][0-9:é]{0,6}") {
            let _ = text.parse::<Zone>();
            let _ = near.parse::<Zone>();
        }
    }
}
