//! Records that prove themselves: who wrote them, which one it is, and every byte of the rest.

/// The shortest payload, in bytes: writer and number.
pub const SHORTEST: usize = 16;

/// Record `number` of `writer`, `len` bytes long but at least [`SHORTEST`].
#[must_use]
pub fn make(writer: u64, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.max(SHORTEST));
    bytes.extend_from_slice(&writer.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let mut state = writer.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    while bytes.len() < len {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        bytes.push((state >> 56) as u8);
    }
    bytes
}

/// Writer and number of a payload, if every byte of it is right.
#[must_use]
pub fn check(bytes: &[u8]) -> Option<(u64, u64)> {
    let writer = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let number = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    (make(writer, number, bytes.len()) == bytes).then_some((writer, number))
}

/// A small generator of numbers: the same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x2545_f491_4f6c_dd1d)
    }

    /// The next number below `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The seed of a run: `RELAY_SEED`, or the time. Printed by whoever uses it.
#[must_use]
pub fn seed() -> u64 {
    std::env::var("RELAY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |d| d.as_nanos() as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_noticed() {
        let good = make(3, 77, 200);
        assert_eq!(check(&good), Some((3, 77)));
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert_ne!(check(&bad), Some((3, 77)), "byte {i}");
        }
    }
}
