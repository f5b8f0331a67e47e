//! Templates: the constant part of formatted text, and what stands in its holes.
//!
//! A template is the text itself, with a mark where a value stood. Marks are control characters
//! that text does not hold (lines that do are stored whole):
//!
//! | bytes | slot | values | as text |
//! |---|---|---|---|
//! | 0x0e | integer | number | decimal |
//! | 0x0f w | padded | number | decimal, zeros in front up to w − 0x20 digits |
//! | 0x10 | decimal | mantissa, scale | digits with a point before the last `scale`; scale 64: see [`BINARY`] |
//! | 0x11 w | hexadecimal | number | w − 0x20 digits; + 0x20 if capitals; 0 digits: as many as needed |
//! | 0x12 | IPv4 | number | four numbers and points |
//! | 0x13 f d | time | number | see [`super::stamp`] |
//! | 0x14 | string | string | its bytes |
//! | 0x15 | UUID | high half, low half | 8-4-4-4-12 hexadecimal digits |

use super::program::{END, Of, Op};
use super::stamp::Stamp;
use super::strings;
use crate::bytes::{Cursor, Error, Result};

pub(super) const INTEGER: u8 = 0x0e;
pub(super) const PADDED: u8 = 0x0f;
pub(super) const DECIMAL: u8 = 0x10;
pub(super) const HEX: u8 = 0x11;
pub(super) const IPV4: u8 = 0x12;
pub(super) const STAMP: u8 = 0x13;
pub(super) const STR: u8 = 0x14;
pub(super) const UUID: u8 = 0x15;

/// Stands for a word where templates are compared; never in a body.
pub(super) const WORD: u8 = 0x16;

/// What is added to a number that stands in a template, so that it is no control character.
pub(super) const BIAS: u8 = 0x20;
/// The largest scale of a decimal.
pub(super) const MAX_SCALE: u64 = 40;
/// The scale that says: the mantissa counts units of 2⁻²², the number is written as a double is.
///
/// Seconds since 1970 as a double have this unit, so that differences of two such times, which
/// logs show with all their digits, are small multiples of it.
pub(super) const BINARY: u64 = 64;
pub(super) const BINARY_UNITS: f64 = 4_194_304.0;

/// A hole of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Integer,
    Padded(u8),
    Decimal,
    Hex { digits: u8, capitals: bool },
    Ipv4,
    Stamp(Stamp),
    Str,
    Uuid,
}

impl Slot {
    /// The columns that hold its values.
    pub(super) const fn columns(self) -> &'static [Of] {
        match self {
            Self::Decimal | Self::Uuid => &[Of::Int, Of::Int],
            Self::Str => &[Of::Str],
            _ => &[Of::Int],
        }
    }

    fn parse(mark: u8, input: &mut Cursor<'_>) -> Result<Self> {
        let wrong = Error::new("a template has an unknown mark");
        Ok(match mark {
            INTEGER => Self::Integer,
            PADDED => Self::Padded(number(input, 32)?),
            DECIMAL => Self::Decimal,
            HEX => {
                let n = number(input, 64)?;
                Self::Hex { digits: n & 31, capitals: n >= 32 }
            }
            IPV4 => Self::Ipv4,
            STAMP => Self::Stamp(Stamp::from_bytes(input.array()?).ok_or(wrong)?),
            STR => Self::Str,
            UUID => Self::Uuid,
            _ => return Err(wrong),
        })
    }

    /// Appends the text of a value; `second` is the second value where there are two, `texts` what
    /// strings refer to.
    ///
    /// # Errors
    /// When a scale is too large.
    #[inline]
    pub(super) fn write(self, v: u64, second: u64, texts: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Integer => put_integer(out, v as i64),
            Self::Padded(width) => put_padded(out, v, usize::from(width)),
            Self::Decimal => return put_decimal(out, v as i64, second),
            Self::Hex { digits, capitals } => put_hex(out, v, usize::from(digits), capitals),
            Self::Ipv4 => put_ipv4(out, v as u32),
            Self::Stamp(stamp) => stamp.write(v, out),
            Self::Str => strings::append(out, texts, v),
            Self::Uuid => put_uuid(out, v, second),
        }
        Ok(())
    }
}

fn number(input: &mut Cursor<'_>, below: u8) -> Result<u8> {
    let n = input.u8()?.wrapping_sub(BIAS);
    if n >= below {
        return Err(Error::new("a mark in a template has a wrong number"));
    }
    Ok(n)
}

