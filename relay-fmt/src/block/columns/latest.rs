//! The latest value of one column when a value of another one is taken.
//!
//! Rows take values in their order, and a row in the order of its class's columns.

use crate::bytes::{Error, Result};

/// So many steps through rows and the columns of their classes are taken for all columns together.
pub(super) const MAX_WALK: usize = 1 << 26;
/// Which columns the rows take values from, in their order.
#[derive(Debug)]
pub(super) struct Order<'a, R> {
    /// For each class, its columns.
    pub(super) classes: Vec<&'a [u32]>,
    /// For each row, its class.
    pub(super) rows: &'a [R],
    /// How many steps may still be taken.
    pub(super) walk: usize,
}

impl<R: Copy + TryInto<usize>> Order<'_, R> {
    /// For each of the first values of a column, how many were taken from another one until then.
    fn taken(&mut self, column: u32, other: u32, most: usize) -> Result<Vec<u32>> {
        let steps = self.classes.iter().map(|c| c.len() + 1).sum::<usize>() + self.rows.len();
        let left = self.walk.checked_sub(steps);
        self.walk = left.ok_or(Error::new("the columns of a block tell too much of each other"))?;
        // For each class, which of the two come when.
        let (mut turns, mut ends) = (Vec::new(), Vec::with_capacity(self.classes.len()));
        for columns in &self.classes {
            let own = columns.iter().filter(|c| **c == column || **c == other);
            turns.extend(own.map(|c| *c == column));
            ends.push(turns.len());
        }
        let (mut taken, mut places) = (0, Vec::new());
        for class in self.rows {
            let class = (*class).try_into().unwrap_or(usize::MAX);
            let start = class.checked_sub(1).and_then(|c| ends.get(c)).copied().unwrap_or_default();
            let end = ends.get(class).copied().unwrap_or_default();
            for is_own in turns.get(start..end).unwrap_or_default() {
                if *is_own {
                    places.push(taken);
                    if places.len() == most {
                        return Ok(places);
                    }
                } else {
                    taken += 1;
                }
            }
        }
        Ok(places)
    }

    /// For each of the first `most` values of a column, the latest one of another then; 0 before the
    /// first.
    pub(super) fn latest(
        &mut self,
        column: u32,
        other: u32,
        values: &Values<'_>,
        most: usize,
    ) -> Result<Vec<u64>> {
        let mut places = self.taken(column, other, most)?.into_iter();
        let latest = |place: u32| (place as usize).checked_sub(1).map_or(0, |n| values.get(n));
        Ok(places.by_ref().map(latest).collect())
    }
}

/// The values of a column that tell of another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    /// Of integers and floats.
    Numbers(&'a [u64]),
    /// Of strings: which one of the dictionary.
    Indexes(&'a [u32]),
}

impl Values<'_> {
    /// One of them, 0 where there is none.
    #[inline]
    pub(super) fn get(&self, n: usize) -> u64 {
        match self {
            Self::Numbers(all) => all.get(n).copied().unwrap_or_default(),
            Self::Indexes(all) => all.get(n).copied().map_or(0, u64::from),
        }
    }
}
