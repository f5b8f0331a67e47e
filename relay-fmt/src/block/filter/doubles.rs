//! What digits the fractions of differences of times can contain.
//!
//! Seconds since 1970 as a double count units of 2⁻²². What logs show of their differences has up to 22
//! digits behind the point that look like any: thousands of them fill a set of grams. But of the
//! fractions there are only 2²², and from the digits follows which those are that show them: mostly none.

use super::digits::Spread;
use crate::block::columns::binary_mantissa;
use crate::bytes::{Cursor, Result, put_varint};

/// log₂ of how many units a second has.
const UNIT_BITS: u32 = 22;
/// So many digits has a multiple of the unit behind its point at most.
const MOST: u32 = UNIT_BITS;
/// Only numbers of at least so many bytes, their point among them, are taken for multiples.
pub(in crate::block) const LONG: usize = 14;
/// When so many remainders are to be looked for, needles are too short to exclude anything.
const MANY: u128 = 4096;
/// 5 · this is 1 modulo 2³².
const FIFTH: u32 = 0xcccc_cccd;

/// How many units a number is that is written as a double is written, if it is long.
pub(super) fn units(shown: &[u8], room: &mut Vec<u8>) -> Option<u64> {
    if shown.len() < LONG {
        return None;
    }
    u64::try_from(binary_mantissa(shown, room)?).ok()
}

/// The numbers, as they are stored.
pub(super) fn put(out: &mut Vec<u8>, units: &Spread) {
    put_varint(out, units.ranges().count() as u64);
    for (least, most) in units.ranges() {
        put_varint(out, least);
        put_varint(out, most - least);
    }
}

/// The ranges of numbers that are stored.
pub(super) fn get(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    let mut input = Cursor::new(bytes);
    let count = input.varint_len()?;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let (least, more) = (input.varint()?, input.varint()?);
        ranges.push((least, least.saturating_add(more)));
    }
    Ok(ranges)
}

/// Whether a multiple in one of the ranges may show these digits behind its point: at once behind it, if
/// they `begin` the fraction.
pub(super) fn may_show(ranges: &[(u64, u64)], digits: &[u8], begin: bool) -> bool {
    let Some(most) = MOST.checked_sub(digits.len() as u32) else { return false };
    let number = |n: u128, digit: &u8| n * 10 + u128::from(digit.wrapping_sub(b'0'));
    let wanted = digits.iter().fold(0, number);
    let period = 10u128.pow(digits.len() as u32);
    let most = if begin { 0 } else { most };
    (0..=most).any(|before| {
        // So many digits stand between the point and these. What `before` moves before the point is a
        // whole number, and what is left of `k` units is `k · 5^before mod turn` by `turn`.
        let turn = 1u128 << (UNIT_BITS - before);
        // Where they are the last digits shown, the last of them may be one more, as it was rounded.
        let from = (wanted.saturating_sub(1) * turn).div_ceil(period);
        let to = ((wanted + 1) * turn).div_ceil(period).min(turn);
        let inverse = FIFTH.wrapping_pow(before);
        let some = |rest: u128| {
            let first = u64::from(inverse.wrapping_mul(rest as u32)) % turn as u64;
            ranges
                .iter()
                .any(|(least, most)| first.wrapping_sub(*least) % turn as u64 <= most - least)
        };
        to.saturating_sub(from) > MANY || (from..to).any(some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_a_multiple_shows_is_found(
            units in 1u64..1 << 52, shift in 0u32..52, below in 0u64..100, above in 0u64..100,
            from: prop::sample::Index, len in 1usize..23,
        ) {
            let number = units >> shift;
            let shown = (number as f64 / 4_194_304.0).to_string();
            let fraction = shown.split_once('.').map_or("", |(_, fraction)| fraction).as_bytes();
            let from = if fraction.is_empty() { 0 } else { from.index(fraction.len()) };
            let part = fraction.get(from..).unwrap_or_default();
            let part = part.get(..len.min(part.len())).unwrap_or_default();
            let range = (number.saturating_sub(below), number + above);
            prop_assert!(may_show(&[range], part, false), "{shown} shows it");
            prop_assert!(from > 0 || may_show(&[range], part, true), "{shown} begins with it");
            let others = [(0, number / 2), range];
            prop_assert!(may_show(&others, part, false));
        }

        #[test]
        fn what_is_written_comes_back(mut all in prop::collection::vec(any::<u64>(), 0..5)) {
            let mut spread = Spread::default();
            all.iter().for_each(|number| spread.add(*number));
            let mut bytes = Vec::new();
            put(&mut bytes, &spread);
            let ranges = get(&bytes).unwrap();
            all.retain(|n| !ranges.iter().any(|(least, most)| least <= n && n <= most));
            prop_assert!(all.is_empty());
        }
    }

    #[test]
    fn what_no_multiple_shows_is_mostly_denied() {
        // All there are below a minute.
        let all = [(1, 60 << UNIT_BITS)];
        let mut seed = 1u64;
        let mut found = 0;
        for _ in 0..1000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let digits = format!("{:09}", (seed >> 33) % 1_000_000_000);
            found += u32::from(may_show(&all, digits.as_bytes(), false));
        }
        assert!(found < 50, "{found} of 1000");
        assert!(!may_show(&all, b"918273645", false) && !may_show(&all, &[b'1'; 23], false));
        // 0.0011489391326904297 is 4819 units.
        assert!(may_show(&[(4819, 4819)], b"0011489391326904297", true));
        assert!(!may_show(&[(4818, 4818)], b"0011489391326904297", true));
        assert!(!may_show(&[(4819, 4819)], b"1489391", true));
    }
}
