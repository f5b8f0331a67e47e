//! The first pass over rows: a class for each, and its values.

use super::MAX_PAYLOAD;
use super::again::Again;
use super::classes::{self, Class, Classes};
use super::estimate::Compressor;
use super::ints::MAX_VALUES;
use super::mould::Mould;
use super::paths::Paths;
use super::program::Op;
use super::shape::{Shaper, follow};
use super::sift::Sift;
use super::split::Split;
use super::words::{Outcome, Words};
use crate::block::{FilterBuilder, RowBuffer};
use crate::callsite::Callsite;
use crate::record::Kind;
use std::sync::Arc;

/// Kinds are numbers below this.
const KINDS: usize = 16;
/// When so many values are there, the rows that follow are stored whole.
const ENOUGH_VALUES: usize = MAX_VALUES / 2;
/// Classes of at most so many rows with programs of at least so many bytes are stored whole, if there
/// are so many of them.
const FEW_ROWS: usize = 2;
const LONG_PROGRAM: usize = 256;
const MANY_LONG: usize = 8;
/// A class number that is none.
const NO_CLASS: u32 = u32::MAX;

/// How many rows were taken apart, and how many of them were like no row before.
#[derive(Debug, Clone, Copy, Default)]
struct Success {
    rows: u32,
    failed: u32,
}

impl Success {
    /// Whether taking apart costs time and gains nothing, as for random text.
    fn is_poor(&self) -> bool {
        self.rows >= 1024 && self.failed > self.rows / 2
    }
}

/// Classes and values of the rows, in their order.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// For each row, its class.
    pub(super) class: Vec<u32>,
    /// The values of all rows, one row's after the other's.
    pub(super) split: Split,
    /// The classes.
    pub(super) classes: Classes,
    /// For each callsite and kind, the class of the last row, if its program can be followed.
    last: Vec<u32>,
    /// For each callsite and kind, whether its rows resemble each other.
    success: Vec<Success>,
    words: Words,
    /// The last lines of raw channels.
    again: Again,
    /// The templates of lines of raw channels.
    paths: Paths,
    sift: Sift,
    /// How the payloads of a class lie that came not long ago, and which class that is.
    mould: Mould,
    moulded: u32,
}

impl Scan {
    /// Scans all rows. The buffer's vectors have been checked to agree. Adds to the filter, if there is one,
    /// what the rows of raw channels contain.
    pub(super) fn run(
        &mut self,
        rows: &RowBuffer,
        trial: &mut Compressor,
        mut filter: Option<&mut FilterBuilder>,
    ) {
        debug_assert!(rows.payload.len() <= MAX_PAYLOAD, "payloads were checked");
        self.class.clear();
        self.split.values.clear();
        self.classes.clear();
        self.words.clear();
        self.again.clear();
        self.paths.clear();
        self.sift.clear();
        self.moulded = NO_CLASS;
        self.last.clear();
        self.last.resize((rows.callsites.len() + 1) * KINDS, NO_CLASS);
        self.success.clear();
        self.success.resize(self.last.len(), Success::default());
        let mut start = 0;
        let mut all = rows.kind.iter().zip(&rows.callsite).zip(&rows.end).enumerate();
        while let Some((row, ((kind, callsite), end))) = all.next() {
            let payload = rows.payload.get(start..*end).unwrap_or_default();
            let alike = self.alike(rows, row, start, payload);
            if let Some(more) = alike.checked_sub(1) {
                start += alike * payload.len();
                more.checked_sub(1).and_then(|skipped| all.nth(skipped));
                continue;
            }
            start = *end;
            let first = self.split.values.len();
            let line = (*end - payload.len(), *end);
            let class =
                if let Some((class, like)) = self.followed(*kind, *callsite, &rows.payload, line) {
                    if let Some(filter) = &mut filter {
                        let (holes, changes) = match like {
                            true => self.again.found(),
                            false => (&self.split.holes[..], &[][..]),
                        };
                        let values = self.split.values.get(first..).unwrap_or_default();
                        let differs = (class, like.then_some(changes));
                        self.sift.add((&rows.payload, line), (holes, values), differs, filter);
                    }
                    class
                } else {
                    if let Some(filter) = filter.as_mut().filter(|_| *kind == Kind::Raw) {
                        filter.add(payload);
                    }
                    self.row(&rows.callsites, *kind, *callsite, payload, *end)
                };
            if let Some(class) = self.classes.list.get_mut(class as usize) {
                class.rows += 1;
            }
            self.class.push(class);
        }
        self.fold(rows, trial);
        self.classes.assign();
    }

