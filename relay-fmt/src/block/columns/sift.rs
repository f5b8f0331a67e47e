//! What lines contain that were followed down [`super::paths`].
//!
//! The constant text of such a line is known to a filter, with all threes of bytes in it: the first line of
//! its template was added whole. What is not known is its values, with as much of the text around them
//! as a three or a run of digits can reach over; and many of those came before. Where these *pieces* of a
//! line lie is the same for all lines of a class, and is found once.

use super::again::{Change, common};
use super::hash::{hash, mix};
use super::split::Hole;
use super::template::{BINARY, DECIMAL, INTEGER, STAMP, STR};
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

    /// Adds to the filter what the values of a line may contain, which lies at `line` of the payloads. Where it
    /// is known what `differs` from a line of its class that was added, the rest is left alone.
    pub(super) fn add(
        &mut self,
        (payload, line): (&[u8], Part),
        (holes, values): (&[Hole], &[u64]),
        (class, differs): (u32, Option<&[Change]>),
        filter: &mut FilterBuilder,
    ) {
        let (base, line) = (line.0, payload.get(line.0..line.1).unwrap_or_default());
        let (from, to) = match self.plans.get(class as usize) {
            Some(Some(plan)) => *plan,
            _ => self.plan(class, line, holes),
        };
        let Self { texts, numbers, pieces, last, .. } = self;
        let mut differs = differs.map(|changes| changes.iter().peekable());
        for piece in pieces.get(from..to).unwrap_or_default() {
            // The first byte that is new, if that is known.
            let mut new = None;
            if let Some(changes) = &mut differs {
                while changes.next_if(|change| change.hole < piece.holes.0).is_some() {}
                match changes.peek() {
                    None => break,
                    Some(change) if change.hole > piece.holes.1 => continue,
                    Some(change) => new = Some(change.differs as usize),
                }
            }
            let Some(hole) = holes.get(piece.holes.0 as usize) else { break };
            let Some(tail) = holes.get(piece.holes.1 as usize) else { break };
            let start = hole.from.saturating_sub(piece.around.0) as usize;
            let stop = (tail.to + piece.around.1) as usize;
            let at = (base + start, base + stop);
            let text = payload.get(at.0..at.1).unwrap_or_default();
            let Some(last) = last.get_mut(piece.context as usize) else { break };
            let last = std::mem::replace(last, at);
            let value = values.get(piece.value as usize).copied().unwrap_or_default();
            let digits = || line.get(hole.from as usize..hole.to as usize).unwrap_or_default();
            // How much of the piece was added with another one.
            let same = || match new {
                Some(new) => new.saturating_sub(start),
                None => common(text, payload.get(last.0..last.1).unwrap_or_default()),
            };
            match piece.of {
                Of::Integer => {
                    if is_new(numbers, value, piece.context << 7) {
                        add_integer(behind(text, same(), 2), value, digits(), filter);
                    }
                }
                Of::Decimal => {
                    let scale = values.get(piece.value as usize + 1).copied().unwrap_or_default();
                    let context = piece.context << 7 | scale as u32 & 0x7f;
                    if !is_new(numbers, value, context) {
                        continue;
                    }
                    filter.add_threes(behind(text, same(), 2));
                    let number = value.cast_signed().unsigned_abs();
                    if scale == BINARY {
                        filter.add_double(number, digits());
                    } else {
                        filter.add_decimal(number, digits(), scale as usize);
                    }
                }
                Of::Times => {
                    let same = same();
                    if same < text.len() {
                        filter.add(behind(text, same, reach(text, same)));
                    }
                }
                Of::Strings | Of::Others => {
                    let same = same();
                    if same == text.len() || !is_new_text(texts, payload, at, text) {
                        continue;
                    }
                    let strings = piece.of == Of::Strings;
                    filter.add(if strings { text } else { behind(text, same, reach(text, same)) });
                }
            }
        }
    }

    /// Finds the pieces of the lines of a class, of which this is one.
    #[cold]
    fn plan(&mut self, class: u32, line: &[u8], holes: &[Hole]) -> (usize, usize) {
        let from = self.pieces.len();
        let text = |from: usize, to: usize| line.get(from..to).unwrap_or_default();
        let (mut next, mut value, mut before) = (0, 0u32, 0);
        while let Some(hole) = holes.get(next) {
            let (first, of) = (next, value);
            let mut last = hole;
            let mut strings = false;
            // What tells the context: marks, and what stands between and around them.
            let mut context = Vec::new();
            // Values that hardly anything stands between make one piece.
            let behind = loop {
                strings |= last.mark[0] == STR;
                value += u32::from(last.values());
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
                value: of,
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

/// How much of what stands before a place can tell of digits there, in bytes; a three at least.
#[inline]
fn reach(piece: &[u8], at: usize) -> usize {
    let head = piece.get(..at).unwrap_or_default();
    head.iter().rev().take_while(|byte| is_of_number(**byte)).count().max(2)
}

/// What of a piece is behind a place, and so many bytes before it.
#[inline]
fn behind(piece: &[u8], at: usize, more: usize) -> &[u8] {
    piece.get(at.saturating_sub(more)..).unwrap_or_default()
}
