//! The static of a log statement, and the way from there to the backend.

use super::sink::Sink;
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::value::{Layout, Type};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A log statement of the program.
#[derive(Debug)]
pub struct StaticCallsite {
    /// How urgent.
    pub level: Level,
    /// Line in the file.
    pub line: u32,
    /// What filters go by.
    pub target: &'static str,
    /// Module path.
    pub module: &'static str,
    /// Source file.
    pub file: &'static str,
    /// The message; its holes name fields by index.
    pub template: &'static str,
    /// Name, type, and whether it is only an argument of the template.
    pub fields: &'static [(&'static str, Type, bool)],
    /// The backend's: 0 until it has seen the callsite.
    pub state: AtomicU64,
}

impl StaticCallsite {
    /// A callsite that nobody has seen.
    #[must_use]
    pub const fn new(
        level: Level,
        line: u32,
        target: &'static str,
        module: &'static str,
        file: &'static str,
        template: &'static str,
        fields: &'static [(&'static str, Type, bool)],
    ) -> Self {
        Self {
            level,
            line,
            target,
            module,
            file,
            template,
            fields,
            state: AtomicU64::new(0),
        }
    }

    /// As it is described in a channel.
    #[must_use]
    pub fn describe(&self) -> Callsite {
        let field = |(name, of, argument_only): &(&str, Type, bool)| Field {
            name: (*name).to_owned(),
            of: *of,
            argument_only: *argument_only,
        };
        Callsite {
            level: self.level,
            facade: Facade::Relay,
            layout: Layout::Packed,
            line: self.line,
            target: self.target.to_owned(),
            module: self.module.to_owned(),
            file: self.file.to_owned(),
            name: String::new(),
            template: self.template.to_owned(),
            fields: self.fields.iter().map(field).collect(),
        }
    }
}

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

/// The least urgent level that anything wants now; 0 for none. Only a hint: nothing is ordered by
/// it.
pub static MAX_LEVEL: AtomicU8 = AtomicU8::new(Level::Trace as u8);

/// Whether records of this level are wanted at all: one relaxed load, or none where the level is
/// not compiled in.
#[inline]
#[must_use]
pub fn wanted(level: Level) -> bool {
    let level = level as u8;
    level <= STATIC_MAX_LEVEL && level <= MAX_LEVEL.load(Ordering::Relaxed)
}

/// Whether this statement's records are wanted, its level being so.
#[inline]
#[must_use]
pub const fn enabled(_: &'static StaticCallsite) -> bool {
    true
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
/// `fill` copies and does nothing else: no code of the program runs while space is reserved.
#[inline]
pub fn write(callsite: &'static StaticCallsite, size: usize, fill: impl FnOnce(&mut Sink<'_>)) {
    let mut payload = vec![0; size];
    let mut sink = Sink::new(&mut payload);
    fill(&mut sink);
    debug_assert_eq!(sink.remaining(), 0, "arguments fill what they asked for");
    #[cfg(test)]
    super::tests::collect(callsite, payload);
    #[cfg(not(test))]
    let _ = callsite;
}
