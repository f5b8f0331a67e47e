//! Whether a block can contain some text, without putting its rows together.
//!
//! A needle in formatted text lies across constant text and values: `port 36890` is the constant
//! `port ` and an integer that begins with 36890. Each class's template is matched with the needle,
//! first with values that may be anything their kind can look like, which needs the meta frame only;
//! where that leaves a chance, with the values that the columns hold.

use super::decode::{self, Column};
use super::frames::{Frame, Packed};
use super::program::Op;
use super::strings::{self, Text};
use super::template::Slot;
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Error, Result};
use memchr::memmem;
use std::collections::HashMap;

/// Longer needles are looked for by their beginning.
const MAX_NEEDLE: usize = 256;
/// After so many steps the answer is that the block may contain the needle.
const MAX_STEPS: usize = 4 << 20;

/// Whether the block may contain the needle: `false` says that it does not.
///
/// Looks in formatted text (messages that came as text, raw channels) and in string values. It does
/// not look across two values of a record that was not text, nor in what callsites say.
///
/// # Errors
/// When the body is damaged.
pub fn contains(body: &[u8], needle: &[u8]) -> Result<bool> {
    let needle = needle.get(..MAX_NEEDLE).unwrap_or(needle);
    let packed = Packed::split(body)?;
    let meta = packed.unpack(Frame::Meta)?;
    let mut input = Cursor::new(&meta);
    super::tables::get_meta(&mut input, &mut RowBuffer::default())?;
    let layout = decode::Layout::get(&mut input)?;
    let mut patterns: Vec<Pattern<'_>> = Vec::new();
    for class in &layout.classes {
        Pattern::of_class(class, &mut patterns);
    }
    let mut search = Search::new(needle, None, None);
    patterns.retain(|pattern| search.may_match(pattern));
    if patterns.is_empty() {
        return Ok(false);
    }
    let texts = packed.unpack(Frame::Text)?;
    let mut search = Search::new(needle, Some(&texts), None);
    patterns.retain(|pattern| search.may_match(pattern));
    if patterns.is_empty() {
        return Ok(false);
    }
    let numbers = packed.unpack(Frame::Number)?;
    let text = Text::starting_at(&texts, layout.text_at);
    let mut text = text.ok_or(Error::new("the frames of a block do not belong together"))?;
    let columns = decode::get_columns(&layout.shapes, &numbers, &mut text)?;
    let mut search = Search::new(needle, Some(&texts), Some(&columns));
    Ok(patterns.iter().any(|pattern| search.may_match(pattern)))
}

/// Stands for a column where all texts are meant.
const ANYWHERE: u32 = u32::MAX;

/// A part of a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    Constant(&'a [u8]),
    /// A value, and its column.
    Value(Slot, u32),
    /// A value of two columns.
    Pair(Slot, u32, u32),
    /// A value that is not looked at: any text of these characters.
    Any(Chars),
}

/// Which characters a typed value is shown with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chars {
    Integer,
    Float,
    Bool,
}

impl Chars {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Integer => byte.is_ascii_digit() || byte == b'-',
            Self::Float => byte.is_ascii_digit() || b"-.infNa".contains(&byte),
            Self::Bool => b"truefalse".contains(&byte),
        }
    }
}

/// What the texts of a class look like.
#[derive(Debug, Default)]
pub(super) struct Pattern<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
}

impl<'a> Pattern<'a> {
    /// Appends the text of a class as one pattern and each string value as another.
    pub(super) fn of_class(class: &'a decode::Class<'_>, patterns: &mut Vec<Self>) {
        let mut text = Self::default();
        let mut columns = class.columns.iter();
        let bare = !class.ops.contains(&Op::Open);
        let is_text = class.ops.iter().any(|op| matches!(op, Op::Slot(_) | Op::Open));
        let mut open = bare && is_text || class.program.first() == Some(&super::program::BARE_TEXT);
        for op in &class.ops {
            let column = columns.as_slice().first().copied().unwrap_or_default();
            let second = columns.as_slice().get(1).copied();
            columns.by_ref().take(op.columns().len()).for_each(drop);
            match op {
                Op::Open => open = true,
                Op::Close => {
                    open = false;
                    patterns.push(std::mem::take(&mut text));
                }
                Op::Literal(reference) if open => {
                    let constant = strings::slice(class.program, *reference);
                    text.pieces.push(Piece::Constant(constant));
                }
                Op::Slot(slot) => text.pieces.push(match second {
                    Some(second) if slot.columns().len() > 1 => Piece::Pair(*slot, column, second),
                    _ => Piece::Value(*slot, column),
                }),
                Op::Str | Op::Rest => {
                    patterns.push(Self { pieces: vec![Piece::Value(Slot::Str, column)] })
                }
                _ => {}
            }
        }
        if open {
            patterns.push(text);
        }
    }
}

