//! What a column would take if others told of it, estimated from few rows.

use super::look::Seen;
use crate::block::columns::estimate::{Sample, sample_bits};
use crate::block::columns::hash::mix;
use crate::block::columns::latest::Values;
use crate::block::columns::related::{Form, Relation};
use crate::bytes::zigzag;

/// So many values are looked at before the others are.
const FEW: usize = 48;
/// Of so many columns before it a value may be the difference of two.
const PAIRS: usize = 8;
/// So many contexts are told apart.
const SLOTS: usize = 2048;

/// What a value is in text, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The digits of a decimal.
    Mantissa,
    /// A time with so many digits of fraction.
    Time(u8),
    Any,
}

/// A column that may tell of another.
pub(super) struct Candidate<'a> {
    pub(super) column: u32,
    pub(super) slot: usize,
    pub(super) values: Values<'a>,
    pub(super) role: Role,
}

/// The best so far.
pub(super) struct Best {
    pub(super) bits: f32,
    pub(super) relation: Option<Relation>,
}

impl Best {
    fn see(&mut self, bits: f32, relation: Relation) {
        if bits < self.bits {
            (self.bits, self.relation) = (bits, Some(relation));
        }
    }
}

/// What estimating uses again.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The last value of each context in the column that is tried, and which trial that was.
    memory: Vec<(u32, u64)>,
    trials: u32,
    sample: Sample,
    residuals: Vec<u64>,
}

impl Judge {
    /// Looks for columns that it is the same with.
    pub(super) fn find_same(
        &mut self,
        seen: &Seen<'_>,
        others: &[Candidate<'_>],
        bits: f32,
        best: &mut Best,
    ) {
        let mut first: Option<(&Candidate<'_>, f32)> = None;
        for other in others {
            let cost = self.same_bits(seen, other, other, bits);
            best.see(cost, Relation::Same { others: [other.column; 2] });
            if first.is_none_or(|(_, least)| cost < least) {
                first = Some((other, cost));
            }
        }
        // What tells nothing alone seldom tells anything together.
        let Some((first, _)) = first.filter(|(_, cost)| *cost < bits) else { return };
        for second in others.iter().filter(|other| other.column != first.column) {
            let cost = self.same_bits(seen, first, second, bits);
            // Two must tell notably more than one.
            best.see(cost * 1.05, Relation::Same { others: [first.column, second.column] });
        }
    }

    /// About how many bits a value takes that is what it was when two others had the same values.
    fn same_bits(
        &mut self,
        seen: &Seen<'_>,
        first: &Candidate<'_>,
        second: &Candidate<'_>,
        bits: f32,
    ) -> f32 {
        self.memory.resize(SLOTS, (0, 0));
        self.trials = self.trials.wrapping_add(1).max(1);
        let (mut known, mut missed, mut rows) = (0u32, 0u32, 0u32);
        for row in seen.rows() {
            let value = seen.value(row);
            let context = first.values.get(seen.place(row, first.slot));
            let context = mix(mix(0, context), second.values.get(seen.place(row, second.slot)));
            let Some(slot) = self.memory.get_mut((context >> 53) as usize) else { continue };
            rows += 1;
            if slot.0 == self.trials {
                known += 1;
                missed += u32::from(slot.1 != value);
            }
            *slot = (self.trials, value);
        }
        let others = rows - known + missed;
        (entropy(missed, known) + others as f32 * (bits + 1.0)) / rows.max(1) as f32
    }

    /// Looks for columns that it is a sum of; `mantissa` says that it is the digits of a decimal.
    pub(super) fn find_sum(
        &mut self,
        seen: &Seen<'_>,
        others: &[Candidate<'_>],
        mantissa: bool,
        best: &mut Best,
    ) {
        let numbers: Vec<_> =
            others.iter().filter(|o| matches!(o.values, Values::Numbers(_))).collect();
        for other in &numbers {
            for form in [Form::Other, Form::Grows, Form::Shrinks] {
                self.sum(seen, form, [other, other], 0, best);
            }
        }
        let near = numbers.get(numbers.len().saturating_sub(PAIRS)..).unwrap_or_default();
        for first in near {
            for second in near.iter().filter(|second| second.column != first.column) {
                self.sum(seen, Form::Difference, [first, second], 0, best);
            }
        }
        for first in numbers.iter().filter(|_| mantissa) {
            for second in numbers.iter().filter(|second| second.column != first.column) {
                if let (Role::Time(digits), Role::Time(_)) = (first.role, second.role)
                    && first.role == second.role
                {
                    self.sum(seen, Form::Doubles, [first, second], digits, best);
                }
            }
        }
    }

    /// Estimates a sum, from few values first.
    fn sum(
        &mut self,
        seen: &Seen<'_>,
        form: Form,
        [first, second]: [&Candidate<'_>; 2],
        digits: u8,
        best: &mut Best,
    ) {
        self.residuals.clear();
        let mut lengths = 0;
        for (n, row) in seen.rows().enumerate().take(Sample::WINDOW * 2) {
            if n == FEW && lengths as f32 > (best.bits + 1.0) * FEW as f32 {
                return;
            }
            let told = form.foretell(
                seen.before(row),
                first.values.get(seen.place(row, first.slot)),
                second.values.get(seen.place(row, second.slot)),
                digits,
            );
            let residual = zigzag(seen.value(row).wrapping_sub(told) as i64);
            lengths += 64 - residual.leading_zeros();
            self.residuals.push(residual);
        }
        let bits = sample_bits(&self.residuals, &mut self.sample);
        let others = [first.column, second.column];
        best.see(bits, Relation::Sum { form, others, digits });
    }
}

/// The bits of so many marks of which some are set.
fn entropy(set: u32, of: u32) -> f32 {
    let part = |n: u32| if n == 0 { 0.0 } else { n as f32 * (of as f32 / n as f32).log2() };
    part(set) + part(of - set)
}
