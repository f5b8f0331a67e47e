//! What came through, against what had returned.

use crate::payload;
use crate::recover::{Streams, Violation};
use crate::report::Outcome;
use std::collections::BTreeMap;

/// Judges records made by [`payload::make`], whoever wrote them: thread t's first `returned[t]`
/// records must be there once each, at most one more of it, and in order within each writer.
#[must_use]
pub fn judge(streams: &Streams, returned: &[u64]) -> Outcome {
    let mut outcome = Outcome { cases: 1, ..Outcome::default() };
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for records in streams.writers.values() {
        let mut last = BTreeMap::new();
        for (_, bytes) in records {
            let Some((thread, number)) = payload::check(bytes) else {
                outcome.torn += 1;
                continue;
            };
            let before = last.insert(thread, number);
            outcome.torn += u64::from(before.is_some_and(|before| before >= number));
            seen.entry(thread).or_default().push(number);
        }
    }
    for (thread, returned) in returned.iter().enumerate() {
        let mut numbers = seen.remove(&(thread as u64)).unwrap_or_default();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        outcome.doubled += (all - numbers.len()) as u64;
        let there = numbers.iter().filter(|n| *n < returned).count() as u64;
        outcome.lost += returned - there;
        outcome.torn += numbers.iter().filter(|n| *n > returned).count() as u64;
    }
    outcome.torn += seen.len() as u64;
    for violation in &streams.violations {
        match violation {
            // Counted above, by what the program was told.
            Violation::Gap(..) | Violation::Double(..) => {}
            Violation::Torn(_) => outcome.torn += 1,
        }
        if outcome.note.len() < 500 {
            outcome.note += &format!("{violation:?} ");
        }
    }
    outcome
}
