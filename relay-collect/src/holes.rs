//! No writer's records go into the archive with a hole in their numbers, if the hole can be filled.
//!
//! A look at many sub-buffers is not one moment: a writer may have gone on to a sub-buffer that was
//! looked at after the one that it left; and a sub-buffer that was parked is older than what its next
//! writer wrote before. So what lies behind a hole stays in its channel until all else of the look is
//! archived. What fills the hole is among that, or it is real: the channel overwrites or discards, or
//! somebody has destroyed something. That is certain where the writer's process is gone, or where the
//! look before showed a later number, for then all below that number was committed before this look
//! began. Otherwise the next look decides.

use crate::live::Live;
use crate::take::{Part, Taken};
use relay_log::channel::Sub;
use std::collections::{BTreeSet, HashMap};

/// What lies behind holes in one look.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Of each channel and writer, the first number of each part.
    parts: HashMap<(usize, u64), BTreeSet<u64>>,
    subs: Vec<(usize, Sub)>,
}

impl Behind {
    /// The sub-buffers that are left, in the order in which they were taken.
    pub(crate) fn take_subs(&mut self) -> Vec<(usize, Sub)> {
        std::mem::take(&mut self.subs)
    }

    /// Whether nothing lies behind a hole.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn add(&mut self, live: usize, parts: &[Part]) {
        for part in parts {
            let of = self.parts.entry((live, part.hand.writer)).or_default();
            of.insert(part.hand.next_number);
        }
    }

    /// Whether nothing that was left fills the numbers from `expected` to `first`, nor ever will.
    fn is_real(&self, lives: &[Live], key: (usize, u64), expected: u64, first: u64) -> bool {
        let nearest = self.parts.get(&key).and_then(|parts| parts.range(expected..).next());
        let Some(live) = lives.get(key.0) else { return false };
        nearest == Some(&first)
            && !live.unread
            && (!live.alive || live.shown.get(&key.1).is_some_and(|shown| first <= *shown))
    }

    /// Has the next look know what this one showed behind holes.
    pub(crate) fn remember(&self, lives: &mut [Live]) {
        lives.iter_mut().for_each(|live| live.shown.clear());
        for ((live, writer), parts) in &self.parts {
            if let (Some(live), Some(last)) = (lives.get_mut(*live), parts.last()) {
                live.shown.insert(*writer, *last);
            }
        }
    }
}

/// Leaves out what lies behind holes, and notes it in `behind`. `before`: what the last round through
/// the same look left.
pub(crate) fn leave_out(
    lives: &[Live],
    taken: &mut [(usize, Taken)],
    before: &Behind,
    behind: &mut Behind,
) {
    let mut cut = BTreeSet::new();
    loop {
        let holes = find(lives, taken, before);
        if holes.is_empty() {
            break;
        }
        for (at, part) in holes {
            let Some((live, taken)) = taken.get_mut(at) else { continue };
            // The bytes of a sub-buffer are archived in order: with a part go those behind it.
            behind.add(*live, taken.parts.get(part..).unwrap_or_default());
            taken.parts.truncate(part);
            taken.hand = None;
            taken.bad = None;
            cut.insert(at);
        }
    }
    let cut = cut.into_iter().filter_map(|at| taken.get(at));
    behind.subs.extend(cut.map(|(live, taken)| (*live, taken.sub)));
}

/// A part: its first number, its records, and where it stands in what was taken.
type At = (u64, u32, usize, usize);

/// The parts with a hole in front, the first of each writer.
fn find(lives: &[Live], taken: &[(usize, Taken)], before: &Behind) -> Vec<(usize, usize)> {
    let mut of: HashMap<(usize, u64), Vec<At>> = HashMap::new();
    for (t, (live, taken)) in taken.iter().enumerate() {
        for (p, part) in taken.parts.iter().enumerate() {
            let parts = of.entry((*live, part.hand.writer)).or_default();
            parts.push((part.hand.next_number, part.records, t, p));
        }
    }
    let mut holes = Vec::new();
    for (key, mut parts) in of {
        parts.sort_unstable();
        let Some(live) = lives.get(key.0) else { continue };
        let known = live.archived.writers.get(&key.1).map(|writer| writer.next_number);
        // A writer that was never heard of begins at 0, unless so many were that some are forgotten.
        let mut expected = known.unwrap_or(0);
        for (first, records, taken, part) in parts {
            if first > expected && !before.is_real(lives, key, expected, first) {
                holes.push((taken, part));
                break;
            }
            expected = expected.max(first.saturating_add(u64::from(records)));
        }
    }
    holes
}
