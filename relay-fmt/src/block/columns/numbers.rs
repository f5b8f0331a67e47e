//! Numbers in text: integers, decimals, hexadecimal, addresses, UUIDs, and words with digits.
//!
//! A number becomes a value only when writing the value gives its bytes; otherwise it is a string.

use super::split::{Class, How, Splitter, class, is_word};
use super::stamp::Stamp;
use super::template::{
    BIAS, BINARY, DECIMAL, HEX, INTEGER, IPV4, MAX_SCALE, PADDED, STAMP, UUID, binary_mantissa,
};
use crate::block::filter::LONG;

/// Ten to the power of 0 to 18.
const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut rest: &mut [u64] = &mut powers;
    let mut power = 1;
    while let Some((first, tail)) = rest.split_first_mut() {
        *first = power;
        // The last product is not used.
        power = power.wrapping_mul(10);
        rest = tail;
    }
    powers
};

/// How many of eight bytes, from the first on, are digits, and the number that they are.
#[inline]
fn leading_digits(bytes: [u8; 8]) -> (usize, u64) {
    // What is no digit has a bit in the upper half of its byte, or carries one there with 6 more. A carry out
    // of a byte comes only from one that is none, and changes only those behind it.
    let values = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x0606_0606_0606_0606) | values) & 0xf0f0_f0f0_f0f0_f0f0;
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    // Zeros in front, then pairs, fours and all eight.
    let all = values << (64 - 8 * count);
    let all = (all * 10 + (all >> 8)) & 0x00ff_00ff_00ff_00ff;
    let all = (all * 100 + (all >> 16)) & 0x0000_ffff_0000_ffff;
    (count, (all * 10_000 + (all >> 32)) & 0xffff_ffff)
}

#[inline]
const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

/// The digits at the start of a text, at most sixteen of which are looked at; `None` where they do not end
/// there.
#[inline]
fn few_digits(text: &[u8]) -> Option<(usize, u64)> {
    let (count, number) = leading_digits(*text.first_chunk()?);
    if count < 8 {
        return Some((count, number));
    }
    let (more, rest) = leading_digits(*text.get(8..)?.first_chunk()?);
    let power = POWERS.get(more).copied().unwrap_or_default();
    (more < 8).then_some((count + more, number * power + rest))
}

/// A number that begins a text, as it is written without a sign and without zeros in front: its length, its
/// digits without the point, and how many of them stand behind that. `None` for few others, too.
#[inline]
pub(super) fn plain_number(text: &[u8]) -> Option<(usize, u64, usize)> {
    let (count, whole) = few_digits(text)?;
    if count == 0 || (count > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    let Some((b'.', rest)) = text.get(count..)?.split_first() else {
        return Some((count, whole, 0));
    };
    let (scale, fraction) = few_digits(rest)?;
    if scale == 0 {
        return Some((count, whole, 0));
    }
    let len = count + 1 + scale;
    // Longer ones may be multiples of a unit, and are looked at more closely.
    let power = POWERS.get(scale).filter(|_| len < LONG)?;
    Some((len, whole * power + fraction, scale))
}

impl Splitter<'_> {
    /// A word with letters and digits: hexadecimal, UUID or any string.
    pub(super) fn mixed(&mut self, at: usize, end: usize) -> usize {
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

    /// Something that begins with a digit at `at`; a minus stands before it when it is negative.
    pub(super) fn number(&mut self, at: usize, negative: bool) -> usize {
        let rest = self.line.get(at..).unwrap_or_default();
        if let Some((len, number, scale)) = plain_number(rest).filter(|_| !negative) {
            let tail = rest.get(len..).unwrap_or_default();
            // Most are followed by such; none of what comes below makes anything else of them.
            let tail = if scale > 0 { tail.strip_prefix(b"s").unwrap_or(tail) } else { tail };
            if tail.first().is_none_or(|byte| b" ,;)]}\"".contains(byte)) {
                let mark = if scale > 0 { DECIMAL } else { INTEGER };
                self.slot(at, at + len, &[mark], number);
                if scale > 0 {
                    self.out.values.push(scale as u64);
                }
                return at + len;
            }
        }
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
            return self.pointed(at, (end, n), negative);
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
                let (from, n) = if negative { (at - 1, n.wrapping_neg()) } else { (at, n) };
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
        while let Some(eight) = self.line.get(end..).and_then(<[u8]>::first_chunk) {
            let (count, number) = leading_digits(*eight);
            let power = POWERS.get(count).copied().unwrap_or_default();
            n = n.wrapping_mul(power).wrapping_add(number);
            end += count;
            if count < 8 {
                return (end, (end - at <= 18).then_some(n));
            }
        }
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

    pub(super) fn hexadecimal(&mut self, at: usize) -> usize {
        let (end, _) = self.word_end(at);
        let (len, digits) = (end - at, self.text(at, end));
        if len > 16 || !digits.iter().all(|b| is_hex(*b)) {
            return self.string_by(How::Hex, at, end);
        }
        let number = hex(digits);
        let width = if len > 1 && self.byte(at) == b'0' { len as u8 } else { 0 };
        self.slot_by(How::Hex, at, end, &[HEX, BIAS + width], number)
    }

    /// Digits up to `point`, which are the number `whole`, a point, and digits: a decimal, an address, or a
    /// version.
    fn pointed(
        &mut self,
        at: usize,
        (point, whole): (usize, Option<u64>),
        negative: bool,
    ) -> usize {
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
        let mantissa = match (whole, fraction) {
            // At most 18 digits.
            (Some(whole), Some(fraction)) if end - at <= 19 => {
                POWERS.get(scale as usize).map(|power| whole * power + fraction)
            }
            _ => self.mantissa(at, point, end),
        };
        match mantissa {
            Some(n) if !odd && scale <= MAX_SCALE && !(negative && n == 0) => {
                let (from, n) = if negative { (at - 1, n.wrapping_neg()) } else { (at, n) };
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
}

fn hex(digits: &[u8]) -> u64 {
    hex_tail(digits).unwrap_or_default()
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
pub(super) fn ipv4(text: &[u8]) -> Option<(u32, usize)> {
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
        while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit() && at < start + 3) {
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

/// The number of some digits, hexadecimal and in small letters.
#[inline]
pub(super) fn hex_tail(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, byte| {
        let digit = HEX_DIGITS.get(usize::from(*byte)).copied().filter(|digit| *digit < 16)?;
        Some(n << 4 | u64::from(digit))
    })
}

/// What bytes are as hexadecimal digits, in small letters; 16 for those that are none.
const HEX_DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut rest: &mut [u8] = &mut digits;
    let mut byte = 0u8;
    while let Some((digit, tail)) = rest.split_first_mut() {
        *digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 16,
        };
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn leading_digits_are_those_that_are_parsed(digits in "[0-9]{0,8}", behind: [u8; 8]) {
            let mut bytes = [0; 8];
            let all = digits.bytes().chain(behind);
            bytes.iter_mut().zip(all).for_each(|(byte, new)| *byte = new);
            let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let shown = std::str::from_utf8(&bytes[..count]).unwrap();
            prop_assert_eq!(leading_digits(bytes), (count, shown.parse().unwrap_or(0)));
        }
    }
}
