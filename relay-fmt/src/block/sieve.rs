//! What the messages of one callsite contain, without printing each of them.
//!
//! A filter may say that something is there which is not; it may never deny what is. So of a callsite
//! whose holes are plain:
//!
//! * its texts are added once;
//! * a text in a hole is added as far as it differs from the one before;
//! * numbers are printed and added until there have been [`PRINTED`] in a hole. From then on, all
//!   digits are taken to be possible, for each number of digits that comes: printing the rest would
//!   cost most of what making a block costs, and would add hardly a three that is not there.
//!
//! Threes reach over the ends of a hole by two bytes. Where holes stand nearer than that to each
//! other a three could reach over a whole text; such callsites are printed.

use super::FilterBuilder;
use crate::callsite::Callsite;
use crate::message::{plain_texts, write_value};
use crate::value::Value;

/// So many numbers of a hole are printed.
const PRINTED: u32 = 512;

/// So many holes at most: one bit each.
const MOST: usize = 63;

/// A byte of a text, or any digit.
type Symbol = Option<u8>;
const DIGIT: Symbol = None;

/// A hole: what stands around it, and what of it has been added.
#[derive(Debug, Default)]
struct Hole {
    left: Vec<u8>,
    right: Vec<u8>,
    /// The text that was added last, with what stands around it.
    last: Vec<u8>,
    /// Memory for the next one.
    text: Vec<u8>,
    printed: u32,
    /// For each [`Digits`], whether all of that many have been added.
    all_digits: u32,
}

/// How many digits stand in front of the point, three for more: threes tell no more than that.
#[derive(Debug, Clone, Copy)]
struct Digits {
    count: usize,
    negative: bool,
    float: bool,
}

impl Digits {
    fn of(value: Value<'_>) -> Option<Self> {
        let int = |n: i128| (n < 0, n.unsigned_abs() as f64, false);
        let (negative, size, float) = match value {
            Value::I8(n) => int(n.into()),
            Value::I16(n) => int(n.into()),
            Value::I32(n) => int(n.into()),
            Value::I64(n) | Value::Isize(n) => int(n.into()),
            Value::U8(n) => int(n.into()),
            Value::U16(n) => int(n.into()),
            Value::U32(n) => int(n.into()),
            Value::U64(n) | Value::Usize(n) => int(n.into()),
            Value::F32(n) if n.is_finite() => (n.is_sign_negative(), f64::from(n).abs(), true),
            Value::F64(n) if n.is_finite() => (n.is_sign_negative(), n.abs(), true),
            _ => return None,
        };
        let count = if size < 10.0 { 1 } else { 2 + usize::from(size >= 100.0) };
        Some(Self { count, negative, float })
    }

    const fn bit(self) -> u32 {
        1 << (self.count + 4 * (self.negative as usize) + 8 * (self.float as usize))
    }

    /// Everything that such numbers can look like, as far as threes tell.
    fn shapes(self) -> Vec<Vec<Symbol>> {
        let mut whole = vec![Some(b'-'); usize::from(self.negative)];
        whole.extend(vec![DIGIT; self.count]);
        let fraction = |count: usize| {
            let point = std::iter::once(Some(b'.'));
            whole.iter().copied().chain(point).chain(vec![DIGIT; count]).collect()
        };
        let fractions = if self.float { 1..4 } else { 1..1 };
        let mut shapes: Vec<Vec<Symbol>> = fractions.map(fraction).collect();
        shapes.push(whole);
        shapes
    }
}