    /// Takes rows from this one on, whose payload begins at `start`, as long as they are of one callsite and
    /// their bytes lie alike. Returns how many; none where only this one would be.
    #[inline]
    fn alike(&mut self, rows: &RowBuffer, row: usize, start: usize, payload: &[u8]) -> usize {
        let kinds = rows.kind.get(row..).unwrap_or_default();
        let callsites = rows.callsite.get(row..).unwrap_or_default();
        let ends = rows.end.get(row..).unwrap_or_default();
        let ([kind, next_kind, ..], [callsite, next_callsite, ..], [end, next_end, ..]) =
            (kinds, callsites, ends)
        else {
            return 0;
        };
        let next_len = next_end - end;
        // What raw channels have is seen to by itself.
        if (kind, callsite, payload.len()) != (next_kind, next_callsite, next_len)
            || *kind == Kind::Raw
        {
            return 0;
        }
        let last = self.last.get(*callsite as usize * KINDS + *kind as usize);
        let last = last.copied().unwrap_or(NO_CLASS);
        if last == NO_CLASS || !self.cast(last, payload) {
            return 0;
        }
        let payloads = rows.payload.get(start..).unwrap_or_default();
        let same = ends.iter().enumerate().zip(kinds.iter().zip(callsites));
        let same = same.zip(payloads.chunks_exact(payload.len()));
        let room = ENOUGH_VALUES.saturating_sub(self.split.values.len());
        let rows = same.take(room / self.mould.columns().max(1));
        let count = rows.take_while(|(((n, end), (k, c)), payload)| {
            **end == start + (n + 1) * payload.len()
                && (*k, *c) == (kind, callsite)
                && self.mould.fits(payload)
        });
        let count = count.count();
        let payloads = payloads.get(..count * payload.len()).unwrap_or_default();
        self.mould.read(payloads, start, &mut self.split.values);
        if let Some(class) = self.classes.list.get_mut(last as usize) {
            class.rows += count;
        }
        self.class.resize(self.class.len() + count, last);
        count
    }

    /// Sees to it that the mould is that of a payload. `false` when it is not of this class.
    #[inline]
    fn cast(&mut self, number: u32, payload: &[u8]) -> bool {
        if self.moulded == number && self.mould.fits(payload) {
            return true;
        }
        let Some(class) = self.classes.list.get(number as usize) else { return false };
        let fits = self.mould.cast(&class.ops, self.classes.program(class), payload);
        self.moulded = if fits { number } else { NO_CLASS };
        fits
    }

