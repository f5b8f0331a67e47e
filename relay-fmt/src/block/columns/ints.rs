//! Columns of integers.
//!
//! A column says in its first byte how it lies:
//!
//! | byte | what follows |
//! |---|---|
//! | 0 constant | the value |
//! | 1 plain | the least value; what each value is above it |
//! | 2 delta | the first value; the steps, zigzag |
//! | 3 delta of delta | the first value; the steps' steps, zigzag |
//! | 4 dictionary | count, the distinct values (a column), for each value its index (a column) |
//! | 5 runs | count, the runs' values (a column), the runs' lengths less one (a column) |
//! | 7 recent | places in the list of [recent](super::recent) values (a column); others (a column) |
//! | 6 period | length, the first values (a column); the others repeat them |
//!
//! The numbers of 1–3 lie as their *layout* byte says: 0 is varints, 1–8 are byte planes (first the
//! low byte of all numbers, then the next, …), because the bytes of one place resemble each other
//! more than those of one number do. The choice is made from a sample; a wrong one costs size only.

use super::choose::{TRIAL, choose, way};
use super::estimate::{Compressor, Sample};
use super::hash::{Found, Table, mix};
use super::recent;
use crate::bytes::{Cursor, Error, Result, put_varint, unzigzag, zigzag};

/// The most values of all columns of a block together.
pub(super) const MAX_VALUES: usize = 1 << 24;
/// The longest period that is looked for.
const MAX_PERIOD: usize = 1024;

const CONSTANT: u8 = 0;
pub(super) const PLAIN: u8 = 1;
pub(super) const DELTA: u8 = 2;
pub(super) const DELTA2: u8 = 3;
pub(super) const DICTIONARY: u8 = 4;
const RUNS: u8 = 5;
const PERIOD: u8 = 6;
pub(super) const RECENT: u8 = 7;

/// Memory that encoding a column uses again for the next one.
#[derive(Debug)]
pub(super) struct Scratch {
    /// How many values are tried.
    pub(super) trial_len: usize,
    pub(super) numbers: Vec<u64>,
    pub(super) sample: Sample,
    table: Table,
    pub(super) trial: Vec<u8>,
    pub(super) compressor: Compressor,
}

fn signed_min(values: &[u64]) -> u64 {
    values.iter().map(|v| *v as i64).min().unwrap_or_default() as u64
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            trial_len: TRIAL,
            numbers: Vec::new(),
            sample: Sample::default(),
            table: Table::default(),
            trial: Vec::new(),
            compressor: Compressor::default(),
        }
    }
}

/// Appends how far values are above the least, which it gives.
pub(super) fn plain(values: &[u64], out: &mut Vec<u64>) -> u64 {
    let min = signed_min(values);
    out.extend(values.iter().map(|v| v.wrapping_sub(min)));
    min
}

/// Appends the steps from value to value.
pub(super) fn delta(values: &[u64], out: &mut Vec<u64>) {
    let steps = values.iter().zip(values.iter().skip(1));
    out.extend(steps.map(|(a, b)| zigzag(b.wrapping_sub(*a) as i64)));
}

/// Appends the steps' steps.
pub(super) fn delta2(values: &[u64], out: &mut Vec<u64>) {
    let mut before = 0u64;
    let steps = values.iter().zip(values.iter().skip(1));
    out.extend(steps.map(|(a, b)| {
        let step = b.wrapping_sub(*a);
        let bend = step.wrapping_sub(before);
        before = step;
        zigzag(bend as i64)
    }));
}

/// The shortest period of the values, when it is short and they keep it.
fn period(values: &[u64]) -> Option<usize> {
    let first = values.first()?;
    let most = MAX_PERIOD.min(values.len() / 2);
    let mut tries = 0;
    for (n, v) in values.iter().enumerate().take(most + 1).skip(1) {
        if v == first {
            tries += 1;
            if values.get(n..) == values.get(..values.len() - n) {
                return Some(n);
            }
            if tries == 4 {
                return None;
            }
        }
    }
    None
}

/// Appends a column.
pub(super) fn put(out: &mut Vec<u8>, values: &[u64], scratch: &mut Scratch) {
    put_at(out, values, scratch, true);
}

fn put_at(out: &mut Vec<u8>, values: &[u64], scratch: &mut Scratch, nest: bool) {
    let Some(first) = values.first() else { return };
    let changes = values.iter().zip(values.iter().skip(1)).filter(|(a, b)| a != b).count();
    if changes == 0 {
        out.push(CONSTANT);
        put_varint(out, zigzag(*first as i64));
        return;
    }
    if nest && values.len() >= 8 {
        if let Some(n) = period(values) {
            out.push(PERIOD);
            put_varint(out, n as u64);
            put_at(out, values.get(..n).unwrap_or_default(), scratch, false);
            return;
        }
        if changes < values.len() / 12 {
            return put_runs(out, values, scratch);
        }
    }
    let costs = choose(values, scratch);
    if nest && values.len() >= 32 {
        match way(values, &costs, scratch) {
            RECENT => return put_recent(out, values, scratch),
            DICTIONARY if put_dictionary(out, values, costs.bits, scratch) => return,
            _ => {}
        }
    }
    put_transformed(out, values, costs.transform, scratch);
}

