//! From a log statement to the backend: whether it is wanted, and the way in.

use super::Sink;
use crate::callsite::StaticCallsite;
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

/// Whether this statement's records are wanted, its level being so.
#[inline]
#[must_use]
pub fn enabled(callsite: &'static StaticCallsite) -> bool {
    cfg!(test) || sink::allowed(callsite)
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

/// Reserves `size` bytes, has them filled, and commits them.
///
/// `fill` copies and does nothing else: no code of the program runs while space is reserved. It
/// gives the same bytes each time that it is called.
#[inline]
pub fn write(callsite: &'static StaticCallsite, size: usize, fill: impl Fn(&mut Sink<'_>)) {
    #[cfg(test)]
    super::tests::collect(callsite, crate::sink::collected(size, &fill));
    #[cfg(not(test))]
    sink::write(callsite, size, fill);
}
