//! Splits formatted text into a template and values.
//!
//! One pass over the bytes, every one of which is looked at a bounded number of times. Words without
//! digits are constant text; numbers, times, addresses, paths, quoted strings and words with digits
//! are values. In a line that is a JSON object the keys are constant and every value is a value.
//! What is split always comes back byte for byte: a number becomes a value only when writing the
//! value gives its bytes.

use super::program::MAX_SLOTS;
use super::stamp::Stamp;
use super::strings::pack;
use super::template::{
    BIAS, BINARY, DECIMAL, HEX, INTEGER, IPV4, MAX_SCALE, PADDED, STAMP, STR, UUID,
    binary_mantissa, is_mark,
};

/// Decimals with so many digits may be doubles.
const LONG: usize = 14;
/// Longer text is stored whole.
pub(super) const MAX_LINE: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Letter,
    Digit,
    Quote,
    Slash,
    Dash,
    Mark,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut rest: &mut [Class] = &mut classes;
    let mut byte = 0u8;
    while let Some((class, tail)) = rest.split_first_mut() {
        *class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xff => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'"' => Class::Quote,
            b'/' => Class::Slash,
            b'-' => Class::Dash,
            _ if is_mark(byte) => Class::Mark,
            _ => Class::Plain,
        };
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    classes
};

#[inline]
fn class(byte: u8) -> Class {
    CLASSES
        .get(usize::from(byte))
        .copied()
        .unwrap_or(Class::Mark)
}

/// The bytes that a path does not go on after.
const PATH_ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut rest: &mut [bool] = &mut ends;
    let mut byte = 0u8;
    while let Some((end, tail)) = rest.split_first_mut() {
        *end = matches!(
            byte,
            b' ' | b'"'
                | b'\''
                | b')'
                | b']'
                | b'}'
                | b','
                | b';'
                | b'`'
                | b'<'
                | b'>'
                | b'|'
                | b':'
        ) || byte < b' ';
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    ends
};

#[inline]
fn ends_path(byte: u8) -> bool {
    PATH_ENDS.get(usize::from(byte)).copied().unwrap_or(true)
}

#[inline]
const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

#[inline]
fn is_word(byte: u8) -> bool {
    matches!(class(byte), Class::Letter | Class::Digit)
}

/// Constant text in a key, and where it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Where it stands in the key.
    pub(super) key: u32,
    /// Where it stands in what strings refer to.
    pub(super) text: usize,
}

/// Whether a byte is part of words.
#[inline]
pub(super) fn is_letter(byte: u8) -> bool {
    class(byte) == Class::Letter
}

/// What rows were split into.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The program of the row at hand.
    pub(super) key: Vec<u8>,
    /// The constant text in it.
    pub(super) segments: Vec<Segment>,
    /// Where the last text's template begins in the key.
    pub(super) template: usize,
    /// How many values there were before its values.
    pub(super) before: usize,
    room: Vec<u8>,
    /// The values of all rows so far.
    pub(super) values: Vec<u64>,
}

/// Splits a line that starts at `base` of what string values refer to. Appends the template to
/// the key, and the values. False when the line is better stored whole; what was appended
/// until then is of no use.
pub(super) fn split(line: &[u8], base: usize, out: &mut Split) -> bool {
    if line.len() > MAX_LINE {
        return false;
    }
    (out.template, out.before) = (out.key.len(), out.values.len());
    let most = out.values.len() + MAX_SLOTS - 16;
    let trimmed = line.trim_ascii();
    let mut splitter = Splitter {
        line,
        base,
        out,
        constant: 0,
        json: trimmed.first() == Some(&b'{') && trimmed.last() == Some(&b'}'),
        quotes: true,
    };
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at = match class(*byte) {
            Class::Plain => at + 1,
            Class::Letter => splitter.word(at),
            Class::Digit => splitter.number(at, false),
            Class::Quote => match splitter.quote(at) {
                Some(next) => next,
                None => return false,
            },
            Class::Slash => splitter.path(at),
            Class::Dash => splitter.dash(at),
            Class::Mark => return false,
        };
        if splitter.out.values.len() > most {
            return false;
        }
    }
    splitter.flush(line.len());
    true
}

struct Splitter<'a> {
    line: &'a [u8],
    base: usize,
    out: &'a mut Split,
    /// Where the constant text begins that is not yet in the key.
    constant: usize,
    json: bool,
    /// Whether another closing quote may follow.
    quotes: bool,
}

