//! What digits a block's text can contain.
//!
//! All threes of digits occur in nearly every block, so that they say nothing about a needle of
//! digits. What says something are longer pieces, *grams* of six bytes, in three sets: those of
//! digits alone in fractions, those of other digits, and those of hexadecimal digits that are not all
//! decimal. A set that times or hashes have filled is left out, which is why there are three.
//! And for the runs of digits of each length there is the *range* of the numbers that they are: times
//! to the nanosecond fill any set, but lie in a narrow range.

use super::bitmap::{self, Bitmap};
use super::doubles;
use crate::bytes::{Cursor, Result, put_varint};
use std::collections::BTreeMap;

/// The bytes of a gram.
const GRAM: usize = 6;
/// Shorter runs have no range.
const LEAST: usize = 4;
/// Longer runs have none either; they are counted as one length more.
const MOST: usize = 19;
const LENGTHS: usize = MOST + 2 - LEAST;
/// The bits of a hash.
const HASH_BITS: u32 = 18;
/// log₂ of the bits of a set while it is built.
const BUILD_BITS: u32 = 16;

/// Which digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Runs of decimal digits that are no fractions.
    Whole,
    /// What stands behind a digit and a point.
    Fraction,
    /// Hexadecimal.
    Hex,
}

/// A run of decimal digits.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    digits: &'a [u8],
    /// For a fraction, the digits before the point.
    before: &'a [u8],
    /// For a fraction, those and the point and the digits.
    shown: &'a [u8],
}

/// So many ranges for each length: writers that are at different times leave gaps.
const RANGES: usize = 4;

/// A range that no number is in.
const NOTHING: (u64, u64) = (u64::MAX, 0);

/// The smallest and largest numbers of runs of one length, apart where the gaps are largest: the least
/// first, and behind them nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread([(u64, u64); RANGES]);

impl Default for Spread {
    fn default() -> Self {
        Self([NOTHING; RANGES])
    }
}

impl Spread {
    #[inline]
    pub(super) fn add(&mut self, number: u64) {
        // Without a branch for each: which one a number is in cannot be foretold.
        let within =
            |any: bool, (least, most): &(u64, u64)| any | (*least <= number && number <= *most);
        if !self.0.iter().fold(false, within) && !self.grow(number) {
            self.widen(number, number);
        }
    }

    /// Lets the range below a number end with it, if that is what [`Spread::widen`] would do: times grow.
    /// `false` if it is not. The number is in no range.
    #[inline]
    fn grow(&mut self, number: u64) -> bool {
        let gaps = self.0.iter().zip(self.0.iter().skip(1));
        // Before a range that is not there yet it is 0.
        let gaps = gaps.map(|((_, most), (least, top))| if least > top { 0 } else { least - most });
        let closest = gaps.fold(u64::MAX, u64::min);
        let next = self.0.iter().position(|(least, _)| *least > number).unwrap_or(RANGES);
        let above = self.0.get(next).map_or(u64::MAX, |(least, _)| least - number);
        let below = next.checked_sub(1).and_then(|at| self.0.get_mut(at));
        let Some((_, most)) = below else { return false };
        let gap = number - *most;
        let grows = gap < closest && gap <= above;
        if grows {
            *most = number;
        }
        grows
    }

    /// Adds all numbers from `least` to `most`.
    pub(super) fn widen(&mut self, least: u64, most: u64) {
        let touched = self.ranges().filter(|range| range.1 >= least && range.0 <= most);
        let new =
            touched.fold((least, most), |new, range| (new.0.min(range.0), new.1.max(range.1)));
        let below = self.ranges().filter(|range| range.1 < least);
        let above = self.ranges().filter(|range| range.0 > most);
        let mut all = [NOTHING; RANGES + 1];
        all.iter_mut().zip(below.chain([new]).chain(above)).for_each(|(slot, r)| *slot = r);
        let [.., last] = all;
        let pairs = all.iter().zip(all.iter().skip(1)).enumerate();
        let closest = pairs.min_by_key(|(_, ((_, most), (least, _)))| least - most);
        let (at, joined) = match closest {
            Some((at, ((least, _), (_, most)))) if last != NOTHING => (at, (*least, *most)),
            _ => (RANGES, NOTHING),
        };
        let ranges = all.iter().take(at).chain([&joined]).chain(all.iter().skip(at + 2));
        self.0.iter_mut().zip(ranges).for_each(|(slot, range)| *slot = *range);
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied().filter(|range| *range != NOTHING)
    }
}

