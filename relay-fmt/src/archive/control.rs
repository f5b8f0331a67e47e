//! What control frames say.

use crate::callsite::Level;
use crate::rows::{ChannelId, Source, Span};

/// One thing that a control frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// A channel was first seen.
    Announce(Announce),
    /// A channel is drained and finished.
    Final(Final),
    /// Where everything stands, at the start of an archive.
    Positions(Positions),
    /// Retention deleted an archive.
    Tombstone(Tombstone),
    /// What another archive holds from some offset on is here instead.
    Supersedes(Supersedes),
    /// Something did not parse and was set aside.
    Quarantine(Quarantine),
    /// A line of the collector's own log.
    Note(Note),
    /// The machine was started anew since a channel was written.
    Unproven(Unproven),
    /// Which archives retention had deleted when this one was begun.
    Deleted(Deleted),
}

/// Which archives of its channel retention had deleted when an archive was begun: tombstones go with
/// the archives that they stand in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Ranges of archive numbers, in order: the first, and how many.
    pub ranges: Vec<(u64, u64)>,
}

/// The machine was started anew since a channel was written: what it held beyond what was durable is
/// salvage, and what it recorded last may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unproven {
    /// The channel.
    pub id: ChannelId,
    /// What it recorded until then was durable, UTC nanoseconds; 0 for nothing.
    pub durable_ns: u64,
    /// Bytes that were found in it and were in no archive.
    pub bytes: u64,
}

/// A channel was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Whose channel.
    pub source: Source,
    /// The name of its file.
    pub file: String,
    /// When it was first seen, UTC nanoseconds.
    pub seen_ns: i64,
}

/// A channel is drained and finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// The channel.
    pub id: ChannelId,
    /// How many numbered records it claimed, all together.
    pub claimed: u64,
    /// How many of them it discarded, as it was told to.
    pub discarded: u64,
    /// How many numbered records each sub-buffer claimed, by its index; may be empty.
    pub per_sub_buffer: Vec<u64>,
    /// Whether it was closed by its owner.
    pub clean: bool,
    /// Whether it was told to overwrite what was not archived yet: then what is missing of its
    /// sub-buffers is missing on purpose.
    pub overwrites: bool,
    /// How it ended.
    pub reason: String,
}

/// How far a sub-buffer is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubBufferPosition {
    /// Which sub-buffer.
    pub index: u32,
    /// Which lease of it.
    pub generation: u64,
    /// How many bytes of its data are archived.
    pub archived_bytes: u32,
    /// Numbered records in earlier generations, all together.
    pub prior_generations: u64,
    /// Numbered records of this generation that are archived.
    pub records: u32,
}

/// How far a writer is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterPosition {
    /// The writer.
    pub writer: u64,
    /// The number that its next record has.
    pub next_number: u64,
    /// The largest time of its rows so far.
    pub floor_ns: i64,
}

/// Where a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPosition {
    /// Whose channel.
    pub source: Source,
    /// Its sub-buffers.
    pub sub_buffers: Vec<SubBufferPosition>,
    /// Its writers.
    pub writers: Vec<WriterPosition>,
    /// Its open spans. Reading sets their `source` to the index of this channel in
    /// [`Positions::channels`], whatever was written.
    pub spans: Vec<Span>,
}

/// Where everything stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// The channels that are still needed.
    pub channels: Vec<ChannelPosition>,
}

/// An archive that retention deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Its file name.
    pub file: String,
    /// Its number among the archives of its channel.
    pub number: u64,
    /// How many rows it had.
    pub rows: u64,
    /// The smallest sort time in it, UTC nanoseconds.
    pub min_order_ns: i64,
    /// The largest sort time in it, UTC nanoseconds.
    pub max_order_ns: i64,
    /// How many of its rows came from which channel.
    pub channels: Vec<(ChannelId, u64)>,
}

/// What another archive holds from some offset on is here instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supersedes {
    /// The file name of the other archive.
    pub file: String,
    /// From which byte of it on.
    pub offset: u64,
}

/// Something that did not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// What it is, and where it is kept.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// A line of the collector's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How urgent.
    pub level: Level,
    /// When, UTC nanoseconds.
    pub time_ns: i64,
    /// The line.
    pub text: String,
}
