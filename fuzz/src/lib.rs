//! Fuzz targets: plain functions from bytes to nothing, which panic when something is wrong.
//!
//! What is wrong is not only a panic. Each target has oracles (what decodes is encoded and decoded
//! again to the same, a search finds what a walk over the decoded rows finds, an audit that says
//! "whole" shows every record) and bounds of memory and time ([`limits`]).
//!
//! | run | with |
//! |---|---|
//! | every input of `corpus/`, and mutations of them from a seed | `cargo test -p relay-fuzz` |
//! | guided by coverage | `cargo fuzz run -s none TARGET`, `ci/fuzz.sh` for all targets |
//! | one input | `cargo run -p relay-fuzz --bin TARGET -- FILE…` |
//!
//! Checksums and compression stand in the way of a fuzzer, so inputs are what lies behind them:
//! [`pieces`] makes archives and blocks of them.
#![allow(clippy::unwrap_used, reason = "an oracle that fails should say where")]

pub mod limits;
pub mod mutate;
pub mod pieces;
pub mod rows;
pub mod scratch;
pub mod seeds;
mod targets;

/// Counts what is allocated, so that a target can say how much is too much.
#[global_allocator]
pub(crate) static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// A target: what to call it, what it does, and inputs to begin with.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its binary and of its corpus.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs that reach far, made by the code that is fuzzed.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "channel", run: targets::channel::run, seeds: seeds::channels },
    Target { name: "live", run: targets::live::run, seeds: seeds::channels },
    Target { name: "records", run: targets::records::run, seeds: seeds::records },
    Target { name: "callsite", run: targets::callsite::run, seeds: seeds::callsites },
    Target { name: "message", run: targets::message::run, seeds: seeds::messages },
    Target { name: "archive", run: targets::archive::run, seeds: seeds::archives },
    Target { name: "rows_body", run: targets::body::rows, seeds: seeds::rows_bodies },
    Target { name: "columns_body", run: targets::body::columns, seeds: seeds::columns_bodies },
    Target { name: "search", run: targets::search::run, seeds: seeds::searches },
    Target { name: "render", run: targets::render::run, seeds: seeds::rows },
    Target { name: "query", run: targets::query::run, seeds: seeds::queries },
    Target { name: "audit", run: targets::audit::run, seeds: seeds::audits },
    Target { name: "lines", run: targets::lines::run, seeds: seeds::lines },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs a target over the files that the command line names.
pub fn replay(name: &str) {
    let target = target(name).unwrap();
    for file in std::env::args_os().skip(1) {
        println!("{}", file.display());
        (target.run)(&std::fs::read(&file).unwrap());
    }
}

/// The program of a target: libFuzzer's under `cargo fuzz`, else one that replays files.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            ($crate::target(stringify!($name)).unwrap().run)(data)
        });
        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay(stringify!($name));
        }
    };
}
