//! Rows whose bytes lie as those of the row before.
//!
//! Most records of a callsite are as long as the one before, and so are the strings in them. Then each value
//! stands where the one before stood, and values are read column by column, without a program to be followed
//! for each row.

use super::program::Op;
use super::strings::{pack, slice};

/// Where a value stands in a payload.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// A number of so many bytes.
    Number { at: usize, width: u8, signed: bool },
    /// A string of so many bytes.
    Str { at: usize, len: usize },
}

/// How the bytes of a payload lie.
#[derive(Debug, Default)]
pub(super) struct Mould {
    /// How long it is; 0 when there is none.
    len: usize,
    /// What stands in it that is no value: constants, and the lengths of strings.
    words: Vec<(usize, [u8; 4])>,
    bytes: Vec<(usize, u8)>,
    cells: Vec<Cell>,
}

impl Mould {
    /// Forgets what it was cast from.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.words.clear();
        self.bytes.clear();
        self.cells.clear();
    }

    /// Takes the form of a payload. `false` when this is not its program, or one with text in it.
    pub(super) fn cast(&mut self, ops: &[Op], program: &[u8], payload: &[u8]) -> bool {
        self.clear();
        let end = self.form(ops, program, payload);
        let whole = end == Some(payload.len()) && !payload.is_empty();
        self.len = if whole { payload.len() } else { 0 };
        whole
    }

    /// Notes what stands where. Returns where the program ends.
    fn form(&mut self, ops: &[Op], program: &[u8], payload: &[u8]) -> Option<usize> {
        let mut at = 0;
        for op in ops {
            at += match *op {
                Op::Literal(reference) => {
                    let literal = slice(program, reference);
                    if payload.get(at..at + literal.len())? != literal {
                        return None;
                    }
                    self.fix(at, literal);
                    literal.len()
                }
                Op::Integer { width, signed } => self.number(at, width, signed),
                Op::Float { double } => self.number(at, if double { 8 } else { 4 }, false),
                Op::Str => {
                    let prefix = payload.get(at..)?.first_chunk::<4>()?;
                    let len = u32::from_le_bytes(*prefix) as usize;
                    self.fix(at, prefix);
                    self.cells.push(Cell::Str { at: at + prefix.len(), len });
                    prefix.len() + len
                }
                Op::Rest | Op::Open | Op::Slot(_) | Op::Close => return None,
            };
        }
        Some(at)
    }

    fn number(&mut self, at: usize, width: u8, signed: bool) -> usize {
        self.cells.push(Cell::Number { at, width, signed });
        usize::from(width)
    }

    fn fix(&mut self, at: usize, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        self.words.extend((at..).step_by(4).zip(words.iter().copied()));
        self.bytes.extend((at + 4 * words.len()..).zip(rest.iter().copied()));
    }

    /// How many values a row has.
    pub(super) fn columns(&self) -> usize {
        self.cells.len()
    }

    /// Whether a payload lies so.
    #[inline]
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        let word = |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk::<4>);
        self.len == payload.len()
            && self.len > 0
            && self.words.iter().all(|(at, fixed)| word(*at) == Some(fixed))
            && self.bytes.iter().all(|(at, fixed)| payload.get(*at) == Some(fixed))
    }

    /// Appends the values of payloads that lie so, one after the other; the first begins at `start` of what
    /// strings refer to.
    pub(super) fn read(&self, payloads: &[u8], start: usize, values: &mut Vec<u64>) {
        let (first, columns) = (values.len(), self.cells.len());
        let Some(rows) = payloads.len().checked_div(self.len) else { return };
        values.resize(first + rows * columns, 0);
        let out = values.get_mut(first..).unwrap_or_default();
        for (nth, cell) in self.cells.iter().enumerate() {
            let mut column = Column { payloads, len: self.len, columns, nth, out: &mut *out };
            match *cell {
                Cell::Number { at, width: 1, signed: false } => {
                    column.fill(at, |[b]: [u8; 1]| u64::from(b));
                }
                Cell::Number { at, width: 1, .. } => {
                    column.fill(at, |b| i64::from(i8::from_le_bytes(b)) as u64);
                }
                Cell::Number { at, width: 2, signed: false } => {
                    column.fill(at, |b| u64::from(u16::from_le_bytes(b)));
                }
                Cell::Number { at, width: 2, .. } => {
                    column.fill(at, |b| i64::from(i16::from_le_bytes(b)) as u64);
                }
                Cell::Number { at, width: 4, signed: false } => {
                    column.fill(at, |b| u64::from(u32::from_le_bytes(b)));
                }
                Cell::Number { at, width: 4, .. } => {
                    column.fill(at, |b| i64::from(i32::from_le_bytes(b)) as u64);
                }
                Cell::Number { at, .. } => column.fill(at, u64::from_le_bytes),
                Cell::Str { at, len } => {
                    let mut place = start + at;
                    column.fill(0, |[]: [u8; 0]| {
                        let string = pack(place, len);
                        place += self.len;
                        string
                    });
                }
            }
        }
    }
}

/// One value of each of some rows.
struct Column<'a> {
    payloads: &'a [u8],
    /// The length of each payload.
    len: usize,
    /// How many values a row has, and which of them this is.
    columns: usize,
    nth: usize,
    out: &'a mut [u64],
}

impl Column<'_> {
    #[inline]
    fn fill<const N: usize>(&mut self, at: usize, mut value: impl FnMut([u8; N]) -> u64) {
        let rows = self.out.chunks_exact_mut(self.columns);
        for (payload, row) in self.payloads.chunks_exact(self.len).zip(rows) {
            let bytes = payload.get(at..).and_then(<[u8]>::first_chunk);
            if let (Some(bytes), Some(cell)) = (bytes, row.get_mut(self.nth)) {
                *cell = value(*bytes);
            }
        }
    }
}
