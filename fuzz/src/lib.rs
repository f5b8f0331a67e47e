//! Whatever the bytes are: each target is a function that takes any bytes and panics where something
//! promised does not hold. "No panic" is the least of it; the oracles are round trips, equalities with
//! a naive answer, and bounds.
//!
//! | target | bytes become | what must hold |
//! |---|---|---|
//! | [`channel`] | patches of a good channel file, its checksum made right | the reader finds what an oracle without its code finds |
//! | [`records`] | the bytes of a sub-buffer | the records put together again are the bytes |
//! | [`callsites`] | a description and a payload | what decodes encodes to the same; as many values as bytes at most |
//! | [`messages`] | a template, types of fields, a payload | both ways to render agree |
//! | [`archive`] | an archive, all its checksums made right | every way to read it agrees; what is appended is found |
//! | [`block`] | what is inside of the frames of a block | what decodes is encoded and decodes to the same, in both kinds |
//! | [`search`] | a needle, and a block | what a search finds is what a naive search finds |
//! | [`render`](mod@render) | a block | JSON parses, and no control character comes through |
//! | [`query`] | an expression | it negates, and blocks that are skipped hold nothing |
//! | [`lines`] | text | every byte comes back; no larger than the text |
//!
//! * On stable, `cargo test -p relay-fuzz` replays `corpus/` and mutates it ([`mutate`]).
//! * `cargo fuzz run TARGET` lets coverage guide the mutations; `ci/fuzz.sh` does so with all targets.
//! * `cargo run -p relay-fuzz --bin TARGET FILE…` replays inputs.
#![allow(clippy::unwrap_used, reason = "what is found should say where")]

pub mod archive;
pub mod block;
pub mod callsites;
pub mod channel;
pub mod frames;
pub mod lines;
pub mod messages;
pub mod mutate;
pub mod query;
pub mod records;
pub mod render;
pub mod sample;
pub mod search;

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by name, each with how many mutations the smoke tries.
pub const TARGETS: [(&str, Target, u64); 10] = [
    ("channel", channel::check, 3_000),
    ("records", records::check, 20_000),
    ("callsites", callsites::check, 20_000),
    ("messages", messages::check, 10_000),
    ("archive", archive::check, 2_000),
    ("block", block::check, 3_000),
    ("search", search::check, 3_000),
    ("render", render::check, 2_000),
    ("query", query::check, 5_000),
    ("lines", lines::check, 2_000),
];

/// Replays files: what the wrappers do when libFuzzer is not there.
///
/// # Panics
/// When a file cannot be read, or is a finding.
pub fn replay(target: Target) {
    for path in std::env::args_os().skip(1) {
        println!("{}", path.display());
        target(&std::fs::read(path).unwrap());
    }
}

/// The program of a target, for libFuzzer where there is one.
#[macro_export]
macro_rules! wrap {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::$target::check(data));

        #[cfg(not(fuzzing))]
        fn main() {
            relay_fuzz::replay(relay_fuzz::$target::check);
        }
    };
}
