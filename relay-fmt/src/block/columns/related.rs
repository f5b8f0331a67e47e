//! Columns of integers that other columns tell something about.
//!
//! A port belongs to a connection, a duration is the difference of two times, an offset grows by the
//! length that stands beside it. A column may name one or two columns before it, whose latest
//! values, in the order in which rows take values, are what it is told by:
//!
//! | byte | what follows |
//! |---|---|
//! | 8 sum | form, distances, [digits], how far each value is from what is foretold (a column) |
//! | 9 same | count, distances, whether the value is another (a column), the others (a column) |
//!
//! A distance is how many columns before this one the other stands. Of a column of strings with a
//! dictionary, the values are the indexes.

use super::hash::mix;
use super::ints;
use super::latest::{Order, Values};
use super::template::BINARY_UNITS;
use crate::bytes::{Cursor, Error, Result, put_varint, unzigzag, zigzag};

const SUM: u8 = 8;
const SAME: u8 = 9;

/// Columns of more values are not told by others.
pub(super) const MAX_TOLD: usize = 1 << 21;
/// The fewest and the most values that are remembered, each by its context, as powers of two.
const MEMORY: (u32, u32) = (8, 16);

/// How a value is foretold from the latest values of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It is the other.
    Other = 0,
    /// It is the one before and the other together.
    Grows = 1,
    /// It is the one before less the other.
    Shrinks = 2,
    /// It is the other less the second.
    Difference = 3,
    /// Likewise where they are times with so many digits of fraction, which it counts as
    /// differences of doubles are counted: in units of 2⁻²² seconds, each time rounded.
    Doubles = 4,
}

impl Form {
    fn from_u8(form: u8) -> Option<Self> {
        let all = [Self::Other, Self::Grows, Self::Shrinks, Self::Difference, Self::Doubles];
        all.into_iter().find(|f| *f as u8 == form)
    }

    /// How many other columns it needs.
    const fn others(self) -> usize {
        if matches!(self, Self::Difference | Self::Doubles) { 2 } else { 1 }
    }

    /// What is foretold.
    #[inline]
    pub(super) fn foretell(self, before: u64, first: u64, second: u64, digits: u8) -> u64 {
        match self {
            Self::Other => first,
            Self::Grows => before.wrapping_add(first),
            Self::Shrinks => before.wrapping_sub(first),
            Self::Difference => first.wrapping_sub(second),
            Self::Doubles => units(first, digits).wrapping_sub(units(second, digits)),
        }
    }
}

/// The double next to a time with so many digits of fraction, in units of 2⁻²² seconds.
fn units(time: u64, digits: u8) -> u64 {
    let unit = 10i128.pow(u32::from(digits.min(9)));
    let twice = i128::from(time as i64) * 2 * BINARY_UNITS as i128 + unit;
    twice.div_euclid(2 * unit) as u64
}

/// What a column is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// The other columns, of which a sum has one or two; digits for [`Form::Doubles`].
    Sum { form: Form, others: [u32; 2], digits: u8 },
    /// It is what it was when these had the same values, one or two different columns.
    Same { others: [u32; 2] },
}

impl Relation {
    /// The columns that it names.
    pub(super) fn named(&self) -> impl Iterator<Item = u32> {
        let (others, count) = match *self {
            Self::Sum { form, others, .. } => (others, form.others()),
            Self::Same { others } => (others, if others[0] == others[1] { 1 } else { 2 }),
        };
        others.into_iter().take(count)
    }
}

/// The last value of each context, as far as contexts do not get in each other's way.
#[derive(Debug)]
pub(super) struct Memory {
    slots: Vec<Option<u64>>,
    shift: u32,
}

impl Memory {
    /// For a column of so many values.
    pub(super) fn new(values: usize) -> Self {
        let bits = values.saturating_mul(4).next_power_of_two().trailing_zeros();
        let bits = bits.clamp(MEMORY.0, MEMORY.1);
        Self { slots: vec![None; 1 << bits], shift: 64 - bits }
    }

    /// Forgets all.
    fn forget(&mut self) {
        self.slots.fill(None);
    }

    /// Where the value of a context is remembered.
    #[inline]
    pub(super) fn slot(&self, first: u64, second: u64) -> usize {
        (mix(mix(0, first), second) >> self.shift) as usize
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<u64> {
        self.slots.get(slot).copied().flatten()
    }

    #[inline]
    pub(super) fn set(&mut self, slot: usize, value: u64) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Some(value);
        }
    }
}

/// What is written of a column that others tell of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// For [`Relation::Sum`] how far values are from what is foretold, zigzag; for
    /// [`Relation::Same`], of values whose context came before, whether they are others.
    pub(super) marks: Vec<u64>,
    /// For [`Relation::Same`], the values that are others.
    pub(super) others: Vec<u64>,
}

