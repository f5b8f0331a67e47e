//! What numbers would take after compression, from a sample of them.
//!
//! The estimate is the order-0 entropy of the bytes: what zstd's entropy stage makes of them when
//! it finds no repetitions. It is compared with itself only, so that it need not be exact.

use std::sync::LazyLock;
use zstd::zstd_safe::{CCtx, compress_bound};

/// `n * log2(n)` for the counts that a sample can have.
static COUNT_LOG: LazyLock<[f32; Sample::WINDOW * 4 + 1]> = LazyLock::new(|| {
    std::array::from_fn(|n| if n == 0 { 0.0 } else { n as f32 * (n as f32).log2() })
});

fn count_log(n: usize) -> f32 {
    COUNT_LOG.get(n).copied().unwrap_or_else(|| n as f32 * (n as f32).log2())
}

/// What `n * log2(n)` grows by from a count to the next, in units of [`UNIT`].
static GROWTH: LazyLock<[u32; Sample::WINDOW * 4]> =
    LazyLock::new(|| std::array::from_fn(|n| ((count_log(n + 1) - count_log(n)) * UNIT) as u32));
const UNIT: f32 = 65_536.0;

/// The sum of `n * log2(n)` over counts, most of which are 0.
fn spent(counts: &[u16]) -> f32 {
    let logs = &*COUNT_LOG;
    let some = counts.iter().filter(|c| **c > 1);
    let log = |c: &u16| logs.get(usize::from(*c)).copied();
    some.map(|c| log(c).unwrap_or_else(|| count_log(usize::from(*c)))).sum()
}

/// Compresses to find out the size.
#[derive(Default)]
pub(super) struct Compressor {
    context: Option<CCtx<'static>>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// How many bytes these take at the fastest ordinary level.
    pub(super) fn size(&mut self, bytes: &[u8]) -> usize {
        if self.context.is_none() {
            self.context = CCtx::try_create();
        }
        let Some(context) = &mut self.context else {
            return bytes.len();
        };
        self.out.clear();
        self.out.reserve(compress_bound(bytes.len()));
        context.compress(&mut self.out, bytes, 1).unwrap_or(bytes.len())
    }
}

/// Byte counts, kept between samples.
#[derive(Debug)]
pub(super) struct Sample {
    planes: [[u16; 256]; 8],
}

impl Default for Sample {
    fn default() -> Self {
        Self { planes: [[0; 256]; 8] }
    }
}

impl Sample {
    /// Values in one of the two stretches that are looked at.
    pub(super) const WINDOW: usize = 128;

    /// The bits a value that an index into a dictionary of these values takes. Sorts them.
    pub(super) fn distinct_bits(&self, values: &mut [u64]) -> f32 {
        values.sort_unstable();
        let spent: f32 = values.chunk_by(|a, b| a == b).map(|run| count_log(run.len())).sum();
        let n = values.len();
        (count_log(n) - spent) / n.max(1) as f32
    }

    /// Whether varints take fewer bits than byte planes.
    pub(super) fn varints_pay(&mut self, numbers: &[u64]) -> bool {
        let n = numbers.len();
        let middle = numbers.get(n / 2..).unwrap_or_default();
        let picked: Vec<u64> = if n <= Self::WINDOW * 2 {
            numbers.to_vec()
        } else {
            let parts = numbers.iter().take(Self::WINDOW);
            parts.chain(middle.iter().take(Self::WINDOW)).copied().collect()
        };
        let planes = sample_bits(&picked, self);
        let mut bytes = 0;
        let mut counts = [0u16; 256];
        for number in &picked {
            let mut rest = *number;
            loop {
                let more = rest >= 0x80;
                let byte = (rest as u8 & 0x7f) | if more { 0x80 } else { 0 };
                if let Some(count) = counts.get_mut(usize::from(byte)) {
                    *count += 1;
                }
                bytes += 1;
                rest >>= 7;
                if !more {
                    break;
                }
            }
        }
        let spent = spent(counts.as_slice());
        let varints = (count_log(bytes) - spent) / picked.len().max(1) as f32;
        varints < planes
    }
}

/// The bits a number that numbers take as byte planes; at most 65,535 numbers.
pub(super) fn sample_bits(numbers: &[u64], sample: &mut Sample) -> f32 {
    let most = numbers.iter().fold(0, |all, n| all | n);
    let width = (64 - most.leading_zeros()).div_ceil(8) as usize;
    let (growth, mut bits) = (&*GROWTH, 0.0);
    for (place, counts) in sample.planes.iter_mut().take(width).enumerate() {
        counts.fill(0);
        let mut spent = 0u64;
        for number in numbers {
            let byte = (number >> (8 * place)) as u8;
            if let Some(count) = counts.get_mut(usize::from(byte)) {
                let grown = growth.get(usize::from(*count)).copied();
                spent += u64::from(grown.unwrap_or_else(|| last_growth(*count)));
                *count = count.saturating_add(1);
            }
        }
        bits += count_log(numbers.len()) - spent as f32 / UNIT;
    }
    bits / numbers.len().max(1) as f32
}

#[cold]
fn last_growth(count: u16) -> u32 {
    ((count_log(usize::from(count) + 1) - count_log(usize::from(count))) * UNIT) as u32
}
