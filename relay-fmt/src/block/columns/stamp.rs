//! Dates and times inside text, as numbers that count from an epoch.
//!
//! A [`Stamp`] is the way in which a time is written; together with the number it gives back the
//! exact bytes. Only what comes back exactly is taken for a time.

/// How dates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Date {
    /// `2026-11-24 10:00:00`
    Dashes = 0,
    /// `2026/11/24 10:00:00`
    Slashes = 1,
    /// `Nov 24 10:00:00`, the day padded with a space
    Month = 2,
    /// `24/Nov/2026:10:00:00`
    Clf = 3,
    /// `10:00:00`
    None = 4,
    /// `Nov 04 10:00:00`, the day padded with a zero
    MonthZero = 5,
}

/// How a time is written: the date, what stands between date and time, the fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bits 0–2: the date; bit 3: `T` after it; bit 4: a comma before the fraction.
    format: u8,
    /// Digits of the fraction; the number counts units of the last one.
    digits: u8,
}

/// The last second that was written: most rows have that of the row before.
#[derive(Debug, Default)]
pub(super) struct Second {
    of: Option<(u8, i64)>,
    text: Vec<u8>,
}

const T: u8 = 8;
const COMMA: u8 = 16;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY: i64 = 86_400;

#[inline]
fn two(a: u8, b: u8) -> Option<i64> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i64::from(a) * 10 + i64::from(b))
}

/// Days from 1970-01-01; the algorithm counts years from March, so that leap days come last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`].
const fn civil(days: i64) -> (i64, i64, i64) {
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, of_year - (153 * m + 2) / 5 + 1)
}

fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=2199).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (day <= most).then(|| days(year, month, day))
}

fn month(name: &[u8]) -> Option<i64> {
    let found = MONTHS.iter().zip(1..).find(|(m, _)| name == &m[..]);
    found.map(|(_, n)| n)
}

/// Reads `HH:MM:SS` and a fraction; gives the seconds, the fraction's digits and value, the length.
fn clock(text: &[u8]) -> Option<(i64, u8, u8, i64, usize)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else {
        return None;
    };
    let (h, m, s) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    if h > 23 || m > 59 || s > 59 || rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let seconds = h * 3600 + m * 60 + s;
    let (Some(separator @ (b'.' | b',')), tail) = (rest.first(), rest.get(1..).unwrap_or_default())
    else {
        return Some((seconds, 0, 0, 0, 8));
    };
    let digits = tail.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return (digits == 0).then_some((seconds, 0, 0, 0, 8));
    }
    let fraction = tail.iter().take(digits);
    let value = fraction.fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    let comma = if *separator == b',' { COMMA } else { 0 };
    Some((seconds, comma, digits as u8, value, 9 + digits))
}

impl Stamp {
    /// Reads a time that begins with a digit; gives how it is written, its number and its length.
    pub(super) fn read_digits(text: &[u8]) -> Option<(Self, u64, usize)> {
        let (kind, day, clock_at) = match text {
            [y1, y2, y3, y4, d @ (b'-' | b'/'), m1, m2, e, d1, d2, sep @ (b' ' | b'T'), ..]
                if d == e =>
            {
                let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
                let day = date(year, two(*m1, *m2)?, two(*d1, *d2)?)?;
                let kind = if *d == b'-' { Date::Dashes } else { Date::Slashes };
                (kind as u8 | if *sep == b'T' { T } else { 0 }, day, 11)
            }
            [d1, d2, b'/', a, b, c, b'/', y1, y2, y3, y4, b':', ..] => {
                let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
                let day = date(year, month(&[*a, *b, *c])?, two(*d1, *d2)?)?;
                (Date::Clf as u8, day, 12)
            }
            [_, _, b':', ..] => (Date::None as u8, 0, 0),
            _ => return None,
        };
        Self::with_clock(text, kind, day, clock_at)
    }

    /// Reads a time that begins with a month's name.
    pub(super) fn read_month(text: &[u8]) -> Option<(Self, u64, usize)> {
        let [a, b, c, b' ', d1, d2, b' ', ..] = text else {
            return None;
        };
        let (kind, tens) = match d1 {
            b' ' => (Date::Month, b'0'),
            b'0' => (Date::MonthZero, b'0'),
            _ => (Date::Month, *d1),
        };
        // 2000 stands for the year that is not written: it has a leap day.
        let day = date(2000, month(&[*a, *b, *c])?, two(tens, *d2)?)?;
        Self::with_clock(text, kind as u8, day, 7)
    }

    fn with_clock(text: &[u8], kind: u8, day: i64, at: usize) -> Option<(Self, u64, usize)> {
        let (seconds, comma, digits, fraction, len) = clock(text.get(at..)?)?;
        let unit = 10i64.pow(u32::from(digits));
        let number = (day * DAY + seconds) * unit + fraction;
        let format = kind | comma;
        Some((Self { format, digits }, number as u64, at + len))
    }

    /// How many bytes the time of the day and its fraction take, at the end.
    #[inline]
    pub(super) const fn clock_len(self) -> usize {
        if self.digits == 0 { 8 } else { 9 + self.digits as usize }
    }

