//! Moments, for `--since` and `--until`.

use super::{ArgError, HumanDuration, Zone};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::str::FromStr;

/// A moment, as a person says it.
///
/// | form | means |
/// |---|---|
/// | `2026-11-24T13:00:00+01:00`, `…Z` | RFC 3339 |
/// | `@1764000000`, `@1764000000.5` | seconds since 1970 |
/// | `1764000000`, `1764000000123` | the same, in seconds or milliseconds: 10 or 13 digits |
/// | `2026-11-24`, `2026-11-24 13:00` | local time; a date alone is its midnight |
/// | `2026-11-24 13:00 UTC`, `… +01:00`, `… Europe/Berlin` | the time of that zone |
/// | `13:00`, `13:00:05.5` | today; [`When::range_ns`] says where it has not come yet |
/// | `-15min`, `15m`, `15m ago`, `+2h` | from now; without a sign it is past |
/// | `now`, `today`, `yesterday`, `yesterday 13:00` | the day's midnight, or the time on it |
///
/// What is local or relative becomes a [`Timestamp`] with [`When::resolve`], when zone and clock are
/// known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A moment that needs neither zone nor clock.
    At(Timestamp),
    /// A local date and time.
    Local(DateTime),
    /// A local time so many days from today.
    Day(i32, Time),
    /// A local time of which no day was said: today's.
    Clock(Time),
    /// So long from now.
    FromNow(SignedDuration),
}

const FORMS: &str = "2026-11-24T13:00:00Z, 2026-11-24, \"2026-11-24 13:00\", 13:00, -15min, 10m, \"2h ago\", \
                     yesterday, \"2026-11-24 13:00 +01:00\" or 1764000000";

fn bad(text: &str) -> ArgError {
    ArgError::new(format!("`{text}` is not a time; write it like {FORMS}"))
}

fn unix(seconds: &str) -> Option<Timestamp> {
    let (negative, digits) = match seconds.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, seconds),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !number(whole) || !number(part) || part.len() > 9 {
        return None;
    }
    let nanos: i128 = format!("{whole}{part:0<9}").parse().ok()?;
    Timestamp::from_nanosecond(if negative { -nanos } else { nanos }).ok()
}

/// Reads `13:00` and what is finer.
fn time_of_day(text: &str) -> Option<Time> {
    let shape = |b: u8| b.is_ascii_digit() || b == b':' || b == b'.';
    if !text.contains(':') || !text.bytes().all(shape) {
        return None;
    }
    text.parse().ok()
}

/// Seconds or milliseconds since 1970, of which there are 10 or 13 digits since 2001 and until 2286.
fn bare_unix(text: &str) -> Option<Timestamp> {
    let whole = text.split('.').next().unwrap_or_default();
    match whole.len() {
        10 => unix(text),
        13 if whole == text => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        _ => None,
    }
}

/// A date, with or without a time, and behind a blank the zone that it is of.
fn of_zone(text: &str) -> Option<Timestamp> {
    let (local, zone) = text.rsplit_once(char::is_whitespace)?;
    let (local, zone) = (local.trim_end(), zone.parse::<Zone>().ok()?);
    let local = match local.parse::<DateTime>() {
        Ok(local) => local,
        Err(_) => local.parse::<Date>().ok()?.to_datetime(Time::midnight()),
    };
    zone.get().to_timestamp(local).ok()
}

fn day(text: &str) -> Option<When> {
    let (word, time) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let days = match word.to_ascii_lowercase().as_str() {
        "yesterday" => -1,
        "today" => 0,
        "tomorrow" => 1,
        _ => return None,
    };
    match time.trim() {
        "" => Some(When::Day(days, Time::midnight())),
        time => Some(When::Day(days, time_of_day(time)?)),
    }
}

fn from_now(text: &str) -> Option<Result<When, ArgError>> {
    let (sign, span) = if let Some(span) = text.strip_suffix("ago") {
        (-1, span)
    } else if let Some(span) = text.strip_prefix(['-', '\u{2212}']) {
        (-1, span)
    } else if let Some(span) = text.strip_prefix('+') {
        (1, span)
    } else {
        return None;
    };
    Some(span.parse::<HumanDuration>().map(|span| {
        let length = SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX);
        When::FromNow(if sign < 0 { -length } else { length })
    }))
}

