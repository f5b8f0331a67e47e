//! One filter for many blocks: what an archive's text can contain.

use super::bitmap::{fold, ones};
use super::{BUILD_BITS, Filter};
use crate::bytes::Cursor;

impl Filter {
    /// The filter over all that the others are over, of at most `most` bytes: of threes alone. None
    /// where one of them has none, or where it would let nearly everything through.
    #[must_use]
    pub fn union<'a>(filters: impl Iterator<Item = &'a Self> + Clone, most: usize) -> Self {
        let sets = || filters.clone().map(Self::threes);
        let largest = sets().map(|set| set.map_or(0, <[u8]>::len)).max();
        let all_there = sets().all(|set| set.is_some());
        let Some(largest) = largest.filter(|_| all_there) else { return Self::default() };
        let mut bytes = vec![0; largest];
        for set in sets().flatten() {
            // A shorter one says less of where a bit was: it can have been at each of these places.
            bytes.iter_mut().zip(set.iter().cycle()).for_each(|(all, one)| *all |= one);
        }
        while bytes.len() > most {
            bytes = fold(&bytes);
        }
        if ones(&bytes) * 4 > bytes.len() * 24 {
            return Self::default();
        }
        Self { kind: Self::THREES, bytes }
    }

    /// Its bitmap of threes, if it is one that is built today.
    fn threes(&self) -> Option<&[u8]> {
        let bytes = match self.kind {
            Self::THREES => &self.bytes[..],
            Self::DIGITS => Cursor::new(&self.bytes).prefixed().ok()?,
            _ => return None,
        };
        let fits = bytes.len().is_power_of_two() && bytes.len() <= 1 << (BUILD_BITS - 3);
        fits.then_some(bytes)
    }
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
        let filters = [of(b"request took 4 ms", 300), of(b"connection reset by peer", 4096)];
        let union = Filter::union(filters.iter(), 4096);
        assert!(union.can_contain(b"took 4") && union.can_contain(b"reset"));
        assert!(!union.can_contain(b"zzqqxx"));
        let none = [filters[0].clone(), Filter::default()];
        assert_eq!(Filter::union(none.iter(), 4096), Filter::default());
        assert_eq!(Filter::union([].iter(), 4096), Filter::default());
    }
}
