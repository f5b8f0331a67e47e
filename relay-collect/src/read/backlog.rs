//! What waits in a channel, where it is more than can be copied out at once.
//!
//! Every sub-buffer is read once, before archives are opened, to see whose records it holds; the bytes
//! are read again when their rows are needed, a piece at a time. What a collector has archived in
//! between, and its channel has used again, is in an archive by then: see [`Rescue`].

use super::context::Wanted;
use super::covered::Covered;
use super::live::{Seen, SubBytes, Tail};
use super::rescue::Rescue;
use super::split::{self, Place};
use super::store::Archive;
use relay_fmt::block::RowBuffer;
use relay_fmt::rows::{Source, Span};
use relay_log::channel::Sub;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Pieces are of about so many bytes: what is in memory at a time is a few of them.
const PIECE: u64 = 2 << 20;

/// Consecutive records of one writer in one sub-buffer.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) sub: Sub,
    pub(crate) writer: u64,
    /// The numbers of its first and last record.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// One past its last byte.
    to: u32,
    bytes: u32,
    /// The time of its first record, and the latest time.
    first_ns: i64,
    pub(crate) max_ns: i64,
}

/// All that waits in a channel, as stretches.
#[derive(Debug)]
pub(crate) struct Backlog {
    stretches: Vec<Stretch>,
    /// Of each writer nothing counts behind this number: its last one in the first look.
    last: HashMap<u64, u64>,
    wanted: Wanted,
    has_spans: bool,
}

/// A part of a backlog that is read at once.
#[derive(Debug)]
pub(crate) struct BacklogPiece {
    tail: Arc<Mutex<Tail>>,
    stretches: Vec<Stretch>,
    /// What its writers had come to before, and the spans that were open before and are needed.
    floors: HashMap<u64, i64>,
    spans: HashMap<u64, Span>,
    rescue: Arc<Rescue>,
    bytes: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

impl Backlog {
    /// Sees whose records a channel holds. What goes on to another generation meanwhile is in an
    /// archive.
    pub(crate) fn of(
        tail: &mut Tail,
        seen: &[Seen],
        notes: &mut Vec<String>,
    ) -> Result<Self, Errno> {
        let mut backlog = Self {
            stretches: Vec::new(),
            last: HashMap::new(),
            wanted: Wanted::new(tail.source.id),
            has_spans: false,
        };
        let rate = tail.rate();
        for Seen { sub, first } in seen {
            let Some(data) = tail.reader.read(sub, 0)? else { continue };
            let of = SubBytes { sub: *sub, bytes: data.bytes, first: *first };
            let mut all = Vec::new();
            // Times must be the same when the bytes are read again: the rate stays as it is.
            split::all_of(&mut |_| {}, &tail.file, &of, &mut all, notes);
            split::add_last(&all, *first, &mut backlog.last);
            backlog.has_spans |= backlog.wanted.add(&all, rate);
            for s in &all {
                let time_ns = s.anchor.real_of(s.record.header.tick, rate);
                let Place { writer, number, end, .. } = s.place;
                match backlog.stretches.last_mut() {
                    Some(open)
                        if (open.sub.index, open.writer, open.to, open.last.wrapping_add(1))
                            == (sub.index, writer, s.from, number) =>
                    {
                        open.bytes += end - open.to;
                        (open.last, open.to) = (number, end);
                        open.max_ns = open.max_ns.max(time_ns);
                    }
                    _ => backlog.stretches.push(Stretch {
                        sub: *sub,
                        writer,
                        first: number,
                        last: number,
                        to: end,
                        bytes: end - s.from,
                        first_ns: time_ns,
                        max_ns: time_ns,
                    }),
                }
            }
        }
        Ok(backlog)
    }

