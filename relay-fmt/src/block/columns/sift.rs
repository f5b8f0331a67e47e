//! What lines contain that were followed down [`super::paths`].
//!
//! The constant text of such a line is known to a filter, with all threes of bytes in it: the first line of
//! its template was added whole. What is not known is its values, with as much of the text around them
//! as a three or a run of digits can reach over; and many of those came before.

use super::hash::hash;
use super::split::{Hole, Split};
use super::template::{DECIMAL, INTEGER, STR, UUID};
use crate::block::FilterBuilder;
use crate::block::filter::is_of_number;

/// So many pieces with strings are remembered, a power of two.
const SLOTS: usize = 4096;
/// So many places in lines of which the last piece is remembered, a power of two.
const PLACES: usize = 16;
/// Integers below this have no range and no grams.
const SHORT: u64 = 1000;

/// A piece of the rows' payloads: where it begins and ends.
type Piece = (usize, usize);

/// Remembers what has been added to a filter.
#[derive(Debug, Default)]
pub(super) struct Sift {
    strings: Vec<Piece>,
    last: [Piece; PLACES],
}

impl Sift {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.strings.clear();
        self.strings.resize(SLOTS, (0, 0));
        self.last = [(0, 0); PLACES];
    }

    /// Adds to the filter what the values of the last line of `split`, which ends at `end` of the
    /// payloads, may contain; the first of them is its value number `first`.
    pub(super) fn add(
        &mut self,
        payload: &[u8],
        end: usize,
        split: &Split,
        first: usize,
        filter: &mut FilterBuilder,
    ) {
        let line = payload.get(split.base..end).unwrap_or_default();
        let holes = split.holes.as_slice();
        let text = |from: usize, to: usize| line.get(from..to).unwrap_or_default();
        let (mut next, mut value, mut before) = (0, first, 0);
        while let Some(hole) = holes.get(next) {
            let (place, of) = (next, value);
            let (from, mut to) = (hole.from as usize, hole.to as usize);
            let (mut strings, mut values) = (hole.mark[0] == STR, count(hole));
            next += 1;
            // Values that hardly anything stands between make one piece.
            let behind = loop {
                let after = holes.get(next);
                let gap = text(to, after.map_or(line.len(), |hole| hole.from as usize));
                let reach = gap.iter().take_while(|byte| is_of_number(**byte)).count();
                match after.filter(|_| gap.len() < 2 || reach == gap.len()) {
                    Some(hole) => {
                        to = hole.to as usize;
                        strings |= hole.mark[0] == STR;
                        values += count(hole);
                        next += 1;
                    }
                    None => break (reach, reach.max(2).min(gap.len())),
                }
            };
            let gap = text(before, from);
            let reach = gap.iter().rev().take_while(|byte| is_of_number(**byte)).count();
            let start = from - reach.max(2).min(gap.len());
            let piece = text(start, to + behind.1);
            value += values;
            before = to;
            let at = (split.base + start, split.base + start + piece.len());
            // Most values are the one before.
            let last = self.last.get_mut(place & (PLACES - 1));
            let last = last.map(|last| std::mem::replace(last, at)).unwrap_or_default();
            let last = payload.get(last.0..last.1).unwrap_or_default();
            if last == piece {
                continue;
            }
            let apart = next == place + 1 && reach == 0 && behind.0 == 0;
            let number = split.values.get(of).filter(|_| apart && hole.mark[0] == INTEGER);
            if let Some(number) = number {
                let number = number.cast_signed().unsigned_abs();
                filter.add_threes(piece);
                if number >= SHORT {
                    let digits = text(from, to);
                    filter.add_whole(number, || digits.strip_prefix(b"-").unwrap_or(digits));
                }
            } else {
                filter.add(if strings {
                    self.new_string(payload, at, piece)
                } else {
                    changed(piece, last)
                });
            }
        }
    }

    /// The piece if it is not one of those with strings that came not long ago.
    #[inline]
    fn new_string<'a>(&mut self, payload: &[u8], at: Piece, piece: &'a [u8]) -> &'a [u8] {
        let slot = self.strings.get_mut((hash(piece) >> 32) as usize & (SLOTS - 1));
        let there = slot.map(|slot| std::mem::replace(slot, at)).unwrap_or_default();
        if payload.get(there.0..there.1) == Some(piece) { &[] } else { piece }
    }
}

/// What of a piece is not as in the one before at its place: times have the same day.
#[inline]
fn changed<'a>(piece: &'a [u8], last: &[u8]) -> &'a [u8] {
    let eights = piece.as_chunks::<8>().0.iter().zip(last.as_chunks::<8>().0);
    let same = 8 * eights.take_while(|(a, b)| a == b).count();
    let rest = piece.iter().zip(last).skip(same);
    let same = same + rest.take_while(|(a, b)| a == b).count();
    let head = piece.get(..same).unwrap_or_default();
    let reach = head.iter().rev().take_while(|byte| is_of_number(**byte)).count();
    piece.get(same - reach.max(2).min(same)..).unwrap_or_default()
}

/// How many values stand in a hole.
const fn count(hole: &Hole) -> usize {
    let [mark, ..] = hole.mark;
    if mark == DECIMAL || mark == UUID { 2 } else { 1 }
}
