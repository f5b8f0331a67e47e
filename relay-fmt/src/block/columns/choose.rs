//! The choice of how a column of integers is written.

use super::estimate::{Sample, sample_bits};
use super::ints::{
    DELTA, DELTA2, DICTIONARY, PLAIN, RECENT, Scratch, delta, delta2, plain, put_dictionary,
    put_recent, put_transformed,
};
use super::recent;

/// So many values of a column are tried in each way, and of the sequence of classes, in which
/// repetitions matter most.
pub(super) const TRIAL: usize = 2048;
pub(super) const SEQUENCE_TRIAL: usize = 8192;

/// How values are best written. Where it matters and the estimates do not decide, a stretch of them
/// is compressed each way, for the estimates know nothing of repeated sequences.
pub(super) fn way(values: &[u64], costs: &Costs, scratch: &mut Scratch) -> u8 {
    let close = costs.bits * 0.95;
    let (recent, dictionary) = (costs.recent < close, costs.distinct < close);
    if !recent && !dictionary {
        return costs.transform;
    }
    if values.len() < scratch.trial_len / 2 {
        let better = recent && costs.recent < costs.distinct * 0.95;
        return if better { RECENT } else { DICTIONARY };
    }
    let start = (values.len() - scratch.trial_len.min(values.len())) / 2;
    let stretch =
        values.get(start..start + scratch.trial_len.min(values.len())).unwrap_or_default();
    let mut trial = std::mem::take(&mut scratch.trial);
    let mut best = (costs.transform, usize::MAX);
    for way in [costs.transform, RECENT, DICTIONARY] {
        trial.clear();
        let written = match way {
            RECENT if recent => {
                put_recent(&mut trial, stretch, scratch);
                true
            }
            DICTIONARY if dictionary => put_dictionary(&mut trial, stretch, f32::MAX, scratch),
            RECENT | DICTIONARY => false,
            _ => {
                put_transformed(&mut trial, stretch, way, scratch);
                true
            }
        };
        let size = if written { scratch.compressor.size(&trial) } else { usize::MAX };
        if size < best.1 {
            best = (way, size);
        }
    }
    scratch.trial = trial;
    best.0
}

/// What ways of writing a column are estimated to take, in bits a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// The best of plain, delta and delta of delta.
    pub(super) transform: u8,
    /// What that takes.
    pub(super) bits: f32,
    /// The indexes of a dictionary.
    distinct: f32,
    /// The list of recent values.
    recent: f32,
}

/// The two stretches of values that stand for all.
fn stretches(values: &[u64]) -> [&[u64]; 2] {
    let n = values.len();
    if n <= Sample::WINDOW * 2 {
        return [values, &[]];
    }
    let middle = values.get(n / 2..n / 2 + Sample::WINDOW);
    let first = values.get(..Sample::WINDOW);
    [first.unwrap_or_default(), middle.unwrap_or_default()]
}

/// Estimates from two stretches.
pub(super) fn choose(values: &[u64], scratch: &mut Scratch) -> Costs {
    let stretches = stretches(values);
    let mut costs =
        Costs { transform: PLAIN, bits: f32::MAX, distinct: f32::MAX, recent: f32::MAX };
    for (transform, apply) in
        [(PLAIN, plain_only as fn(&[u64], &mut Vec<u64>)), (DELTA, delta), (DELTA2, delta2)]
    {
        // Bends are smaller than steps only where steps are smaller than values.
        if transform == DELTA2 && costs.transform == PLAIN {
            continue;
        }
        scratch.numbers.clear();
        stretches.iter().for_each(|s| apply(s, &mut scratch.numbers));
        let bits = sample_bits(&scratch.numbers, &mut scratch.sample);
        if bits < costs.bits * 0.98 {
            (costs.transform, costs.bits) = (transform, bits);
        }
    }
    if costs.bits < 1.5 {
        return costs;
    }
    scratch.numbers.clear();
    stretches.iter().for_each(|s| scratch.numbers.extend_from_slice(s));
    let n = scratch.numbers.len().max(1) as f32;
    costs.distinct = scratch.sample.distinct_bits(&mut scratch.numbers);
    if costs.distinct > n.log2() * 0.97 {
        costs.distinct = f32::MAX;
    } else {
        let (mut places, mut others) = (Vec::new(), Vec::new());
        stretches.iter().for_each(|s| recent::split(s, &mut places, &mut others));
        let places = sample_bits(&places, &mut scratch.sample);
        let share = others.len() as f32 / n;
        costs.recent =
            places + share * costs.bits.min(sample_bits(&others, &mut scratch.sample) + 4.0);
    }
    costs
}

/// About how many bits a value of a column takes, written in the best way.
pub(super) fn least(values: &[u64], scratch: &mut Scratch) -> f32 {
    let costs = choose(values, scratch);
    costs.bits.min(costs.recent).min(costs.distinct)
}

/// About how many bits a column takes.
pub(super) fn bits(values: &[u64], scratch: &mut Scratch) -> f32 {
    let costs = choose(values, scratch);
    costs.bits.min(costs.recent) * values.len() as f32
}

fn plain_only(values: &[u64], out: &mut Vec<u64>) {
    plain(values, out);
}
