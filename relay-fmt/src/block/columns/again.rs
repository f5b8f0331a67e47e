//! The shortest way from a line to its class: by what differs from the last line of that class.
//!
//! Lines follow each other as they did before: a request begins, is answered, ends. So a line is first
//! compared with the last one of the class that came next the last times. Where they are the same, the
//! values are the same, and nothing is read; where they differ within a value, that one is read, as
//! [`super::paths`] reads it, and the comparison goes on behind it. Where constant text differs it is a
//! line of another class. Whatever is taken for a line of a class is put together by its template again:
//! all constant text is the same, and a value is the one before or was read at its place.

use super::hash::mix;
use super::numbers::{hex_tail, plain_number};
use super::paths::value;
use super::split::{Hole, MAX_LINE, Split, Splitter};
use super::stamp::Stamp;
use super::template::{DECIMAL, HEX, INTEGER, STAMP};

/// What came behind so many pairs of classes is known, a power of two.
const PAIRS: usize = 4096;
/// A guess that was right so often is given up when it was wrong as often; a new one is tried when it was right
/// once. To compare with lines of other classes costs more than the tree does.
const MOST_TRUST: u32 = 3;
/// A class that is none.
const NO_CLASS: u32 = u32::MAX;

/// The last line of a class.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// Where it begins and ends in the payloads; both 0 where there was none.
    line: (usize, usize),
    /// Its first value.
    value: usize,
    /// How many values it has.
    values: usize,
    /// Where its holes begin.
    hole: usize,
    /// How many holes it has.
    holes: usize,
    /// So far behind the first value that differed a line turned out to be of another class.
    doubt: usize,
}

/// What a line has in a hole that the last one of its class has not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// Which hole.
    pub(super) hole: u32,
    /// The first byte that is not the same.
    pub(super) differs: u32,
    from: u32,
    to: u32,
    /// One, or both.
    values: [u64; 2],
}

/// Which class comes next.
#[derive(Debug, Clone, Copy)]
struct Guess {
    class: u32,
    /// How much it can be trusted.
    trust: u32,
}

impl Default for Guess {
    fn default() -> Self {
        Self { class: NO_CLASS, trust: 0 }
    }
}

impl Guess {
    /// Learns what came.
    #[inline]
    fn see(&mut self, class: u32) {
        if self.class == class {
            self.trust = (self.trust + 1).min(MOST_TRUST);
        } else if self.trust > 0 {
            self.trust -= 1;
        } else {
            self.class = class;
        }
    }
}

/// The last lines of classes, and which class came behind which.
#[derive(Debug, Default)]
pub(super) struct Again {
    lasts: Vec<Last>,
    /// For each class with a last line, the holes of that.
    holes: Vec<Hole>,
    /// For each class, what comes behind it.
    next: Vec<Guess>,
    /// For pairs of classes, what comes behind them.
    pairs: Vec<Guess>,
    /// The class of the line before, and that of the one before it.
    before: (u32, u32),
    /// What of the line at hand is not as in the last one of its class.
    changes: Vec<Change>,
    /// The holes of the line that was followed last.
    found: (usize, usize),
}