/// Gathers what [`may_contain`] needs.
#[derive(Debug, Clone)]
pub(super) struct Builder {
    sets: [Bitmap; 3],
    ranges: [[Spread; LENGTHS]; 2],
    /// Numbers that [`doubles`] tells of, of whose fractions nothing is in the others.
    doubles: Spread,
    /// For writing a number.
    room: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        let sets = std::array::from_fn(|_| Bitmap::new(BUILD_BITS));
        let ranges = [[Spread::default(); LENGTHS]; 2];
        Self { sets, ranges, doubles: Spread::default(), room: Vec::new() }
    }
}

impl Builder {
    pub(super) fn add(&mut self, text: &[u8]) {
        // Behind a byte that is no digit: a run that is long enough covers the probe.
        let mut at = 0;
        while let Some(probe) = text.get(at + LEAST - 1) {
            if !probe.is_ascii_hexdigit() {
                at += LEAST;
                continue;
            }
            let (head, rest) = text.split_at(at + LEAST - 1);
            let within = head.get(at..).unwrap_or_default();
            let before = within.iter().rev().take_while(|b| b.is_ascii_hexdigit()).count();
            let end = head.len() + rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if end - (head.len() - before) >= LEAST {
                self.add_run(text, head.len() - before, end);
            }
            at = end + 1;
        }
    }

    /// Adds a run of hexadecimal digits.
    fn add_run(&mut self, text: &[u8], start: usize, end: usize) {
        let run = text.get(start..end).unwrap_or_default();
        let mut at = 0;
        while let Some((from, to)) = next_run(run, at, u8::is_ascii_digit) {
            at = to;
            if to - from >= LEAST {
                self.add_number(Run::at(text, start + from, start + to));
            }
            if to - from == run.len() {
                return;
            }
        }
        self.add_grams(run, Class::Hex);
    }

    fn add_number(&mut self, run: Run<'_>) {
        let class = run.class();
        if let Some(units) = doubles::units(run.shown, &mut self.room) {
            return self.doubles.add(units);
        }
        self.add_grams(run.digits, class);
        let number = run.number();
        let ranges = self.ranges.get_mut(class as usize);
        let range = ranges.and_then(|r| r.get_mut(run.digits.len().min(MOST + 1) - LEAST));
        range.into_iter().for_each(|range| range.add(number));
    }

    fn add_grams(&mut self, run: &[u8], class: Class) {
        if let Some(set) = self.sets.get_mut(class as usize)
            && !set.is_full()
        {
            set.insert(grams(run, class));
        }
    }

    /// Adds a whole number of at least [`LEAST`] digits; `digits` writes them.
    pub(super) fn add_whole<'a>(&mut self, number: u64, digits: impl FnOnce() -> &'a [u8]) {
        let set = self.sets.get_mut(Class::Whole as usize);
        if let Some(set) = set.filter(|set| !set.is_full()) {
            set.insert(grams(digits(), Class::Whole));
        }
        let length = number.checked_ilog10().unwrap_or_default() as usize + 1;
        debug_assert!(length >= LEAST, "{number} is short");
        let ranges = self.ranges.get_mut(Class::Whole as usize);
        let range = ranges.and_then(|r| r.get_mut(length.min(MOST + 1).checked_sub(LEAST)?));
        range.into_iter().for_each(|range| range.add(number));
    }

    /// Adds a decimal, maybe with a minus in front, with so many digits behind its point; without that it is
    /// `number`.
    pub(super) fn add_decimal(&mut self, number: u64, shown: &[u8], scale: usize) {
        let (whole, fraction) = shown.split_at(shown.len().saturating_sub(scale));
        self.add_before_point(whole.strip_suffix(b".").unwrap_or(whole));
        if fraction.len() >= LEAST {
            self.add_grams(fraction, Class::Fraction);
            let ranges = self.ranges.get_mut(Class::Fraction as usize);
            let range = ranges.and_then(|r| r.get_mut(fraction.len().min(MOST + 1) - LEAST));
            range.into_iter().for_each(|range| range.add(number));
        }
    }

    /// Adds a decimal, maybe with a minus in front, that is so many units of [`doubles`].
    pub(super) fn add_double(&mut self, units: u64, shown: &[u8]) {
        let mut parts = shown.split(|byte| *byte == b'.');
        self.add_before_point(parts.next().unwrap_or_default());
        // Of a shorter fraction nothing is known, as of other short runs.
        if parts.next().is_some_and(|fraction| fraction.len() >= LEAST) {
            self.doubles.add(units);
        }
    }

    /// Adds what stands before the point of a decimal.
    fn add_before_point(&mut self, whole: &[u8]) {
        let digits = whole.strip_prefix(b"-").unwrap_or(whole);
        if digits.len() >= LEAST {
            self.add_number(Run { digits, before: &[], shown: &[] });
        }
    }

    /// Adds all fractions, of all lengths.
    pub(super) fn add_all_fractions(&mut self) {
        if let Some(set) = self.sets.get_mut(Class::Fraction as usize) {
            set.fill();
        }
        if let Some(ranges) = self.ranges.get_mut(Class::Fraction as usize) {
            let mut all = [NOTHING; RANGES];
            all[0] = (0, u64::MAX);
            ranges.fill(Spread(all));
        }
    }

    /// The sets, in the order in which they are stored, to be emptied.
    pub(super) fn sets(&mut self) -> impl Iterator<Item = &mut Bitmap> {
        self.sets.iter_mut()
    }

    /// What [`doubles`] tells of, as it is stored; `None` where there is no such number. Begins anew with
    /// that.
    pub(super) fn take_doubles(&mut self) -> Option<Vec<u8>> {
        let all = std::mem::take(&mut self.doubles);
        all.ranges().next()?;
        let mut out = Vec::new();
        doubles::put(&mut out, &all);
        Some(out)
    }

    /// The ranges, as they are stored. Begins anew with them.
    pub(super) fn take_ranges(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for ranges in &mut self.ranges {
            put_ranges(&mut out, (LEAST as u64..).zip(&*ranges));
            ranges.fill(Spread::default());
        }
        out
    }
}

