//! What a block's text can contain.
//!
//! First, a bitmap with a bit for each hash of three bytes that follow each other in the text. A
//! needle can be in the text only if the bits of all its threes are set; at a quarter of the bits set a
//! needle of eight bytes is let through by chance once in four thousand blocks, at 3.5 bits for each
//! different three. (A filter with several hashes would cost more, and needles have several threes
//! anyway. Whole words do not help: a needle rarely holds all of one.) Second, what [`digits`] says.

mod bitmap;
mod digits;
mod doubles;
mod union;

use crate::bytes::{Cursor, put_prefixed};
use bitmap::Bitmap;
pub(super) use doubles::LONG;

/// The bits of a hash. It is part of the format, and so is the largest bitmap.
const HASH_BITS: u32 = 20;
/// log₂ of the bits of a bitmap while it is built: it stays in the nearest cache.
const BUILD_BITS: u32 = 17;
/// A bitmap is never folded below this, in bytes.
const MIN_BYTES: usize = 64;
/// What the lengths of all parts take at most, in bytes.
const LENGTHS: usize = 6 * 3;

/// The slot for a filter over a block's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// How `bytes` are to be read: [`Filter::NONE`], [`Filter::THREES`], [`Filter::DIGITS`],
    /// [`Filter::DOUBLES`], or unknown.
    pub kind: u8,
    /// The filter.
    pub bytes: Vec<u8>,
}

/// The hash of three bytes. It is part of the format.
#[inline]
const fn hash(three: [u8; 3]) -> usize {
    let [a, b, c] = three;
    hash_number(u32::from_le_bytes([a, b, c, 0]))
}

/// The bytes that can be part of a number.
const OF_NUMBER: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut rest: &mut [bool] = &mut bytes;
    let mut byte = 0u8;
    while let Some((is, tail)) = rest.split_first_mut() {
        *is = byte.is_ascii_hexdigit() || byte == b'.';
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    bytes
};

/// Whether a byte can be part of a number.
#[inline]
pub(super) fn is_of_number(byte: u8) -> bool {
    OF_NUMBER.get(usize::from(byte)).copied().unwrap_or(true)
}

#[inline]
const fn hash_number(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
}

fn threes(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let three = |window: &[u8]| window.first_chunk().copied().map(hash);
    text.windows(3).filter_map(three)
}

/// The hashes of the six threes in eight bytes.
#[inline]
fn six_threes(eight: [u8; 8]) -> impl Iterator<Item = usize> {
    let eight = u64::from_le_bytes(eight);
    (0..6).map(move |n| hash_number((eight >> (8 * n)) as u32 & 0xff_ffff))
}

impl Filter {
    /// No filter: everything can be there.
    pub const NONE: u8 = 0;
    /// A bitmap of threes.
    pub const THREES: u8 = 1;
    /// A bitmap of threes, and what is known of digits.
    pub const DIGITS: u8 = 2;
    /// The same, and what is known of the fractions of differences of times that are doubles.
    pub const DOUBLES: u8 = 3;

    /// Whether the text can contain the needle, in this case of letters. `true` when that cannot be
    /// told.
    #[must_use]
    pub fn can_contain(&self, needle: &[u8]) -> bool {
        match self.kind {
            Self::THREES => has_threes(&self.bytes, needle),
            Self::DIGITS | Self::DOUBLES => {
                let doubles = self.kind == Self::DOUBLES;
                let mut input = Cursor::new(&self.bytes);
                // What is damaged excludes nothing; checksums are for those who want to know.
                input.prefixed().map_or(true, |bytes| has_threes(bytes, needle))
                    && digits::may_contain(input, doubles, needle).unwrap_or(true)
            }
            _ => true,
        }
    }
}

fn has_threes(bytes: &[u8], needle: &[u8]) -> bool {
    let known = bytes.len().is_power_of_two() && bytes.len() <= 1 << (HASH_BITS - 3);
    !known || threes(needle).all(|hash| bitmap::may_have(bytes, hash))
}

/// Makes a [`Filter`] of kind [`Filter::DIGITS`], or [`Filter::DOUBLES`] where that tells more.
///
/// Every text that a search looks at must be added, as it is shown: a filter that misses some makes
/// searches miss them too.
///
/// ```
/// let mut builder = relay_fmt::block::FilterBuilder::new();
/// builder.add(b"request 17 took 4 ms, 120034 in all");
/// let filter = builder.finish(8192);
/// assert!(filter.can_contain(b"took 4") && filter.can_contain(b"20034"));
/// assert!(!filter.can_contain(b"deadlock") && !filter.can_contain(b"120035"));
/// ```
#[derive(Debug, Clone)]
pub struct FilterBuilder {
    threes: Bitmap,
    digits: digits::Builder,
    threes_only: bool,
}

