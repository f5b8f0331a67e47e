//! Splits formatted text into a template and values.
//!
//! One pass over the bytes, every one of which is looked at a bounded number of times. Words without
//! digits are constant text; numbers, times, addresses, paths, quoted strings and words with digits
//! are values. In a line that is a JSON object the keys are constant and every value is a value, an
//! array of values being one.
//! What is split always comes back byte for byte: a number becomes a value only when writing the
//! value gives its bytes.

use super::numbers::ipv4;
use super::program::MAX_SLOTS;
use super::stamp::Stamp;
use super::strings::pack;
use super::template::{DECIMAL, IPV4, STAMP, STR, UUID, is_mark};

/// How the place of a value is recognised where its line's template is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By its first byte.
    Byte = 0,
    /// It is a word without digits.
    Word = 1,
    /// It begins with the name of a month.
    Month = 2,
    /// It stands behind a quote.
    Quoted = 4,
    /// It stands behind `0x`.
    Hex = 8,
}

/// The place of a value in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    pub(super) from: u32,
    pub(super) to: u32,
    /// What stands for it in a template: up to three bytes, and how many.
    pub(super) mark: [u8; 4],
    pub(super) how: How,
    /// How many values stand in the holes before it, where [`super::again`] remembers it.
    pub(super) nth: u16,
}

impl Hole {
    fn new(from: usize, to: usize, mark: &[u8], how: How) -> Self {
        let mut bytes = [0, 0, 0, mark.len() as u8];
        bytes.iter_mut().zip(mark).for_each(|(to, from)| *to = *from);
        Self { from: from as u32, to: to as u32, mark: bytes, how, nth: 0 }
    }

    /// How many values stand in it.
    #[inline]
    pub(super) const fn values(&self) -> u16 {
        let [mark, ..] = self.mark;
        if mark == DECIMAL || mark == UUID { 2 } else { 1 }
    }

    fn mark(&self) -> &[u8] {
        let [.., len] = self.mark;
        self.mark.get(..usize::from(len)).unwrap_or_default()
    }
}

/// Longer text is stored whole.
pub(super) const MAX_LINE: usize = 1 << 16;

/// What a byte begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Letter,
    Digit,
    Quote,
    Slash,
    Dash,
    Bracket,
    Mark,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut rest: &mut [Class] = &mut classes;
    let mut byte = 0u8;
    while let Some((class, tail)) = rest.split_first_mut() {
        *class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xff => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'"' => Class::Quote,
            b'/' => Class::Slash,
            b'-' => Class::Dash,
            b'[' => Class::Bracket,
            _ if is_mark(byte) => Class::Mark,
            _ => Class::Plain,
        };
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    classes
};

#[inline]
pub(super) fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Mark)
}

/// The bytes that a path does not go on after.
const PATH_ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut rest: &mut [bool] = &mut ends;
    let mut byte = 0u8;
    while let Some((end, tail)) = rest.split_first_mut() {
        *end = matches!(
            byte,
            b' ' | b'"'
                | b'\''
                | b')'
                | b']'
                | b'}'
                | b','
                | b';'
                | b'`'
                | b'<'
                | b'>'
                | b'|'
                | b':'
        ) || byte < b' ';
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    ends
};

#[inline]
fn ends_path(byte: u8) -> bool {
    PATH_ENDS.get(usize::from(byte)).copied().unwrap_or(true)
}

#[inline]
pub(super) fn is_word(byte: u8) -> bool {
    matches!(class(byte), Class::Letter | Class::Digit)
}

/// Constant text in a key, and where it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Where it stands in the key.
    pub(super) key: u32,
    /// Where it stands in what strings refer to.
    pub(super) text: usize,
}

/// Whether a byte is part of words.
#[inline]
pub(super) fn is_letter(byte: u8) -> bool {
    class(byte) == Class::Letter
}

/// What rows were split into.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The program of the row at hand.
    pub(super) key: Vec<u8>,
    /// The constant text in it.
    pub(super) segments: Vec<Segment>,
    /// Where the values of the last line stand in it.
    pub(super) holes: Vec<Hole>,
    /// Where the last line begins in what strings refer to.
    pub(super) base: usize,
    /// Where the last text's template begins in the key.
    pub(super) template: usize,
    /// How many values there were before its values.
    pub(super) before: usize,
    /// For writing a number to see whether it comes back.
    pub(super) room: Vec<u8>,
    /// The values of all rows so far.
    pub(super) values: Vec<u64>,
}

