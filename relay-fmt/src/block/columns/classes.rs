//! Classes of rows, and the columns that their values go to.
//!
//! A class is a kind, a callsite and a [program](super::program). Typed values have a column each
//! for every class. Values in text share columns between classes where the same constant text stands
//! before them: `sshd[` before a process id in five templates makes one column of process ids in
//! arrival order, and times at the start of lines make one column of times. Such a column repeats
//! itself and grows steadily, where five columns would each have gaps.

use super::hash::{Found, Table, hash, mix};
use super::program::{self, Of, Op};
use super::strings;
use super::template::Slot;
use crate::record::Kind;
use std::collections::HashMap;

/// More classes than this are not made of text or shapes in one block.
const MAX_CLASSES: usize = 8192;
/// Nor more columns.
const MAX_COLUMNS: usize = 1 << 16;
/// Nor longer keys, all together.
const MAX_KEYS: usize = 4 << 20;
/// How much of the constant text before a value tells columns apart.
const CONTEXT: usize = 8;
/// A class of so many rows has a column for each of several values after the same text.
pub(super) const MANY_ROWS: usize = 32;

/// The group of values that share a column with no others.
pub(super) const ALONE: u32 = u32::MAX;

/// Rows that are put together in the same way.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// What the rows are.
    pub(super) kind: Kind,
    /// 1 + the index of their callsite, 0 for none.
    pub(super) callsite: u32,
    /// Their program, as steps.
    pub(super) ops: Vec<Op>,
    /// For each value, the group of values that it may share a column with.
    pub(super) groups: Vec<u32>,
    /// How many rows there are.
    pub(super) rows: usize,
    key: (usize, usize),
}

impl Class {
    /// How many values a row has.
    pub(super) fn columns(&self) -> usize {
        self.ops.iter().map(|op| op.columns().len()).sum()
    }
}

/// The classes of a block.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// All of them.
    pub(super) list: Vec<Class>,
    /// What the values of each group are.
    pub(super) groups: Vec<Of>,
    values: usize,
    keys: Vec<u8>,
    table: Table,
    shared: HashMap<u64, u32>,
}