impl Splitter<'_> {
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.line.get(at).copied().unwrap_or(b' ')
    }

    #[inline]
    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b' ', |at| self.byte(at))
    }

    #[inline]
    fn text(&self, from: usize, to: usize) -> &[u8] {
        self.line.get(from..to).unwrap_or_default()
    }

    #[inline]
    fn flush(&mut self, to: usize) {
        let constant = self.line.get(self.constant..to).unwrap_or_default();
        if !constant.is_empty() {
            self.out.segments.push(Segment {
                key: self.out.key.len() as u32,
                text: self.base + self.constant,
            });
            self.out.key.extend_from_slice(constant);
        }
    }

    /// Ends the constant text at `from` with a value that reaches to `to`.
    #[inline]
    fn slot(&mut self, from: usize, to: usize, mark: &[u8], value: u64) -> usize {
        self.flush(from);
        self.out.key.extend_from_slice(mark);
        self.out.values.push(value);
        self.constant = to;
        to
    }

    #[inline]
    fn string(&mut self, from: usize, to: usize) -> usize {
        self.slot(from, to, &[STR], pack(self.base + from, to - from))
    }

    /// The end of a word: letters and digits, and points between them; whether it has a digit.
    #[inline]
    fn word_end(&self, from: usize) -> (usize, bool) {
        let rest = self.line.get(from..).unwrap_or_default();
        let letters = rest.iter().position(|b| class(*b) != Class::Letter);
        let Some(letters) = letters else {
            return (self.line.len(), false);
        };
        match rest.get(letters) {
            Some(b'.' | b'0'..=b'9') => self.mixed_end(from + letters),
            _ => (from + letters, false),
        }
    }

    fn mixed_end(&self, from: usize) -> (usize, bool) {
        let (mut at, mut digits) = (from, false);
        loop {
            match class(self.byte(at)) {
                Class::Letter => {}
                Class::Digit => digits = true,
                _ if self.byte(at) == b'.' && is_word(self.byte(at + 1)) => {}
                _ => return (at.min(self.line.len()), digits),
            }
            at += 1;
        }
    }

    fn word(&mut self, at: usize) -> usize {
        let (end, digits) = self.word_end(at);
        if digits {
            return self.mixed(at, end);
        }
        if end - at == 3 && self.byte(end) == b' ' {
            let rest = self.line.get(at..).unwrap_or_default();
            if let Some((stamp, number, len)) = Stamp::read_month(rest) {
                let [a, b] = stamp.to_bytes();
                return self.slot(at, at + len, &[STAMP, a, b], number);
            }
        }
        if self.json && matches!(self.text(at, end), b"true" | b"false" | b"null") {
            return self.string(at, end);
        }
        end
    }

    /// A word with letters and digits: hexadecimal, UUID or any string.
    fn mixed(&mut self, at: usize, end: usize) -> usize {
        if let Some(end) = self.uuid(at, end) {
            return end;
        }
        let len = end - at;
        if (6..=16).contains(&len) && self.text(at, end).iter().all(|b| is_hex(*b)) {
            let number = hex(self.text(at, end));
            return self.slot(at, end, &[HEX, BIAS + len as u8], number);
        }
        self.string(at, end)
    }

    /// A UUID whose first group ends at `end`.
    fn uuid(&mut self, at: usize, end: usize) -> Option<usize> {
        if end - at != 8 || self.byte(end) != b'-' || is_word(self.byte(at + 36)) {
            return None;
        }
        let (high, low) = uuid(self.text(at, at + 36))?;
        let end = self.slot(at, at + 36, &[UUID], high);
        self.out.values.push(low);
        Some(end)
    }

    fn dash(&mut self, at: usize) -> usize {
        let sign = matches!(
            self.before(at),
            b' ' | b'=' | b':' | b'(' | b'[' | b',' | b'"' | b'\t'
        );
        if sign && self.byte(at + 1).is_ascii_digit() {
            return self.number(at + 1, true);
        }
        at + 1
    }

    /// Something that begins with a digit at `at`; a minus stands before it when it is negative.
    fn number(&mut self, at: usize, negative: bool) -> usize {
        if matches!(self.byte(at + 2), b':' | b'/') || matches!(self.byte(at + 4), b'-' | b'/') {
            let rest = self.line.get(at..).unwrap_or_default();
            if let Some((stamp, number, len)) = Stamp::read_digits(rest).filter(|_| !negative) {
                let [a, b] = stamp.to_bytes();
                return self.slot(at, at + len, &[STAMP, a, b], number);
            }
        }
        let (end, n) = self.digits(at);
        let next = self.byte(end);
        if next == b'.' && self.byte(end + 1).is_ascii_digit() {
            return self.pointed(at, end, negative);
        }
        if class(next) == Class::Letter && !self.unit(end) {
            if next == b'x' && end == at + 1 && self.byte(at) == b'0' && is_hex(self.byte(end + 1))
            {
                return self.hexadecimal(end + 1);
            }
            let (end, _) = self.word_end(at);
            return self.mixed(at, end);
        }
        if !negative && let Some(end) = self.uuid(at, end) {
            return end;
        }
        let len = end - at;
        let zero = self.byte(at) == b'0';
        match n {
            Some(n) if !zero || (len == 1 && !negative) => {
                let (from, n) = if negative {
                    (at - 1, n.wrapping_neg())
                } else {
                    (at, n)
                };
                self.slot(from, end, &[INTEGER], n)
            }
            Some(n) => self.slot(at, end, &[PADDED, BIAS + len as u8], n),
            None => self.string(at, end),
        }
    }

    /// The end of the digits from `at`, and their number when it has at most 18.
    #[inline]
    fn digits(&self, at: usize) -> (usize, Option<u64>) {
        let (mut end, mut n) = (at, 0u64);
        loop {
            let digit = self.byte(end).wrapping_sub(b'0');
            if digit > 9 {
                return (end, (end - at <= 18).then_some(n));
            }
            n = n.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
    }

    /// Whether the letters from `at` are a unit, which is constant text after a number.
    fn unit(&self, at: usize) -> bool {
        let mut end = at;
        while end < at + 4 && class(self.byte(end)) == Class::Letter {
            end += 1;
        }
        if self.byte(end).is_ascii_digit() {
            return false;
        }
        matches!(
            self.text(at, end),
            b"s" | b"ms"
                | b"us"
                | b"ns"
                | b"\xc2\xb5s"
                | b"m"
                | b"h"
                | b"d"
                | b"B"
                | b"b"
                | b"k"
                | b"K"
                | b"M"
                | b"G"
                | b"kB"
                | b"KB"
                | b"MB"
                | b"GB"
                | b"KiB"
                | b"MiB"
                | b"GiB"
                | b"x"
                | b"px"
                | b"th"
                | b"Z"
                | b"T"
        )
    }

    fn hexadecimal(&mut self, at: usize) -> usize {
        let (end, _) = self.word_end(at);
        let (len, digits) = (end - at, self.text(at, end));
        if len > 16 || !digits.iter().all(|b| is_hex(*b)) {
            return self.string(at, end);
        }
        let number = hex(digits);
        let width = if len > 1 && self.byte(at) == b'0' {
            len as u8
        } else {
            0
        };
        self.slot(at, end, &[HEX, BIAS + width], number)
    }

    /// Digits up to `point`, a point, and digits: a decimal, an address, or a version.
    fn pointed(&mut self, at: usize, point: usize, negative: bool) -> usize {
        let (end, fraction) = self.digits(point + 1);
        let next = self.byte(end);
        let more = (next == b'.' && is_word(self.byte(end + 1)))
            || (class(next) == Class::Letter && !self.unit(end));
        if more {
            if let Some((ip, len)) = ipv4(self.line.get(at..).unwrap_or_default()) {
                return self.slot(at, at + len, &[IPV4], u64::from(ip));
            }
            let (end, _) = self.word_end(at);
            return self.string(at, end);
        }
        let scale = (end - point - 1) as u64;
        let odd = self.byte(at) == b'0' && point > at + 1;
        let from = if negative { at - 1 } else { at };
        if end - at >= LONG {
            let text = self.line.get(from..end).unwrap_or_default();
            if let Some(n) = binary_mantissa(text, &mut self.out.room) {
                self.slot(from, end, &[DECIMAL], n as u64);
                self.out.values.push(BINARY);
                return end;
            }
        }
        let mantissa = self.mantissa(at, point, end);
        match (mantissa, fraction) {
            (Some(n), _) if !odd && scale <= MAX_SCALE && !(negative && n == 0) => {
                let (from, n) = if negative {
                    (at - 1, n.wrapping_neg())
                } else {
                    (at, n)
                };
                self.slot(from, end, &[DECIMAL], n);
                self.out.values.push(scale);
                end
            }
            _ => self.string(at, end),
        }
    }

    /// The number of all digits of a decimal without its point, when it fits.
    fn mantissa(&self, at: usize, point: usize, end: usize) -> Option<u64> {
        let digits = self.text(at, point).iter().chain(self.text(point + 1, end));
        let mut n = 0u64;
        for digit in digits {
            n = n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        (n <= i64::MAX as u64).then_some(n)
    }

    /// A slash: the start of a path or of what follows a URL's scheme, unless within a word.
    fn path(&mut self, at: usize) -> usize {
        if is_word(self.before(at)) {
            return at + 1;
        }
        let rest = self.line.get(at..).unwrap_or_default();
        let len = rest.iter().position(|b| ends_path(*b));
        let mut end = at + len.unwrap_or(rest.len());
        while end > at + 1 && self.byte(end - 1) == b'.' {
            end -= 1;
        }
        if end == at + 1 {
            end
        } else {
            self.string(at, end)
        }
    }

    /// A quote: a key is constant, what else stands in quotes is one value. `None` for odd bytes.
    fn quote(&mut self, at: usize) -> Option<usize> {
        let start = at + 1;
        // Once no quote closes any more, looking again would cost the whole line each time.
        let end = if self.quotes {
            self.closing(start)
        } else {
            None
        };
        let Some(end) = end else {
            self.quotes = false;
            return Some(start);
        };
        let content = self.text(start, end);
        if self.byte(end + 1) == b':' {
            if content.iter().any(|b| is_mark(*b)) {
                return None;
            }
            return Some(end + 1);
        }
        if content.is_empty() {
            return Some(end + 1);
        }
        if content.first().is_some_and(u8::is_ascii_digit) {
            if let Some((ip, len)) = ipv4(content).filter(|(_, len)| *len == content.len()) {
                self.slot(start, start + len, &[IPV4], u64::from(ip));
                return Some(end + 1);
            }
            if let Some((stamp, number, len)) = Stamp::read_digits(content) {
                let tail = content.get(len..).unwrap_or_default();
                if tail.len() <= 6 && !tail.iter().any(|b| is_mark(*b)) {
                    let [a, b] = stamp.to_bytes();
                    self.slot(start, start + len, &[STAMP, a, b], number);
                    return Some(end + 1);
                }
            }
        }
        self.string(start, end);
        Some(end + 1)
    }

    /// Where the quoted string that begins at `at` ends.
    fn closing(&self, mut at: usize) -> Option<usize> {
        loop {
            let rest = self.line.get(at..)?;
            let found = at + memchr::memchr2(b'"', b'\\', rest)?;
            if self.byte(found) == b'"' {
                return Some(found);
            }
            at = found + 2;
        }
    }
}

fn hex(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, b| {
        let digit = if b.is_ascii_digit() {
            b - b'0'
        } else {
            b - b'a' + 10
        };
        n << 4 | u64::from(digit)
    })
}

