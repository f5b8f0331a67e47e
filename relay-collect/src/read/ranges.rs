//! Sets of numbers that are mostly one range.

/// Numbers, as ranges that neither touch nor overlap, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds the numbers from `from` to before `to`. Returns how many of them were there already.
    pub(crate) fn add(&mut self, from: u64, to: u64) -> u64 {
        if from >= to {
            return 0;
        }
        // The usual case: what follows the last.
        if let Some(last) = self.0.last_mut()
            && last.1 == from
        {
            last.1 = to;
            return 0;
        }
        // All that touch it become one.
        let first = self.0.partition_point(|range| range.1 < from);
        let behind = self.0.partition_point(|range| range.0 <= to);
        let touched = self.0.get(first..behind).unwrap_or_default();
        let shared =
            touched.iter().map(|range| range.1.min(to).saturating_sub(range.0.max(from))).sum();
        let begin = touched.first().map_or(from, |range| range.0.min(from));
        let end = touched.last().map_or(to, |range| range.1.max(to));
        self.0.splice(first..behind, [(begin, end)]);
        shared
    }

    /// Whether a number is in it.
    pub(crate) fn has(&self, number: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 <= number);
        self.0.get(at).is_some_and(|range| range.0 <= number)
    }

    /// Whether all numbers from `from` to before `to` are in it.
    pub(crate) fn has_all(&self, from: u64, to: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 <= from);
        from >= to || self.0.get(at).is_some_and(|range| range.0 <= from && range.1 >= to)
    }

    /// The ranges below `end` that are not in it.
    pub(crate) fn gaps(&self, end: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut at) = (Vec::new(), 0);
        for (from, to) in &self.0 {
            if at < *from && at < end {
                gaps.push((at, end.min(*from)));
            }
            at = *to;
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }

    /// The ranges: of each the first number, and the first behind it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// One more than the greatest number in it.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set_of_numbers(adds in proptest::collection::vec((0u64..40, 0u64..12), 0..30)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (from, len) in adds {
                let shared = (from..from + len).filter(|n| set.contains(n)).count() as u64;
                prop_assert_eq!(ranges.add(from, from + len), shared);
                set.extend(from..from + len);
                prop_assert_eq!(ranges.end(), set.last().map_or(0, |n| n + 1));
                for n in 0..60 {
                    prop_assert_eq!(ranges.has(n), set.contains(&n));
                    prop_assert_eq!(ranges.has_all(n, n + 3), (n..n + 3).all(|n| set.contains(&n)));
                }
                let gaps: BTreeSet<u64> = ranges.gaps(45).iter().flat_map(|(a, b)| *a..*b).collect();
                prop_assert_eq!(gaps, (0..45).filter(|n| !set.contains(n)).collect());
            }
        }
    }
}