/// Splits a line that starts at `base` of what string values refer to. Appends the template to
/// the key, and the values. False when the line is better stored whole; what was appended
/// until then is of no use.
pub(super) fn split(line: &[u8], base: usize, out: &mut Split) -> bool {
    if line.len() > MAX_LINE {
        return false;
    }
    let most = out.values.len() + MAX_SLOTS - 16;
    let trimmed = line.trim_ascii();
    let json = trimmed.first() == Some(&b'{') && trimmed.last() == Some(&b'}');
    let mut splitter = Splitter::new(line, base, json, out);
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at = match class(*byte) {
            Class::Plain => at + 1,
            Class::Letter => splitter.word(at),
            Class::Digit => splitter.number(at, false),
            Class::Quote => match splitter.quote(at) {
                Some(next) => next,
                None => return false,
            },
            Class::Slash => splitter.path(at),
            Class::Dash => splitter.dash(at),
            Class::Bracket if splitter.json => splitter.array(at),
            Class::Bracket => at + 1,
            Class::Mark => return false,
        };
        if splitter.out.values.len() > most {
            return false;
        }
    }
    splitter.out.write_key(line);
    true
}

impl Split {
    /// Appends the template that the holes leave of a line to the key.
    fn write_key(&mut self, line: &[u8]) {
        self.template = self.key.len();
        let mut constant = 0;
        let Self { key, segments, holes, base, .. } = self;
        let mut put = |from: usize, to: usize, key: &mut Vec<u8>| {
            let text = line.get(from..to).unwrap_or_default();
            if !text.is_empty() {
                segments.push(Segment { key: key.len() as u32, text: *base + from });
                key.extend_from_slice(text);
            }
        };
        for hole in &*holes {
            put(constant, hole.from as usize, key);
            key.extend_from_slice(hole.mark());
            constant = hole.to as usize;
        }
        put(constant, line.len(), key);
    }

    /// Makes a value of a word of the key, with so many of the line's values before it.
    pub(super) fn take_word(&mut self, (at, len, before): (u32, u32, u16)) {
        let start = Segment::locate(&self.segments, at);
        let len = len as usize;
        self.values.insert(self.before + usize::from(before), pack(start, len));
        let from = start - self.base;
        self.holes.push(Hole::new(from, from + len, &[STR], How::Word));
    }
}

impl Segment {
    /// Where what stands at a place of the key is in what strings refer to.
    fn locate(segments: &[Self], at: u32) -> usize {
        let after = segments.partition_point(|s| s.key <= at);
        let segment = after.checked_sub(1).and_then(|n| segments.get(n));
        segment.map_or(0, |s| s.text + (at - s.key) as usize)
    }
}

/// A line on its way into a template and values.
pub(super) struct Splitter<'a> {
    pub(super) line: &'a [u8],
    base: usize,
    pub(super) out: &'a mut Split,
    json: bool,
    /// Whether another closing quote may follow.
    quotes: bool,
    /// Whether another array may end.
    arrays: bool,
}

impl<'a> Splitter<'a> {
    /// Begins with a line, which is a JSON object or not.
    #[inline]
    pub(super) fn new(line: &'a [u8], base: usize, json: bool, out: &'a mut Split) -> Self {
        (out.base, out.before) = (base, out.values.len());
        out.holes.clear();
        Self { line, base, out, json, quotes: true, arrays: true }
    }

