//! Relay beside the loggers that somebody would take instead: calls, the whole way, a storm of syncs.
//!
//! Each row is measured in a process of its own, all rows in turn, several times; the tables show
//! medians. Every peer is set up as its documentation shows first, writing to a file. Prints Markdown.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

mod calls;
mod facade;
mod own;
mod peer;
mod relay;
mod storm;
mod table;
mod traced;
mod whole;

use peer::Peer;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn main() {
    if let Some(arguments) = relay_benches::asked() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [what, name, rest @ ..] = &arguments[..] else { panic!("a role and a row") };
        return match *what {
            "burst" => calls::burst(name, rest),
            "flat-out" => calls::flat_out(name, rest),
            "storm" => storm::play(name, rest),
            _ => whole::play(name, rest),
        };
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, names) = arguments.split_first().expect("call, whole or storm, and names of rows");
    relay_benches::print_machine();
    let named = |row: &&peer::Row| names.is_empty() || names.iter().any(|n| row.name.contains(n));
    let rows: Vec<peer::Row> = peer::ROWS.iter().filter(named).copied().collect();
    match what.as_str() {
        "call" => calls::print(&rows),
        "whole" => whole::print(&rows),
        "storm" => storm::print(&rows),
        _ => panic!("{what}: call, whole or storm"),
    }
}

// The macros of ticklog work in the root of a crate only, and what happens when its buffer is full is an
// expression that they contain.

static TICKLOG_BLOCKS: AtomicBool = AtomicBool::new(false);

fn ticklog(dir: &Path, blocks: bool) -> Peer {
    use ticklog::Backpressure::{Block, Drop};
    TICKLOG_BLOCKS.store(blocks, Relaxed);
    let guard = ticklog::configure! {
        sink: ticklog::FileSink::new(dir.join("text.log")).unwrap(),
        backpressure: if TICKLOG_BLOCKS.load(Relaxed) { Block } else { Drop },
    };
    let guard = guard.unwrap();
    Peer {
        none: || ticklog::info!("request handled"),
        one: |id| ticklog::info!("request handled id={}", id),
        three: |id, latency, path| {
            ticklog::info!("request handled id={} latency={} path={}", id, latency, path);
        },
        end: Box::new(|| drop(guard)),
    }
}

fn ticklog_blocks(dir: &Path, _: &Path) -> Peer {
    ticklog(dir, true)
}

fn ticklog_drops(dir: &Path, _: &Path) -> Peer {
    ticklog(dir, false)
}
