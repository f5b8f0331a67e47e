//! The search for columns that tell something about others.
//!
//! Columns are compared on rows of the class that most of a column's values come from, a few
//! hundred of them, so that looking costs little where nothing is found. What looks good is tried
//! on more values, compressed, before it is used.

mod judge;
mod look;

use self::judge::{Best, Candidate, Judge, Role};
use self::look::Looks;
use super::choose;
use super::ints;
use super::latest::{MAX_WALK, Order, Values};
use super::layout::Layout;
use super::program::{Of, Op};
use super::related::{MAX_TOLD, Parts, Relation};
use super::scan::Scan;
use super::template::Slot;

/// A column estimated to take fewer bits than this is left alone.
const LEAST_BITS: f32 = 4096.0;
/// So many values are compressed each way to see which is smaller.
const TRIAL: usize = 4096;

/// What finding uses again from block to block.
#[derive(Debug, Default)]
pub(super) struct Finder {
    looks: Looks,
    judge: Judge,
    /// For each column of strings with a dictionary, the indexes.
    indexes: Vec<Vec<u32>>,
    walk: usize,
    parts: Parts,
}

/// A block that is being written.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) scan: &'a Scan,
    pub(super) layout: &'a Layout,
}

impl<'a> Block<'a> {
    fn columns(self, class: usize) -> &'a [u32] {
        self.layout.of_class(class)
    }
}

impl Finder {
    /// Begins a block, in which nothing is found if it is not to look.
    pub(super) fn begin(&mut self, block: Block<'_>, look: bool) {
        self.indexes.clear();
        if look {
            self.indexes.resize(block.layout.columns.len(), Vec::new());
        }
        self.walk = MAX_WALK;
        self.looks.begin(block, look);
    }

    /// Notes the indexes of a column of strings, which others may be told by.
    pub(super) fn know(&mut self, column: usize, indexes: &[u64]) {
        if let Some(known) = self.indexes.get_mut(column) {
            known.extend(indexes.iter().map(|n| *n as u32));
        }
    }

    /// Appends a column of integers, told by others if that is smaller.
    pub(super) fn put(
        &mut self,
        block: Block<'_>,
        column: usize,
        values: &[u64],
        out: &mut Vec<u8>,
        ints: &mut ints::Scratch,
    ) {
        if !self.told(block, column, values, out, ints) {
            ints::put(out, values, ints);
        }
    }

    fn told(
        &mut self,
        block: Block<'_>,
        column: usize,
        values: &[u64],
        out: &mut Vec<u8>,
        ints: &mut ints::Scratch,
    ) -> bool {
        if self.looks.seen(block, column, values).is_none()
            || values.len() > MAX_TOLD
            || is_constant(values)
        {
            return false;
        }
        let bits = choose::least(values, ints);
        if bits * (values.len() as f32) < LEAST_BITS {
            return false;
        }
        let Some(relation) = self.find(block, column, values, bits) else { return false };
        let number = column as u32;
        let some = values.get(..TRIAL.min(values.len())).unwrap_or_default();
        let Some([first, second]) = self.latest(block, number, relation, TRIAL) else {
            return false;
        };
        let (mut apart, mut plain) = (Vec::new(), Vec::new());
        self.parts.take(relation, some, &first, &second);
        self.parts.put(&mut apart, number, relation, ints);
        ints::put(&mut plain, some, ints);
        let (apart, plain) = (ints.compressor.size(&apart), ints.compressor.size(&plain));
        // What repeats from column to column is found by zstd, but not by this trial.
        if apart + apart / 16 + 8 > plain {
            return false;
        }
        let Some([first, second]) = self.latest(block, number, relation, usize::MAX) else {
            return false;
        };
        self.parts.take(relation, values, &first, &second);
        self.parts.put(out, number, relation, ints);
        true
    }

    /// The latest values of the columns that a relation names, for the first `most` values.
    fn latest(
        &mut self,
        block: Block<'_>,
        column: u32,
        relation: Relation,
        most: usize,
    ) -> Option<[Vec<u64>; 2]> {
        let classes = 0..block.scan.classes.list.len();
        let classes = classes.map(|class| block.columns(class)).collect();
        let mut order = Order { classes, rows: &block.scan.class, walk: self.walk };
        let mut told = [Vec::new(), Vec::new()];
        for (other, told) in relation.named().zip(&mut told) {
            let values = values_of(block, &self.indexes, other as usize)?;
            *told = order.latest(column, other, &values, most).ok()?;
        }
        self.walk = order.walk;
        Some(told)
    }

    /// The most promising relation of a column whose values take so many bits each.
    fn find(
        &mut self,
        block: Block<'_>,
        column: usize,
        values: &[u64],
        bits: f32,
    ) -> Option<Relation> {
        let (home, seen) = self.looks.seen(block, column, values)?;
        let roles = roles(block, home.class);
        let mut others: Vec<Candidate<'_>> = Vec::new();
        for (slot, other) in block.columns(home.class).iter().enumerate().take(home.slot) {
            let Some(of) = values_of(block, &self.indexes, *other as usize) else { continue };
            if (*other as usize) < column && seen.varies(slot, &of) {
                let role = roles.get(slot).copied().unwrap_or(Role::Any);
                others.push(Candidate { column: *other, slot, values: of, role });
            }
        }
        let own = block.layout.columns.get(column).map(|c| c.of);
        let mut best = Best { bits: bits * 0.92, relation: None };
        self.judge.find_same(&seen, &others, bits, &mut best);
        if own == Some(Of::Int) && bits > 3.0 {
            let mantissa = roles.get(home.slot) == Some(&Role::Mantissa);
            self.judge.find_sum(&seen, &others, mantissa, &mut best);
        }
        best.relation
    }
}

/// The values of a column that may tell of others.
fn values_of<'a>(block: Block<'a>, indexes: &'a [Vec<u32>], column: usize) -> Option<Values<'a>> {
    let of = block.layout.columns.get(column)?;
    if of.of != Of::Str {
        return Some(Values::Numbers(block.layout.cells(of)));
    }
    indexes.get(column).filter(|all| !all.is_empty()).map(|all| Values::Indexes(all))
}

fn roles(block: Block<'_>, class: usize) -> Vec<Role> {
    let class = block.scan.classes.list.get(class);
    let ops = class.map_or(&[][..], |class| &class.ops);
    let roles = ops.iter().flat_map(|op| {
        let role = match op {
            Op::Slot(Slot::Stamp(stamp)) => Role::Time(stamp.digits()),
            Op::Slot(Slot::Decimal) => Role::Mantissa,
            _ => Role::Any,
        };
        op.columns().iter().enumerate().map(move |(n, _)| if n == 0 { role } else { Role::Any })
    });
    roles.collect()
}

fn is_constant(values: &[u64]) -> bool {
    values.first().is_none_or(|first| values.iter().all(|value| value == first))
}
