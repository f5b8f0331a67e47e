//! A fast hash and the table that uses it.
//!
//! Keys come from logs, which anybody can write. The hash is not keyed, so a hostile log can make
//! keys collide; the table therefore gives up on a key after [`MAX_PROBES`] steps, and the caller
//! stores that value some other way. The cost of an insertion is bounded, whatever the input.

const K: u64 = 0x9e37_79b9_7f4a_7c15;
/// How many slots are looked at for one key.
const MAX_PROBES: usize = 128;

/// Mixes a word into a hash.
#[inline]
pub(super) const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word) as u128 * K as u128;
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of some bytes.
#[inline]
pub(in crate::block) fn hash(bytes: &[u8]) -> u64 {
    let mut h = bytes.len() as u64 ^ K;
    if let Some(last) = bytes.last_chunk::<16>() {
        for chunk in bytes.as_chunks::<16>().0 {
            h = mix_pair(h, *chunk);
        }
        return mix_pair(h, *last);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        h = mix(h, u64::from_le_bytes(*first));
        return mix(h, u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let word = u64::from(u32::from_le_bytes(*first)) << 32;
        return mix(h, word | u64::from(u32::from_le_bytes(*last)));
    }
    let word = bytes.iter().fold(0u64, |word, b| word << 8 | u64::from(*b));
    mix(h, word)
}

/// Mixes sixteen bytes into a hash with one multiplication.
#[inline]
fn mix_pair(hash: u64, chunk: [u8; 16]) -> u64 {
    let both = u128::from_le_bytes(chunk);
    let product = u128::from(both as u64 ^ K) * u128::from((both >> 64) as u64 ^ hash);
    (product as u64) ^ (product >> 64) as u64
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The key is there, under this number.
    Old(u32),
    /// The key was added under the number that the caller gave.
    New,
    /// Too many others are in the way.
    Crowded,
}

/// Numbers by key, where the caller keeps the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// High half of the hash, number + 1; 0 for an empty slot.
    slots: Vec<(u32, u32)>,
    len: usize,
}

impl Table {
    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.slots.fill((0, 0));
        self.len = 0;
    }

    /// Forgets all keys and makes room for about `n`, so that few keys cost little to forget.
    pub(super) fn reset(&mut self, n: usize) {
        let size = (n * 2).next_power_of_two().max(64);
        if self.slots.len() > size * 8 {
            self.slots.truncate(size);
        }
        self.clear();
    }

    /// Looks for a key by its hash; `same` compares with the key of a number. Adds it as `next`.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, next: u32, same: impl Fn(u32) -> bool) -> Found {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let (mask, tag) = (self.slots.len().wrapping_sub(1), (hash >> 32) as u32);
        for step in 0..MAX_PROBES {
            let at = (tag as usize).wrapping_add(step) & mask;
            match self.slots.get_mut(at) {
                Some(slot) if slot.1 == 0 => {
                    *slot = (tag, next + 1);
                    self.len += 1;
                    return Found::New;
                }
                Some(slot) if slot.0 == tag && same(slot.1 - 1) => return Found::Old(slot.1 - 1),
                _ => {}
            }
        }
        Found::Crowded
    }

    /// Looks for a key without adding it.
    #[inline]
    pub(super) fn find_only(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let (mask, tag) = (self.slots.len().wrapping_sub(1), (hash >> 32) as u32);
        for step in 0..MAX_PROBES {
            let at = (tag as usize).wrapping_add(step) & mask;
            match self.slots.get(at) {
                Some(slot) if slot.1 == 0 => return None,
                Some(slot) if slot.0 == tag && same(slot.1 - 1) => return Some(slot.1 - 1),
                _ => {}
            }
        }
        None
    }

    /// Doubles the room. Keys that find no place in it are forgotten: they are stored twice then.
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for (tag, number) in old.into_iter().filter(|slot| slot.1 != 0) {
            self.place(tag, number);
        }
    }

    fn place(&mut self, tag: u32, number: u32) {
        let mask = self.slots.len() - 1;
        for step in 0..MAX_PROBES {
            let at = (tag as usize).wrapping_add(step) & mask;
            if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.1 == 0) {
                *slot = (tag, number);
                return;
            }
        }
        self.len -= 1;
    }
}
