//! Whether a block can contain some text, without putting its rows together.
//!
//! A needle in formatted text lies across constant text and values: `port 36890` is the constant
//! `port ` and an integer that begins with 36890. Each class's template is matched with the needle,
//! first with values that may be anything their kind can look like, which needs the meta frame only;
//! where that leaves a chance, with the values that the columns hold.

use super::decode;
use super::digits::{self, Digits};
use super::frames::{Frame, Packed};
use super::lazy::Columns;
use super::program::Op;
use super::strings;
use super::template::{BINARY, Slot};
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Result};
use memchr::memmem;

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
    let mut columns = Columns::find(&layout, &numbers, &texts)?;
    let mut search = Search::new(needle, Some(&texts), Some(&mut columns));
    Ok(patterns.iter().any(|pattern| search.may_match(pattern)))
}

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
        let mut text = Self { pieces: Vec::with_capacity(class.ops.len()) };
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

/// Places in a needle, its end included.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    bits: [u64; MAX_NEEDLE / 64 + 1],
}

impl Places {
    fn insert(&mut self, at: usize) {
        if let Some(bits) = self.bits.get_mut(at / 64) {
            *bits |= 1 << (at % 64);
        }
    }

    fn has(&self, at: usize) -> bool {
        self.bits.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..).zip(self.bits).filter(|(_, bits)| *bits != 0).flat_map(|(word, bits)| {
            (0..64).filter(move |at| bits >> at & 1 == 1).map(move |at| word * 64 + at)
        })
    }
}

pub(super) struct Search<'a, 'c> {
    needle: &'a [u8],
    finder: memmem::Finder<'a>,
    texts: Option<&'a [u8]>,
    /// For each place of the needle, how far what follows it stands somewhere in the texts; filled
    /// when it is asked for.
    in_texts: Vec<Option<usize>>,
    columns: Option<&'a mut Columns<'c>>,
    /// For each column, what is known of the parts that were asked for: a few.
    known: Vec<Vec<(Part, bool)>>,
    steps: usize,
    /// The second column of a value of two.
    second: u32,
}

impl<'a, 'c> Search<'a, 'c> {
    pub(super) fn new(
        needle: &'a [u8],
        texts: Option<&'a [u8]>,
        columns: Option<&'a mut Columns<'c>>,
    ) -> Self {
        let needle = needle.get(..MAX_NEEDLE).unwrap_or(needle);
        let in_texts = vec![None; needle.len()];
        let finder = memmem::Finder::new(needle);
        Self {
            needle,
            finder,
            texts,
            in_texts,
            known: vec![Vec::new(); columns.as_ref().map_or(0, |columns| columns.len())],
            columns,
            steps: 0,
            second: 0,
        }
    }