/// The part of the needle that a value would have to show: from, to, and whether these are where the
/// value begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    from: usize,
    to: usize,
    begins: bool,
    ends: bool,
}

pub(super) struct Search<'a> {
    needle: &'a [u8],
    texts: Option<&'a [u8]>,
    columns: Option<&'a [Column]>,
    known: HashMap<(u32, Part), bool>,
    steps: usize,
    /// The second column of a value of two.
    second: u32,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        needle: &'a [u8],
        texts: Option<&'a [u8]>,
        columns: Option<&'a [Column]>,
    ) -> Self {
        Self { needle, texts, columns, known: HashMap::new(), steps: 0, second: 0 }
    }

    /// Whether some text of this pattern may contain the needle.
    pub(super) fn may_match(&mut self, pattern: &Pattern<'_>) -> bool {
        let len = self.needle.len();
        // Which needle positions the text up to here may have come to.
        let mut reached = vec![false; len + 1];
        for piece in &pattern.pieces {
            self.steps += len + 1;
            if self.steps > MAX_STEPS {
                return true;
            }
            let mut next = vec![false; len + 1];
            let done = match piece {
                Piece::Constant(constant) => self.constant(constant, &reached, &mut next),
                Piece::Value(slot, column) => self.value(*slot, *column, &reached, &mut next),
                Piece::Pair(slot, column, second) => {
                    self.second = *second;
                    self.value(*slot, *column, &reached, &mut next)
                }
                Piece::Any(chars) => self.any(*chars, &reached, &mut next),
            };
            if done {
                return true;
            }
            reached = next;
        }
        len == 0
    }

    fn constant(&mut self, constant: &[u8], reached: &[bool], next: &mut [bool]) -> bool {
        if memmem::find(constant, self.needle).is_some() {
            return true;
        }
        let mark = |at: usize, next: &mut [bool]| {
            next.get_mut(at).into_iter().for_each(|n| *n = true);
        };
        // The needle begins within the constant and goes on after it.
        for take in 1..=constant.len().min(self.needle.len().saturating_sub(1)) {
            let tail = constant.get(constant.len() - take..).unwrap_or_default();
            if self.needle.starts_with(tail) {
                mark(take, next);
            }
        }
        for (at, _) in reached.iter().enumerate().filter(|(_, r)| **r) {
            let rest = self.needle.get(at..).unwrap_or_default();
            if constant.starts_with(rest) {
                return true;
            }
            if rest.starts_with(constant) {
                mark(at + constant.len(), next);
            }
        }
        false
    }

    /// A value that may begin and end anywhere in the needle as far as its characters allow.
    fn any(&self, chars: Chars, reached: &[bool], next: &mut [bool]) -> bool {
        let mut inside = true;
        let ends = self.needle.iter().map(|byte| chars.has(*byte)).chain([false]);
        for (at, (has, next)) in ends.zip(next).enumerate() {
            inside |= reached.get(at) == Some(&true);
            *next |= inside && at > 0 || reached.get(at) == Some(&true);
            if at == self.needle.len() {
                return inside;
            }
            inside &= has;
        }
        false
    }

    fn value(&mut self, slot: Slot, column: u32, reached: &[bool], next: &mut [bool]) -> bool {
        let len = self.needle.len();
        let starts = reached.iter().enumerate().filter(|(_, r)| **r);
        let starts = starts.map(|(at, _)| (at, true)).chain([(0, false)]);
        for (from, begins) in starts {
            for to in from..=len {
                self.steps += 1;
                if self.steps > MAX_STEPS {
                    return true;
                }
                let part = self.needle.get(from..to).unwrap_or_default();
                if !part.last().is_none_or(|b| may_show(slot, *b)) {
                    break;
                }
                let ends = to < len;
                let part = Part { from, to, begins, ends };
                if !self.shows(slot, column, part) {
                    continue;
                }
                if !ends {
                    return true;
                }
                next.get_mut(to).into_iter().for_each(|n| *n = true);
            }
        }
        false
    }

    /// Whether a value of the column shows this part of the needle.
    fn shows(&mut self, slot: Slot, column: u32, part: Part) -> bool {
        let wanted = self.needle.get(part.from..part.to).unwrap_or_default();
        if slot == Slot::Decimal && part.begins && part.ends && !wanted.contains(&b'.') {
            return false;
        }
        if wanted.is_empty() {
            return true;
        }
        if matches!(slot, Slot::Decimal | Slot::Uuid) {
            return self.shows_pair(slot, column, part);
        }
        let Some(texts) = self.texts else { return true };
        if slot == Slot::Str && !self.is_in(texts, part) {
            return false;
        }
        let Some(columns) = self.columns else {
            return true;
        };
        if let Some(known) = self.known.get(&(column, part)) {
            return *known;
        }
        let values = columns.get(column as usize).map_or(&[][..], |c| &c.values);
        self.steps += values.len() / 16;
        let answer = match number(wanted) {
            Some(n) if slot == Slot::Integer && part.begins && part.ends => values.contains(&n),
            _ => any_shows(slot, values, texts, wanted, part),
        };
        self.known.insert((column, part), answer);
        answer
    }
}

