//! Reading what a store holds: archives and live channels, as one stream, while the collector works.
//!
//! ```text
//!  live channels ── copied out first ──┐                        ┌── filter ── joiner ── sink
//!    (looks, live, split, rows)        ├── snapshot ── merge ───┤
//!    (backlog: too much to be copied)  │   (rescue: gone since) │
//!  archives ── opened afterwards ──────┘   (covered: once)      └── follow: again and again
//!    (files, store)                                   audit: what there should be, and is not
//! ```

mod ahead;
mod audit;
mod backlog;
mod chunks;
mod context;
mod covered;
mod drain;
mod files;
mod follow;
mod joiner;
mod live;
mod loaded;
mod looks;
mod merge;
mod names;
mod plan;
mod prepare;
mod queue;
mod ranges;
mod rescue;
mod rows;
mod shelves;
mod snapshot;
mod split;
mod stats;
mod store;
mod work;

pub use audit::{Audit, ChannelAudit, Missing, Verdict};
pub use files::{ArchiveFd, ArchiveName};
pub use follow::Follow;
pub use plan::Plan;
pub(crate) use ranges::Ranges;
pub use snapshot::{Sink, Snapshot};
pub use stats::{Buckets, Stats, Tally, Template, Writer};
pub(crate) use store::at;
pub use store::{Archive, Archives, Channels, Depth, Store};
pub use work::{Count, Work};