    /// Whether some text of this pattern may contain the needle.
    pub(super) fn may_match(&mut self, pattern: &Pattern<'_>) -> bool {
        // Which needle positions the text up to here may have come to.
        let mut reached = Places::default();
        let after = pattern.pieces.iter().skip(1).map(Some).chain([None]);
        for (piece, after) in pattern.pieces.iter().zip(after) {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return true;
            }
            let next = match piece {
                Piece::Constant(constant) => self.constant(constant, reached),
                Piece::Value(slot, column) => self.value((*slot, *column), after, reached),
                Piece::Pair(slot, column, second) => {
                    self.second = *second;
                    self.value((*slot, *column), after, reached)
                }
                Piece::Any(chars) => self.any(*chars, reached),
            };
            let Some(next) = next else { return true };
            reached = next;
        }
        self.needle.is_empty()
    }

    /// Where the needle may have come to after a constant; `None`: to its end.
    fn constant(&mut self, constant: &[u8], reached: Places) -> Option<Places> {
        let mut next = Places::default();
        if constant.len() >= self.needle.len() && self.finder.find(constant).is_some() {
            return None;
        }
        // The needle begins within the constant and goes on after it.
        let most = constant.len().min(self.needle.len().saturating_sub(1));
        let last = constant.last().copied().unwrap_or_default();
        for take in memchr::memchr_iter(last, self.needle.get(..most).unwrap_or_default()) {
            let head = self.needle.get(..=take).unwrap_or_default();
            if constant.ends_with(head) {
                next.insert(take + 1);
            }
        }
        for at in reached.iter() {
            let rest = self.needle.get(at..).unwrap_or_default();
            if constant.starts_with(rest) {
                return None;
            }
            if rest.starts_with(constant) {
                next.insert(at + constant.len());
            }
        }
        Some(next)
    }

    /// A value that may begin and end anywhere in the needle as far as its characters allow.
    fn any(&mut self, chars: Chars, reached: Places) -> Option<Places> {
        let mut next = Places::default();
        self.steps += self.needle.len();
        let mut inside = true;
        for at in 0..=self.needle.len() {
            inside |= reached.has(at);
            if inside && at > 0 || reached.has(at) {
                next.insert(at);
            }
            inside &= self.needle.get(at).is_none_or(|byte| chars.has(*byte));
        }
        (!inside).then_some(next)
    }

    fn value(
        &mut self,
        (slot, column): (Slot, u32),
        after: Option<&Piece<'_>>,
        reached: Places,
    ) -> Option<Places> {
        let mut next = Places::default();
        let len = self.needle.len();
        // What the needle goes on with behind a value that ends in it.
        let must = match after {
            Some(Piece::Constant(constant)) => constant.first(),
            _ => None,
        };
        let starts = reached.iter().map(|at| (at, true)).chain([(0, false)]);
        for (from, begins) in starts {
            // Only strings are shown as nothing.
            if begins && slot == Slot::Str {
                next.insert(from);
            }
            let most = self.most(slot, from);
            self.steps += most.saturating_sub(from);
            if self.steps > MAX_STEPS {
                return None;
            }
            for to in from + 1..=most {
                let ends = to < len;
                if ends && must.is_some() && must != self.needle.get(to) {
                    continue;
                }
                let part = Part { from, to, begins, ends };
                if ends && !self.may_go_on(to, after) || !self.shows(slot, column, part) {
                    continue;
                }
                if !ends {
                    return None;
                }
                next.insert(to);
            }
        }
        Some(next)
    }

    /// How far from a place on such a value can show the needle.
    fn most(&mut self, slot: Slot, from: usize) -> usize {
        if let (Slot::Str, Some(texts)) = (slot, self.texts) {
            return self.in_texts(texts, from);
        }
        let rest = self.needle.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| may_show(slot, **byte)).count()
    }

    /// Whether the needle may go on with what follows a value: asked before the value is looked at,
    /// because most values are followed by constant text that says no.
    fn may_go_on(&self, at: usize, after: Option<&Piece<'_>>) -> bool {
        let rest = self.needle.get(at..).unwrap_or_default();
        match after {
            None => false,
            Some(Piece::Constant(constant)) => {
                rest.starts_with(constant) || constant.starts_with(rest)
            }
            Some(_) => true,
        }
    }

    /// Whether a value of the column shows this part of the needle.
    fn shows(&mut self, slot: Slot, column: u32, part: Part) -> bool {
        let wanted = self.needle.get(part.from..part.to).unwrap_or_default();
        if slot == Slot::Decimal && part.begins && part.ends && !wanted.contains(&b'.') {
            return false;
        }
        let most_digits = most_digits(slot);
        if wanted.len() > most_digits && digits::longest_run(wanted) > most_digits {
            return false;
        }
        if matches!(slot, Slot::Decimal | Slot::Uuid) {
            return self.shows_pair(slot, column, part);
        }
        if let Some(known) = self.known(column, part) {
            return known;
        }
        let Some(columns) = &mut self.columns else { return true };
        let texts = columns.texts();
        // What is damaged is told when it is put together.
        let Some(values) = columns.values(column) else { return true };
        self.steps += values.len() / 16;
        let answer = match number(wanted) {
            Some(n) if slot == Slot::Integer && part.begins && part.ends => values.contains(&n),
            _ => any_shows(slot, values, texts, wanted, part),
        };
        self.learn(column, part, answer)
    }

    fn known(&self, column: u32, part: Part) -> Option<bool> {
        let known = self.known.get(column as usize)?;
        known.iter().find(|(of, _)| *of == part).map(|(_, answer)| *answer)
    }

    fn learn(&mut self, column: u32, part: Part, answer: bool) -> bool {
        if let Some(known) = self.known.get_mut(column as usize) {
            known.push((part, answer));
        }
        answer
    }
}

impl Search<'_, '_> {
    /// Whether a value of two columns may show a part of the needle. Its two numbers need not lie
    /// side by side, so only what one of them shows is looked for.
    fn shows_pair(&mut self, slot: Slot, column: u32, part: Part) -> bool {
        let wanted = self.needle.get(part.from..part.to).unwrap_or_default();
        if let Some(known) = self.known(column, part) {
            return known;
        }
        let Some(columns) = &mut self.columns else { return true };
        let Some((first, second)) = columns.pair(column, self.second) else { return true };
        self.steps += first.len() / 16;
        let answer = match slot {
            Slot::Uuid => uuid(wanted)
                .is_none_or(|(high, low)| first.contains(&high) && second.contains(&low)),
            _ => {
                digits::any_has(first, wanted)
                    || second.contains(&BINARY) && digits::any_binary_has(first, wanted)
            }
        };
        self.learn(column, part, answer)
    }

    /// How far what stands at a place of the needle stands anywhere in the text frame.
    fn in_texts(&mut self, texts: &[u8], from: usize) -> usize {
        let rest = self.needle.get(from..).unwrap_or_default();
        let find = || {
            let there =
                |len: &usize| memmem::find(texts, rest.get(..*len).unwrap_or(rest)).is_some();
            from + (1..=rest.len()).take_while(there).last().unwrap_or(0)
        };
        self.in_texts
            .get_mut(from)
            .map_or(self.needle.len(), |known| *known.get_or_insert_with(find))
    }
}

fn any_shows(slot: Slot, values: &[u64], texts: &[u8], wanted: &[u8], part: Part) -> bool {
    let mut room = Vec::new();
    let mut before = None;
    let digits = match slot {
        Slot::Integer | Slot::Padded(_) => Digits::new(wanted),
        _ => None,
    };
    let mut shows = |value: &u64| {
        let number = (*value as i64).unsigned_abs();
        let other = digits.is_some_and(|digits| !digits.may_be_in(number));
        if other || before.replace(*value) == Some(*value) {
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
            (false, false) => memmem::find(shown, wanted).is_some(),
        }
    };
    values.chunks(digits::TOGETHER).any(|some| {
        let far = digits.is_some_and(|digits| !digits.may_be_among(some));
        !far && some.iter().any(&mut shows)
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

/// How many decimal digits values of this kind show in a row at most.
const fn most_digits(slot: Slot) -> usize {
    match slot {
        Slot::Stamp(stamp) => stamp.most_digits(),
        Slot::Ipv4 => 3,
        _ => usize::MAX,
    }
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
