//! Records as the archive takes and gives them.
//!
//! The collector turns sub-buffer bytes into *runs* (consecutive records of one writer in one
//! generation of one sub-buffer) and *rows* (numbered records). A run is also the position that
//! makes the archive its own checkpoint: it says exactly which bytes of the channel a block holds.

use crate::callsite::Callsite;
use crate::record::Kind;
use crate::value::Layout;
use std::sync::Arc;

/// The identity of a channel: one process, one opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub [u8; 16]);

impl std::fmt::Display for ChannelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for ChannelId {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = crate::Error::new("a channel id is 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad);
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| bad)
    }
}

/// Who wrote a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The channel's identity.
    pub id: ChannelId,
    /// The channel's name.
    pub channel: String,
    /// The process.
    pub pid: u32,
    /// The executable's name.
    pub program: String,
    /// The host's name.
    pub host: String,
    /// The kernel's boot id.
    pub boot: [u8; 16],
    /// When the channel was opened, UTC nanoseconds.
    pub opened_ns: i64,
}

/// Consecutive records of one writer, and the bytes of the channel that they came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// Whose channel: an index into the block's sources.
    pub source: u32,
    /// Which sub-buffer.
    pub sub_buffer: u32,
    /// Which lease of it.
    pub generation: u64,
    /// First byte of the sub-buffer's data that the run covers.
    pub from: u32,
    /// One past the last byte.
    pub to: u32,
    /// Numbered records in earlier generations of this sub-buffer, all together.
    pub prior_generations: u64,
    /// Numbered records of this generation before `from`.
    pub prior_records: u32,
    /// Numbered records in the run.
    pub records: u32,
    /// The writer.
    pub writer: u64,
    /// The number of the run's first record in its writer's stream.
    pub first_number: u64,
    /// The kernel's thread id.
    pub tid: u32,
    /// 0 for a thread's own stream, 1 for what its signal handlers log.
    pub nesting: u8,
    /// The thread's name, bytes as it was set.
    pub thread: Vec<u8>,
    /// No row of the run sorts before this time: the largest time of the writer's earlier rows.
    /// It keeps a thread's records in order when the clock is set back.
    pub floor_ns: i64,
}

/// A span that rows of a block lie in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// Whose channel: an index into the block's sources.
    pub source: u32,
    /// Its id in that process.
    pub id: u64,
    /// The id of the span around it; 0 for none.
    pub parent: u64,
    /// Its callsite.
    pub callsite: Arc<Callsite>,
    /// Its values, laid out as the callsite says; recorded ones among them (then the layout is
    /// sparse and the last value of a field counts).
    pub values: Vec<u8>,
    /// When it began, UTC nanoseconds.
    pub since_ns: i64,
}

impl Span {
    /// Adds values that were recorded later; see [`crate::recorded`].
    pub fn record(&mut self, recorded: &[u8]) {
        let fields = &self.callsite.fields;
        match self.callsite.layout {
            Layout::Packed => self.values.extend_from_slice(recorded),
            Layout::Sparse => crate::recorded::put(&mut self.values, recorded, |index| {
                fields.get(usize::from(index)).map(|field| field.name.as_str())
            }),
        }
    }
}

/// A numbered record.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Index of its run in the block.
    pub run: u32,
    /// Its number in its writer's stream.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// When, UTC nanoseconds.
    pub time_ns: i64,
    /// The time that it sorts by: not before any earlier record of its writer.
    pub order_ns: i64,
    /// Its callsite; `None` for kinds that have none (raw bytes, span enter, …).
    pub callsite: Option<&'a Arc<Callsite>>,
    /// The id of the span it lies in or is about; 0 for none.
    pub span: u64,
    /// Its payload without the span id: values laid out as the callsite says for events, new spans
    /// and recorded values; `u64` parent in front for a new span; `u64` other for follows-from; the
    /// bytes of a raw record; a whole fragment payload.
    pub payload: &'a [u8],
}
