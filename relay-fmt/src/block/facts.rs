//! What can be known about a block without decompressing it.

use super::RowBuffer;
use crate::callsite::{Callsite, Level};
use crate::record::{HEADER_LEN, Kind};
use crate::rows::{Run, Source};
use std::collections::BTreeMap;

/// The bit of [`Facts::level_mask`] for rows that have no callsite and so no level.
pub const NO_LEVEL: u8 = 1;

/// A target, and the levels that rows of it have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Bit n is set when there are rows of level n.
    pub level_mask: u8,
}

/// From when to when rows happened by their own clocks, in UTC nanoseconds. Sort times can be later:
/// a clock that was set back does not move a writer's rows back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The smallest time of a row.
    pub min_ns: i64,
    /// The largest time of a row.
    pub max_ns: i64,
}

impl Times {
    /// The times of these rows; `None` when there are none.
    #[must_use]
    pub fn of(rows: &RowBuffer) -> Option<Self> {
        let first = *rows.time_ns.first()?;
        let widen = |(min, max): (i64, i64), time: &i64| (min.min(*time), max.max(*time));
        let (min_ns, max_ns) = rows.time_ns.iter().fold((first, first), widen);
        Some(Self { min_ns, max_ns })
    }
}

/// What a block header says about the rows of its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How many rows there are.
    pub rows: u64,
    /// What the rows took in their channels: payloads and a header each, in bytes.
    pub raw_bytes: u64,
    /// The smallest sort time; above `max_order_ns` when there are no rows.
    pub min_order_ns: i64,
    /// The largest sort time.
    pub max_order_ns: i64,
    /// The rows' own times; `None` when there are no rows, and in archives that do not say it.
    pub times: Option<Times>,
    /// Bit n is set when there are rows of level n; bit 0 ([`NO_LEVEL`]) when there are rows without.
    pub level_mask: u8,
    /// Whether every row is a record by itself that says something: no part of a larger one, and nothing
    /// about a span. `false` also where archives do not say it.
    pub events_only: bool,
    /// Whose channels.
    pub sources: Vec<Source>,
    /// The runs: where the rows come from.
    pub runs: Vec<Run>,
    /// The targets of the rows, by name.
    pub targets: Vec<Target>,
    /// The digests of the rows' callsites, sorted.
    pub digests: Vec<u64>,
}

impl Facts {
    /// The facts about these rows.
    #[must_use]
    pub fn of(rows: &RowBuffer) -> Self {
        let mut used = vec![false; rows.callsites.len()];
        let mut level_mask = 0u8;
        for callsite in rows.callsite.chunk_by(|a, b| a == b).filter_map(<[u32]>::first) {
            match (*callsite as usize).checked_sub(1).and_then(|c| used.get_mut(c)) {
                Some(used) => *used = true,
                None => level_mask |= NO_LEVEL,
            }
        }
        let mut targets = BTreeMap::<&str, u8>::new();
        let mut digests = Vec::new();
        for (callsite, _) in rows.callsites.iter().zip(used).filter(|(_, used)| *used) {
            let bit = 1 << callsite.level as u8;
            level_mask |= bit;
            *targets.entry(&callsite.target).or_default() |= bit;
            digests.push(digest(callsite.level, &callsite.target, &callsite.template));
        }
        digests.sort_unstable();
        digests.dedup();
        let target = |(name, level_mask): (&str, u8)| Target { name: name.to_owned(), level_mask };
        // As `RowBuffer::rows` has them.
        let mut order: Vec<i64> = rows.runs.iter().map(|run| run.floor_ns).collect();
        let (mut min_order_ns, mut max_order_ns) = (i64::MAX, i64::MIN);
        let (mut min_ns, mut max_ns) = (i64::MAX, i64::MIN);
        let mut times = &rows.time_ns[..];
        for rows in rows.run.chunk_by(|a, b| a == b) {
            let Some(order) = rows.first().and_then(|run| order.get_mut(*run as usize)) else {
                break;
            };
            let Some((here, behind)) = times.split_at_checked(rows.len()) else { break };
            // Within a run the order never falls: the first is the least and the last the largest.
            min_order_ns = here.iter().take(1).fold(min_order_ns, |min, t| min.min(*t.max(order)));
            let widen = |(min, max): (i64, i64), time: &i64| (min.min(*time), max.max(*time));
            let (least, most) = here.iter().fold((i64::MAX, i64::MIN), widen);
            (min_ns, max_ns) = (min_ns.min(least), max_ns.max(most));
            *order = most.max(*order);
            max_order_ns = max_order_ns.max(*order);
            times = behind;
        }
        Self {
            rows: rows.len() as u64,
            raw_bytes: raw_bytes(rows),
            min_order_ns,
            max_order_ns,
            times: (!rows.is_empty()).then_some(Times { min_ns, max_ns }),
            level_mask,
            events_only: rows.kind.iter().all(|kind| is_event(*kind)),
            sources: rows.sources.clone(),
            runs: rows.runs.clone(),
            targets: targets.into_iter().map(target).collect(),
            digests,
        }
    }

    /// Whether a row of this level or a more urgent one can be in the block.
    #[must_use]
    pub const fn has_level(&self, least: Level) -> bool {
        // Bits 1 to `least`.
        self.level_mask & ((2u8 << least as u8).wrapping_sub(2)) != 0
    }

    /// Whether rows of this callsite can be in the block.
    #[must_use]
    pub fn has_callsite(&self, callsite: &Callsite) -> bool {
        let digest = digest(callsite.level, &callsite.target, &callsite.template);
        self.digests.binary_search(&digest).is_ok()
    }
}

const fn is_event(kind: Kind) -> bool {
    matches!(kind, Kind::Event | Kind::SpanEvent | Kind::InlineEvent | Kind::Raw)
}

/// What rows took in their channels, in bytes.
pub(crate) fn raw_bytes(rows: &RowBuffer) -> u64 {
    (rows.payload.len() + rows.len() * HEADER_LEN) as u64
}

/// The digest of a callsite's level, target and template: 64-bit FNV-1a over the level's number, the
/// target, a byte 0xff, and the template. It is part of the format.
#[must_use]
pub fn digest(level: Level, target: &str, template: &str) -> u64 {
    let bytes = [&[level as u8], target.as_bytes(), &[0xff], template.as_bytes()];
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_never_changes() {
        assert_ne!(digest(Level::Info, "ab", "c"), digest(Level::Info, "a", "bc"));
        assert_eq!(digest(Level::Error, "", ""), 0x082f_c907_b4e9_a889);
    }

    #[test]
    fn only_rows_that_are_records_by_themselves_are_events_only() {
        for kind in (0..=u8::MAX).filter_map(Kind::from_u8) {
            let mut rows = RowBuffer::default();
            rows.push(0, Kind::Raw, 0, 0, 0, b"");
            rows.push(0, kind, 0, 0, 0, b"");
            let events = [Kind::Event, Kind::SpanEvent, Kind::InlineEvent, Kind::Raw];
            assert_eq!(Facts::of(&rows).events_only, events.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn levels_are_asked_for_down_to_the_least_urgent() {
        let mut facts = Facts::of(&RowBuffer::default());
        assert!(!facts.has_level(Level::Trace));
        facts.level_mask = NO_LEVEL | 1 << Level::Info as u8;
        assert!(!facts.has_level(Level::Warn));
        assert!(facts.has_level(Level::Info) && facts.has_level(Level::Trace));
    }
}
