//! Channels that a machine left behind when it went down.
//!
//! If it lost its power, any page of a file that was not synced may be as it was before. So what such a
//! channel holds beyond what was durable is salvage: it is kept, and listed as unproven.

use relay_fmt::archive::Unproven;
use relay_log::channel::{ChannelReader, Sub};

/// What is unproven of a channel of which `waiting` says what is in no archive; `None` where the
/// machine has run ever since.
pub(crate) fn of(reader: &ChannelReader, waiting: impl Fn(&Sub) -> u32) -> Option<Unproven> {
    if !reader.is_of_older_boot() {
        return None;
    }
    let subs = reader.scan().unwrap_or_default();
    let bytes = subs.iter().filter(|sub| !sub.is_meta()).map(|sub| u64::from(waiting(sub))).sum();
    let durable_ns = reader.status().map_or(0, |status| status.durable_until_ns());
    Some(Unproven { id: reader.identity().id, durable_ns, bytes })
}

/// A sentence about it.
pub(crate) fn text(of: &Unproven) -> String {
    let until = i64::try_from(of.durable_ns).ok().filter(|ns| *ns > 0);
    let until = until.and_then(|ns| jiff::Timestamp::from_nanosecond(ns.into()).ok());
    let until = until.map_or("nothing was".into(), |at| format!("it was until {at:.3}"));
    format!(
        "the machine was started anew since it was written: what was not durable ({until}) is unproven, {} bytes of it are salvaged, and what came last may be missing",
        of.bytes
    )
}