impl Parts {
    /// Takes values apart; `first` and `second` are the latest values of the columns named.
    pub(super) fn take(
        &mut self,
        relation: Relation,
        values: &[u64],
        first: &[u64],
        second: &[u64],
    ) {
        self.marks.clear();
        self.others.clear();
        let told = first.iter().zip(second.iter().chain(std::iter::repeat(&0)));
        match relation {
            Relation::Sum { form, digits, .. } => {
                let mut before = 0;
                self.marks.extend(values.iter().zip(told).map(|(value, (a, b))| {
                    let foretold = form.foretell(before, *a, *b, digits);
                    before = *value;
                    zigzag(value.wrapping_sub(foretold) as i64)
                }));
            }
            Relation::Same { .. } => {
                let mut memory = Memory::new(values.len());
                for (value, (a, b)) in values.iter().zip(told) {
                    let slot = memory.slot(*a, *b);
                    let known = memory.get(slot);
                    self.marks.extend(known.map(|known| u64::from(known != *value)));
                    if known != Some(*value) {
                        self.others.push(*value);
                        memory.set(slot, *value);
                    }
                }
            }
        }
    }

    /// Appends them; `column` is the number of the column.
    pub(super) fn put(
        &self,
        out: &mut Vec<u8>,
        column: u32,
        relation: Relation,
        scratch: &mut ints::Scratch,
    ) {
        match relation {
            Relation::Sum { form, .. } => out.extend([SUM, form as u8]),
            Relation::Same { .. } => out.extend([SAME, relation.named().count() as u8]),
        }
        for other in relation.named() {
            put_varint(out, u64::from(column - other));
        }
        if let Relation::Sum { form: Form::Doubles, digits, .. } = relation {
            out.push(digits);
        }
        ints::put(out, &self.marks, scratch);
        if let Relation::Same { .. } = relation {
            ints::put(out, &self.others, scratch);
        }
    }
}

/// The columns before the one that is read.
pub(super) trait Known {
    /// The values of a column; `None` when there are none that tell of others.
    fn values(&self, column: u32) -> Option<Values<'_>>;
}

/// Reads a column of `n` numbers, which may be told by others.
///
/// # Errors
/// When it is cut short, or names what is not there.
pub(super) fn get<R: Copy + TryInto<usize>>(
    input: &mut Cursor<'_>,
    n: usize,
    column: u32,
    known: &impl Known,
    order: &mut Order<'_, R>,
) -> Result<Vec<u64>> {
    let tag = input.rest().first().copied();
    if n == 0 || !matches!(tag, Some(SUM | SAME)) {
        return ints::get(input, n);
    }
    if n > MAX_TOLD {
        return Err(Error::new("a column that is told by others is too long"));
    }
    let relation = get_relation(input, column)?;
    let wrong = Error::new("a column is told by one that is not there");
    let mut told = [Vec::new(), Vec::new()];
    for (other, told) in relation.named().zip(&mut told) {
        let values = known.values(other).ok_or(wrong)?;
        *told = order.latest(column, other, &values, usize::MAX)?;
    }
    let [first, second] = told;
    if first.len() != n {
        return Err(wrong);
    }
    let told = first.iter().zip(second.iter().chain(std::iter::repeat(&0)));
    match relation {
        Relation::Sum { form, digits, .. } => {
            let mut before = 0u64;
            let mut values = ints::get(input, n)?;
            for (value, (a, b)) in values.iter_mut().zip(told) {
                let foretold = form.foretell(before, *a, *b, digits);
                *value = foretold.wrapping_add(unzigzag(*value) as u64);
                before = *value;
            }
            Ok(values)
        }
        Relation::Same { .. } => get_same(input, n, told),
    }
}

fn get_relation(input: &mut Cursor<'_>, column: u32) -> Result<Relation> {
    let wrong = Error::new("a column is told by one that is not there");
    let (tag, form) = (input.u8()?, input.u8()?);
    let form = if tag == SUM {
        Form::from_u8(form).ok_or(wrong)?
    } else {
        match form {
            1 => Form::Other,
            2 => Form::Difference,
            _ => return Err(wrong),
        }
    };
    let mut other = || {
        let distance = u32::try_from(input.varint()?).ok().filter(|d| *d > 0);
        distance.and_then(|distance| column.checked_sub(distance)).ok_or(wrong)
    };
    let first = other()?;
    let others = [first, if form.others() == 2 { other()? } else { first }];
    if tag == SAME {
        return Ok(Relation::Same { others });
    }
    let digits = if form == Form::Doubles { input.u8()? } else { 0 };
    Ok(Relation::Sum { form, others, digits })
}

/// Reads the rest of a column that is what it was when the others had the same values.
fn get_same<'a>(
    input: &mut Cursor<'_>,
    n: usize,
    told: impl Iterator<Item = (&'a u64, &'a u64)> + Clone,
) -> Result<Vec<u64>> {
    let mut memory = Memory::new(n);
    // Which contexts came before follows from them alone.
    let mut marks = 0;
    for (a, b) in told.clone() {
        let slot = memory.slot(*a, *b);
        marks += usize::from(memory.get(slot).is_some());
        memory.set(slot, 0);
    }
    let marks = ints::get(input, marks)?;
    let others = n - marks.len() + marks.iter().filter(|mark| **mark != 0).count();
    let (mut marks, mut others) = (marks.into_iter(), ints::get(input, others)?.into_iter());
    memory.forget();
    let value = |(a, b): (&u64, &u64)| {
        let slot = memory.slot(*a, *b);
        let known = memory.get(slot);
        if let Some(known) = known.filter(|_| marks.next() == Some(0)) {
            return known;
        }
        let value = others.next().unwrap_or_default();
        memory.set(slot, value);
        value
    };
    Ok(told.map(value).collect())
}