    /// What counts of it and is in no archive, in pieces that are in order. Spans and floors of `tail`
    /// go on behind it.
    pub(crate) fn pieces(
        self,
        tail: &mut Tail,
        archives: &[&Archive],
        covered: &Covered,
        rescue: &Arc<Rescue>,
    ) -> Vec<BacklogPiece> {
        let (id, last) = (tail.source.id, self.last);
        let mut stretches = self.stretches;
        stretches.retain_mut(|s| {
            let Some(most) = last.get(&s.writer) else { return false };
            if let Some(next) = covered.next(id, s.sub.index, s.sub.generation, s.writer) {
                s.first = s.first.max(next);
            }
            s.last = s.last.min(*most);
            s.first <= s.last && !covered.has_bytes(id, s.sub.index, s.sub.generation, s.to)
        });
        super::context::find(tail, archives, self.wanted);
        // The floor of a stretch is what its writer had come to before it, in the order of numbers.
        stretches.sort_by_key(|s| (s.writer, s.first));
        let with_floor = stretches.into_iter().map(|s| {
            let floor = tail.floors.entry(s.writer).or_insert(i64::MIN);
            let before = *floor;
            *floor = before.max(s.max_ns);
            (before, s)
        });
        let mut sorted: Vec<_> = with_floor.collect();
        sorted.sort_by_key(|(floor, s)| (s.first_ns.max(*floor), s.writer, s.first));
        let reader = Arc::new(Mutex::new(tail.again()));
        let mut pieces = Vec::new();
        let mut open = BacklogPiece::new(&reader, rescue);
        for (floor, s) in sorted {
            if open.bytes >= PIECE {
                pieces.push(std::mem::replace(&mut open, BacklogPiece::new(&reader, rescue)));
            }
            open.add(floor, s);
        }
        if !open.stretches.is_empty() {
            pieces.push(open);
        }
        if self.has_spans {
            follow_spans(tail, &mut pieces);
        }
        pieces
    }
}

/// Notes for each piece the spans that were open before it and that it needs.
fn follow_spans(tail: &mut Tail, pieces: &mut [BacklogPiece]) {
    for piece in pieces {
        let before = tail.spans.clone();
        let floors = std::mem::replace(&mut tail.floors, piece.floors.clone());
        let built = piece.build(tail);
        tail.floors = floors;
        // What cannot be read is said when it is to be shown.
        let Ok((rows, _)) = built else { continue };
        piece.spans = before;
        let used: HashSet<u64> = rows.spans.iter().map(|span| span.id).collect();
        piece.spans.retain(|id, _| used.contains(id));
    }
}

impl BacklogPiece {
    fn new(tail: &Arc<Mutex<Tail>>, rescue: &Arc<Rescue>) -> Self {
        Self {
            tail: Arc::clone(tail),
            rescue: Arc::clone(rescue),
            stretches: Vec::new(),
            floors: HashMap::new(),
            spans: HashMap::new(),
            bytes: 0,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        }
    }

    fn add(&mut self, floor_ns: i64, stretch: Stretch) {
        self.bytes += u64::from(stretch.bytes);
        self.min_ns = self.min_ns.min(stretch.first_ns.max(floor_ns));
        self.max_ns = self.max_ns.max(stretch.max_ns.max(floor_ns));
        self.floors.entry(stretch.writer).or_insert(floor_ns);
        self.stretches.push(stretch);
    }

    /// Whose records these are: writer, first number and how many, for each stretch.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.stretches.iter().map(|s| (s.writer, s.first, s.last - s.first + 1))
    }

    /// Whose channel.
    pub(crate) fn source(&self) -> Source {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).source.clone()
    }

    /// Its rows, and what is missing of them.
    pub(crate) fn rows(&self) -> Result<(RowBuffer, Option<String>), String> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.floors.clone_from(&self.floors);
        tail.spans.clone_from(&self.spans);
        self.build(&mut tail)
    }

    fn build(&self, tail: &mut Tail) -> Result<(RowBuffer, Option<String>), String> {
        // In order, so that what is missing is said in the same words every time.
        let mut of_subs: BTreeMap<(u32, u64), Vec<&Stretch>> = BTreeMap::new();
        for stretch in &self.stretches {
            of_subs.entry((stretch.sub.index, stretch.sub.generation)).or_default().push(stretch);
        }
        let (mut read, mut gone) = (Vec::new(), Vec::new());
        for stretches in of_subs.values() {
            let Some(first) = stretches.first() else { continue };
            let committed = stretches.iter().map(|s| s.to).max().unwrap_or(0);
            let sub = Sub { committed, ..first.sub };
            match tail.reader.read(&sub, 0) {
                Ok(Some(data)) => read.push(SubBytes { sub, bytes: data.bytes, first: committed }),
                Ok(None) => gone.extend(stretches.iter().copied()),
                Err(error) => return Err(format!("{} cannot be read: {error}", tail.file)),
            }
        }
        // What does not parse was said when it was looked at.
        let (mut all, mut said) = (Vec::new(), Vec::new());
        for of in &read {
            split::all_of(&mut |_| {}, &tail.file, of, &mut all, &mut said);
        }
        all.retain(|s| {
            let of = of_subs.get(&(s.place.sub_buffer, s.place.generation));
            of.into_iter().flatten().any(|stretch| {
                stretch.writer == s.place.writer
                    && (stretch.first..=stretch.last).contains(&s.place.number)
            })
        });
        let rows = super::rows::build(tail, all);
        if gone.is_empty() {
            Ok((rows, None))
        } else {
            self.rescue.add(rows, tail.source.id, self.floors.clone(), &gone)
        }
    }
}
