//! Values that came before, not long ago: process ids, ports and addresses of what is going on.
//!
//! A list holds the last [`DEPTH`] different values, the latest first. A value is its place in the
//! list, or `DEPTH` when it is not there; those values follow as a column of their own.

use crate::bytes::{Error, Result};

/// How many values the list holds.
pub(super) const DEPTH: usize = 24;

/// The list.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    values: [u64; DEPTH],
}

impl Recent {
    /// The list that both sides begin with.
    pub(super) const fn new() -> Self {
        Self { values: [0; DEPTH] }
    }

    /// The place of a value, `None` when it is not in the list; makes it the latest.
    #[inline]
    pub(super) fn find(&mut self, value: u64) -> Option<usize> {
        let found = self.values.iter().position(|v| *v == value);
        self.renew(found.unwrap_or(DEPTH - 1), value);
        found
    }

    /// Puts a value in front and lets those before `place` move back.
    #[inline]
    fn renew(&mut self, place: usize, value: u64) {
        let mut carry = value;
        for slot in self.values.iter_mut().take(place + 1) {
            std::mem::swap(slot, &mut carry);
        }
    }
}

/// Appends the places of values, and the values that have none.
pub(super) fn split(values: &[u64], places: &mut Vec<u64>, others: &mut Vec<u64>) {
    let mut recent = Recent::new();
    for value in values {
        match recent.find(*value) {
            Some(place) => places.push(place as u64),
            None => {
                places.push(DEPTH as u64);
                others.push(*value);
            }
        }
    }
}

/// How many places say that the value is another.
pub(super) fn count_others(places: &[u64]) -> usize {
    places.iter().filter(|p| **p == DEPTH as u64).count()
}

/// Turns places into values.
///
/// # Errors
/// When a place is beyond the list.
pub(super) fn join(places: &mut [u64], others: &[u64]) -> Result<()> {
    let mut recent = Recent::new();
    let mut others = others.iter();
    for place in places {
        let at = *place as usize;
        *place = match recent.values.get(at).copied() {
            Some(value) => value,
            None if at == DEPTH => others.next().copied().unwrap_or_default(),
            None => return Err(Error::new("a column names a value too long ago")),
        };
        recent.renew(at.min(DEPTH - 1), *place);
    }
    Ok(())
}
