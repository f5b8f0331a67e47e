//! One filter over what several are over.

use super::{Filter, HASH_BITS};
use crate::bytes::Cursor;

impl Filter {
    /// The filter, of kind [`Filter::THREES`], over all that the others are over, of at most `most`
    /// bytes: none where one of them has no bitmap of threes, or where it would let nearly everything
    /// through.
    #[must_use]
    pub fn union<'a>(filters: impl Iterator<Item = &'a Self>, most: usize) -> Self {
        let Some(bitmaps) = filters.map(threes_of).collect::<Option<Vec<&[u8]>>>() else {
            return Self::default();
        };
        let Some(largest) = bitmaps.iter().map(|bitmap| bitmap.len()).max() else {
            return Self::default();
        };
        let mut bytes = vec![0; largest];
        for bitmap in bitmaps {
            // A shorter one says less of where a bit was: it can have been at each of these places.
            bytes.iter_mut().zip(bitmap.iter().cycle()).for_each(|(all, one)| *all |= one);
        }
        while bytes.len() > most {
            let (low, high) = bytes.split_at(bytes.len() / 2);
            bytes = low.iter().zip(high).map(|(low, high)| low | high).collect();
        }
        let ones: usize = bytes.iter().map(|byte| byte.count_ones() as usize).sum();
        if ones * 4 > bytes.len() * 24 {
            return Self::default();
        }
        Self { kind: Self::THREES, bytes }
    }
}

/// The bitmap of threes of a filter, if it has one.
fn threes_of(filter: &Filter) -> Option<&[u8]> {
    let bytes = match filter.kind {
        Filter::THREES => &filter.bytes[..],
        Filter::DIGITS => Cursor::new(&filter.bytes).prefixed().ok()?,
        _ => return None,
    };
    (bytes.len().is_power_of_two() && bytes.len() <= 1 << (HASH_BITS - 3)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::FilterBuilder;
    use proptest::prelude::*;

    fn of(text: &[u8], most: usize) -> Filter {
        let mut builder = FilterBuilder::new();
        builder.add(text);
        builder.finish(most)
    }

    proptest! {
        #[test]
        fn a_union_denies_nothing_that_is_in_one(
            texts in prop::collection::vec((prop::collection::vec(any::<u8>(), 3..60), 6u32..12), 1..6),
            most in 6u32..12,
        ) {
            let filters: Vec<Filter> =
                texts.iter().map(|(text, size)| of(text, 1 << size)).collect();
            let union = Filter::union(filters.iter(), 1 << most);
            prop_assert!(union.bytes.len() <= 1 << most);
            prop_assert!(texts.iter().all(|(text, _)| union.can_contain(text)));
        }
    }

    #[test]
    fn a_union_denies_what_is_in_none() {
        let filters = [of(b"request took 4 ms", 200), of(b"connection reset by peer", 4096)];
        let union = Filter::union(filters.iter(), 4096);
        assert!(union.can_contain(b"took 4") && union.can_contain(b"reset"));
        assert!(!union.can_contain(b"zzqqxx"));
        let none = [filters[0].clone(), Filter::default()];
        assert_eq!(Filter::union(none.iter(), 4096), Filter::default());
        assert_eq!(Filter::union([].iter(), 4096), Filter::default());
    }
}