impl Hole {
    fn add(&mut self, value: Value<'_>, filter: &mut FilterBuilder) {
        let bytes = match value {
            Value::Str(text) | Value::Text(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            _ => return self.add_printed(value, filter),
        };
        let end = self.last.len().saturating_sub(self.right.len());
        if self.last.get(self.left.len()..end) == Some(bytes) {
            return;
        }
        self.begin();
        self.text.extend_from_slice(bytes);
        self.end(filter);
    }

    fn add_printed(&mut self, value: Value<'_>, filter: &mut FilterBuilder) {
        if let Some(digits) = Digits::of(value) {
            if self.all_digits & digits.bit() != 0 {
                return;
            }
            if self.printed == PRINTED {
                self.all_digits |= digits.bit();
                digits.shapes().iter().for_each(|shape| self.add_shape(shape, filter));
                return;
            }
            self.printed += 1;
        }
        self.begin();
        write_value(&value, &mut self.text);
        self.end(filter);
    }

    fn begin(&mut self) {
        self.text.clear();
        self.text.extend_from_slice(&self.left);
    }

    /// Adds `text`, as far as it differs from the last one.
    fn end(&mut self, filter: &mut FilterBuilder) {
        self.text.extend_from_slice(&self.right);
        let same = |(a, b): &(&u8, &u8)| a == b;
        let most = self.text.len().min(self.last.len());
        let before = self.text.iter().zip(&self.last).take_while(same).count();
        let behind = self.text.iter().rev().zip(self.last.iter().rev()).take_while(same).count();
        let behind = behind.min(most - before);
        let (from, to) = (before.saturating_sub(2), self.text.len() - behind.saturating_sub(2));
        // Nothing was added yet, or there are threes that reach over what differs.
        filter.add(self.text.get(from..to).unwrap_or_default());
        std::mem::swap(&mut self.text, &mut self.last);
    }

    fn add_shape(&self, shape: &[Symbol], filter: &mut FilterBuilder) {
        let around = |text: &[u8]| text.iter().copied().map(Some).collect::<Vec<Symbol>>();
        let symbols = [&around(&self.left)[..], shape, &around(&self.right)].concat();
        let bytes = |symbol: Symbol| symbol.map_or(b'0'..=b'9', |byte| byte..=byte);
        for three in symbols.windows(3).filter_map(<[Symbol]>::first_chunk::<3>) {
            for a in bytes(three[0]) {
                for b in bytes(three[1]) {
                    bytes(three[2]).for_each(|c| filter.add(&[a, b, c]));
                }
            }
        }
    }
}

/// Adds to a filter what the messages of one callsite contain. Begin a new one with every filter.
#[derive(Debug)]
pub struct Sieve {
    holes: Vec<Hole>,
}

impl Sieve {
    /// Adds the texts of a callsite; `None` where its messages have to be printed.
    #[must_use]
    pub fn new(callsite: &Callsite, filter: &mut FilterBuilder) -> Option<Self> {
        let texts = plain_texts(&callsite.template)?;
        let holes = texts.len() - 1;
        let between = texts.get(1..holes).unwrap_or_default();
        if holes > callsite.fields.len().min(MOST) || between.iter().any(|text| text.len() < 2) {
            return None;
        }
        texts.iter().for_each(|text| filter.add(text.as_bytes()));
        let around = texts.iter().zip(texts.iter().skip(1));
        let hole = |(left, right): (&String, &String)| {
            let (left, right) = (left.as_bytes(), right.as_bytes());
            let left = left.get(left.len().saturating_sub(2)..).unwrap_or_default().to_vec();
            let right = right.get(..right.len().min(2)).unwrap_or_default().to_vec();
            Hole { left, right, ..Hole::default() }
        };
        Some(Self { holes: around.map(hole).collect() })
    }

