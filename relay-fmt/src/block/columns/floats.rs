//! Columns of floating-point numbers, as the integers that have their bits.
//!
//! | byte | what follows |
//! |---|---|
//! | 0 bits | the bits (a column of integers) |
//! | 1 exclusive or | each number's bits, exclusive or those of the one before (a column) |
//! | 2 + k scaled | integers (a column) which divided by ten to the k give the numbers |
//!
//! Scaled is taken only where the division gives back every bit, also of zeros and of NaNs.

use super::estimate::{Sample, sample_bits};
use super::ints;
use crate::bytes::{Cursor, Error, Result};

const BITS: u8 = 0;
const XOR: u8 = 1;
const SCALED: u8 = 2;
/// Powers of ten that a double holds exactly, as far as they are tried.
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Integers up to this are exact doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How wide a float is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// `f32`.
    Single,
    /// `f64`.
    Double,
}

fn widen(bits: u64, width: Width) -> f64 {
    match width {
        Width::Single => f64::from(f32::from_bits(bits as u32)),
        Width::Double => f64::from_bits(bits),
    }
}

fn scaled_back(mantissa: i64, power: f64, width: Width) -> u64 {
    let value = mantissa as f64 / power;
    match width {
        Width::Single => u64::from((value as f32).to_bits()),
        Width::Double => value.to_bits(),
    }
}

fn mantissa(bits: u64, power: f64, width: Width) -> Option<i64> {
    let scaled = widen(bits, width) * power;
    if scaled.is_nan() || scaled.abs() > EXACT {
        return None;
    }
    // `round` is a call into the C library where the processor is not known to have it. Whether this
    // was the right integer shows when it is scaled back.
    let mantissa = (scaled + 0.5f64.copysign(scaled)) as i64;
    (scaled_back(mantissa, power, width) == bits).then_some(mantissa)
}

/// The least power of ten that makes integers of all values, which it appends to `out`.
fn scale(values: &[u64], width: Width, out: &mut Vec<u64>) -> Option<u8> {
    let (mut k, mut power) = (0u8, 1.0);
    for bits in values.iter().take(64) {
        while mantissa(*bits, power, width).is_none() {
            k += 1;
            power = *POWERS.get(usize::from(k))?;
        }
    }
    out.clear();
    for bits in values {
        out.push(mantissa(*bits, power, width)? as u64);
    }
    Some(k)
}

fn xor(values: &[u64], out: &mut Vec<u64>) {
    let mut before = 0;
    out.clear();
    out.extend(values.iter().map(|v| v ^ std::mem::replace(&mut before, *v)));
}

/// Appends a column.
pub(super) fn put(
    out: &mut Vec<u8>,
    values: &[u64],
    width: Width,
    scratch: &mut ints::Scratch,
    room: &mut Vec<u64>,
) {
    if values.is_empty() {
        return;
    }
    if let Some(k) = scale(values, width, room) {
        out.push(SCALED + k);
        return ints::put(out, room, scratch);
    }
    let mut sample = Sample::default();
    let first = values.get(..Sample::WINDOW).unwrap_or(values);
    xor(first, room);
    if sample_bits(room, &mut sample) < sample_bits(first, &mut sample) * 0.95 {
        xor(values, room);
        out.push(XOR);
        ints::put(out, room, scratch);
    } else {
        out.push(BITS);
        ints::put(out, values, scratch);
    }
}

/// Passes over a column of `n` values.
///
/// # Errors
/// As [`ints::skip`].
pub(super) fn skip(input: &mut Cursor<'_>, n: usize) -> Result<()> {
    if n > 0 {
        input.u8()?;
    }
    ints::skip(input, n)
}

/// Reads a column of `n` values.
///
/// # Errors
/// When it is cut short or is not what [`put`] writes.
pub(super) fn get(input: &mut Cursor<'_>, n: usize, width: Width) -> Result<Vec<u64>> {
    if n == 0 {
        return Ok(Vec::new());
    }
    let how = input.u8()?;
    let mut values = ints::get(input, n)?;
    match how {
        BITS => {}
        XOR => {
            let mut before = 0;
            for v in &mut values {
                before ^= *v;
                *v = before;
            }
        }
        _ => {
            let power = POWERS.get(usize::from(how - SCALED)).copied();
            let power = power.ok_or(Error::new("floats are scaled by an unknown power"))?;
            for v in &mut values {
                *v = scaled_back(*v as i64, power, width);
            }
        }
    }
    Ok(values)
}
