//! What a block's text can contain.
//!
//! Kind 1 is a bitmap with a bit for each hash of three bytes that follow each other in the text. A
//! needle can be in the text only if the bits of all its threes are set; at a quarter of the bits set a
//! needle of eight bytes is let through by chance once in four thousand blocks, at 3.5 bits for each
//! different three. (A filter with several hashes would cost more, and needles have several threes
//! anyway. Whole numbers do not help: a needle rarely holds all of one.)

/// log₂ of the bits of a bitmap while it is built.
const BUILD_BITS: u32 = 20;
const BUILD_BYTES: usize = 1 << (BUILD_BITS - 3);
/// A bitmap is never folded below this, in bytes.
const MIN_BYTES: usize = 64;

/// The slot for a filter over a block's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// How `bytes` are to be read: [`Filter::NONE`], [`Filter::THREES`], or unknown.
    pub kind: u8,
    /// The filter.
    pub bytes: Vec<u8>,
}

/// The hash of three bytes, the first one the lowest of the number. It is part of the format.
const fn hash(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> (32 - BUILD_BITS)) as usize
}

fn threes(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let three = |window: &[u8]| {
        window.first_chunk().map(|[a, b, c]| hash(u32::from_le_bytes([*a, *b, *c, 0])))
    };
    text.windows(3).filter_map(three)
}

impl Filter {
    /// No filter: everything can be there.
    pub const NONE: u8 = 0;
    /// A bitmap of threes.
    pub const THREES: u8 = 1;

    /// Whether the text can contain the needle, in this case of letters. `true` when that cannot be
    /// told.
    #[must_use]
    pub fn can_contain(&self, needle: &[u8]) -> bool {
        let len = self.bytes.len();
        if self.kind != Self::THREES || !len.is_power_of_two() || len > 1 << (BUILD_BITS - 3) {
            return true;
        }
        threes(needle).all(|hash| {
            let byte = self.bytes.get(hash >> 3 & (len - 1)).copied();
            byte.unwrap_or(u8::MAX) >> (hash & 7) & 1 == 1
        })
    }
}

/// Makes a [`Filter`] of kind [`Filter::THREES`].
///
/// Every text that a search looks at must be added, as it is shown: a filter that misses some makes
/// searches miss them too.
///
/// ```
/// let mut builder = relay_fmt::block::FilterBuilder::new();
/// builder.add(b"request 17 took 4 ms");
/// let filter = builder.finish(4096);
/// assert!(filter.can_contain(b"took 4"));
/// assert!(!filter.can_contain(b"deadlock"));
/// ```
#[derive(Debug, Clone)]
pub struct FilterBuilder {
    bits: Box<[u8; BUILD_BYTES]>,
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
        Self { bits: Box::new([0; BUILD_BYTES]) }
    }

    /// Adds a text. Needles that reach from one text into the next are not looked for.
    pub fn add(&mut self, text: &[u8]) {
        // What `threes` does, with the last two bytes kept from step to step: it is half the time.
        let Some((start, rest)) = text.split_first_chunk::<2>() else { return };
        let mut three = u32::from_le_bytes([0, start[0], start[1], 0]);
        for byte in rest {
            three = three >> 8 | u32::from(*byte) << 16;
            let hash = hash(three);
            // A hash has no more bits than this; it spares the check.
            if let Some(byte) = self.bits.get_mut(hash >> 3 & (BUILD_BYTES - 1)) {
                *byte |= 1 << (hash & 7);
            }
        }
    }

    /// The filter over what was added, of at most `most` bytes; begins anew. A filter that would let
    /// nearly everything through at that size is none.
    pub fn finish(&mut self, most: usize) -> Filter {
        let mut bytes = self.bits.to_vec();
        self.bits.fill(0);
        while bytes.len() > MIN_BYTES {
            let folded = fold(&bytes);
            if bytes.len() <= most && ones(&folded) * 4 > folded.len() * 8 {
                break;
            }
            bytes = folded;
        }
        if ones(&bytes) * 4 > bytes.len() * 24 || bytes.len() > most {
            return Filter::default();
        }
        Filter { kind: Filter::THREES, bytes }
    }
}

fn fold(bytes: &[u8]) -> Vec<u8> {
    let (low, high) = bytes.split_at(bytes.len() / 2);
    low.iter().zip(high).map(|(low, high)| low | high).collect()
}

fn ones(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| byte.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_there_is_never_denied(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..60),
            most in 0usize..3000, which: prop::sample::Index, cut: (prop::sample::Index, prop::sample::Index),
        ) {
            let mut builder = FilterBuilder::new();
            texts.iter().for_each(|text| builder.add(text));
            let filter = builder.finish(most);
            prop_assert!(filter.bytes.len() <= most);
            if let Some(text) = (!texts.is_empty()).then(|| which.get(&texts)).filter(|t| !t.is_empty()) {
                let (a, b) = (cut.0.index(text.len()), cut.1.index(text.len()));
                prop_assert!(filter.can_contain(&text[a.min(b)..a.max(b)]));
            }
            prop_assert_eq!(builder.finish(64).bytes, vec![0; 64], "the builder begins anew");
        }

        #[test]
        fn any_filter_answers(kind in 0u8..3, bytes: Vec<u8>, needle: Vec<u8>) {
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
        assert!(filter.kind == Filter::THREES && filter.bytes.len() <= 4 << 10);
        let absent = ["deadlock", "COPY (SELECT", "zzqqxx", "panicked at", "connection reset"];
        assert!(absent.iter().all(|needle| !filter.can_contain(needle.as_bytes())));
        assert!(filter.can_contain(b"of user"));
    }

    #[test]
    fn the_hash_never_changes() {
        let mut builder = FilterBuilder::new();
        builder.add(b"abc");
        let filter = builder.finish(64);
        let set = (0..512).filter(|bit| filter.bytes[bit / 8] >> (bit % 8) & 1 == 1);
        // Bits 12 to 20 of 0x636261 · 0x9E3779B1.
        assert!(set.eq([221]));
    }
}
