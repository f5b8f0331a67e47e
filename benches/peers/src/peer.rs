//! A logger that is set up, and the list of them.

use crate::{facade, own, relay, traced};
use std::path::Path;

/// A logger that is set up: its calls, and what has everything written.
pub(crate) struct Peer {
    pub(crate) none: fn(),
    pub(crate) one: fn(u64),
    pub(crate) three: fn(u64, f64, &str),
    pub(crate) end: Box<dyn FnOnce()>,
}

/// A row of the tables.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Sets it up with its files in a directory; the second one is on tmpfs.
    pub(crate) set_up: fn(&Path, &Path) -> Peer,
    /// Whether its calls do the writing themselves, or store into a mapping.
    pub(crate) in_the_call: bool,
}

const fn row(name: &'static str, set_up: fn(&Path, &Path) -> Peer) -> Row {
    Row { name, set_up, in_the_call: false }
}

const fn in_the_call(name: &'static str, set_up: fn(&Path, &Path) -> Peer) -> Row {
    Row { name, set_up, in_the_call: true }
}

pub(crate) const ROWS: [Row; 20] = [
    in_the_call("relay macros", relay::macros),
    in_the_call("relay macros, live on tmpfs", relay::macros_on_tmpfs),
    in_the_call("relay macros, tmpfs, 1 MiB sub-buffers", relay::large_on_tmpfs),
    in_the_call("relay log", relay::log),
    in_the_call("relay tracing", relay::tracing),
    in_the_call("tracing-subscriber fmt", traced::in_the_call),
    row("tracing-appender, blocks", traced::blocks),
    row("tracing-appender, drops", traced::drops),
    in_the_call("log4rs", facade::log4rs),
    row("flexi_logger async", facade::flexi_logger),
    row("ftlog, blocks", facade::ftlog_blocks),
    row("ftlog, drops", facade::ftlog_drops),
    row("logforth async", facade::logforth),
    row("spdlog-rs async", own::spdlog),
    row("emit_file", own::emit),
    row("slog-async, blocks", own::slog_blocks),
    row("slog-async, drops", own::slog_drops),
    row("inqjet", own::inqjet),
    row("ticklog, blocks", crate::ticklog_blocks),
    row("ticklog, drops", crate::ticklog_drops),
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Row {
    *ROWS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"))
}