    /// Stores rows whole whose long text is like no other's: lists, which grow and shrink from row
    /// to row. As one string each, zstd finds what they have in common with the one before; as
    /// templates, each of them would be described in full, and its values scattered.
    fn fold(&mut self, rows: &RowBuffer, trial: &mut Compressor) {
        let is_long = |class: &Class| {
            class.rows <= FEW_ROWS
                && self.classes.program(class).len() >= LONG_PROGRAM
                && class.ops.iter().any(|op| matches!(op, Op::Slot(_)))
        };
        let list = &self.classes.list;
        let long: Vec<bool> = list.iter().map(is_long).collect();
        if long.iter().filter(|long| **long).count() < MANY_LONG || !self.pays(rows, &long, trial) {
            return;
        }
        let values = std::mem::take(&mut self.split.values);
        let columns: Vec<usize> = list.iter().map(Class::columns).collect();
        let (mut start, mut first) = (0, 0);
        let all = rows.kind.iter().zip(&rows.callsite).zip(&rows.end);
        for (row, ((kind, callsite), end)) in all.enumerate() {
            let payload = rows.payload.get(start..*end).unwrap_or_default();
            start = *end;
            let Some(class) = self.class.get(row).map(|class| *class as usize) else { continue };
            let taken = columns.get(class).copied().unwrap_or_default();
            let own = values.get(first..first + taken).unwrap_or_default();
            first += taken;
            if long.get(class) != Some(&true) {
                self.split.values.extend_from_slice(own);
                continue;
            }
            let described = (*callsite as usize).checked_sub(1);
            let described = described.and_then(|c| rows.callsites.get(c)).map(|c| &**c);
            let number = self.whole(*kind, described, *callsite, payload, *end);
            if let Some(class) = self.classes.list.get_mut(number as usize) {
                class.rows += 1;
            }
            if let Some(class) = self.class.get_mut(row) {
                *class = number;
            }
        }
        let kept = self.classes.forget(&long);
        for class in &mut self.class {
            *class = kept.get(*class as usize).copied().unwrap_or_default();
        }
    }

    /// Whether the rows of these classes take less room when they are stored whole.
    fn pays(&self, rows: &RowBuffer, long: &[bool], trial: &mut Compressor) -> bool {
        let (mut programs, mut values, mut texts) = (Vec::new(), 0, Vec::new());
        for (class, _) in self.classes.list.iter().zip(long).filter(|(_, long)| **long) {
            programs.extend_from_slice(self.classes.program(class));
            values += class.columns() * class.rows;
        }
        for (row, class) in self.class.iter().enumerate() {
            if long.get(*class as usize) == Some(&true) {
                texts.extend_from_slice(rows.payload_of(row));
            }
        }
        // Programs take less among the others' than alone.
        trial.size(&texts) * 3 / 2 < trial.size(&programs) + values / 2
    }

    /// The class of a row whose text is stored whole.
    fn whole(
        &mut self,
        kind: Kind,
        described: Option<&Callsite>,
        callsite: u32,
        payload: &[u8],
        end: usize,
    ) -> u32 {
        let first = self.split.values.len();
        self.clear_key();
        let shaped = self.shape(kind, described, payload, end, false);
        let class = shaped.and_then(|()| self.classes.intern(kind, callsite, &self.split.key));
        if let Some(class) = class {
            return class;
        }
        self.split.values.truncate(first);
        self.clear_key();
        Shaper::new(payload, end, &mut self.split).rest();
        self.classes.intern(kind, callsite, &self.split.key).unwrap_or_default()
    }

    /// The class of a line of a raw channel that is like an earlier one, and whether it is like the last one
    /// of that class but for some values. The line lies at `line` of the payloads.
    #[inline]
    fn followed(
        &mut self,
        kind: Kind,
        callsite: u32,
        payload: &[u8],
        line: (usize, usize),
    ) -> Option<(u32, bool)> {
        if kind != Kind::Raw || callsite != 0 || self.split.values.len() > ENOUGH_VALUES {
            return None;
        }
        let first = self.split.values.len();
        let split = &mut self.split;
        let again = self.again.follow(payload, line, split);
        let class = match again {
            Some(class) => class,
            None => {
                let text = payload.get(line.0..line.1).unwrap_or_default();
                let class = self.paths.follow(text, line.0, split)?;
                self.again.learn(class, line, first, split);
                class
            }
        };
        if let Some(success) = self.success.get_mut(kind as usize) {
            success.rows += 1;
        }
        Some((class, again.is_some()))
    }