    /// Adds what a record of the callsite contains. `false` where its values are not what the callsite
    /// says: it has to be printed then.
    pub fn add(&mut self, callsite: &Callsite, payload: &[u8], filter: &mut FilterBuilder) -> bool {
        if self.holes.is_empty() {
            return true;
        }
        let mut filled = 0u64;
        for field in callsite.values(payload) {
            let Ok(field) = field else { return false };
            if let Some(index) = field.index
                && let Some(hole) = self.holes.get_mut(index)
            {
                hole.add(field.value, filter);
                filled |= 1 << index;
            }
        }
        // A hole whose value a sparse record leaves out joins what stands around it.
        filled == (1 << self.holes.len()) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callsite::{Facade, Field, Level};
    use crate::message::write_message;
    use crate::value::{Layout, Type};
    use proptest::prelude::*;

    fn callsite(template: &str, types: [Type; 2]) -> Callsite {
        let field = |of| Field { name: "f".into(), of, argument_only: false };
        let text = String::new;
        Callsite {
            level: Level::Info,
            facade: Facade::Relay,
            layout: Layout::Packed,
            line: 1,
            target: text(),
            module: text(),
            file: text(),
            name: text(),
            template: template.into(),
            fields: types.map(field).to_vec(),
        }
    }

    fn holds_all_of(filter: &super::super::Filter, text: &[u8]) -> bool {
        text.windows(3).all(|three| filter.can_contain(three))
    }

    /// Everything that is printed is in the filter, whichever of the ways it goes.
    fn check(template: &str, rows: &[(i64, f64)], texts: &[String]) {
        let numbers = callsite(template, [Type::I64, Type::F64]);
        let words = callsite(template, [Type::Str, Type::I64]);
        let mut records: Vec<(&Callsite, Vec<u8>)> = Vec::new();
        for (int, float) in rows {
            records.push((&numbers, [int.to_le_bytes(), float.to_le_bytes()].concat()));
        }
        for (i, text) in texts.iter().enumerate() {
            let mut payload = (text.len() as u32).to_le_bytes().to_vec();
            payload.extend_from_slice(text.as_bytes());
            payload.extend_from_slice(&(i as i64).to_le_bytes());
            records.push((&words, payload));
        }
        let mut filter = FilterBuilder::new();
        let sieves = [&numbers, &words].map(|callsite| Sieve::new(callsite, &mut filter));
        let [Some(mut of_numbers), Some(mut of_words)] = sieves else { panic!("plain holes") };
        for (callsite, payload) in &records {
            let sieve =
                if std::ptr::eq(*callsite, &numbers) { &mut of_numbers } else { &mut of_words };
            assert!(sieve.add(callsite, payload, &mut filter));
        }
        let filter = filter.finish(usize::MAX);
        assert_eq!(filter.kind, super::super::Filter::THREES);
        for (callsite, payload) in &records {
            let mut text = Vec::new();
            write_message(callsite, payload, &mut text).unwrap();
            assert!(holds_all_of(&filter, &text), "{}", String::from_utf8_lossy(&text));
        }
    }

    proptest! {
        #[test]
        fn what_would_be_printed_is_never_denied(
            template in "(a?b?c?)\\{0\\}(=[a-z]|, |: - )\\{1\\}(x?yz?)",
            rows in prop::collection::vec((any::<i64>(), any::<f64>()), 0..30),
            small in prop::collection::vec((-2_000i64..2_000, -2_000i32..2_000), 0..900),
            texts in prop::collection::vec("[ab]{0,6}", 0..30),
        ) {
            let small = small.iter().map(|(a, b)| (*a, f64::from(*b) / 8.0));
            let rows: Vec<(i64, f64)> = rows.into_iter().chain(small).collect();
            check(&template, &rows, &texts);
        }
    }

    #[test]
    fn numbers_are_printed_first_and_then_taken_for_all() {
        let callsite = callsite("id={0} took {1}", [Type::I64, Type::I64]);
        let filter_of = |count: i64| {
            let mut filter = FilterBuilder::new();
            let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
            for _ in 0..count {
                let payload = [[1; 8], [2; 8]].concat();
                assert!(sieve.add(&callsite, &payload, &mut filter));
            }
            filter.finish(usize::MAX)
        };
        assert!(!filter_of(i64::from(PRINTED)).can_contain(b"999"));
        assert!(filter_of(i64::from(PRINTED) + 1).can_contain(b"999"));
        assert!(!filter_of(i64::from(PRINTED) + 1).can_contain(b"99."));
    }

    #[test]
    fn a_record_that_leaves_a_value_out_is_printed() {
        let sparse =
            Callsite { layout: Layout::Sparse, ..callsite("{0} of {1}", [Type::Tagged; 2]) };
        let mut filter = FilterBuilder::new();
        let mut sieve = Sieve::new(&sparse, &mut filter).unwrap();
        let value = |field: u8| [field, Type::U8 as u8, 7];
        assert!(sieve.add(&sparse, &[value(0), value(1)].concat(), &mut filter));
        assert!(!sieve.add(&sparse, &[value(1), value(1)].concat(), &mut filter));
    }

    #[test]
    fn what_is_not_plain_is_printed() {
        let mut filter = FilterBuilder::new();
        for template in ["{0:x} of {1}", "{1} of {0}", "{0} {1}", "{0} of {0}", "{0} of {"] {
            let callsite = callsite(template, [Type::I64, Type::I64]);
            assert!(Sieve::new(&callsite, &mut filter).is_none(), "{template}");
        }
        let callsite = callsite("{0} of {1}", [Type::I64, Type::I64]);
        let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
        assert!(!sieve.add(&callsite, &[0; 15], &mut filter), "a record that is cut");
        assert!(!sieve.add(&callsite, &[0; 17], &mut filter), "a record that is too long");
    }
}
