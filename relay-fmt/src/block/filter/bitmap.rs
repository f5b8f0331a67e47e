//! Sets of hashes, one bit a hash.

/// The bits of a set of hashes while it is built: a power of two.
#[derive(Debug, Clone)]
pub(super) struct Bitmap {
    bits: Vec<u8>,
}

impl Bitmap {
    /// An empty set of so many bits, at least 3, for the low bits of hashes.
    pub(super) fn new(bits: u32) -> Self {
        Self { bits: vec![0; 1 << (bits - 3)] }
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: usize) {
        let mask = self.bits.len().wrapping_sub(1);
        if let Some(byte) = self.bits.get_mut(hash >> 3 & mask) {
            // Most are there already, and not storing is quicker than storing the same again.
            if *byte >> (hash & 7) & 1 == 0 {
                *byte |= 1 << (hash & 7);
            }
        }
    }

    /// Inserts every hash.
    pub(super) fn fill(&mut self) {
        self.bits.fill(u8::MAX);
    }

    /// Nothing was inserted.
    pub(super) fn clear(&mut self) {
        self.bits.fill(0);
    }

    /// What was inserted, folded to between `least` and `most` bytes, both powers of two: as small
    /// as leaves three quarters of the bits unset. Nothing where `most` bytes leave less than a
    /// quarter unset. The set is empty afterwards.
    pub(super) fn take(&mut self, least: usize, most: usize) -> Option<Vec<u8>> {
        let mut bytes = self.bits.clone();
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