    #[inline]
    fn row(
        &mut self,
        callsites: &[Arc<Callsite>],
        kind: Kind,
        callsite: u32,
        payload: &[u8],
        end: usize,
    ) -> u32 {
        let at = callsite as usize * KINDS + kind as usize;
        let last = self.last.get(at).copied().unwrap_or(NO_CLASS);
        let full = self.split.values.len() > ENOUGH_VALUES;
        if let Some(class) = self.classes.list.get(last as usize).filter(|_| !full) {
            let program = self.classes.program(class);
            if follow(&class.ops, program, payload, end, &mut self.split.values) {
                return last;
            }
        }
        let described = (callsite as usize).checked_sub(1).and_then(|c| callsites.get(c));
        let described = described.map(|c| &**c);
        let hopeless = self.success.get(at).is_some_and(Success::is_poor);
        for split_text in [true, false] {
            if full || (split_text && hopeless) {
                continue;
            }
            let (first, classes) = (self.split.values.len(), self.classes.list.len());
            self.clear_key();
            let shaped = self.shape(kind, described, payload, end, split_text);
            let class = shaped.and_then(|()| self.intern(kind, callsite));
            if let Some(success) = self.success.get_mut(at).filter(|_| split_text) {
                success.rows += 1;
                success.failed += u32::from(class.is_none() || classes < self.classes.list.len());
            }
            if let Some(class) = class {
                self.remember(at, class);
                if split_text && kind == Kind::Raw && callsite == 0 {
                    self.split.holes.sort_unstable_by_key(|hole| hole.from);
                    self.paths.learn(payload, &self.split.holes, class);
                    self.again.learn(class, (end - payload.len(), end), first, &self.split);
                }
                return class;
            }
            self.split.values.truncate(first);
        }
        self.whole(kind, described, callsite, payload, end)
    }

    fn clear_key(&mut self) {
        self.split.key.clear();
        self.split.segments.clear();
    }

    /// The class of the key at hand, or of what it becomes when words in it are values.
    #[inline]
    fn intern(&mut self, kind: Kind, callsite: u32) -> Option<u32> {
        let hash = classes::key_hash(kind, callsite, &self.split.key);
        let known = self.classes.find(hash, kind, callsite, &self.split.key);
        if known.is_some() {
            return known;
        }
        if self.split.segments.is_empty() {
            return self.classes.intern(kind, callsite, &self.split.key);
        }
        let seed = u64::from(callsite) << 8 | kind as u64;
        if let Some(class) = self.words.again(seed, hash, &mut self.split) {
            return Some(class);
        }
        let outcome = self.words.find(seed, hash, &mut self.split);
        if let Outcome::Known(class) = outcome {
            return Some(class);
        }
        let class = self.classes.intern(kind, callsite, &self.split.key)?;
        self.words.learn(outcome, &self.split.key, class);
        Some(class)
    }

    /// Puts the payload's program into the key and its values behind the others.
    fn shape(
        &mut self,
        kind: Kind,
        callsite: Option<&Callsite>,
        payload: &[u8],
        end: usize,
        split_text: bool,
    ) -> Option<()> {
        let shaper = Shaper::new(payload, end, &mut self.split);
        match (kind, callsite) {
            (Kind::Fragment, _) => None,
            (_, Some(callsite)) => shaper.values(kind, callsite, split_text),
            (Kind::Raw, None) if split_text => shaper.bare_text(),
            (Kind::Raw, None) => None,
            (_, None) => shaper.words(),
        }
    }

    /// The next row of this callsite and kind may look like this one.
    fn remember(&mut self, at: usize, class: u32) {
        let list = &self.classes.list;
        let text = |op: &Op| matches!(op, Op::Open | Op::Slot(_) | Op::Rest);
        let typed =
            list.get(class as usize).is_some_and(|c| !c.ops.iter().any(text) && !c.ops.is_empty());
        if let Some(last) = self.last.get_mut(at) {
            *last = if typed { class } else { NO_CLASS };
        }
    }
}
