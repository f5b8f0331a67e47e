//! No writer's records go into the archive with a hole in their numbers, if the hole can be filled.
//!
//! A look at many sub-buffers is not one moment: a writer may have gone on to a sub-buffer that was
//! looked at after the one that it left. What lies behind such a hole stays in the channel, and the
//! next look has the rest. A hole that the next look shows again is real: the channel overwrites or
//! discards, or somebody has destroyed something; then the records behind it go on.

use crate::live::Live;
use crate::take::Taken;
use std::collections::HashMap;

/// A hole: which channel and writer, the number that was expected, and which part of what was taken
/// lies behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hole {
    live: usize,
    writer: u64,
    expected: u64,
    taken: usize,
    part: usize,
}

/// A part: its first number, its records, and where it stands in what was taken.
type At = (u64, u32, usize, usize);

/// Finds the holes in what was taken, the first of each writer.
pub(crate) fn find(lives: &[Live], taken: &[(usize, Taken)]) -> Vec<Hole> {
    let mut of: HashMap<(usize, u64), Vec<At>> = HashMap::new();
    for (t, (live, taken)) in taken.iter().enumerate() {
        for (p, part) in taken.parts.iter().enumerate() {
            let parts = of.entry((*live, part.hand.writer)).or_default();
            parts.push((part.hand.next_number, part.records, t, p));
        }
    }
    let mut holes = Vec::new();
    for ((index, writer), mut parts) in of {
        parts.sort_unstable();
        let Some(live) = lives.get(index) else { continue };
        let known = live.archived.writers.get(&writer).map(|writer| writer.next_number);
        // A writer that was never heard of begins at 0, unless so many were that some are forgotten.
        let mut expected = known.unwrap_or(0);
        for (first, records, taken, part) in parts {
            if first > expected && live.gaps.get(&writer) != Some(&expected) {
                holes.push(Hole { live: index, writer, expected, taken, part });
                break;
            }
            expected = expected.max(first.saturating_add(u64::from(records)));
        }
    }
    holes
}

/// Leaves out what lies behind holes. What is left out is remembered: it is left out once.
pub(crate) fn leave_out(lives: &mut [Live], taken: &mut [(usize, Taken)]) {
    let mut seen: Vec<Hole> = Vec::new();
    loop {
        let holes = find(lives, taken);
        if holes.is_empty() {
            break;
        }
        for hole in &holes {
            if let Some((_, taken)) = taken.get_mut(hole.taken) {
                // The bytes of a sub-buffer are archived in order: with a part go those behind it.
                taken.parts.truncate(hole.part);
                taken.hand = None;
                taken.bad = None;
            }
        }
        seen.extend(holes);
    }
    for live in lives.iter_mut() {
        live.gaps.clear();
    }
    for hole in seen {
        if let Some(live) = lives.get_mut(hole.live) {
            live.gaps.insert(hole.writer, hole.expected);
        }
    }
}
