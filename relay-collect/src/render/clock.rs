//! Times as text. Rows come in time order, so the last second is kept: formatting one through the
//! time zone database costs more than all the rest of a line.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write as _;

const NANOS: i64 = 1_000_000_000;

/// How exact a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    /// Microseconds.
    Six,
    /// Nanoseconds.
    Nine,
}

/// Formats UTC nanoseconds as RFC 3339.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// `None` is UTC, written as `Z`.
    zone: Option<TimeZone>,
    second: Option<i64>,
    /// `2026-11-24T13:00:00`
    head: Vec<u8>,
    /// `+01:00`
    tail: Vec<u8>,
}

/// Appends `value` as `width` decimal digits.
fn put_padded(mut value: u32, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().take(width).rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(digits.get(..width).unwrap_or_default());
}

/// Appends a number in decimal.
pub(crate) fn put_number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

impl Clock {
    /// UTC, ending in `Z`.
    pub(crate) const fn utc() -> Self {
        Self { zone: None, second: None, head: Vec::new(), tail: Vec::new() }
    }

    /// The local time of a zone, ending in its offset.
    pub(crate) fn local(zone: TimeZone) -> Self {
        Self { zone: Some(zone), ..Self::utc() }
    }

    /// Appends a time.
    pub(crate) fn put(&mut self, time_ns: i64, digits: Digits, out: &mut Vec<u8>) {
        let second = time_ns.div_euclid(NANOS);
        if self.second != Some(second) {
            self.look_up(second);
        }
        let nanos = u32::try_from(time_ns.rem_euclid(NANOS)).unwrap_or_default();
        out.extend_from_slice(&self.head);
        out.push(b'.');
        match digits {
            Digits::Six => put_padded(nanos / 1_000, 6, out),
            Digits::Nine => put_padded(nanos, 9, out),
        }
        out.extend_from_slice(&self.tail);
    }

    fn look_up(&mut self, second: i64) {
        let stamp = Timestamp::from_second(second).unwrap_or_default();
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let offset = zone.to_offset(stamp);
        let local = offset.to_datetime(stamp);
        self.second = Some(second);
        self.head.clear();
        self.tail.clear();
        let (date, time) = (local.date(), local.time());
        put_padded(u32::try_from(date.year()).unwrap_or_default(), 4, &mut self.head);
        for (mark, part) in [
            (b'-', date.month()),
            (b'-', date.day()),
            (b'T', time.hour()),
            (b':', time.minute()),
            (b':', time.second()),
        ] {
            self.head.push(mark);
            put_padded(u32::from(part.unsigned_abs()), 2, &mut self.head);
        }
        if self.zone.is_none() {
            self.tail.push(b'Z');
            return;
        }
        // RFC 3339 knows no seconds in an offset; zones had them before there were zones.
        let minutes = offset.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let (h, m) = (minutes.abs() / 60, minutes.abs() % 60);
        let _ = write!(self.tail, "{sign}{h:02}:{m:02}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(clock: &mut Clock, ns: i64, digits: Digits) -> String {
        let mut out = Vec::new();
        clock.put(ns, digits, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_their_zone() {
        let ns = 1_795_525_200_123_456_789;
        assert_eq!(shown(&mut Clock::utc(), ns, Digits::Nine), "2026-11-24T13:00:00.123456789Z");
        let zone = TimeZone::fixed(
            jiff::tz::offset(-3).saturating_sub(jiff::SignedDuration::from_mins(30)),
        );
        assert_eq!(
            shown(&mut Clock::local(zone), ns, Digits::Six),
            "2026-11-24T09:30:00.123456-03:30"
        );
        assert_eq!(shown(&mut Clock::utc(), -1, Digits::Nine), "1969-12-31T23:59:59.999999999Z");
    }

    proptest! {
        #[test]
        fn every_time_is_read_back_by_jiff(times: Vec<i64>) {
            let mut clock = Clock::utc();
            for ns in times {
                let text = shown(&mut clock, ns, Digits::Nine);
                let stamp: Timestamp = text.parse().unwrap();
                prop_assert_eq!(stamp.as_nanosecond(), i128::from(ns));
            }
        }

        #[test]
        fn numbers_are_decimal(value: u64) {
            let mut out = Vec::new();
            put_number(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
