//! `cargo fuzz run records`; see `relay_fuzz`.
#![cfg_attr(fuzzing, no_main)]

relay_fuzz::wrap!(records);
