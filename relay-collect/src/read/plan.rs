//! Which blocks are read, and why the others are not.

use super::prepare::Read;
use super::store::Archive;
use crate::query::{BlockFacts, Filter};
use relay_fmt::archive::{BlockEntry, Brief, Summary, read_filter};
use relay_fmt::block::{NO_LEVEL, Target, Times};
use relay_fmt::rows::Source;
use std::fmt;

/// A clock that was set back may have been wrong by so much: where only sort times are known, rows that
/// happened before `--until` may sort so far behind it.
const SET_BACK_NS: i64 = 86_400_000_000_000;
/// Parts of one record may have times that differ by so much.
const PARTS_NS: i64 = 1_000_000;

/// How many blocks were read, and how many were not, by what showed that they need not be.
///
/// Shown as a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Archives that the catalogue showed not to matter: their blocks are counted as skipped, too.
    pub archives_skipped: u64,
    /// Archives that were opened.
    pub archives_opened: u64,
    /// Of those that were opened when they were needed, the most that were open at a time.
    pub archives_at_once: u64,
    /// How often one was opened once more, for blocks that were not remembered: there were too many.
    pub archives_again: u64,
    /// Archives that were not opened, because what was shown came before all that the catalogue says of
    /// them: their blocks are counted, and not as skipped.
    pub archives_not_needed: u64,
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
    /// Not read, because their headers say how many records there are.
    pub by_header: u64,
    /// Decoded, and pieces of live channels that were looked at.
    pub decoded: u64,
    /// The rows that were put together.
    pub rows_decoded: u64,
    /// The other rows of the blocks that were decoded: time, place, text or fields exclude them.
    pub rows_excluded: u64,
    /// Pieces of live channels, of those channels and processes that are wanted.
    pub live: u64,
    /// The most that decoded rows took in memory at a time which waited for their turn, in bytes.
    pub held_bytes: u64,
    /// Blocks, and pieces of live channels, whose rows waited in a temporary file.
    pub shelved: u64,
    /// The largest that the file was, in bytes.
    pub shelf_bytes: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} archived blocks with {} records", self.blocks, self.rows)?;
        for (count, what) in [
            (self.by_source, "skipped by channel or process"),
            (self.by_time, "skipped by time"),
            (self.by_level, "skipped by level"),
            (self.by_target, "skipped by target or expression"),
            (self.by_filter, "skipped by text filter"),
            (self.by_header, "counted by their headers"),
            (self.by_contains, "not decoded: their columns cannot contain it"),
        ] {
            writeln!(f, "{count:>10} {what}")?;
        }
        writeln!(
            f,
            "{:>10} archives opened; of those that could wait at most {} at a time",
            self.archives_opened, self.archives_at_once
        )?;
        if self.archives_again > 0 {
            writeln!(f, "{:>10} times one was opened again", self.archives_again)?;
        }
        writeln!(f, "{:>10} archives not opened, by the catalogue", self.archives_skipped)?;
        writeln!(
            f,
            "{:>10} archives not opened, nothing of them being shown yet",
            self.archives_not_needed
        )?;
        writeln!(
            f,
            "{:>10} blocks decoded, and pieces of live channels looked at: {} records of them",
            self.decoded, self.rows_decoded
        )?;
        writeln!(
            f,
            "{:>10} other records of them, which their columns exclude",
            self.rows_excluded
        )?;
        writeln!(
            f,
            "{:>10} pieces of live channels, of the channels and processes wanted",
            self.live
        )?;
        write!(
            f,
            "{:>10} blocks and pieces waited in a temporary file of at most {} bytes; in memory at most {}",
            self.shelved, self.shelf_bytes, self.held_bytes
        )
    }
}