    /// The number of a time that is written as that of a number is, on the same day, by its time of the day.
    #[inline]
    pub(super) fn same_day(self, number: u64, text: &[u8]) -> Option<u64> {
        let (seconds, comma, digits, fraction, _) = clock(text)?;
        if (comma, digits) != (self.format & COMMA, self.digits) {
            return None;
        }
        let unit = 10i64.pow(u32::from(digits));
        let number = number.cast_signed();
        let day = number - number.rem_euclid(DAY * unit);
        Some((day + seconds * unit + fraction).cast_unsigned())
    }

    /// How many digits the fraction has.
    pub(super) const fn digits(self) -> u8 {
        self.digits
    }

    /// The two bytes that stand for it in a template.
    pub(super) const fn to_bytes(self) -> [u8; 2] {
        [0x20 + self.format, 0x20 + self.digits]
    }

    /// The inverse of [`Stamp::to_bytes`].
    pub(super) fn from_bytes([format, digits]: [u8; 2]) -> Option<Self> {
        let (format, digits) = (format.wrapping_sub(0x20), digits.wrapping_sub(0x20));
        let known = format < 32 && format & 7 <= Date::MonthZero as u8 && digits <= 9;
        known.then_some(Self { format, digits })
    }

    /// How many digits a time written in this way shows in a row at most: those of the year or of
    /// the fraction.
    pub(super) const fn most_digits(self) -> usize {
        if self.digits > 4 { self.digits as usize } else { 4 }
    }

    /// Whether a time written in this way ever shows this byte.
    pub(super) fn may_show(self, byte: u8) -> bool {
        let named = matches!(self.format & 7, 2 | 3 | 5);
        match byte {
            b'0'..=b'9' | b':' => true,
            b' ' | b'-' | b'/' => self.format & 7 != Date::None as u8,
            b'.' | b',' => self.digits > 0,
            b'T' => self.format & T != 0,
            _ => named && MONTHS.iter().any(|month| month.contains(&byte)),
        }
    }

    /// Appends the time of a number. Any number gives some text.
    pub(super) fn write(self, number: u64, out: &mut Vec<u8>) {
        let (second, fraction) = self.parts(number);
        self.write_second(second, out);
        self.write_fraction(fraction, out);
    }

    /// Appends the time of a number, as [`Stamp::write`] does.
    #[inline]
    pub(super) fn write_after(self, number: u64, last: &mut Second, out: &mut Vec<u8>) {
        let (second, fraction) = self.parts(number);
        if last.of != Some((self.format, second)) {
            last.of = Some((self.format, second));
            last.text.clear();
            self.write_second(second, &mut last.text);
        }
        out.extend_from_slice(&last.text);
        self.write_fraction(fraction, out);
    }

    /// Seconds and units of the fraction.
    #[inline]
    const fn parts(self, number: u64) -> (i64, i64) {
        let (number, unit) = (number as i64, 10i64.pow(self.digits as u32));
        (number.div_euclid(unit), number.rem_euclid(unit))
    }

    fn write_second(self, whole: i64, out: &mut Vec<u8>) {
        let (year, month, day) = civil(whole.div_euclid(DAY));
        let kind = self.format & 7;
        let name = MONTHS.get(month as usize - 1).map_or(&b"???"[..], |m| &m[..]);
        let dash = if kind == Date::Slashes as u8 { b'/' } else { b'-' };
        match kind {
            0 | 1 => {
                put_two(out, year / 100);
                put_two(out, year % 100);
                out.push(dash);
                put_two(out, month);
                out.push(dash);
                put_two(out, day);
                out.push(if self.format & T != 0 { b'T' } else { b' ' });
            }
            2 | 5 => {
                out.extend_from_slice(name);
                out.push(b' ');
                put_two(out, day);
                if day < 10 && kind == Date::Month as u8 {
                    let tens = out.len() - 2;
                    out.get_mut(tens..)
                        .and_then(|t| t.first_mut())
                        .into_iter()
                        .for_each(|t| *t = b' ');
                }
                out.push(b' ');
            }
            3 => {
                put_two(out, day);
                out.push(b'/');
                out.extend_from_slice(name);
                out.push(b'/');
                put_two(out, year / 100);
                put_two(out, year % 100);
                out.push(b':');
            }
            _ => {}
        }
        let seconds = whole.rem_euclid(DAY);
        put_two(out, seconds / 3600);
        out.push(b':');
        put_two(out, seconds / 60 % 60);
        out.push(b':');
        put_two(out, seconds % 60);
    }

    #[inline]
    fn write_fraction(self, fraction: i64, out: &mut Vec<u8>) {
        if self.digits > 0 {
            out.push(if self.format & COMMA != 0 { b',' } else { b'.' });
            super::template::put_padded(out, fraction as u64, usize::from(self.digits));
        }
    }
}

/// Appends the last two digits, of any number.
fn put_two(out: &mut Vec<u8>, n: i64) {
    let digit = |n: i64| b'0' + n.rem_euclid(10) as u8;
    out.extend_from_slice(&[digit(n.div_euclid(10)), digit(n)]);
}