/// Reads a template up to its end mark; `program` is what `input` reads the rest of.
///
/// # Errors
/// When a mark is unknown or the end is missing.
pub(super) fn parse(program: &[u8], input: &mut Cursor<'_>, ops: &mut Vec<Op>) -> Result<()> {
    loop {
        let start = program.len() - input.rest().len();
        let len = input.rest().iter().position(|b| is_mark(*b));
        let len = len.ok_or(Error::new("a template does not end"))?;
        input.bytes(len)?;
        if len > 0 {
            ops.push(Op::Literal(strings::pack(start, len)));
        }
        match input.u8()? {
            END => return Ok(()),
            mark => ops.push(Op::Slot(Slot::parse(mark, input)?)),
        }
    }
}

/// Whether a byte is never part of a template's constant text.
#[inline]
pub(super) const fn is_mark(byte: u8) -> bool {
    byte == END || (byte >= INTEGER && byte <= WORD)
}

/// How many bytes of a template a mark takes, and how many values; 1 and 0 for what is no mark.
pub(super) const fn mark_len(byte: u8) -> (usize, u16) {
    match byte {
        INTEGER | IPV4 | STR => (1, 1),
        DECIMAL | UUID => (1, 2),
        PADDED | HEX => (2, 1),
        STAMP => (3, 1),
        _ => (1, 0),
    }
}

/// The most digits of a number.
const DIGITS: usize = 32;

/// Appends a decimal number with zeros in front up to `width` digits.
#[inline]
pub(super) fn put_padded(out: &mut Vec<u8>, mut n: u64, width: usize) {
    // As much behind the digits again, so that what is copied has the same length however many there are.
    let mut room = [b'0'; 2 * DIGITS];
    let mut from = DIGITS;
    let mut put = |n: u64| {
        from -= 1;
        room.get_mut(from).into_iter().for_each(|place| *place = b'0' + n as u8);
    };
    while n >= 10 {
        let pair = n % 100;
        n /= 100;
        put(pair % 10);
        put(pair / 10);
    }
    if n > 0 {
        put(n);
    }
    let used = (DIGITS - from).max(width.clamp(1, DIGITS));
    let end = out.len() + used;
    if let Some(digits) = room.get(DIGITS - used..).and_then(<[u8]>::first_chunk::<DIGITS>) {
        out.extend_from_slice(digits);
    }
    out.truncate(end);
}

fn put_integer(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    put_padded(out, n.unsigned_abs(), 1);
}

/// The mantissa of a number that [`BINARY`] gives back.
pub(in crate::block) fn binary_mantissa(text: &[u8], room: &mut Vec<u8>) -> Option<i64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = number * BINARY_UNITS;
    if mantissa.abs() > 9e15 || mantissa.fract() != 0.0 {
        return None;
    }
    room.clear();
    put_binary(room, mantissa as i64);
    (room == text).then_some(mantissa as i64)
}

fn put_binary(out: &mut Vec<u8>, mantissa: i64) {
    use std::io::Write;
    // Writing to a vector does not fail.
    let _ = write!(out, "{}", mantissa as f64 / BINARY_UNITS);
}

fn put_decimal(out: &mut Vec<u8>, mantissa: i64, scale: u64) -> Result<()> {
    if scale == BINARY {
        put_binary(out, mantissa);
        return Ok(());
    }
    if scale > MAX_SCALE {
        return Err(Error::new("a decimal has too many digits"));
    }
    if mantissa < 0 {
        out.push(b'-');
    }
    let (n, scale) = (mantissa.unsigned_abs(), scale as usize);
    let power = 10u64.checked_pow(scale as u32);
    put_padded(out, power.map_or(0, |p| n / p), 1);
    out.push(b'.');
    match power {
        Some(p) if scale <= 19 => put_padded(out, n % p, scale),
        _ => {
            out.resize(out.len() + scale - 20, b'0');
            put_padded(out, n, 20);
        }
    }
    Ok(())
}

fn put_hex(out: &mut Vec<u8>, mut n: u64, width: usize, capitals: bool) {
    let letters: &[u8; 16] = if capitals { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut digits = [b'0'; 32];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if n == 0 && used >= width.max(1) {
            break;
        }
        *digit = letters.get((n & 15) as usize).copied().unwrap_or_default();
        n >>= 4;
        used += 1;
    }
    out.extend_from_slice(digits.get(32 - used..).unwrap_or_default());
}

fn put_ipv4(out: &mut Vec<u8>, ip: u32) {
    for (n, byte) in ip.to_be_bytes().into_iter().enumerate() {
        if n > 0 {
            out.push(b'.');
        }
        put_padded(out, u64::from(byte), 1);
    }
}

fn put_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    put_hex(out, high >> 32, 8, false);
    out.push(b'-');
    put_hex(out, high >> 16 & 0xffff, 4, false);
    out.push(b'-');
    put_hex(out, high & 0xffff, 4, false);
    out.push(b'-');
    put_hex(out, low >> 48, 4, false);
    out.push(b'-');
    put_hex(out, low & 0xffff_ffff_ffff, 12, false);
}