impl Default for FilterBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl FilterBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            threes: Bitmap::new(BUILD_BITS),
            digits: digits::Builder::default(),
            threes_only: false,
        }
    }

    /// Whether the next filter, of which nothing is there yet, is of kind [`Filter::THREES`]: what
    /// digits take is most of the time that a filter takes.
    pub const fn threes_only(&mut self, only: bool) {
        self.threes_only = only;
    }

    /// Whether nothing of digits is kept, as [`FilterBuilder::threes_only`] was told.
    #[inline]
    pub(super) const fn is_threes_only(&self) -> bool {
        self.threes_only
    }

    /// Adds a text. Needles that reach from one text into the next are not looked for.
    pub fn add(&mut self, text: &[u8]) {
        self.add_threes(text);
        if !self.threes_only {
            self.digits.add(text);
        }
    }

    /// Adds a text as far as its threes go: what is to be known of its digits is added apart.
    pub(super) fn add_threes(&mut self, text: &[u8]) {
        let mut rest = text;
        while let (Some(eight), Some(behind)) = (rest.first_chunk(), rest.get(6..)) {
            self.threes.insert(six_threes(*eight));
            rest = behind;
        }
        self.threes.insert(threes(rest));
    }

    /// Whether all of these threes have been added, as far as can be told.
    pub(super) fn has_threes(&self, mut all: impl Iterator<Item = [u8; 3]>) -> bool {
        all.all(|three| self.threes.has(hash(three)))
    }

    /// Adds a whole number of at least four digits, next to which stands nothing of a number; its
    /// threes are added apart. Where nothing but its range makes a difference any more, `digits` is not
    /// called.
    pub(super) fn add_whole<'a>(&mut self, number: u64, digits: impl FnOnce() -> &'a [u8]) {
        if !self.threes_only {
            self.digits.add_whole(number, digits);
        }
    }

    /// Adds a decimal of which `shown` is how it looks, with so many digits behind its point, next to which
    /// stands nothing of a number; without its point it is `number`. Its threes are added apart.
    pub(super) fn add_decimal(&mut self, number: u64, shown: &[u8], scale: usize) {
        if !self.threes_only {
            self.digits.add_decimal(number, shown, scale);
        }
    }

    /// Adds a decimal, likewise, that is written as a double is written and is so many units of 2⁻²².
    pub(super) fn add_double(&mut self, units: u64, shown: &[u8]) {
        if !self.threes_only {
            self.digits.add_double(units, shown);
        }
    }

    /// Adds every fraction of decimal digits that stands behind one to three digits and a point, as
    /// far as digits go; their threes are added apart.
    pub(crate) fn add_all_fractions(&mut self) {
        self.digits.add_all_fractions();
    }

    /// The filter over what was added, of at most `most` bytes; begins anew. Parts that would let
    /// nearly everything through at that size are left out.
    pub fn finish(&mut self, most: usize) -> Filter {
        let (ranges, doubles) = (self.digits.take_ranges(), self.digits.take_doubles());
        let of_ranges = ranges.len() + doubles.as_ref().map_or(0, Vec::len) + LENGTHS;
        // Or a small block of many numbers.
        if self.threes_only || of_ranges > most {
            self.digits.sets().for_each(Bitmap::clear);
            let threes = self.threes.take(MIN_BYTES, most);
            return threes
                .map_or_else(Filter::default, |bytes| Filter { kind: Filter::THREES, bytes });
        }
        let kind = if doubles.is_some() { Filter::DOUBLES } else { Filter::DIGITS };
        let mut filter = Filter { kind, bytes: Vec::new() };
        let mut room = most.saturating_sub(of_ranges);
        let mut part = |set: &mut Bitmap, least| {
            let bytes = set.take(least, room).unwrap_or_default();
            room -= bytes.len();
            put_prefixed(&mut filter.bytes, &bytes);
        };
        part(&mut self.threes, MIN_BYTES);
        self.digits.sets().for_each(|set| part(set, 1));
        put_prefixed(&mut filter.bytes, &ranges);
        doubles.iter().for_each(|doubles| put_prefixed(&mut filter.bytes, doubles));
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any bytes, or numbers and words of digits.
    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![0u64..2000, any::<u64>(), any::<u64>().prop_map(|n| n >> 20)];
        let of_numbers = (number, 0usize..30, "[-. a-f0-9]{0,12}")
            .prop_map(|(n, width, tail)| format!("{n:0width$}{tail}").into_bytes());
        let differences = (any::<u64>(), 12u32..64, "[-. a-f0-9]{0,3}", "[-. a-f0-9]{0,3}");
        let differences = differences.prop_map(|(n, shift, head, tail)| {
            format!("{head}{}{tail}", (n >> shift) as f64 / 4_194_304.0).into_bytes()
        });
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[0-9.]{0,40}".prop_map(String::into_bytes),
            "[0-9a-fA-F .]{0,40}".prop_map(String::into_bytes),
            of_numbers,
            differences,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_there_is_never_denied(
            texts in prop::collection::vec(any_text(), 0..60),
            most in 0usize..3000, which: prop::sample::Index, cut: (prop::sample::Index, prop::sample::Index),
            threes_only: bool,
        ) {
            let mut builder = FilterBuilder::new();
            builder.threes_only(threes_only);
            texts.iter().for_each(|text| builder.add(text));
            let filter = builder.finish(most);
            prop_assert!(filter.bytes.len() <= most);
            if let Some(text) = (!texts.is_empty()).then(|| which.get(&texts)).filter(|t| !t.is_empty()) {
                let (a, b) = (cut.0.index(text.len()), cut.1.index(text.len()));
                prop_assert!(filter.can_contain(&text[a.min(b)..a.max(b)]));
            }
            builder.threes_only(false);
            let fresh = FilterBuilder::new().finish(200);
            prop_assert_eq!(builder.finish(200), fresh, "the builder begins anew");
        }

        #[test]
        fn any_filter_answers(kind in 0u8..5, bytes: Vec<u8>, needle in any_text()) {
            let _ = Filter { kind, bytes }.can_contain(&needle);
        }
    }

    #[test]
    fn what_is_not_there_is_mostly_denied() {
        let (mut builder, mut seed) = (FilterBuilder::new(), 1u64);
        for n in 0..30_000u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            builder.add(
                format!("request {n} of user {:x} took {} us", seed >> 40, seed >> 60).as_bytes(),
            );
        }
        let filter = builder.finish(16 << 10);
        assert_eq!(filter.kind, Filter::DIGITS);
        let absent = ["deadlock", "COPY (SELECT", "zzqqxx", "panicked at", "connection reset"];
        assert!(absent.iter().all(|needle| !filter.can_contain(needle.as_bytes())));
        assert!(filter.can_contain(b"of user"));
    }

    #[test]
    fn digits_that_are_not_there_are_mostly_denied() {
        let (mut builder, mut seed) = (FilterBuilder::new(), 1u64);
        for n in 0..4_000u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (time, hash, port) = (500_000_000 + n * 7_001, seed >> 4, 1024 + seed % 60_000);
            builder.add(
                format!("0.{time:09} id {hash:016x} port {port} of 3.{:016}", seed >> 11)
                    .as_bytes(),
            );
        }
        let filter = builder.finish(64 << 10);
        for absent in ["918273645", "port 918273", "7f3a9c51e2b84d06", "0.490000"] {
            assert!(!filter.can_contain(absent.as_bytes()), "{absent} is not there");
        }
        assert!(filter.can_contain(b"0.5070") && filter.can_contain(b"07001 id"));
    }

    #[test]
    fn differences_of_times_leave_room_for_other_digits() {
        let (mut builder, mut seed) = (FilterBuilder::new(), 1u64);
        for _ in 0..4_000u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let took = (seed >> 48) as f64 / 4_194_304.0;
            builder.add(format!("took {took} s of {}.5", seed >> 50).as_bytes());
        }
        builder.add(b"took 0.0011489391326904297 s, 2.71828182");
        let filter = builder.finish(4 << 10);
        assert_eq!(filter.kind, Filter::DOUBLES);
        let absent = ["918273645", ".0011489391326904295", "2.718281827"];
        assert!(absent.iter().all(|needle| !filter.can_contain(needle.as_bytes())));
        let present = ["0.00114", "1489391326", "6904297 s", "71828182"];
        assert!(present.iter().all(|needle| filter.can_contain(needle.as_bytes())));
    }

    #[test]
    fn the_hashes_never_change() {
        let mut builder = FilterBuilder::new();
        builder.add(b"abc");
        builder.add(b"7.9182736 5182.0f182b");
        let Filter { kind, bytes } = builder.finish(400);
        let set = |bytes: &[u8]| -> Vec<usize> {
            (0..bytes.len() * 8).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1).collect()
        };
        assert_eq!(kind, Filter::DIGITS);
        let mut input = Cursor::new(&bytes);
        let mut next = || input.prefixed().unwrap();
        // Bits 12 to 20 of 0x636261 · 0x9E3779B1, among others.
        assert!(set(next()).contains(&221));
        assert_eq!([set(next()), set(next()), set(next())], [vec![], vec![7], vec![2]]);
        assert_eq!(next(), [1, 4, 0xbe, 0x28, 0, 1, 7, 0x90, 0xf7, 0xe0, 0x25, 0]);
    }
}
