//! One hole of a template: what stands around it, and what of it has been added.

use super::place::Place;
use super::recent::Recent;
use super::shape::{self, Float, Symbol};
use crate::block::FilterBuilder;
use crate::block::filter::is_of_number;
use crate::bytes::Cursor;
use crate::message::write_value;
use crate::value::{Type, Value};

/// So many floats of a hole are printed.
pub(super) const PRINTED: u32 = 512;
/// Integers below this are remembered one by one: they have no ranges and no grams.
const SHORT: u64 = 1000;
/// After so many longer integers it is looked for the first time whether all of their threes are there.
const MANY: u32 = 1024;

/// Whether all of these are.
pub(super) fn is_number(text: &[u8]) -> bool {
    text.iter().copied().all(is_of_number)
}

/// How many bytes at the front have to be there with what comes before: two, and all of a number.
fn reach<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes.take_while(|byte| is_of_number(**byte)).count().max(2)
}

/// A hole.
#[derive(Debug, Default)]
pub(super) struct Hole<'a> {
    left: Vec<u8>,
    right: Vec<u8>,
    /// Whether a number here is not a part of a longer one.
    apart: bool,
    /// What was added last, with what stands around it.
    last: Vec<u8>,
    /// Memory for the next one.
    text: Vec<u8>,
    /// Texts that were added.
    texts: Recent<'a>,
    /// Integers below [`SHORT`] that were added, a bit each.
    short: [u64; SHORT.div_ceil(64) as usize],
    /// The last longer one.
    long: u64,
    longs: u32,
    /// Whether all threes of longer ones are there; never where it is not `apart`.
    all_longs: bool,
    floats: u32,
    /// For each [`Float`], whether all of its kind have been added: none where it is not `apart`.
    all_floats: u32,
}

impl<'a> Hole<'a> {
    pub(super) fn new(left: &[u8], right: &[u8]) -> Self {
        let left = left.get(left.len() - reach(left.iter().rev()).min(left.len())..);
        let right = right.get(..reach(right.iter()).min(right.len()));
        let (left, right) = (left.unwrap_or_default().to_vec(), right.unwrap_or_default().to_vec());
        let apart =
            ![left.last(), right.first()].into_iter().flatten().any(|byte| is_of_number(*byte));
        Self { left, right, apart, ..Self::default() }
    }

