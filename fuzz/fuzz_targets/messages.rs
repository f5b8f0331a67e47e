//! `cargo fuzz run messages`; see `relay_fuzz`.
#![cfg_attr(fuzzing, no_main)]

relay_fuzz::wrap!(messages);