    #[inline]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.line.get(at).copied().unwrap_or(b' ')
    }

    #[inline]
    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b' ', |at| self.byte(at))
    }

    #[inline]
    pub(super) fn text(&self, from: usize, to: usize) -> &[u8] {
        self.line.get(from..to).unwrap_or_default()
    }

    /// Ends the constant text at `from` with a value that reaches to `to`.
    #[inline]
    pub(super) fn slot(&mut self, from: usize, to: usize, mark: &[u8], value: u64) -> usize {
        self.slot_by(How::Byte, from, to, mark, value)
    }

    #[inline]
    pub(super) fn slot_by(
        &mut self,
        how: How,
        from: usize,
        to: usize,
        mark: &[u8],
        value: u64,
    ) -> usize {
        self.out.holes.push(Hole::new(from, to, mark, how));
        self.out.values.push(value);
        to
    }

    #[inline]
    pub(super) fn string_by(&mut self, how: How, from: usize, to: usize) -> usize {
        self.slot_by(how, from, to, &[STR], pack(self.base + from, to - from))
    }

    #[inline]
    pub(super) fn string(&mut self, from: usize, to: usize) -> usize {
        self.string_by(How::Byte, from, to)
    }

    /// The end of a word: letters and digits, and points between them; whether it has a digit.
    #[inline]
    pub(super) fn word_end(&self, from: usize) -> (usize, bool) {
        let rest = self.line.get(from..).unwrap_or_default();
        let letters = rest.iter().position(|b| class(*b) != Class::Letter);
        let Some(letters) = letters else {
            return (self.line.len(), false);
        };
        match rest.get(letters) {
            Some(b'.' | b'0'..=b'9') => self.mixed_end(from + letters),
            _ => (from + letters, false),
        }
    }

    fn mixed_end(&self, from: usize) -> (usize, bool) {
        let (mut at, mut digits) = (from, false);
        loop {
            match class(self.byte(at)) {
                Class::Letter => {}
                Class::Digit => digits = true,
                _ if self.byte(at) == b'.' && is_word(self.byte(at + 1)) => {}
                _ => return (at.min(self.line.len()), digits),
            }
            at += 1;
        }
    }

    fn word(&mut self, at: usize) -> usize {
        let (end, digits) = self.word_end(at);
        if digits {
            return self.mixed(at, end);
        }
        if end - at == 3
            && self.byte(end) == b' '
            && let Some(end) = self.month(at)
        {
            return end;
        }
        if self.json && matches!(self.text(at, end), b"true" | b"false" | b"null") {
            return self.string_by(How::Word, at, end);
        }
        end
    }

    /// The end of a time that begins with the name of a month.
    #[inline]
    pub(super) fn month(&mut self, at: usize) -> Option<usize> {
        let rest = self.line.get(at..).unwrap_or_default();
        let (stamp, number, len) = Stamp::read_month(rest)?;
        let [a, b] = stamp.to_bytes();
        Some(self.slot_by(How::Month, at, at + len, &[STAMP, a, b], number))
    }

    /// The end of a word of letters that is a value.
    #[inline]
    pub(super) fn letters(&mut self, at: usize) -> usize {
        let rest = self.line.get(at..).unwrap_or_default();
        let len = rest.iter().position(|b| !is_letter(*b)).unwrap_or(rest.len());
        self.string_by(How::Word, at, at + len)
    }

    pub(super) fn dash(&mut self, at: usize) -> usize {
        let sign =
            matches!(self.before(at), b' ' | b'=' | b':' | b'(' | b'[' | b',' | b'"' | b'\t');
        if sign && self.byte(at + 1).is_ascii_digit() {
            return self.number(at + 1, true);
        }
        at + 1
    }

    /// A slash: the start of a path or of what follows a URL's scheme, unless within a word.
    pub(super) fn path(&mut self, at: usize) -> usize {
        if is_word(self.before(at)) {
            return at + 1;
        }
        let rest = self.line.get(at..).unwrap_or_default();
        let len = rest.iter().position(|b| ends_path(*b));
        let mut end = at + len.unwrap_or(rest.len());
        while end > at + 1 && self.byte(end - 1) == b'.' {
            end -= 1;
        }
        if end == at + 1 { end } else { self.string(at, end) }
    }

    /// A quote: a key is constant, what else stands in quotes is one value. `None` for odd bytes.
    fn quote(&mut self, at: usize) -> Option<usize> {
        let start = at + 1;
        // Once no quote closes any more, looking again would cost the whole line each time.
        let end = if self.quotes { self.closing(start) } else { None };
        let Some(end) = end else {
            self.quotes = false;
            return Some(start);
        };
        let content = self.text(start, end);
        if self.byte(end + 1) == b':' {
            if content.iter().any(|b| is_mark(*b)) {
                return None;
            }
            return Some(end + 1);
        }
        if content.is_empty() {
            return Some(end + 1);
        }
        self.quoted(start, end);
        Some(end + 1)
    }

    /// What stands in quotes, up to where its value ends.
    #[inline]
    pub(super) fn quoted(&mut self, start: usize, end: usize) -> usize {
        let content = self.text(start, end);
        if content.first().is_some_and(u8::is_ascii_digit) {
            if let Some((ip, len)) = ipv4(content).filter(|(_, len)| *len == content.len()) {
                return self.slot_by(How::Quoted, start, start + len, &[IPV4], u64::from(ip));
            }
            if let Some((stamp, number, len)) = Stamp::read_digits(content) {
                let tail = content.get(len..).unwrap_or_default();
                if tail.len() <= 6 && !tail.iter().any(|b| is_mark(*b)) {
                    let [a, b] = stamp.to_bytes();
                    let mark = [STAMP, a, b];
                    return self.slot_by(How::Quoted, start, start + len, &mark, number);
                }
            }
        }
        self.string_by(How::Quoted, start, end)
    }

    /// An array of a JSON object, when nothing is nested in it, is one value, however long it is.
    pub(super) fn array(&mut self, at: usize) -> usize {
        if !self.arrays {
            return at + 1;
        }
        let mut end = at + 1;
        loop {
            let rest = self.line.get(end..).unwrap_or_default();
            let found = rest.iter().position(|b| matches!(b, b'"' | b']' | b'[' | b'{'));
            let Some(next) = found.map(|found| end + found) else { break };
            match self.byte(next) {
                b']' => return self.string(at, next + 1),
                b'"' => match self.closing(next + 1) {
                    Some(closing) => end = closing + 1,
                    None => break,
                },
                _ => return at + 1,
            }
        }
        // It does not end; looking again at each bracket would cost the whole line each time.
        self.arrays = false;
        at + 1
    }

    /// Where the quoted string that begins at `at` ends.
    pub(super) fn closing(&self, mut at: usize) -> Option<usize> {
        loop {
            let rest = self.line.get(at..)?;
            let found = at + memchr::memchr2(b'"', b'\\', rest)?;
            if self.byte(found) == b'"' {
                return Some(found);
            }
            at = found + 2;
        }
    }
}