impl FromStr for When {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("now") {
            return Ok(Self::FromNow(SignedDuration::ZERO));
        }
        if let Some(seconds) = text.strip_prefix('@') {
            return unix(seconds).map(Self::At).ok_or_else(|| bad(text));
        }
        if let Some(when) = day(text) {
            return Ok(when);
        }
        if let Some(when) = from_now(text) {
            return when;
        }
        if let Some(time) = time_of_day(text) {
            return Ok(Self::Clock(time));
        }
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Ok(Self::At(stamp));
        }
        if let Ok(zoned) = text.parse::<Zoned>() {
            return Ok(Self::At(zoned.timestamp()));
        }
        if let Ok(local) = text.parse::<DateTime>() {
            return Ok(Self::Local(local));
        }
        if let Some(when) = bare_unix(text).or_else(|| of_zone(text)) {
            return Ok(Self::At(when));
        }
        if let Ok(date) = text.parse::<Date>() {
            return Ok(Self::Local(date.to_datetime(Time::midnight())));
        }
        // `10m` is past. What begins with a number and has a wrong unit is told so.
        match from_now(&format!("-{text}")) {
            Some(Ok(when)) => Ok(when),
            _ => Err(bad(text)),
        }
    }
}

impl When {
    /// The moment, with `now` and the local `zone`.
    ///
    /// A local time that a clock change skips is moved past it; one that it repeats is the first.
    ///
    /// # Errors
    /// When the moment lies outside the years that can be shown.
    pub fn resolve(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, ArgError> {
        let out_of_range = |_| ArgError::new("the time lies outside the years -9999 to 9999");
        match self {
            Self::At(stamp) => Ok(*stamp),
            Self::Local(local) => zone.to_timestamp(*local).map_err(out_of_range),
            Self::FromNow(length) => now.checked_add(*length).map_err(out_of_range),
            Self::Clock(time) => Self::Day(0, *time).resolve(now, zone),
            Self::Day(days, time) => {
                let today = zone.to_datetime(now).date();
                let date = today
                    .checked_add(SignedDuration::from_hours(24 * i64::from(*days)))
                    .map_err(out_of_range)?;
                let local = date.to_datetime(*time);
                zone.to_timestamp(local).map_err(out_of_range)
            }
        }
    }

    /// Beginning and end of a range, as [`When::resolve_ns`]. A beginning that is only a time of day is
    /// past: yesterday's, where today's has not come yet. An end that is one too is the first behind it.
    ///
    /// # Errors
    /// As [`When::resolve`].
    pub fn range_ns(
        (since, until): (Option<&Self>, Option<&Self>),
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<(Option<i64>, Option<i64>), ArgError> {
        let mut days = 0;
        if let Some(Self::Clock(time)) = since
            && Self::Day(0, *time).resolve(now, zone)? > now
        {
            days = -1;
        }
        let begin = match since {
            Some(Self::Clock(time)) => Some(Self::Day(days, *time).resolve_ns(now, zone)?),
            since => since.map(|since| since.resolve_ns(now, zone)).transpose()?,
        };
        let end = match (since, until) {
            (Some(Self::Clock(from)), Some(Self::Clock(time))) => {
                let days = if time > from { days } else { days + 1 };
                Some(Self::Day(days, *time).resolve_ns(now, zone)?)
            }
            (_, until) => until.map(|until| until.resolve_ns(now, zone)).transpose()?,
        };
        Ok((begin, end))
    }

    /// As [`When::resolve`], in UTC nanoseconds as rows have them, at the ends of their range where
    /// it lies outside.
    ///
    /// # Errors
    /// As [`When::resolve`].
    pub fn resolve_ns(&self, now: Timestamp, zone: &TimeZone) -> Result<i64, ArgError> {
        let nanos = self.resolve(now, zone)?.as_nanosecond();
        let end = if nanos < 0 { i64::MIN } else { i64::MAX };
        Ok(i64::try_from(nanos).unwrap_or(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// With the clock at 2026-11-24 14:30:00 in a zone two hours ahead.
    fn resolved(text: &str) -> String {
        let now = "2026-11-24T12:30:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let when: When = text.parse().unwrap();
        when.resolve(now, &zone).unwrap().to_string()
    }

    #[test]
    fn the_usual_forms() {
        for (text, stamp) in [
            ("2026-11-24T13:00:00Z", "2026-11-24T13:00:00Z"),
            ("2026-11-24T13:00:00+01:00", "2026-11-24T12:00:00Z"),
            ("2026-11-24 13:00:00.5+01:00", "2026-11-24T12:00:00.5Z"),
            ("2026-11-24", "2026-11-23T22:00:00Z"),
            ("2026-11-24 13:00", "2026-11-24T11:00:00Z"),
            ("2026-11-24T13:00:01", "2026-11-24T11:00:01Z"),
            ("13:00", "2026-11-24T11:00:00Z"),
            ("13:00:05.25", "2026-11-24T11:00:05.25Z"),
            ("-15min", "2026-11-24T12:15:00Z"),
            ("-2h", "2026-11-24T10:30:00Z"),
            ("15m ago", "2026-11-24T12:15:00Z"),
            ("1 hour 30 minutes ago", "2026-11-24T11:00:00Z"),
            ("+1h", "2026-11-24T13:30:00Z"),
            ("now", "2026-11-24T12:30:00Z"),
            ("10m", "2026-11-24T12:20:00Z"),
            ("1h 30m", "2026-11-24T11:00:00Z"),
            ("2026-11-24T13:00Z", "2026-11-24T13:00:00Z"),
            ("2026-11-24 13:00 UTC", "2026-11-24T13:00:00Z"),
            ("2026-11-24 13:00 +01:00", "2026-11-24T12:00:00Z"),
            ("2026-11-24 Europe/Berlin", "2026-11-23T23:00:00Z"),
            ("1764000000", "2025-11-24T16:00:00Z"),
            ("1764000000500", "2025-11-24T16:00:00.5Z"),
            ("today", "2026-11-23T22:00:00Z"),
            ("yesterday", "2026-11-22T22:00:00Z"),
            ("Yesterday 13:00", "2026-11-23T11:00:00Z"),
            ("@1764000000", "2025-11-24T16:00:00Z"),
            ("@0.5", "1970-01-01T00:00:00.5Z"),
            ("@-1.5", "1969-12-31T23:59:58.5Z"),
        ] {
            assert_eq!(resolved(text), stamp, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_said() {
        for (text, part) in [
            ("", "is not a time"),
            ("noon", "is not a time"),
            ("25:00", "is not a time"),
            ("2026-13-01", "is not a time"),
            ("@", "is not a time"),
            ("@1e9", "is not a time"),
            ("yesterday noon", "is not a time"),
            ("-15", "a number has no unit"),
            ("5 parsecs ago", "`parsecs` is no unit"),
        ] {
            let error = text.parse::<When>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_time_of_day_that_has_not_come_yet_was_yesterdays() {
        let now = "2026-11-24T12:30:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let range = |since: &str, until: &str| {
            let (since, until): (When, When) = (since.parse().unwrap(), until.parse().unwrap());
            let range = When::range_ns((Some(&since), Some(&until)), now, &zone).unwrap();
            let shown = |ns: Option<i64>| {
                Timestamp::from_nanosecond(ns.unwrap().into()).unwrap().to_string()
            };
            (shown(range.0), shown(range.1))
        };
        for (since, until, begin, end) in [
            ("23:59", "now", "2026-11-23T21:59:00Z", "2026-11-24T12:30:00Z"),
            ("22:00", "23:00", "2026-11-23T20:00:00Z", "2026-11-23T21:00:00Z"),
            ("23:50", "00:10", "2026-11-23T21:50:00Z", "2026-11-23T22:10:00Z"),
            ("13:00", "18:00", "2026-11-24T11:00:00Z", "2026-11-24T16:00:00Z"),
            ("yesterday", "18:00", "2026-11-22T22:00:00Z", "2026-11-24T16:00:00Z"),
        ] {
            assert_eq!(range(since, until), (begin.into(), end.into()), "{since} {until}");
        }
    }

    #[test]
    fn a_skipped_hour_is_moved_past() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let when: When = "2026-03-29 02:30".parse().unwrap();
        let stamp = when.resolve(Timestamp::UNIX_EPOCH, &zone).unwrap();
        assert_eq!(stamp.to_string(), "2026-03-29T01:30:00Z");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, near in "[@0-9:.TZ +ago-]{0,24}") {
            for text in [text, near] {
                if let Ok(when) = text.parse::<When>() {
                    let _ = when.resolve_ns(Timestamp::MAX, &TimeZone::UTC);
                    let _ = when.resolve_ns(Timestamp::MIN, &TimeZone::UTC);
                }
            }
        }
    }
}
