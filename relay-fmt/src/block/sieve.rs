//! What the messages of one callsite contain, without printing each of them.
//!
//! A filter may say that something is there which is not; it may never deny what is. So of a callsite
//! whose holes are plain:
//!
//! * its texts are added once;
//! * a value is added as far as it differs from the one before, which a string often does not;
//! * floats below a thousand are printed and added until there have been [`PRINTED`] in a hole. From
//!   then on, all digits are taken to be possible, as many in front of the point as come: printing
//!   them is most of what making a block costs, and they are no needles that blocks differ by.
//!
//! What is looked for reaches over the ends of a hole: by two bytes, and as far as digits go. So what
//! stands between holes has to be longer than that; other callsites are printed.

use super::FilterBuilder;
use crate::callsite::Callsite;
use crate::message::{plain_texts, write_value};
use crate::value::Value;

/// So many floats of a hole are printed.
const PRINTED: u32 = 512;
/// So many holes at most: one bit each.
const MOST: usize = 63;

/// A byte of a text, or any digit.
type Symbol = Option<u8>;
const DIGIT: Symbol = None;

/// Whether a byte can be part of a number, as the filter has it.
const fn is_of_number(byte: &u8) -> bool {
    byte.is_ascii_hexdigit() || *byte == b'.'
}

/// How many bytes at the front have to be there with what comes before: two, and all of a number.
fn reach<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes.take_while(|byte| is_of_number(byte)).count().max(2)
}

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
    /// For each [`Float`], whether all of its kind have been added.
    all_of: u32,
}

/// Floats from -1000 to 1000 that have so many digits in front of the point.
#[derive(Debug, Clone, Copy)]
struct Float {
    count: usize,
    negative: bool,
}

impl Float {
    fn of(value: Value<'_>) -> Option<Self> {
        let float = match value {
            Value::F32(float) => f64::from(float),
            Value::F64(float) => float,
            _ => return None,
        };
        let size = float.abs();
        let count = 1 + usize::from(size >= 10.0) + usize::from(size >= 100.0);
        (size < 1000.0).then_some(Self { count, negative: float.is_sign_negative() })
    }

    const fn bit(self) -> u32 {
        1 << (self.count + 4 * (self.negative as usize))
    }

    /// Everything that they can look like: more than three digits in a row tell no more than three.
    fn shapes(self) -> impl Iterator<Item = Vec<Symbol>> {
        (0..4).map(move |fraction| {
            let mut shape = vec![Some(b'-'); usize::from(self.negative)];
            shape.extend(vec![DIGIT; self.count]);
            shape.extend(vec![Some(b'.'); usize::from(fraction > 0)]);
            shape.extend(vec![DIGIT; fraction]);
            shape
        })
    }
}

impl Hole {
    fn new(left: &[u8], right: &[u8]) -> Self {
        let left = left.get(left.len() - reach(left.iter().rev()).min(left.len())..);
        let right = right.get(..reach(right.iter()).min(right.len()));
        let bytes = |text: Option<&[u8]>| text.unwrap_or_default().to_vec();
        Self { left: bytes(left), right: bytes(right), ..Self::default() }
    }

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
        if let Some(float) = Float::of(value).filter(|_| self.stands_apart()) {
            if self.all_of & float.bit() != 0 {
                return;
            }
            if self.printed == PRINTED {
                self.all_of |= float.bit();
                filter.add_all_fractions();
                float.shapes().for_each(|shape| self.add_shape(&shape, filter));
                return;
            }
            self.printed += 1;
        }
        self.begin();
        write_value(&value, &mut self.text);
        self.end(filter);
    }

    /// Whether a number here is not a part of a longer one.
    fn stands_apart(&self) -> bool {
        !self.left.last().is_some_and(is_of_number) && !self.right.first().is_some_and(is_of_number)
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
        let (head, rest) = self.text.split_at(before);
        let (_, tail) = rest.split_at(rest.len() - behind.min(most - before));
        let from = head.len() - reach(head.iter().rev()).min(head.len());
        let to = self.text.len() - tail.len() + reach(tail.iter()).min(tail.len());
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
        let near = |text: &String| text.len() < 2 || text.as_bytes().iter().all(is_of_number);
        let between = texts.get(1..holes).unwrap_or_default();
        if holes > callsite.fields.len().min(MOST) || between.iter().any(near) {
            return None;
        }
        texts.iter().for_each(|text| filter.add(text.as_bytes()));
        let around = texts.iter().zip(texts.iter().skip(1));
        let hole = |(left, right): (&String, &String)| Hole::new(left.as_bytes(), right.as_bytes());
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
        assert_ne!(filter.kind, super::super::Filter::NONE);
        for (callsite, payload) in &records {
            let mut text = Vec::new();
            write_message(callsite, payload, &mut text).unwrap();
            let parts =
                (0..text.len()).flat_map(|from| (from + 1..=text.len()).map(move |to| from..to));
            for part in parts {
                let part = &text[part];
                assert!(filter.can_contain(part), "{}", String::from_utf8_lossy(part));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn what_would_be_printed_is_never_denied(
            template in r"(|a|=|x1|4[^{}])\{0\}(=[a-z]| 7|, |a: -|[^{}] |: )\{1\}(|x|b1|[^{}]5y| yz?)",
            rows in prop::collection::vec((any::<i64>(), any::<f64>()), 0..10),
            small in prop::collection::vec((-2_000_000i64..2_000_000, -2_000_000i32..2_000_000), 0..20),
            floats in prop_oneof![Just(0u32), Just(700)],
            texts in prop::collection::vec("[ab1.]{0,9}", 0..20),
        ) {
            let small = small.iter().map(|(a, b)| (*a, f64::from(*b) / 1024.0));
            let before = (0..floats).map(|n| (i64::from(n), f64::from(n) / 8.0));
            let rows: Vec<(i64, f64)> = before.chain(rows).chain(small).collect();
            check(&template, &rows, &texts);
        }
    }

    #[test]
    fn floats_are_printed_first_and_then_taken_for_all() {
        let callsite = callsite("id={0} took {1} ms", [Type::I64, Type::F64]);
        let filter_of = |count: u32| {
            let mut filter = FilterBuilder::new();
            let mut sieve = Sieve::new(&callsite, &mut filter).unwrap();
            for _ in 0..count {
                let payload = [7i64.to_le_bytes(), 1.5f64.to_le_bytes()].concat();
                assert!(sieve.add(&callsite, &payload, &mut filter));
            }
            filter.finish(usize::MAX)
        };
        assert!(!filter_of(PRINTED).can_contain(b"took 9"));
        let all = filter_of(PRINTED + 1);
        assert!(all.can_contain(b"took 9.9876543 ms"));
        assert!(!all.can_contain(b"took 9876.5"));
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
