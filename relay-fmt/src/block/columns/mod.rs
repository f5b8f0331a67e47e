//! Blocks as columns: what repeats from row to row is stored once, what varies lies with its like.
//!
//! Encoding goes through the files in this order:
//!
//! 1. `scan`: each row becomes a *class* and values. Lines of raw channels are compared with the last line of
//!    the class that came next before by `again`, or followed down the templates of earlier lines by `paths`,
//!    and `sift` says what they contain. `shape` takes typed values apart
//!    and `mould` those that lie as the ones before, `split` and
//!    `numbers` take formatted text apart, `words` finds words that vary; `classes` numbers what they
//!    find by its `program`.
//! 2. `layout`: values go to columns, and classes share columns where that takes fewer bits.
//! 3. `ints`, `floats` and `strings` write each column in the way that `choose` says suits it;
//!    `relate` finds columns that others tell something about, `related` and
//!    `latest` write them.
//! 4. `tables` writes sources, runs, callsites and spans; `frames` compresses; `order` does both for the last
//!    frame, at any time.
//!
//! Decoding goes backwards and follows each class's program to put the payloads together. What
//! decodes is exactly what was encoded, also where payloads are not what their callsites say: those
//! are columns of whole strings. `search` says which blocks cannot contain a text, `condition` which rows
//! cannot have such fields. The byte tables are in `docs/format/columns.md`.

mod again;
mod census;
mod choose;
mod classes;
mod condition;
mod decode;
mod digits;
mod encode;
mod estimate;
mod fields;
mod floats;
mod frames;
mod hash;
mod ints;
mod latest;
mod layout;
mod lazy;
mod members;
mod mould;
mod numbers;
mod order;
mod paths;
mod program;
mod recent;
mod relate;
mod related;
mod scan;
mod search;
mod select;
mod shape;
mod sift;
mod split;
mod stamp;
mod strings;
mod tables;
mod template;
#[cfg(test)]
mod tests;
mod words;

pub(super) use hash::hash;
pub(super) use template::binary_mantissa;

pub use census::{Census, Group, census, field_names, template_of};
pub use condition::{Condition, FieldOf};
pub use decode::decode;
pub(in crate::block) use encode::Payloads;
pub use encode::{Encoder, Precision, Summary, encode};
pub(in crate::block) use order::Order;
pub use search::contains;
pub use select::{Counted, Selected, Wanted, select};

/// The most rows of a block.
pub const MAX_ROWS: usize = 1 << 22;
/// The most bytes of payload of a block.
pub const MAX_PAYLOAD: usize = 128 << 20;