impl Plan {
    /// Adds what another one counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.archives_skipped += other.archives_skipped;
        self.archives_opened += other.archives_opened;
        if self.archives_at_once < other.archives_at_once {
            self.archives_at_once = other.archives_at_once;
        }
        self.archives_again += other.archives_again;
        self.archives_not_needed += other.archives_not_needed;
        self.blocks += other.blocks;
        self.rows = self.rows.saturating_add(other.rows);
        self.by_source += other.by_source;
        self.by_time += other.by_time;
        self.by_level += other.by_level;
        self.by_target += other.by_target;
        self.by_filter += other.by_filter;
        self.by_contains += other.by_contains;
        self.by_header += other.by_header;
        self.decoded += other.decoded;
        self.rows_decoded += other.rows_decoded;
        self.rows_excluded += other.rows_excluded;
        self.live += other.live;
        self.shelved += other.shelved;
        if self.held_bytes < other.held_bytes {
            self.held_bytes = other.held_bytes;
        }
        if self.shelf_bytes < other.shelf_bytes {
            self.shelf_bytes = other.shelf_bytes;
        }
    }

    /// Counts what became of a piece.
    pub(crate) fn count(&mut self, read: Read) -> Read {
        match &read {
            Ok(None) => self.by_contains += 1,
            Ok(Some(loaded)) if loaded.by_header => self.by_header += 1,
            Ok(Some(loaded)) => {
                self.decoded += 1;
                self.rows_decoded += loaded.read as u64;
                self.rows_excluded += loaded.excluded;
            }
            Err(_) => {}
        }
        read
    }

    /// Whether a block may hold what is meant; what excludes it is counted.
    pub(crate) fn admits(
        &mut self,
        archive: &Archive,
        block: &BlockEntry,
        filter: &Filter,
    ) -> bool {
        let facts = &block.header.facts;
        self.blocks += 1;
        self.rows = self.rows.saturating_add(facts.rows);
        let (min_ns, max_ns) = times_ns(facts);
        // Where they cannot be read, whoever reads the block says what is wrong with it.
        let names = filter.asks_for_names().then(|| block.names().ok()).flatten();
        let what = What {
            times: (facts.rows > 0).then_some(Times { min_ns, max_ns }),
            sources: names.as_ref().map(|(sources, _)| &sources[..]),
            level_mask: facts.level_mask,
            targets: names.as_ref().map(|(_, targets)| &targets[..]),
        };
        let by_text = || {
            // Where it cannot be read, whoever reads the block says so.
            let text = filter.asks_for_text().then(|| read_filter(&archive.bytes, block).ok());
            let can = text.flatten().is_none_or(|text| filter.may_match_text(&text));
            (!can).then_some(By::Filter)
        };
        let excluded = what.excluded(filter).or_else(by_text);
        excluded.map(|by| *self.of(by) += 1).is_none()
    }

    /// Whether an archive may hold what is meant; what excludes it is counted, for all its blocks.
    pub(crate) fn admits_archive(&mut self, summary: &Summary, filter: &Filter) -> bool {
        let what = What {
            times: summary.times,
            sources: Some(&summary.sources),
            level_mask: summary.level_mask,
            targets: Some(&summary.targets),
        };
        let by_text = || (!filter.may_match_text(&summary.filter)).then_some(By::Filter);
        let Some(by) = what.excluded(filter).or_else(by_text) else { return true };
        self.archives_skipped += 1;
        self.blocks += summary.blocks;
        self.rows = self.rows.saturating_add(summary.rows);
        *self.of(by) += summary.blocks;
        false
    }

    const fn of(&mut self, by: By) -> &mut u64 {
        match by {
            By::Source => &mut self.by_source,
            By::Time => &mut self.by_time,
            By::Level => &mut self.by_level,
            By::Target => &mut self.by_target,
            By::Filter => &mut self.by_filter,
        }
    }
}

/// What showed that something need not be read.
#[derive(Debug, Clone, Copy)]
enum By {
    Source,
    Time,
    Level,
    Target,
    Filter,
}

/// What is known of a block, or of an archive, before it is read.
struct What<'a> {
    /// `None`: there are no rows.
    times: Option<Times>,
    /// `None`: they are not known.
    sources: Option<&'a [Source]>,
    level_mask: u8,
    /// The same.
    targets: Option<&'a [Target]>,
}

impl<'a> What<'a> {
    /// What excludes that a row that is meant is in it, but for its text.
    fn excluded(&self, filter: &Filter) -> Option<By> {
        let meant = |s: &Source| filter.may_match_source(&s.channel, s.pid);
        let of_source = self.sources.is_none_or(|sources| sources.iter().any(meant));
        let Some(own) = self.times.filter(|_| of_source) else { return Some(By::Source) };
        // A part of a record that brings its callsite has no level in the facts, but in its bytes.
        let hidden = self.level_mask & NO_LEVEL != 0;
        let names = |targets: &'a [Target]| targets.iter().map(|t| t.name.as_str()).collect();
        let targets: Option<Vec<&str>> = self.targets.filter(|_| !hidden).map(names);
        let times = BlockFacts {
            level_mask: u8::MAX,
            min_ns: own.min_ns.saturating_sub(PARTS_NS),
            max_ns: own.max_ns.saturating_add(PARTS_NS),
            targets: None,
        };
        let levels =
            BlockFacts { level_mask: if hidden { u8::MAX } else { self.level_mask }, ..times };
        let all = BlockFacts { targets: targets.as_deref(), ..levels };
        let steps = [(By::Time, &times), (By::Level, &levels), (By::Target, &all)];
        steps.into_iter().find(|(_, facts)| !filter.may_match_block(facts)).map(|(by, _)| by)
    }
}

/// The times that all rows lie between.
pub(crate) fn times_ns(facts: &Brief) -> (i64, i64) {
    match facts.times {
        Some(times) => (times.min_ns, times.max_ns),
        None => (facts.min_order_ns.saturating_sub(SET_BACK_NS), facts.max_order_ns),
    }
}

/// The number of a block, by the place of its archive among all and its own in that: it breaks ties, and
/// rows of live channels come behind all blocks.
pub(crate) const fn number(archive: usize, block: usize) -> u64 {
    ((archive as u64) << 32).saturating_add(block as u64)
}

/// Behind the numbers of all blocks.
pub(crate) const LIVE: u64 = 1 << 62;

/// The places, among its blocks, of those that may hold what is meant.
pub(crate) fn admitted(archive: &Archive, filter: &Filter, plan: &mut Plan) -> Vec<usize> {
    let mut admitted = Vec::new();
    for (at, block) in archive.blocks().enumerate() {
        if plan.admits(archive, block, filter) {
            admitted.push(at);
        }
    }
    admitted
}
