//! What lines contain that were followed down [`super::paths`].
//!
//! The constant text of such a line is known to a filter, with all threes of bytes in it: the first line of
//! its template was added whole. What is not known is its values, with as much of the text around them
//! as a three or a run of digits can reach over; and many of those came before. Where these *pieces* of a
//! line lie is the same for all lines of a class, and is found once.

use super::hash::{hash, mix};
use super::split::{Hole, Split};
use super::template::{BINARY, DECIMAL, INTEGER, STAMP, STR, UUID};
use crate::block::FilterBuilder;
use crate::block::filter::is_of_number;
use std::collections::HashMap;

/// So many pieces of text are remembered, a power of two.
const TEXTS: usize = 4096;
/// So many numbers are remembered, a power of two.
const NUMBERS: usize = 2048;
/// Integers below this have no range and no grams.
const SHORT: u64 = 1000;

/// A part of the rows' payloads: where it begins and ends.
type Part = (usize, usize);

/// What stands in a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An integer, next to which stands nothing of a number.
    Integer,
    /// A decimal, likewise.
    Decimal,
    /// Strings, and maybe others.
    Strings,
    /// Something that begins with a time: hardly any comes twice, but for the one before.
    Times,
    /// Others.
    Others,
}

/// Where a piece of a line lies.
#[derive(Debug, Clone, Copy)]
struct Piece {
    of: Of,
    /// Its first and its last hole.
    holes: (u32, u32),
    /// How much of what stands around those belongs to it, in bytes.
    around: (u32, u32),
    /// Which value of the line the first hole's is.
    value: u32,
    /// Pieces of the same number are alike but for their values.
    context: u32,
}

/// Remembers what has been added to a filter.
#[derive(Debug, Default)]
pub(super) struct Sift {
    texts: Vec<Part>,
    /// Numbers, and in what they stand; 0 for none.
    numbers: Vec<(u64, u32)>,
    pieces: Vec<Piece>,
    /// For each class, its pieces; `None` as long as they have not been looked for.
    plans: Vec<Option<(usize, usize)>>,
    /// What contexts are made of, and their numbers.
    contexts: HashMap<Vec<u8>, u32>,
    /// For each context, the last piece.
    last: Vec<Part>,
}