fn put_ranges<'a>(out: &mut Vec<u8>, spreads: impl Iterator<Item = (u64, &'a Spread)> + Clone) {
    put_varint(out, spreads.clone().map(|(_, spread)| spread.ranges().count() as u64).sum());
    for (length, spread) in spreads {
        for (least, most) in spread.ranges() {
            put_varint(out, length);
            put_varint(out, least);
            put_varint(out, most - least);
        }
    }
}

/// The ranges, as they are stored, of all that is in any of these.
pub(super) fn union<'a>(all: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut spreads: [BTreeMap<u64, Spread>; 2] = Default::default();
    for bytes in all {
        let mut input = Cursor::new(bytes);
        for spreads in &mut spreads {
            for (length, least, most) in Ranges::get(&mut input)?.0 {
                spreads.entry(length).or_default().widen(least, most);
            }
        }
    }
    let mut out = Vec::new();
    for spreads in &spreads {
        put_ranges(&mut out, spreads.iter().map(|(length, spread)| (*length, spread)));
    }
    Ok(out)
}

impl<'a> Run<'a> {
    /// The digits from `start` to `end`, with what stands before them.
    fn at(text: &'a [u8], start: usize, end: usize) -> Self {
        let head = text.get(..start).unwrap_or_default();
        let whole = head.strip_suffix(b".").unwrap_or_default();
        let digits = whole.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let before = whole.get(whole.len() - digits..).unwrap_or_default();
        let shown = start.checked_sub(digits + 1).filter(|_| digits > 0);
        Self {
            digits: text.get(start..end).unwrap_or_default(),
            before,
            shown: shown.and_then(|from| text.get(from..end)).unwrap_or_default(),
        }
    }

    const fn class(self) -> Class {
        if self.before.is_empty() { Class::Whole } else { Class::Fraction }
    }

    /// The number that the digits are, those before the point counted; the largest there is for
    /// numbers that are too large.
    fn number(self) -> u64 {
        number(self.before.iter().chain(self.digits)).unwrap_or(u64::MAX)
    }
}

fn number<'a>(mut digits: impl Iterator<Item = &'a u8>) -> Option<u64> {
    digits.try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b.wrapping_sub(b'0'))))
}

/// The next run of bytes of a kind.
#[inline]
fn next_run(text: &[u8], from: usize, of: impl Fn(&u8) -> bool) -> Option<(usize, usize)> {
    let rest = text.get(from..)?;
    let start = rest.iter().position(&of)?;
    let len = rest.get(start..)?.iter().position(|byte| !of(byte));
    Some((from + start, len.map_or(text.len(), |len| from + start + len)))
}

/// The hashes of a run's grams; of hexadecimal ones those that are not all decimal. They are part of
/// the format.
fn grams(run: &[u8], class: Class) -> impl Iterator<Item = usize> + '_ {
    let wanted =
        move |gram: &&[u8; GRAM]| class != Class::Hex || !gram.iter().all(u8::is_ascii_digit);
    let hash = |[a, b, c, d, e, f]: &[u8; GRAM]| {
        let number = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, 0, 0]);
        (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - HASH_BITS)) as usize
    };
    run.windows(GRAM).filter_map(<[u8]>::first_chunk).filter(wanted).map(hash)
}

/// What [`doubles`] is told of in any of these, as it is stored.
pub(super) fn union_of_doubles<'a>(all: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut union = Spread::default();
    for bytes in all {
        doubles::get(bytes)?.into_iter().for_each(|(least, most)| union.widen(least, most));
    }
    let mut out = Vec::new();
    doubles::put(&mut out, &union);
    Ok(out)
}