/// The halves of a UUID in small letters.
fn uuid(text: &[u8]) -> Option<(u64, u64)> {
    let dashes = [8, 13, 18, 23];
    let mut n = 0u128;
    if text.len() != 36 {
        return None;
    }
    for (at, byte) in text.iter().enumerate() {
        if dashes.contains(&at) {
            if *byte != b'-' {
                return None;
            }
        } else if is_hex(*byte) {
            n = n << 4 | u128::from(hex(&[*byte]));
        } else {
            return None;
        }
    }
    Some(((n >> 64) as u64, n as u64))
}

/// An address that nothing like a word follows, and its length.
fn ipv4(text: &[u8]) -> Option<(u32, usize)> {
    let (mut ip, mut at) = (0u32, 0);
    for part in 0..4 {
        if part > 0 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let start = at;
        let mut n = 0u32;
        while let Some(digit) = text
            .get(at)
            .filter(|b| b.is_ascii_digit() && at < start + 3)
        {
            n = n * 10 + u32::from(digit - b'0');
            at += 1;
        }
        let padded = at > start + 1 && text.get(start) == Some(&b'0');
        if at == start || n > 255 || padded {
            return None;
        }
        ip = ip << 8 | n;
    }
    let next = text.get(at).copied().unwrap_or(b' ');
    let dotted = next == b'.' && text.get(at + 1).is_some_and(|b| is_word(*b));
    (!is_word(next) && !dotted).then_some((ip, at))
}
