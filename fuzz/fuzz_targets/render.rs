//! See the target of this name in the library.
#![cfg_attr(fuzzing, no_main)]
relay_fuzz::target!(render);