/// Whether text that was gathered can contain the needle; with `doubles`, what is told of those follows.
pub(super) fn may_contain(mut input: Cursor<'_>, doubles: bool, needle: &[u8]) -> Result<bool> {
    let sets = [input.prefixed()?, input.prefixed()?, input.prefixed()?];
    let mut parts = input;
    let mut input = Cursor::new(parts.prefixed()?);
    let doubles = if doubles { doubles::get(parts.prefixed()?)? } else { Vec::new() };
    let ranges = [Ranges::get(&mut input)?, Ranges::get(&mut input)?];
    let has = |run: &[u8], class: Class| {
        let set = sets.get(class as usize).copied().unwrap_or_default();
        grams(run, class).all(|hash| bitmap::may_have(set, hash))
    };
    let mut at = 0;
    while let Some((start, end)) = next_run(needle, at, u8::is_ascii_hexdigit) {
        at = end;
        if !has(needle.get(start..end).unwrap_or_default(), Class::Hex) {
            return Ok(false);
        }
    }
    at = 0;
    while let Some((start, end)) = next_run(needle, at, u8::is_ascii_digit) {
        at = end;
        let part = Part::at(needle, start, end);
        let shown = |class: Class| {
            let ranges = ranges.get(class as usize);
            part.may_be(class)
                && has(part.run.digits, class)
                && ranges.is_none_or(|ranges| ranges.may_show(&part))
        };
        let of_doubles = || {
            part.may_be(Class::Fraction)
                && doubles::may_show(&doubles, part.run.digits, part.begins)
        };
        let all = end - start >= LEAST;
        if all && !shown(Class::Whole) && !shown(Class::Fraction) && !of_doubles() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A run of digits in a needle, which may be a part of one in the text.
struct Part<'a> {
    run: Run<'a>,
    /// What stands before the digits.
    head: &'a [u8],
    /// Whether they begin, or end, where a run in the text does.
    begins: bool,
    ends: bool,
}

impl<'a> Part<'a> {
    fn at(needle: &'a [u8], start: usize, end: usize) -> Self {
        let head = needle.get(..start).unwrap_or_default();
        let run = Run::at(needle, start, end);
        Self { run, head, begins: start > 0, ends: end < needle.len() }
    }

    /// Whether a run of this class may show them.
    fn may_be(&self, class: Class) -> bool {
        // What stands before the needle may be digits, or digits and a point.
        match self.head {
            [] | [b'.'] => true,
            _ => self.run.class() == class,
        }
    }
}

/// The ranges of one class, for each length.
struct Ranges(Vec<(u64, u64, u64)>);

impl Ranges {
    fn get(input: &mut Cursor<'_>) -> Result<Self> {
        let count = input.varint_len()?;
        let mut list = Vec::new();
        for _ in 0..count {
            let (length, least, more) = (input.varint()?, input.varint()?, input.varint()?);
            list.push((length, least, least.saturating_add(more)));
        }
        Ok(Self(list))
    }

    fn may_show(&self, part: &Part<'_>) -> bool {
        self.0.iter().any(|range| range_may_show(*range, part))
    }
}

/// Whether some number of the range, written with so many digits, shows the part.
fn range_may_show((length, least, most): (u64, u64, u64), part: &Part<'_>) -> bool {
    let digits = part.run.digits;
    let Some(wanted) = number(digits.iter()).filter(|_| digits.len() <= MOST) else {
        return length > MOST as u64;
    };
    if length > MOST as u64 || most == u64::MAX {
        return length >= digits.len() as u64;
    }
    let Some(after) = length.checked_sub(digits.len() as u64) else { return false };
    let period = 10u64.pow(digits.len() as u32);
    let shown = |behind: u64| {
        let unit = 10u64.pow(behind as u32);
        let (low, high) = (least / unit, most / unit);
        let first = low - low % period;
        // A step further than the largest number there is is no number.
        let next = || first.checked_add(period).and_then(|n| n.checked_add(wanted));
        let of_low = first.checked_add(wanted).filter(|n| *n >= low);
        of_low.or_else(next).is_some_and(|n| n <= high)
    };
    let from = if part.begins { after } else { 0 };
    let to = if part.ends { 0 } else { after };
    (from..=to).any(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn growing_is_what_widening_is(numbers in prop::collection::vec((any::<u64>(), 0u32..64), 0..40)) {
            let (mut added, mut widened) = (Spread::default(), Spread::default());
            let mut sum = 0u64;
            for (number, shift) in numbers {
                // Some grow, some are anywhere.
                sum = sum.saturating_add(number >> shift.max(10));
                let number = if shift % 5 == 0 { number >> shift } else { sum };
                added.add(number);
                if !widened.ranges().any(|(least, most)| least <= number && number <= most) {
                    widened.widen(number, number);
                }
                prop_assert_eq!(added.0, widened.0);
            }
        }
    }
}
