//! Sets of hashes, one bit a hash.

/// A set of hashes while it is built.
#[derive(Debug, Clone)]
pub(super) struct Bitmap {
    /// A power of two of them.
    words: Vec<u64>,
    ones: usize,
}

impl Bitmap {
    /// An empty set of so many bits, at least 6, for the low bits of hashes.
    pub(super) fn new(bits: u32) -> Self {
        Self { words: vec![0; 1 << (bits - 6)], ones: 0 }
    }

    #[inline]
    pub(super) fn insert(&mut self, hashes: impl Iterator<Item = usize>) {
        let words = self.words.as_mut_slice();
        let mask = words.len().wrapping_sub(1);
        hashes.for_each(|hash| {
            if let Some(word) = words.get_mut(hash >> 6 & mask) {
                // Most are there already, and not storing is quicker than storing the same again.
                if *word >> (hash & 63) & 1 == 0 {
                    *word |= 1 << (hash & 63);
                    self.ones += 1;
                }
            }
        });
    }

    /// Whether the hash, or another one for which there is only one bit, was inserted.
    #[inline]
    pub(super) fn has(&self, hash: usize) -> bool {
        let word = self.words.get(hash >> 6 & self.words.len().wrapping_sub(1));
        word.is_some_and(|word| *word >> (hash & 63) & 1 == 1)
    }

    /// Whether so much was inserted that [`Bitmap::take`] will give nothing: what is inserted from now
    /// on makes no difference.
    pub(super) fn is_full(&self) -> bool {
        self.ones * 4 > self.words.len() * 64 * 3
    }

    /// Inserts every hash.
    pub(super) fn fill(&mut self) {
        self.words.fill(u64::MAX);
        self.ones = self.words.len() * 64;
    }

    /// Nothing was inserted.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
        self.ones = 0;
    }

    /// What was inserted, folded to between `least` and `most` bytes, both powers of two: as small
    /// as leaves three quarters of the bits unset. Nothing where `most` bytes leave less than a
    /// quarter unset. The set is empty afterwards.
    pub(super) fn take(&mut self, least: usize, most: usize) -> Option<Vec<u8>> {
        if self.is_full() {
            self.clear();
            return None;
        }
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.clear();
        while bytes.len() > least {
            let folded = fold(&bytes);
            if bytes.len() <= most && ones(&folded) * 4 > folded.len() * 8 {
                break;
            }
            bytes = folded;
        }
        (ones(&bytes) * 4 <= bytes.len() * 24 && bytes.len() <= most).then_some(bytes)
    }
}

/// Whether the hash is in a folded set; `true` when that cannot be told.
#[inline]
pub(super) fn may_have(bytes: &[u8], hash: usize) -> bool {
    let byte = bytes.get(hash >> 3 & bytes.len().wrapping_sub(1)).copied();
    byte.unwrap_or(u8::MAX) >> (hash & 7) & 1 == 1
}

pub(super) fn fold(bytes: &[u8]) -> Vec<u8> {
    let (low, high) = bytes.split_at(bytes.len() / 2);
    low.iter().zip(high).map(|(low, high)| low | high).collect()
}

pub(super) fn ones(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| byte.count_ones() as usize).sum()
}