impl Again {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.lasts.clear();
        self.holes.clear();
        self.next.clear();
        self.pairs.clear();
        self.pairs.resize(PAIRS, Guess::default());
        self.before = (NO_CLASS, NO_CLASS);
    }

    /// The holes of the line that was followed last, and what of them is not as in the last line of its class
    /// before, in their order.
    pub(super) fn found(&self) -> (&[Hole], &[Change]) {
        (self.holes.get(self.found.0..self.found.1).unwrap_or_default(), &self.changes)
    }

    /// The class of a line, which lies at `line` of the payloads; appends its values. `None`, and no values,
    /// where it is like none of those that are tried.
    #[inline]
    pub(super) fn follow(
        &mut self,
        payload: &[u8],
        line: (usize, usize),
        out: &mut Split,
    ) -> Option<u32> {
        let one = *self.next.get(self.before.0 as usize)?;
        let pair = self.pairs.get(self.pair()).copied().unwrap_or_default();
        let other = one.class != pair.class || pair.trust == 0;
        let tried = [(pair.class, pair.trust > 0), (one.class, one.trust > 0 && other)];
        if tried.iter().all(|(_, is_tried)| !is_tried) {
            return None;
        }
        let text = payload.get(line.0..line.1).filter(|text| text.len() <= MAX_LINE)?;
        let mut look = Look {
            line: Splitter::new(text, line.0, true, out),
            read: None,
            changes: &mut self.changes,
        };
        for (class, is_tried) in tried {
            let Some(last) = self.lasts.get_mut(class as usize) else { continue };
            if !is_tried || last.line.1 == 0 {
                continue;
            }
            let holes = self.holes.get_mut(last.hole..last.hole + last.holes).unwrap_or_default();
            let old = payload.get(last.line.0..last.line.1).unwrap_or_default();
            if look.is_like(old, holes, last) {
                let values = &mut look.line.out.values;
                let first = values.len();
                values.extend_from_within(last.value..last.value + last.values);
                let own = values.get_mut(first..).unwrap_or_default();
                apply(look.changes, holes, own);
                (last.line, last.value) = (line, first);
                self.found = (last.hole, last.hole + last.holes);
                self.go_on(class);
                return Some(class);
            }
        }
        None
    }

    /// Remembers a line of a class that was followed or split in another way: its values are those from
    /// `first` on, and its holes stand in their order.
    pub(super) fn learn(&mut self, class: u32, line: (usize, usize), first: usize, split: &Split) {
        let at = class as usize;
        if self.lasts.len() <= at {
            self.lasts.resize(at + 1, Last::default());
            self.next.resize(at + 1, Guess::default());
        }
        let Some(last) = self.lasts.get_mut(at) else { return };
        if last.holes != split.holes.len() {
            (last.hole, last.holes) = (self.holes.len(), split.holes.len());
            self.holes.extend_from_slice(&split.holes);
        }
        (last.line, last.value, last.values) = (line, first, split.values.len() - first);
        let room = self.holes.get_mut(last.hole..).unwrap_or_default();
        let mut nth = 0;
        for (room, hole) in room.iter_mut().zip(&split.holes) {
            *room = Hole { nth, ..*hole };
            nth += hole.values();
        }
        self.go_on(class);
    }

    /// Notes which class comes behind those before.
    #[inline]
    fn go_on(&mut self, class: u32) {
        let pair = self.pair();
        let guesses = [self.pairs.get_mut(pair), self.next.get_mut(self.before.0 as usize)];
        guesses.into_iter().flatten().for_each(|guess| guess.see(class));
        self.before = (class, self.before.0);
    }

    /// Where it stands what comes behind the two lines before.
    #[inline]
    const fn pair(&self) -> usize {
        let (last, before) = self.before;
        mix(last as u64, before as u64) as usize & (PAIRS - 1)
    }
}

/// Makes the holes and values of a line of those of the one before.
#[inline]
fn apply(changes: &[Change], holes: &mut [Hole], values: &mut [u64]) {
    // By so much the holes from `next` on lie elsewhere.
    let (mut shift, mut next) = (0u32, 0);
    let move_by = |shift: u32, holes: &mut [Hole]| {
        if shift != 0 {
            for hole in holes {
                (hole.from, hole.to) = (hole.from.wrapping_add(shift), hole.to.wrapping_add(shift));
            }
        }
    };
    for change in changes {
        let at = change.hole as usize;
        move_by(shift, holes.get_mut(next..at).unwrap_or_default());
        let Some(hole) = holes.get_mut(at) else { return };
        shift = change.to.wrapping_sub(hole.to);
        (hole.from, hole.to) = (change.from, change.to);
        next = at + 1;
        let room = values.get_mut(usize::from(hole.nth)..).unwrap_or_default();
        let count = usize::from(hole.values());
        room.iter_mut().zip(change.values).take(count).for_each(|(room, value)| *room = value);
    }
    move_by(shift, holes.get_mut(next..).unwrap_or_default());
}

/// What was read in a line quickly: it is the same whichever class is tried.
#[derive(Debug, Clone, Copy)]
struct Read {
    place: usize,
    end: usize,
    mark: [u8; 4],
    values: [u64; 2],
}

/// A line that is looked at.
struct Look<'a> {
    line: Splitter<'a>,
    /// The first that was read quickly.
    read: Option<Read>,
    changes: &'a mut Vec<Change>,
}

