//! Mutations without coverage: the same seed, the same inputs.

use relay_tests::payload::Random;

/// Longer inputs are cut, in bytes.
const MOST: usize = 16 << 10;
/// Numbers that lengths, counts and places go wrong at.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// One input, made of one or two of the corpus.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| &corpus[random.below(corpus.len() as u64) as usize];
    let mut data = pick(random).clone();
    for _ in 0..=random.below(6) {
        mutate(&mut data, pick(random), random);
    }
    data.truncate(MOST);
    data
}

fn range(len: usize, random: &mut Random) -> std::ops::Range<usize> {
    let from = random.below(len as u64 + 1) as usize;
    let most = (len - from).min(64) as u64;
    from..from + random.below(most + 1) as usize
}

fn mutate(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(data.len().max(1) as u64) as usize;
    let byte = random.below(256) as u8;
    match random.below(8) {
        0 => data.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (byte & 7)),
        1 => data.iter_mut().skip(at).take(1).for_each(|b| *b = byte),
        2 => data.iter_mut().skip(at).take(1).for_each(|b| *b = b.wrapping_add(byte % 5)),
        3 => {
            let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4) as usize];
            data.iter_mut().skip(at).zip(&number[..width]).for_each(|(to, from)| *to = *from);
        }
        4 => drop(data.drain(range(data.len(), random))),
        5 => {
            let copied = data[range(data.len(), random)].to_vec();
            data.splice(at..at, copied);
        }
        6 => {
            let taken = other[range(other.len(), random)].to_vec();
            data.splice(at..at, taken);
        }
        _ => data.insert(at, byte),
    }
}