    /// Takes a value, and adds what is not known to be there. `None` when it is no value of this type.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        input: &mut Cursor<'a>,
        of: Type,
        filter: &mut FilterBuilder,
    ) -> Option<()> {
        let of = match of {
            Type::Tagged => Type::from_u8(input.u8().ok()?)?,
            of => of,
        };
        match of {
            Type::U64 | Type::Usize => self.add_whole(input.u64().ok()?, filter),
            Type::U32 => self.add_whole(input.u32().ok()?.into(), filter),
            Type::U16 => self.add_whole(input.u16().ok()?.into(), filter),
            Type::U8 => self.add_whole(input.u8().ok()?.into(), filter),
            Type::I64 | Type::Isize => {
                self.add_signed(i64::from_le_bytes(input.array().ok()?), filter)
            }
            Type::I32 => self.add_signed(i32::from_le_bytes(input.array().ok()?).into(), filter),
            Type::F64 => {
                let float = f64::from_bits(input.u64().ok()?);
                self.add_float(float, Value::F64(float), filter);
            }
            Type::F32 => {
                let float = f32::from_bits(input.u32().ok()?);
                self.add_float(float.into(), Value::F32(float), filter);
            }
            Type::Str | Type::Text => {
                let length = input.u32().ok()? as usize;
                self.add_string(input.bytes(length).ok()?, filter)?;
            }
            Type::Tagged => return None,
            of => self.print(Value::parse(input, of).ok()?, filter),
        }
        Some(())
    }

    /// Takes a value of each of some records, in which it stands where `place` says; says of those that do not
    /// parse that they are to be `printed`.
    pub(super) fn take_all(
        &mut self,
        records: impl Iterator<Item = &'a [u8]>,
        place: &Place,
        printed: &mut [bool],
        filter: &mut FilterBuilder,
    ) {
        match place.of {
            Type::U64 | Type::Usize => records.for_each(|record| {
                self.add_whole(u64::from_le_bytes(place.bytes(record)), filter);
            }),
            Type::U32 => records.for_each(|record| {
                self.add_whole(u32::from_le_bytes(place.bytes(record)).into(), filter);
            }),
            Type::U16 => records.for_each(|record| {
                self.add_whole(u16::from_le_bytes(place.bytes(record)).into(), filter);
            }),
            Type::U8 => records.for_each(|record| {
                self.add_whole(u8::from_le_bytes(place.bytes(record)).into(), filter);
            }),
            Type::I64 | Type::Isize => records.for_each(|record| {
                self.add_signed(i64::from_le_bytes(place.bytes(record)), filter);
            }),
            Type::I32 => records.for_each(|record| {
                self.add_signed(i32::from_le_bytes(place.bytes(record)).into(), filter);
            }),
            Type::F64 => records.for_each(|record| {
                let float = f64::from_le_bytes(place.bytes(record));
                self.add_float(float, Value::F64(float), filter);
            }),
            Type::F32 => records.for_each(|record| {
                let float = f32::from_le_bytes(place.bytes(record));
                self.add_float(float.into(), Value::F32(float), filter);
            }),
            _ => {
                for (record, printed) in records.zip(printed) {
                    *printed |= self.add_string(place.text(record), filter).is_none();
                }
            }
        }
    }

    #[inline]
    fn add_string(&mut self, text: &'a [u8], filter: &mut FilterBuilder) -> Option<()> {
        // What came before has been looked at.
        if self.texts.is_new(text) { self.add_new_string(text, filter) } else { Some(()) }
    }

    fn add_new_string(&mut self, text: &'a [u8], filter: &mut FilterBuilder) -> Option<()> {
        let Ok(text) = std::str::from_utf8(text) else {
            self.texts = Recent::default();
            return None;
        };
        self.print(Value::Str(text), filter);
        Some(())
    }

    #[inline]
    fn add_signed(&mut self, number: i64, filter: &mut FilterBuilder) {
        match u64::try_from(number) {
            Ok(number) => self.add_whole(number, filter),
            Err(_) => self.print(Value::I64(number), filter),
        }
    }

    #[inline]
    fn add_whole(&mut self, number: u64, filter: &mut FilterBuilder) {
        let is_known = self.all_longs && filter.is_threes_only() && number >= SHORT;
        if !is_known {
            self.add_unknown(number, filter);
        }
    }

    fn add_unknown(&mut self, number: u64, filter: &mut FilterBuilder) {
        if let Some(bits) = self.short.get_mut(number as usize / 64).filter(|_| number < SHORT) {
            let bit = 1 << (number % 64);
            if *bits & bit == 0 {
                *bits |= bit;
                self.print(Value::U64(number), filter);
            }
        } else if !self.apart {
            self.print(Value::U64(number), filter);
        } else if number != self.long {
            self.long = number;
            self.add_long(number, filter);
        }
    }

    /// Adds a whole number that has grams and a range, and that nothing of a number stands beside.
    fn add_long(&mut self, number: u64, filter: &mut FilterBuilder) {
        if self.all_longs {
            let text = &mut self.text;
            return filter.add_whole(number, || {
                text.clear();
                write_value(&Value::U64(number), text);
                text
            });
        }
        self.begin();
        write_value(&Value::U64(number), &mut self.text);
        filter.add_whole(number, || self.text.get(self.left.len()..).unwrap_or_default());
        self.end(|changed| filter.add_threes(changed));
        self.longs += 1;
        if self.longs >= MANY && self.longs.is_power_of_two() {
            let shape = self.around(shape::LONG);
            self.all_longs = filter.has_threes(shape::threes(&shape));
        }
    }

    #[inline]
    fn add_float(&mut self, float: f64, value: Value<'_>, filter: &mut FilterBuilder) {
        let is_known = Float::of(float).is_some_and(|float| self.all_floats & float.bit() != 0);
        if !is_known {
            self.add_unknown_float(float, value, filter);
        }
    }

    fn add_unknown_float(&mut self, float: f64, value: Value<'_>, filter: &mut FilterBuilder) {
        if let Some(float) = Float::of(float).filter(|_| self.apart) {
            if self.floats == PRINTED {
                self.all_floats |= float.bit();
                return self.add_floats(float, filter);
            }
            self.floats += 1;
        }
        self.print(value, filter);
    }

    /// Adds all floats of a kind.
    fn add_floats(&self, float: Float, filter: &mut FilterBuilder) {
        filter.add_all_fractions();
        for shape in float.shapes() {
            let shape = self.around(&shape);
            shape::threes(&shape).for_each(|three| filter.add_threes(&three));
        }
    }

    fn print(&mut self, value: Value<'_>, filter: &mut FilterBuilder) {
        self.begin();
        write_value(&value, &mut self.text);
        self.end(|changed| filter.add(changed));
    }

    fn begin(&mut self) {
        self.text.clear();
        self.text.extend_from_slice(&self.left);
    }

    /// Gives `add` of `text` what differs from the last one.
    fn end(&mut self, add: impl FnOnce(&[u8])) {
        self.text.extend_from_slice(&self.right);
        let same = |(a, b): &(&u8, &u8)| a == b;
        let most = self.text.len().min(self.last.len());
        let before = self.text.iter().zip(&self.last).take_while(same).count();
        let behind = self.text.iter().rev().zip(self.last.iter().rev()).take_while(same).count();
        let (head, rest) = self.text.split_at(before);
        let (_, tail) = rest.split_at(rest.len() - behind.min(most - before));
        let from = head.len() - reach(head.iter().rev()).min(head.len());
        let to = self.text.len() - tail.len() + reach(tail.iter()).min(tail.len());
        add(self.text.get(from..to).unwrap_or_default());
        std::mem::swap(&mut self.text, &mut self.last);
    }

    fn around(&self, shape: &[Symbol]) -> Vec<Symbol> {
        let bytes = |text: &[u8]| text.iter().copied().map(Symbol::Byte).collect::<Vec<_>>();
        [&bytes(&self.left), shape, &bytes(&self.right)].concat()
    }
}