impl Search<'_> {
    /// Whether a value of two columns may show a part of the needle. Its two numbers need not lie
    /// side by side, so only what one of them shows is looked for.
    fn shows_pair(&mut self, slot: Slot, column: u32, part: Part) -> bool {
        let Some(columns) = self.columns else { return true };
        let wanted = self.needle.get(part.from..part.to).unwrap_or_default();
        if let Some(known) = self.known.get(&(column, part)) {
            return *known;
        }
        let values = |column: u32| columns.get(column as usize).map_or(&[][..], |c| &c.values);
        let (first, second) = (values(column), values(self.second));
        self.steps += first.len() / 16;
        let answer = match slot {
            Slot::Uuid => uuid(wanted)
                .is_none_or(|(high, low)| first.contains(&high) && second.contains(&low)),
            _ => second.contains(&super::template::BINARY) || any_has_digits(first, wanted),
        };
        self.known.insert((column, part), answer);
        answer
    }

    /// Whether a part of the needle stands anywhere in the text frame.
    fn is_in(&mut self, texts: &[u8], mut part: Part) -> bool {
        (part.begins, part.ends) = (false, false);
        let wanted = self.needle.get(part.from..part.to).unwrap_or_default();
        let found = || memmem::find(texts, wanted).is_some();
        *self.known.entry((ANYWHERE, part)).or_insert_with(found)
    }
}

fn any_shows(slot: Slot, values: &[u64], texts: &[u8], wanted: &[u8], part: Part) -> bool {
    let finder = memmem::Finder::new(wanted);
    let mut room = Vec::new();
    let mut before = None;
    let least = match slot {
        Slot::Integer | Slot::Padded(_) => least(wanted),
        _ => 0,
    };
    values.iter().filter(|value| (**value as i64).unsigned_abs() >= least).any(|value| {
        if before.replace(*value) == Some(*value) {
            return false;
        }
        let shown = if slot == Slot::Str {
            strings::slice(texts, *value)
        } else {
            room.clear();
            if slot.write(*value, 0, texts, &mut room).is_err() {
                return true;
            }
            &room[..]
        };
        match (part.begins, part.ends) {
            (true, true) => shown == wanted,
            (true, false) => shown.starts_with(wanted),
            (false, true) => shown.ends_with(wanted),
            (false, false) => finder.find(shown).is_some(),
        }
    })
}

/// No number below this shows these digits, also not with zeros in front.
fn least(wanted: &[u8]) -> u64 {
    let digits = wanted.iter().filter(|byte| byte.is_ascii_digit());
    let count = digits.skip_while(|digit| **digit == b'0').count();
    let above = count.checked_sub(1).and_then(|n| u32::try_from(n).ok());
    above.map_or(0, |n| 10u64.checked_pow(n).unwrap_or(0))
}

/// Whether a decimal with one of these mantissas may show this. Point and sign are not looked at, nor
/// zeros in front, which may fill up.
fn any_has_digits(mantissas: &[u64], wanted: &[u8]) -> bool {
    let digits = wanted.iter().copied().filter(u8::is_ascii_digit);
    let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
    let finder = memmem::Finder::new(&digits);
    let mut room = Vec::new();
    let least = least(&digits);
    let large = |mantissa: &&u64| (**mantissa as i64).unsigned_abs() >= least;
    digits.is_empty()
        || mantissas.iter().filter(large).any(|mantissa| {
            room.clear();
            let shown = Slot::Integer.write(*mantissa, 0, &[], &mut room);
            shown.is_err() || finder.find(&room).is_some()
        })
}

/// The two numbers of a whole UUID.
fn uuid(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 36)?;
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    Some(((number >> 64) as u64, number as u64))
}

/// The number that an integer slot would hold to show exactly this.
fn number(text: &[u8]) -> Option<u64> {
    let n: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(n as u64)
}

/// Whether values of this kind ever show this byte.
fn may_show(slot: Slot, byte: u8) -> bool {
    match slot {
        Slot::Integer => byte.is_ascii_digit() || byte == b'-',
        Slot::Padded(_) => byte.is_ascii_digit(),
        Slot::Decimal => byte.is_ascii_digit() || matches!(byte, b'-' | b'.'),
        Slot::Hex { .. } => byte.is_ascii_hexdigit(),
        Slot::Ipv4 => byte.is_ascii_digit() || byte == b'.',
        Slot::Stamp(stamp) => stamp.may_show(byte),
        Slot::Str => true,
        Slot::Uuid => byte.is_ascii_hexdigit() || byte == b'-',
    }
}