impl Look<'_> {
    /// Whether the line differs from the last one of a class in values only; which they are says `changes`
    /// then.
    #[inline]
    fn is_like(&mut self, old: &[u8], holes: &[Hole], last: &mut Last) -> bool {
        self.changes.clear();
        let text = self.line.line;
        // Where we are in the line, in the last one, and the next hole.
        let (mut at, mut from, mut next) = (0, 0, 0);
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let same = common(rest, old.get(from..).unwrap_or_default());
            let behind = from;
            (at, from) = (at + same, from + same);
            if at == text.len() && from == old.len() {
                return true;
            }
            let before = |hole: &&Hole| (hole.to as usize) < from;
            next += holes.get(next..).unwrap_or_default().iter().take_while(before).count();
            let hole = holes.get(next).filter(|hole| hole.from as usize <= from);
            let Some(hole) = hole else {
                if self.changes.len() == 1 {
                    last.doubt = from - behind;
                }
                return false;
            };
            let place = (hole.from as usize + at).wrapping_sub(from);
            let Some((end, values)) = self.read(old, hole, (place, from), last) else {
                return false;
            };
            self.changes.push(Change {
                hole: next as u32,
                differs: at as u32,
                from: place as u32,
                to: end as u32,
                values,
            });
            (at, from, next) = (end, hole.to as usize, next + 1);
            // What told lines of this class from others the last time is looked at first.
            let doubt = from + last.doubt;
            if self.changes.len() == 1
                && holes.get(next).is_none_or(|hole| hole.from as usize > doubt)
                && old.get(doubt) != text.get(at + last.doubt)
            {
                return false;
            }
        }
    }

    /// Reads the value of a hole at its place in the line, of which only what is behind `from` is not as in
    /// the last one; gives its end.
    #[inline]
    fn read(
        &mut self,
        old: &[u8],
        hole: &Hole,
        (place, from): (usize, usize),
        last: &Last,
    ) -> Option<(usize, [u64; 2])> {
        let behind = old.get(hole.to as usize);
        if let Some(read) = self.read
            && read.place == place
            && read.mark == hole.mark
            && self.line.line.get(read.end) == behind
        {
            return Some((read.end, read.values));
        }
        let value = self.line.out.values.get(last.value + usize::from(hole.nth)).copied()?;
        if let Some((len, values)) =
            read_quickly(self.line.line.get(place..)?, behind, hole, from, value)
        {
            let end = place + len;
            self.read.get_or_insert(Read { place, end, mark: hole.mark, values });
            return Some((end, values));
        }
        self.read_slowly(hole, place)
    }

    /// Reads the value of a hole at its place in the line; gives its end.
    fn read_slowly(&mut self, hole: &Hole, place: usize) -> Option<(usize, [u64; 2])> {
        let line = &mut self.line;
        let byte = line.line.get(place).copied()?;
        let first = line.out.values.len();
        line.out.holes.clear();
        let end = value(line, hole.how as u8, place, byte);
        let new = line.out.holes.pop();
        let mut own = line.out.values.get(first..).unwrap_or_default().iter().copied();
        let mut next = || own.next().unwrap_or_default();
        let values = [next(), next()];
        line.out.values.truncate(first);
        // A minus before what is no number is constant text.
        new.filter(|new| new.from as usize == place && new.mark == hole.mark)?;
        Some((end?, values))
    }
}

/// Reads the value of a hole that begins a text, of which only what is behind `from` of the last line is not as
/// in that; gives its length. `None` for all that is rare.
///
/// What follows the value must be what follows it in the last line, `behind`: so it is no part of it.
#[inline]
fn read_quickly(
    text: &[u8],
    behind: Option<&u8>,
    hole: &Hole,
    from: usize,
    known: u64,
) -> Option<(usize, [u64; 2])> {
    let [mark, a, b, _] = hole.mark;
    // What is as long as before, and how much of that is the same.
    let (len, same) = ((hole.to - hole.from) as usize, from - hole.from as usize);
    match mark {
        INTEGER | DECIMAL => {
            let (len, number, scale) =
                plain_number(text).filter(|n| (n.2 > 0) == (mark == DECIMAL))?;
            (text.get(len) == behind).then_some((len, [number, scale as u64]))
        }
        STAMP if text.get(len) == behind => {
            let stamp = Stamp::from_bytes([a, b])?;
            let clock = len.checked_sub(stamp.clock_len()).filter(|clock| *clock <= same)?;
            Some((len, [stamp.same_day(known, text.get(clock..len)?)?, 0]))
        }
        // The first digit tells of more than the number.
        HEX if text.get(len) == behind && same > 0 => {
            let tail = hex_tail(text.get(same..len)?)?;
            let mask = u64::MAX.checked_shl(4 * (len - same) as u32).unwrap_or(0);
            Some((len, [known & mask | tail, 0]))
        }
        _ => None,
    }
}

/// How many bytes are the same from the start on.
#[inline]
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let chunks = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
    let mut same = 16 * chunks.take_while(|(a, b)| a == b).count();
    while let (Some(a), Some(b)) = (eight(a, same), eight(b, same)) {
        let differ = a ^ b;
        if differ != 0 {
            return same + (differ.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    let rest = a.iter().zip(b).skip(same);
    same + rest.take_while(|(a, b)| a == b).count()
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}