/// Appends a column as 1, 2 or 3.
pub(super) fn put_transformed(
    out: &mut Vec<u8>,
    values: &[u64],
    transform: u8,
    scratch: &mut Scratch,
) {
    out.push(transform);
    scratch.numbers.clear();
    let first = values.first().copied().unwrap_or_default();
    match transform {
        DELTA => delta(values, &mut scratch.numbers),
        DELTA2 => delta2(values, &mut scratch.numbers),
        _ => {
            let min = plain(values, &mut scratch.numbers);
            put_varint(out, zigzag(min as i64));
        }
    }
    if transform != PLAIN {
        put_varint(out, zigzag(first as i64));
    }
    put_numbers(out, &scratch.numbers, &mut scratch.sample);
}

/// Appends a column as 7.
pub(super) fn put_recent(out: &mut Vec<u8>, values: &[u64], scratch: &mut Scratch) {
    let (mut places, mut others) = (Vec::with_capacity(values.len()), Vec::new());
    recent::split(values, &mut places, &mut others);
    out.push(RECENT);
    put_at(out, &places, scratch, false);
    put_at(out, &others, scratch, false);
}

fn put_runs(out: &mut Vec<u8>, values: &[u64], scratch: &mut Scratch) {
    let mut heads = Vec::new();
    let mut lengths = Vec::new();
    for run in values.chunk_by(|a, b| a == b) {
        heads.extend(run.first());
        lengths.push(run.len() as u64 - 1);
    }
    out.push(RUNS);
    put_varint(out, heads.len() as u64);
    put_at(out, &heads, scratch, false);
    put_at(out, &lengths, scratch, false);
}

/// Appends the values as a dictionary unless that does not pay, and says whether it did.
pub(super) fn put_dictionary(
    out: &mut Vec<u8>,
    values: &[u64],
    bits: f32,
    scratch: &mut Scratch,
) -> bool {
    let most = values.len() / 3;
    let mut distinct: Vec<u64> = Vec::new();
    let mut indexes = Vec::with_capacity(values.len());
    scratch.table.reset(64);
    for v in values {
        let next = distinct.len() as u32;
        let same = |i: u32| distinct.get(i as usize) == Some(v);
        let index = match scratch.table.find(mix(*v, 0x5bd1_e995), next, same) {
            Found::Old(index) => index,
            Found::New if distinct.len() < most => {
                distinct.push(*v);
                next
            }
            _ => return false,
        };
        indexes.push(u64::from(index));
    }
    let mut trial = Vec::new();
    put_at(&mut trial, &distinct, scratch, false);
    let dictionary_bits = trial.len() as f32 * 8.0;
    let index_bits = choose(&indexes, scratch).bits * values.len() as f32;
    if dictionary_bits + index_bits > bits * values.len() as f32 {
        return false;
    }
    out.push(DICTIONARY);
    put_varint(out, distinct.len() as u64);
    out.extend_from_slice(&trial);
    put_at(out, &indexes, scratch, false);
    true
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64], sample: &mut Sample) {
    let most = numbers.iter().fold(0, |all, n| all | n);
    let width = (64 - most.leading_zeros()).div_ceil(8).max(1);
    if width > 1 && sample.varints_pay(numbers) {
        out.push(0);
        numbers.iter().for_each(|n| put_varint(out, *n));
        return;
    }
    out.push(width as u8);
    out.reserve(numbers.len() * width as usize);
    for plane in 0..width {
        out.extend(numbers.iter().map(|n| (n >> (8 * plane)) as u8));
    }
}

fn get_numbers(input: &mut Cursor<'_>, n: usize) -> Result<Vec<u64>> {
    let width = input.u8()?;
    if width == 0 {
        if n > input.rest().len() {
            return Err(Error::new("a column has fewer numbers than it says"));
        }
        return (0..n).map(|_| input.varint()).collect();
    }
    if width > 8 {
        return Err(Error::new("a column has an unknown layout"));
    }
    let mut numbers: Vec<u64> = input.bytes(n)?.iter().map(|b| u64::from(*b)).collect();
    for plane in 1..width {
        for (number, byte) in numbers.iter_mut().zip(input.bytes(n)?) {
            *number |= u64::from(*byte) << (8 * plane);
        }
    }
    Ok(numbers)
}