impl Sift {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.texts.resize(TEXTS, (0, 0));
        self.numbers.clear();
        self.numbers.resize(NUMBERS, (0, 0));
        self.pieces.clear();
        self.plans.clear();
        self.contexts.clear();
        self.last.clear();
    }

    /// Adds to the filter what the values of the last line of `split`, which ends at `end` of the
    /// payloads, may contain; the first of them is its value number `first`.
    pub(super) fn add(
        &mut self,
        payload: &[u8],
        end: usize,
        (split, first): (&Split, usize),
        class: u32,
        filter: &mut FilterBuilder,
    ) {
        let line = payload.get(split.base..end).unwrap_or_default();
        let holes = split.holes.as_slice();
        let (from, to) = match self.plans.get(class as usize) {
            Some(Some(plan)) => *plan,
            _ => self.plan(class, line, holes),
        };
        let values = split.values.get(first..).unwrap_or_default();
        let Self { texts, numbers, pieces, last, .. } = self;
        for piece in pieces.get(from..to).unwrap_or_default() {
            let Some(hole) = holes.get(piece.holes.0 as usize) else { break };
            let Some(tail) = holes.get(piece.holes.1 as usize) else { break };
            let start = hole.from.saturating_sub(piece.around.0) as usize;
            let stop = (tail.to + piece.around.1) as usize;
            let at = (split.base + start, split.base + stop);
            let text = payload.get(at.0..at.1).unwrap_or_default();
            let Some(last) = last.get_mut(piece.context as usize) else { break };
            let value = values.get(piece.value as usize).copied().unwrap_or_default();
            let before = |part: Part| payload.get(part.0..part.1).unwrap_or_default();
            let digits = || line.get(hole.from as usize..hole.to as usize).unwrap_or_default();
            match piece.of {
                Of::Integer => {
                    if is_new(numbers, value, piece.context << 7) {
                        add_integer(text, value, digits(), filter);
                    }
                }
                Of::Decimal => {
                    let scale = values.get(piece.value as usize + 1).copied().unwrap_or_default();
                    let context = piece.context << 7 | scale as u32 & 0x7f;
                    if !is_new(numbers, value, context) {
                        continue;
                    }
                    let last = before(std::mem::replace(last, at));
                    filter.add_threes(changed(text, last));
                    let number = value.cast_signed().unsigned_abs();
                    if scale == BINARY {
                        filter.add_double(number, digits());
                    } else {
                        filter.add_decimal(number, digits(), scale as usize);
                    }
                }
                Of::Strings => {
                    let last = before(std::mem::replace(last, at));
                    if last != text && is_new_text(texts, payload, at, text) {
                        filter.add(text);
                    }
                }
                Of::Times => {
                    let last = before(std::mem::replace(last, at));
                    if last != text {
                        filter.add(changed(text, last));
                    }
                }
                Of::Others => {
                    let last = before(std::mem::replace(last, at));
                    if last != text && is_new_text(texts, payload, at, text) {
                        filter.add(changed(text, last));
                    }
                }
            }
        }
    }

    /// Finds the pieces of the lines of a class, of which this is one.
    #[cold]
    fn plan(&mut self, class: u32, line: &[u8], holes: &[Hole]) -> (usize, usize) {
        let from = self.pieces.len();
        let text = |from: usize, to: usize| line.get(from..to).unwrap_or_default();
        let (mut next, mut value, mut before) = (0, 0, 0);
        while let Some(hole) = holes.get(next) {
            let (first, of) = (next, value);
            let mut last = hole;
            let mut strings = false;
            // What tells the context: marks, and what stands between and around them.
            let mut context = Vec::new();
            // Values that hardly anything stands between make one piece.
            let behind = loop {
                strings |= last.mark[0] == STR;
                value += count(last);
                context.extend_from_slice(&last.mark);
                next += 1;
                let after = holes.get(next);
                let to = last.to as usize;
                let gap = text(to, after.map_or(line.len(), |hole| hole.from as usize));
                let reach = gap.iter().take_while(|byte| is_of_number(**byte)).count();
                match after.filter(|_| gap.len() < 2 || reach == gap.len()) {
                    Some(hole) => {
                        context.extend_from_slice(gap);
                        last = hole;
                    }
                    None => break (reach, reach.max(2).min(gap.len())),
                }
            };
            let gap = text(before, hole.from as usize);
            let reach = gap.iter().rev().take_while(|byte| is_of_number(**byte)).count();
            let head = reach.max(2).min(gap.len());
            before = last.to as usize;
            let alone = next == first + 1 && reach == 0 && behind.0 == 0;
            let of_piece = match hole.mark[0] {
                INTEGER if alone => Of::Integer,
                DECIMAL if alone => Of::Decimal,
                _ if strings => Of::Strings,
                STAMP => Of::Times,
                _ => Of::Others,
            };
            let (left, right) = (text(hole.from as usize - head, hole.from as usize), before);
            context.extend_from_slice(&(left.len() as u64).to_le_bytes());
            context.extend_from_slice(left);
            context.extend_from_slice(text(right, right + behind.1));
            let number = self.last.len() as u32;
            let number = *self.contexts.entry(context).or_insert(number);
            self.last.resize(self.last.len().max(number as usize + 1), (0, 0));
            self.pieces.push(Piece {
                of: of_piece,
                holes: (first as u32, (next - 1) as u32),
                around: (head as u32, behind.1 as u32),
                value: of as u32,
                context: number,
            });
        }
        let plan = (from, self.pieces.len());
        let at = class as usize;
        self.plans.resize(self.plans.len().max(at + 1), None);
        if let Some(slot) = self.plans.get_mut(at) {
            *slot = Some(plan);
        }
        plan
    }
}

/// Whether a number is not one of those that came not long ago in the same context.
#[inline]
fn is_new(numbers: &mut [(u64, u32)], number: u64, context: u32) -> bool {
    let new = (number, context.wrapping_add(1));
    let at = mix(number, u64::from(context)) as usize & (NUMBERS - 1);
    numbers.get_mut(at).is_none_or(|slot| std::mem::replace(slot, new) != new)
}

/// Whether a piece is not one of those that came not long ago.
#[inline]
fn is_new_text(texts: &mut [Part], payload: &[u8], at: Part, text: &[u8]) -> bool {
    let slot = texts.get_mut((hash(text) >> 32) as usize & (TEXTS - 1));
    let there = slot.map(|slot| std::mem::replace(slot, at)).unwrap_or_default();
    payload.get(there.0..there.1) != Some(text)
}

fn add_integer(text: &[u8], value: u64, digits: &[u8], filter: &mut FilterBuilder) {
    filter.add_threes(text);
    let number = value.cast_signed().unsigned_abs();
    if number >= SHORT {
        filter.add_whole(number, || digits.strip_prefix(b"-").unwrap_or(digits));
    }
}

/// What of a piece is not as in the one before: times have the same day.
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
