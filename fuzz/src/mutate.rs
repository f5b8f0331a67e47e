//! Mutations from a seed: what a fuzzer without guidance does.

use relay_tests::payload::Random;

/// Numbers that lie at bounds.
const NUMBERS: [u64; 14] = [
    0,
    1,
    7,
    8,
    127,
    128,
    255,
    4096,
    65_535,
    (1 << 24) - 1,
    u32::MAX as u64,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// The longest input that mutations make, in bytes.
const LONGEST: usize = 64 << 10;

/// Changes `input` in one to eight places, with pieces of `other` among what is put in.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(8) {
        once(input, other, random);
    }
    input.truncate(LONGEST);
}

fn once(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let mut below = |n: usize| random.below(n as u64 + 1) as usize;
    let (len, kind) = (input.len(), below(8));
    let at = below(len.saturating_sub(1));
    let upto = at + below((len - at.min(len)).min(64));
    match kind {
        _ if len == 0 => input.extend_from_slice(other),
        0 => input[at] ^= 1 << below(7),
        1 => input[at] = below(255) as u8,
        2 => input[at] = input[at].wrapping_add(below(16) as u8).wrapping_sub(8),
        3 => {
            let (width, number) = (1 << below(3), NUMBERS[below(NUMBERS.len() - 1)]);
            for (to, from) in input[at..].iter_mut().zip(&number.to_le_bytes()[..width]) {
                *to = *from;
            }
        }
        4 => drop(input.drain(at..upto)),
        5 => {
            let copy = input[at..upto].to_vec();
            let to = below(len);
            input.splice(to..to, copy);
        }
        6 if !other.is_empty() => {
            let from = below(other.len() - 1);
            let end = from + below((other.len() - from).min(256));
            input.splice(at..upto, other[from..end].iter().copied());
        }
        7 => input.truncate(at),
        _ => {
            let byte = input[at];
            input.splice(at..at, std::iter::repeat_n(byte, below(32)));
        }
    }
}
