//! From a log statement to the backend: whether it is wanted, and the way in.

use super::field::Fields;
use crate::callsite::StaticCallsite;
use crate::pass::Pass;
use crate::sink;
use relay_fmt::callsite::Level;

/// The least urgent level that is compiled in; 0 for none.
pub const STATIC_MAX_LEVEL: u8 = if cfg!(feature = "max_level_off") || release("off") {
    0
} else if cfg!(feature = "max_level_error") || release("error") {
    Level::Error as u8
} else if cfg!(feature = "max_level_warn") || release("warn") {
    Level::Warn as u8
} else if cfg!(feature = "max_level_info") || release("info") {
    Level::Info as u8
} else if cfg!(feature = "max_level_debug") || release("debug") {
    Level::Debug as u8
} else {
    Level::Trace as u8
};

const fn release(level: &str) -> bool {
    if cfg!(debug_assertions) {
        return false;
    }
    match level.as_bytes() {
        b"off" => cfg!(feature = "release_max_level_off"),
        b"error" => cfg!(feature = "release_max_level_error"),
        b"warn" => cfg!(feature = "release_max_level_warn"),
        b"info" => cfg!(feature = "release_max_level_info"),
        _ => cfg!(feature = "release_max_level_debug"),
    }
}

/// Whether records of this level are wanted at all: one relaxed load, or none where the level is
/// not compiled in.
#[inline]
#[must_use]
pub fn wanted(level: Level) -> bool {
    level as u8 <= STATIC_MAX_LEVEL && sink::level_enabled(level)
}

/// Whether this statement's records are wanted, its level being so, and where they go.
#[inline]
#[must_use]
pub fn pass(callsite: &'static StaticCallsite) -> Pass {
    if cfg!(test) { Pass::once(0) } else { sink::pass(callsite) }
}

/// The callsite of a level, where the level is known only when the statement runs.
#[inline]
#[must_use]
pub const fn at(of: &'static [StaticCallsite; 5], level: Level) -> &'static StaticCallsite {
    let [error, warn, info, debug, trace] = of;
    match level {
        Level::Error => error,
        Level::Warn => warn,
        Level::Info => info,
        Level::Debug => debug,
        Level::Trace => trace,
    }
}

/// Measures the fields, reserves as much, copies them and commits. `text` is what was printed of them.
///
/// One function for all statements with fields of the same types, called and not repeated in each:
/// what a statement adds to a program stays small.
#[inline(never)]
pub fn write<F: Fields>(callsite: &'static StaticCallsite, pass: Pass, text: &str, fields: F) {
    let size = fields.size();
    #[cfg(test)]
    if super::tests::collect(callsite, sink::collected(size, &|sink| fields.store(text, sink))) {
        return;
    }
    if !sink::write(pass, size, |sink| fields.store(text, sink)) {
        sink::write_slow(callsite, pass, size, &|sink| fields.store(text, sink));
    }
}