impl Classes {
    /// Forgets all, keeping memory.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.groups.clear();
        self.values = 0;
        self.keys.clear();
        self.table.clear();
        self.shared.clear();
    }

    /// The program of a class.
    pub(super) fn program(&self, class: &Class) -> &[u8] {
        self.keys.get(class.key.0..class.key.1).unwrap_or_default()
    }

    /// The class of this kind, callsite and program, if there is one, by their [`key_hash`].
    #[inline]
    pub(super) fn find(&self, hash: u64, kind: Kind, callsite: u32, key: &[u8]) -> Option<u32> {
        let same = |i: u32| is(&self.list, &self.keys, i, kind, callsite, key);
        self.table.find_only(hash, same)
    }

    /// The class of this kind, callsite and program, made when there is none. `None` when there are
    /// too many already; a program of one step is always taken.
    #[inline]
    pub(super) fn intern(&mut self, kind: Kind, callsite: u32, key: &[u8]) -> Option<u32> {
        let hash = key_hash(kind, callsite, key);
        let next = self.list.len() as u32;
        let full = next as usize >= MAX_CLASSES
            || self.keys.len() + key.len() > MAX_KEYS
            || self.values >= MAX_COLUMNS;
        if full && key.len() > 1 {
            return self.find(hash, kind, callsite, key);
        }
        let (list, keys) = (&self.list, &self.keys);
        let same = |i: u32| is(list, keys, i, kind, callsite, key);
        match self.table.find(hash, next, same) {
            Found::Old(class) => return Some(class),
            Found::Crowded if key.len() > 1 => return None,
            _ => {}
        }
        let ops = program::parse(key).ok()?;
        self.values += ops.iter().map(|op| op.columns().len()).sum::<usize>();
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.list.push(Class {
            kind,
            callsite,
            ops,
            groups: Vec::new(),
            rows: 0,
            key: (start, self.keys.len()),
        });
        Some(next)
    }

    /// Leaves out the classes that this says, which have no rows any more; gives for each class what
    /// its number is then. No class is looked for or made afterwards.
    pub(super) fn forget(&mut self, forgotten: &[bool]) -> Vec<u32> {
        let mut next = 0;
        let is_kept = |n: usize| forgotten.get(n) != Some(&true);
        let numbers = (0..self.list.len()).map(|n| {
            let number = next;
            next += u32::from(is_kept(n));
            number
        });
        let numbers = numbers.collect();
        let mut n = 0;
        self.list.retain(|_| {
            n += 1;
            is_kept(n - 1)
        });
        numbers
    }

    /// Gives the values of every class their groups, once it is known how many rows each has.
    pub(super) fn assign(&mut self) {
        let mut list = std::mem::take(&mut self.list);
        let keys = std::mem::take(&mut self.keys);
        let mut seen = HashMap::new();
        for class in &mut list {
            let key = keys.get(class.key.0..class.key.1).unwrap_or_default();
            self.assign_class(class, key, &mut seen);
        }
        (self.list, self.keys) = (list, keys);
    }

    fn assign_class(&mut self, class: &mut Class, key: &[u8], seen: &mut HashMap<u64, u64>) {
        let mut before: &[u8] = &[];
        let many = class.rows >= MANY_ROWS;
        seen.clear();
        for op in &class.ops {
            if let Op::Literal(reference) = op {
                before = strings::slice(key, *reference);
                continue;
            }
            if *op == Op::Open {
                before = &[];
                continue;
            }
            let mut context = context(op, before);
            if many {
                let times = seen.entry(context).or_insert(0);
                *times += 1;
                context = mix(context, *times);
            } else {
                context = mix(context, 1);
            }
            for (nth, of) in op.columns().iter().enumerate() {
                let shared = match op {
                    Op::Slot(_) => Some(mix(context, u64::from(class.callsite) << 8 | nth as u64)),
                    Op::Rest => Some(u64::from(class.callsite)),
                    _ => None,
                };
                let group = self.share(*of, shared);
                class.groups.push(group);
            }
            before = &[];
        }
    }

    fn share(&mut self, of: Of, context: Option<u64>) -> u32 {
        let Some(context) = context else { return ALONE };
        let next = self.groups.len() as u32;
        let group = *self.shared.entry(context).or_insert(next);
        if group == next {
            self.groups.push(of);
        }
        // Contexts are hashes: what they lead to must hold values of the same type.
        if self.groups.get(group as usize) == Some(&of) { group } else { ALONE }
    }
}

#[inline]
fn is(list: &[Class], keys: &[u8], n: u32, kind: Kind, callsite: u32, key: &[u8]) -> bool {
    list.get(n as usize).is_some_and(|c| {
        c.kind == kind && c.callsite == callsite && keys.get(c.key.0..c.key.1) == Some(key)
    })
}

/// A hash of everything that tells classes apart.
#[inline]
pub(super) fn key_hash(kind: Kind, callsite: u32, key: &[u8]) -> u64 {
    mix(hash(key), u64::from(callsite) << 8 | kind as u64)
}

/// What tells the column of a slot apart.
fn context(op: &Op, before: &[u8]) -> u64 {
    let last = before.len().saturating_sub(CONTEXT);
    let text = hash(before.get(last..).unwrap_or_default());
    let kind = match op {
        Op::Slot(Slot::Integer) => 1,
        Op::Slot(Slot::Padded(width)) => 0x100 | u64::from(*width),
        Op::Slot(Slot::Decimal) => 2,
        Op::Slot(Slot::Hex { digits, .. }) => 0x200 | u64::from(*digits),
        Op::Slot(Slot::Ipv4) => 3,
        Op::Slot(Slot::Stamp(s)) => 0x10000 | u64::from(u16::from_le_bytes(s.to_bytes())) << 20,
        Op::Slot(Slot::Str) => 4,
        Op::Slot(Slot::Uuid) => 5,
        _ => 6,
    };
    mix(text, kind)
}
