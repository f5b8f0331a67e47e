//! The targets.

pub(crate) mod archive;
pub(crate) mod audit;
pub(crate) mod body;
pub(crate) mod callsite;
pub(crate) mod channel;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod message;
pub(crate) mod query;
pub(crate) mod records;
pub(crate) mod render;
pub(crate) mod search;
