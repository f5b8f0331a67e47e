//! A table of things that live for ever, found without a lock.

use crate::channel::shelf::Leaked;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const SIZE: usize = 16_384;
/// The most that is kept: what comes later is not remembered.
const MOST: u32 = 8_192;
/// So many places are looked at.
const PROBES: usize = 16;

/// An open-addressed table of fixed size; nothing is ever taken out.
#[derive(Debug)]
pub(crate) struct Table<E: 'static> {
    places: [Leaked<E>; SIZE],
    used: AtomicU32,
}

impl<E: Sync> Table<E> {
    pub(crate) const fn new() -> Self {
        Self { places: [const { Leaked::new() }; SIZE], used: AtomicU32::new(0) }
    }

    /// The entry where it would stand if there were no others, if it `is` the right one: nearly all of
    /// them are found so. Where not, [`Table::find`] knows more.
    #[inline(always)]
    pub(crate) fn at_home(&self, hash: u64, is: impl Fn(&E) -> bool) -> Option<&'static E> {
        self.places[home(hash)].get().filter(|entry| is(entry))
    }

    /// The entry that `is` the right one; otherwise what `make` makes, if there is room for it.
    pub(crate) fn find(
        &self,
        hash: u64,
        is: impl Fn(&E) -> bool,
        make: impl FnOnce() -> E,
    ) -> Option<&'static E> {
        let first = home(hash);
        for probe in 0..PROBES {
            match self.places[(first + probe) % SIZE].get() {
                Some(entry) if is(entry) => return Some(entry),
                Some(_) => {}
                None => return self.add(first, probe, is, make),
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn add(
        &self,
        first: usize,
        probe: usize,
        is: impl Fn(&E) -> bool,
        make: impl FnOnce() -> E,
    ) -> Option<&'static E> {
        if self.used.fetch_add(1, Relaxed) >= MOST {
            self.used.fetch_sub(1, Relaxed);
            return None;
        }
        let entry: &'static E = Box::leak(Box::new(make()));
        for probe in probe..PROBES {
            let there = self.places[(first + probe) % SIZE].set_first(entry);
            if std::ptr::eq(there, entry) || is(there) {
                return Some(there);
            }
        }
        None
    }
}

/// Where an entry of this hash stands if there are no others. All of a word reach the uppermost bits of its
/// product: lower ones know only what is below them.
#[inline(always)]
pub(crate) fn home(hash: u64) -> usize {
    (hash >> (u64::BITS - SIZE.trailing_zeros())) as usize
}

/// Mixes a few words into a hash whose upper bits are good. The products do not wait for each other.
#[inline]
pub(crate) fn mix(words: &[u64]) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let each = (0..).step_by(21).map(|turn| GOLDEN.rotate_left(turn) | 1);
    words
        .iter()
        .zip(each)
        .fold(0, |hash: u64, (word, factor)| hash.wrapping_add(word.wrapping_mul(factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table<u64> = Table::new();

    #[test]
    fn it_remembers_up_to_its_bound() {
        let find = |n: u64| TABLE.find(mix(&[n]), |e| *e == n, || n).copied();
        let kept = (1..=10_000).filter(|n| find(*n).is_some()).count();
        assert!((8_000..=8_192).contains(&kept), "{kept}");
        assert_eq!(find(1), Some(1));
        assert!((1..=10_000).all(|n| find(n).is_none_or(|found| found == n)));
        let home = |n: u64| TABLE.at_home(mix(&[n]), |e| *e == n);
        assert!((1..=10_000).all(|n| home(n).is_none_or(|found| Some(*found) == find(n))));
        assert!((1..=10_000).filter(|n| home(*n).is_some()).count() > 4_000);
    }
}
