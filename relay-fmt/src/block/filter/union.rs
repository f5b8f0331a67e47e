//! One filter for many blocks: what an archive's text can contain.

use super::bitmap::{fold, ones};
use super::{BUILD_BITS, Filter, LENGTHS, MIN_BYTES, digits};
use crate::bytes::{Cursor, Result, put_prefixed};

/// The bitmaps of a filter of kind [`Filter::DIGITS`] and of [`Filter::DOUBLES`].
const SETS: usize = 4;

/// What a filter consists of. An empty set says nothing.
struct Parts<'a> {
    sets: [&'a [u8]; SETS],
    /// `None`: nothing is known of digits.
    ranges: Option<&'a [u8]>,
    /// `None`: there are none, or they are among the other digits.
    doubles: Option<&'a [u8]>,
}

impl Filter {
    /// The filter over all that the others are over, of at most `most` bytes. None where one of them
    /// has none; parts that would let nearly everything through are left out.
    #[must_use]
    pub fn union<'a>(filters: impl Iterator<Item = &'a Self> + Clone, most: usize) -> Self {
        let parts: Option<Vec<Parts<'_>>> = filters.map(Self::parts).collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return Self::default() };
        // Half for threes, which are asked for most; the rest is shared.
        let all = |n: usize| parts.iter().filter_map(move |part| part.sets.get(n).copied());
        let threes = union(all(0), MIN_BYTES, most / 2);
        let ranges: Option<Vec<&[u8]>> = parts.iter().map(|part| part.ranges).collect();
        let ranges = ranges.and_then(|ranges| digits::union(ranges.into_iter()).ok());
        let doubles = parts.iter().filter_map(|part| part.doubles);
        let doubles = digits::union_of_doubles(doubles).unwrap_or_default();
        let of_ranges = |ranges: &Vec<u8>| ranges.len() + doubles.len() + LENGTHS;
        let told = !doubles.is_empty();
        let Some(ranges) = ranges.filter(|ranges| told && of_ranges(ranges) <= most / 8) else {
            let none = threes.is_empty();
            let kind = if none { Self::NONE } else { Self::THREES };
            return Self { kind, bytes: threes };
        };
        let mut bytes = Vec::new();
        put_prefixed(&mut bytes, &threes);
        (1..SETS).for_each(|n| put_prefixed(&mut bytes, &union(all(n), 1, most / 8)));
        put_prefixed(&mut bytes, &ranges);
        if parts.iter().all(|part| part.doubles.is_none()) {
            return Self { kind: Self::DIGITS, bytes };
        }
        put_prefixed(&mut bytes, &doubles);
        Self { kind: Self::DOUBLES, bytes }
    }

    fn parts(&self) -> Option<Parts<'_>> {
        match self.kind {
            Self::THREES => {
                let sets = [&self.bytes[..], &[], &[], &[]];
                Some(Parts { sets, ranges: None, doubles: None })
            }
            Self::DIGITS | Self::DOUBLES => {
                let mut input = Cursor::new(&self.bytes);
                let mut part = || input.prefixed();
                let mut all = || -> Result<Parts<'_>> {
                    let sets = [part()?, part()?, part()?, part()?];
                    let ranges = Some(part()?);
                    let doubles = (self.kind == Self::DOUBLES).then(&mut part).transpose()?;
                    Ok(Parts { sets, ranges, doubles })
                };
                all().ok()
            }
            _ => None,
        }
    }
}

/// The set of what is in any of these, of at most `most` bytes and otherwise as small as leaves three
/// quarters of the bits unset; empty where one of them says nothing, or where less than a quarter is.
fn union<'a>(sets: impl Iterator<Item = &'a [u8]> + Clone, least: usize, most: usize) -> Vec<u8> {
    let one_of_today =
        |set: &[u8]| set.len().is_power_of_two() && set.len() <= 1 << (BUILD_BITS - 3);
    if !sets.clone().all(one_of_today) {
        return Vec::new();
    }
    let mut bytes = vec![0; sets.clone().map(<[u8]>::len).max().unwrap_or(0)];
    for set in sets {
        // A shorter one says less of where a bit was: it can have been at each of these places.
        bytes.iter_mut().zip(set.iter().cycle()).for_each(|(all, one)| *all |= one);
    }
    while bytes.len() > least {
        let folded = fold(&bytes);
        if bytes.len() <= most && ones(&folded) * 4 > folded.len() * 8 {
            break;
        }
        bytes = folded;
    }
    if bytes.len() > most || ones(&bytes) * 4 > bytes.len() * 24 { Vec::new() } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::FilterBuilder;
    use proptest::prelude::*;

    fn of(text: &[u8], most: usize, threes_only: bool) -> Filter {
        let mut builder = FilterBuilder::new();
        builder.threes_only(threes_only);
        builder.add(text);
        builder.finish(most)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let numbers = prop::collection::vec((any::<u64>(), 0u32..64, "[-. a-f]{0,3}"), 1..9);
        let write = |(n, shift, tail): &(u64, u32, String)| match n % 3 {
            0 => format!("{}{tail}", (n >> shift.max(&12)) as f64 / 4_194_304.0),
            _ => format!("{}{tail}", n >> shift),
        };
        let of_numbers = move |all: Vec<_>| all.iter().map(write).collect::<String>().into_bytes();
        prop_oneof![prop::collection::vec(any::<u8>(), 3..60), numbers.prop_map(of_numbers)]
    }

    proptest! {
        #[test]
        fn a_union_denies_nothing_that_is_in_one(
            texts in prop::collection::vec((text(), 6u32..13), 1..9), most in 6u32..14,
            mixed: bool, from in 0usize..20,
        ) {
            let filters = texts.iter().enumerate();
            let filters = filters.map(|(n, (text, size))| of(text, 1 << size, mixed && n % 2 == 1));
            let filters: Vec<Filter> = filters.collect();
            let union = Filter::union(filters.iter(), 1 << most);
            prop_assert!(union.bytes.len() <= 1 << most);
            prop_assert!(texts.iter().all(|(text, _)| union.can_contain(text)));
            let tail = |text: &[u8]| text.get(from..).unwrap_or_default().to_vec();
            prop_assert!(texts.iter().all(|(text, _)| union.can_contain(&tail(text))));
        }
    }

    #[test]
    fn a_union_denies_what_is_in_none() {
        let texts = [&b"request 918273 took 4 ms"[..], b"connection 5f182b7c reset by peer"];
        let filters = [of(texts[0], 300, false), of(texts[1], 4096, false)];
        let union = Filter::union(filters.iter(), 4096);
        assert!(texts.iter().all(|text| union.can_contain(text)));
        assert!(["zzqqxx", "918274", "5f182b7d"].iter().all(|n| !union.can_contain(n.as_bytes())));
        let none = [filters[0].clone(), Filter::default()];
        assert_eq!(Filter::union(none.iter(), 4096), Filter::default());
        assert_eq!(Filter::union([].iter(), 4096), Filter::default());
    }
}
