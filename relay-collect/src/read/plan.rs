//! Which blocks are read, and why the others are not.

use super::prepare::Read;
use super::store::Archive;
use crate::query::{BlockFacts, Filter};
use relay_fmt::archive::BlockEntry;
use relay_fmt::block::NO_LEVEL;
use std::fmt;

/// A clock that was set back may have been wrong by so much: rows that happened before `--until`
/// may sort so far behind it.
const SET_BACK_NS: i64 = 86_400_000_000_000;
/// Parts of one record may have times that differ by so much.
const PARTS_NS: i64 = 1_000_000;

/// How many blocks were read, and how many were not, by what showed that they need not be.
///
/// Shown as a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// All blocks of all archives.
    pub blocks: u64,
    /// Their rows.
    pub rows: u64,
    /// Skipped by channel, process, or for having no rows.
    pub by_source: u64,
    /// Skipped by time.
    pub by_time: u64,
    /// Skipped by level.
    pub by_level: u64,
    /// Skipped by target, or by the expression.
    pub by_target: u64,
    /// Skipped by the text filter in the block's header.
    pub by_filter: u64,
    /// Read, but not decoded, because the columns cannot contain what is wanted.
    pub by_contains: u64,
    /// Decoded, and pieces of live channels that were looked at.
    pub decoded: u64,
    /// The rows that were put together.
    pub rows_decoded: u64,
    /// Pieces of live channels.
    pub live: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} blocks with {} records", self.blocks, self.rows)?;
        for (count, what) in [
            (self.by_source, "skipped by channel or process"),
            (self.by_time, "skipped by time"),
            (self.by_level, "skipped by level"),
            (self.by_target, "skipped by target or expression"),
            (self.by_filter, "skipped by text filter"),
            (self.by_contains, "not decoded: their columns cannot contain it"),
        ] {
            writeln!(f, "{count:>10} {what}")?;
        }
        writeln!(f, "{:>10} pieces decoded, {} records of them", self.decoded, self.rows_decoded)?;
        write!(f, "{:>10} live channels", self.live)
    }
}

impl Plan {
    /// Counts what became of a piece.
    pub(crate) fn count(&mut self, read: Read) -> Read {
        match &read {
            Ok(None) => self.by_contains += 1,
            Ok(Some(loaded)) => {
                self.decoded += 1;
                self.rows_decoded += loaded.read as u64;
            }
            Err(_) => {}
        }
        read
    }

    /// Whether a block may hold what is meant; what excludes it is counted.
    pub(crate) fn admits(&mut self, block: &BlockEntry, filter: &Filter) -> bool {
        let facts = &block.header.facts;
        self.blocks += 1;
        self.rows = self.rows.saturating_add(facts.rows);
        let mut sources = facts.sources.iter();
        if facts.rows == 0 || !sources.any(|s| filter.may_match_source(&s.channel, s.pid)) {
            self.by_source += 1;
            return false;
        }
        // A part of a record that brings its callsite has no level in the facts, but in its bytes.
        let hidden = facts.level_mask & NO_LEVEL != 0;
        let targets: Vec<&str> = facts.targets.iter().map(|t| t.name.as_str()).collect();
        let times = BlockFacts {
            level_mask: u8::MAX,
            min_ns: facts.min_order_ns.saturating_sub(SET_BACK_NS),
            max_ns: facts.max_order_ns.saturating_add(PARTS_NS),
            targets: None,
        };
        let levels =
            BlockFacts { level_mask: if hidden { u8::MAX } else { facts.level_mask }, ..times };
        let all = BlockFacts { targets: (!hidden).then_some(&targets[..]), ..levels };
        let by = if !filter.may_match_block(&times) {
            &mut self.by_time
        } else if !filter.may_match_block(&levels) {
            &mut self.by_level
        } else if !filter.may_match_block(&all) {
            &mut self.by_target
        } else if !filter.may_match_text(&block.header.filter) {
            &mut self.by_filter
        } else {
            return true;
        };
        *by += 1;
        false
    }
}

/// All blocks of these archives that may hold what is meant, each with its archive and its number.
pub(crate) fn admitted<'a>(
    archives: &'a [Archive],
    filter: &Filter,
    plan: &mut Plan,
) -> Vec<(u64, &'a Archive, &'a BlockEntry)> {
    let blocks = archives.iter().flat_map(|a| a.blocks().map(move |block| (a, block)));
    let numbered = (1u64..).zip(blocks);
    let mut admitted = Vec::new();
    for (number, (archive, block)) in numbered {
        if plan.admits(block, filter) {
            admitted.push((number, archive, block));
        }
    }
    admitted
}