fn skip_numbers(input: &mut Cursor<'_>, n: usize) -> Result<()> {
    let width = usize::from(input.u8()?);
    if width > 8 {
        return Err(Error::new("a column has an unknown layout"));
    }
    if width > 0 {
        return input.bytes(width.saturating_mul(n)).map(drop);
    }
    // Each varint ends with the first byte that has no high bit.
    let ends = input.rest().iter().enumerate().filter(|(_, byte)| **byte < 0x80);
    let last = n.checked_sub(1).map(|last| ends.map(|(at, _)| at + 1).nth(last));
    let short = Error::new("a column has fewer numbers than it says");
    input.bytes(last.unwrap_or(Some(0)).ok_or(short)?).map(drop)
}

/// Passes over a column of `n` values, of which as little as possible is looked at.
///
/// # Errors
/// When it is cut short. What [`get`] refuses may be passed over.
pub(super) fn skip(input: &mut Cursor<'_>, n: usize) -> Result<()> {
    skip_at(input, n, true)
}

fn skip_at(input: &mut Cursor<'_>, n: usize, nest: bool) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    if n > MAX_VALUES {
        return Err(Error::new("a column is too long"));
    }
    let part = |input: &mut Cursor<'_>, n| skip_at(input, n, false);
    match input.u8()? {
        CONSTANT => input.varint().map(drop),
        tag @ (PLAIN | DELTA | DELTA2) => {
            input.varint()?;
            skip_numbers(input, if tag == PLAIN { n } else { n - 1 })
        }
        DICTIONARY if nest => {
            let count = bounded(input.varint_len()?, n)?;
            part(input, count)?;
            part(input, n)
        }
        RECENT if nest => {
            let places = get_at(input, n, false)?;
            part(input, recent::count_others(&places))
        }
        RUNS if nest => {
            let count = bounded(input.varint_len()?, n)?;
            part(input, count)?;
            part(input, count)
        }
        PERIOD if nest => {
            let count = bounded(input.varint_len()?, n)?;
            part(input, count)
        }
        _ => Err(Error::new("a column is of an unknown kind")),
    }
}

/// Reads a column of `n` values, `n` being at most [`MAX_VALUES`].
///
/// # Errors
/// When it is cut short or is not what [`put`] writes.
pub(super) fn get(input: &mut Cursor<'_>, n: usize) -> Result<Vec<u64>> {
    get_at(input, n, true)
}

fn get_at(input: &mut Cursor<'_>, n: usize, nest: bool) -> Result<Vec<u64>> {
    if n == 0 {
        return Ok(Vec::new());
    }
    if n > MAX_VALUES {
        return Err(Error::new("a column is too long"));
    }
    let tag = input.u8()?;
    match tag {
        CONSTANT => Ok(vec![unzigzag(input.varint()?) as u64; n]),
        PLAIN => {
            let min = unzigzag(input.varint()?) as u64;
            let mut numbers = get_numbers(input, n)?;
            numbers.iter_mut().for_each(|v| *v = v.wrapping_add(min));
            Ok(numbers)
        }
        DELTA | DELTA2 => {
            let mut last = unzigzag(input.varint()?) as u64;
            let mut values = get_numbers(input, n - 1)?;
            let mut step = 0u64;
            for v in &mut values {
                let number = unzigzag(*v) as u64;
                step = if tag == DELTA { number } else { step.wrapping_add(number) };
                *v = last;
                last = last.wrapping_add(step);
            }
            values.push(last);
            Ok(values)
        }
        DICTIONARY if nest => {
            let count = bounded(input.varint_len()?, n)?;
            let distinct = get_at(input, count, false)?;
            let mut values = get_at(input, n, false)?;
            for v in &mut values {
                let found = usize::try_from(*v).ok().and_then(|i| distinct.get(i));
                *v = *found.ok_or(Error::new("a dictionary has no such entry"))?;
            }
            Ok(values)
        }
        RECENT if nest => {
            let mut places = get_at(input, n, false)?;
            let others = get_at(input, recent::count_others(&places), false)?;
            recent::join(&mut places, &others)?;
            Ok(places)
        }
        RUNS if nest => get_runs(input, n),
        PERIOD if nest => {
            let count = bounded(input.varint_len()?, n)?;
            let first = get_at(input, count, false)?;
            Ok(first.iter().copied().cycle().take(n).collect())
        }
        _ => Err(Error::new("a column is of an unknown kind")),
    }
}

fn bounded(count: usize, n: usize) -> Result<usize> {
    if count == 0 || count > n {
        return Err(Error::new("a column has more parts than values"));
    }
    Ok(count)
}

fn get_runs(input: &mut Cursor<'_>, n: usize) -> Result<Vec<u64>> {
    let count = bounded(input.varint_len()?, n)?;
    let heads = get_at(input, count, false)?;
    let lengths = get_at(input, count, false)?;
    let mut values = Vec::with_capacity(n);
    for (head, more) in heads.iter().zip(&lengths) {
        let more = usize::try_from(*more).ok().filter(|m| *m < n - values.len());
        let more = more.ok_or(Error::new("the runs of a column are too long"))?;
        values.resize(values.len() + more + 1, *head);
    }
    if values.len() != n {
        return Err(Error::new("the runs of a column are too short"));
    }
    Ok(values)
}
