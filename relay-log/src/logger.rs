//! Relay as the logger of the `log` crate.

use crate::callsite::StaticCallsite;
use crate::filter::from_log;
use crate::scratch::{self, Scratch};
use crate::sink::{self, ACTIVE};
use crate::table::{Table, mix};
use crate::{early, kv};
use log::Record;
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::value::{Layout, Type};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// The one logger: it serves the time before `init` and after.
#[derive(Debug)]
struct Logger;

static LOGGER: Logger = Logger;
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Makes Relay the program's logger, unless it is.
pub(crate) fn install() -> Result<(), log::SetLoggerError> {
    if INSTALLED.load(Acquire) {
        return Ok(());
    }
    match log::set_logger(&LOGGER) {
        Ok(()) => {
            INSTALLED.store(true, std::sync::atomic::Ordering::Release);
            Ok(())
        }
        // Another thread may have been faster with the same logger.
        Err(_) if INSTALLED.fetch_or(false, AcqRel) => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn is_installed() -> bool {
    INSTALLED.load(Acquire)
}

/// What statements are told from each other by, as the `log` crate shows them.
#[derive(Debug, Clone, Copy)]
struct Statement {
    /// Line, whether the target is the module, level.
    place: u64,
    file: &'static str,
    module: &'static str,
    /// The message, where it has no arguments.
    literal: Option<&'static str>,
}

#[derive(Debug)]
struct Site {
    statement: Statement,
    callsite: StaticCallsite,
}

static SITES: Table<Site> = Table::new();

const MESSAGE: &[(&str, Type, bool)] = &[("message", Type::Str, true)];

/// In [`Statement::place`]: the target is not the module.
const OTHER_TARGET: u64 = 1 << 7;

#[inline(always)]
fn place(line: u32, level: Level) -> u64 {
    u64::from(line) << 8 | level as u64
}

/// No text has the address of none.
#[inline(always)]
fn address(text: Option<&'static str>) -> *const u8 {
    text.map_or(std::ptr::null(), str::as_ptr)
}

#[inline(always)]
fn same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b)
}

impl Statement {
    /// `None` when a part of it is computed.
    #[inline(always)]
    fn of(record: &Record<'_>, literal: Option<&'static str>) -> Option<Self> {
        let file = record.file_static()?;
        let module = record.module_path_static()?;
        let other = if std::ptr::eq(record.target(), module) { 0 } else { OTHER_TARGET };
        let place = place(record.line().unwrap_or(0), from_log(record.level()));
        Some(Self { place: place | other, file, module, literal })
    }

    /// The same of one that is nothing but text and has a line, and its module as its target.
    #[inline(always)]
    fn plain(record: &Record<'_>, literal: &'static str) -> Option<Self> {
        let file = record.file_static()?;
        let module = record.module_path_static()?;
        let is_own = std::ptr::eq(record.target(), module);
        let line = record.line().filter(|_| is_own)?;
        let place = place(line, from_log(record.level()));
        Some(Self { place, file, module, literal: Some(literal) })
    }

    #[inline(always)]
    fn has_own_target(&self) -> bool {
        self.place & OTHER_TARGET == 0
    }

    /// Text tells statements apart better than files do; who has none in common with others is found at once.
    #[inline(always)]
    fn hash(&self) -> u64 {
        let text = self.literal.unwrap_or(self.file).as_ptr().addr() as u64;
        // Lines and addresses of one file grow together: one of them is scattered.
        mix(&[text ^ self.place.wrapping_mul(0x2545_f491)])
    }

    /// Addresses, which are there without looking at any text.
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        self.place == other.place
            && same(self.file, other.file)
            && same(self.module, other.module)
            && match (self.literal, other.literal) {
                // In this order: where the addresses are the same, there are two texts.
                (a, Some(b)) => address(a) == b.as_ptr() && a.is_some_and(|a| a.len() == b.len()),
                (a, None) => a.is_none(),
            }
    }
}

/// The site of a statement that is nothing but text and has its module as its target, where it is found
/// at first sight.
#[inline(always)]
fn plain_site(record: &Record<'_>, literal: &'static str) -> Option<&'static Site> {
    let statement = Statement::plain(record, literal)?;
    SITES.at_home(statement.hash(), |site| site.statement.is(&statement))
}

/// The statement that a record comes from; `None` when it is not static, or there are too many.
#[inline]
fn site(record: &Record<'_>) -> Option<&'static Site> {
    let statement = Statement::of(record, record.args().as_str())?;
    let is = |site: &Site| {
        site.statement.is(&statement)
            // By content: a computed target may stand where another one stood.
            && (statement.has_own_target() || site.callsite.target == record.target())
    };
    let hash = statement.hash();
    SITES.at_home(hash, is).or_else(|| find(record, hash, is, statement))
}

#[inline(never)]
fn find(
    record: &Record<'_>,
    hash: u64,
    is: impl Fn(&Site) -> bool,
    statement: Statement,
) -> Option<&'static Site> {
    SITES.find(hash, is, || {
        let (level, line) = (from_log(record.level()), record.line().unwrap_or(0));
        new_site(level, line, statement, record.target())
    })
}

fn new_site(level: Level, line: u32, statement: Statement, target: &str) -> Site {
    let Statement { file, module, literal, .. } = statement;
    let target: &'static str = if target == module { module } else { Box::leak(Box::from(target)) };
    let (template, fields): (&'static str, &'static [_]) = match literal {
        Some(text) if text.contains(['{', '}']) => (Box::leak(doubled(text).into()), &[]),
        Some(text) => (text, &[]),
        None => ("{0}", MESSAGE),
    };
    let callsite = StaticCallsite::new(
        level,
        Facade::Log,
        line,
        target,
        module,
        file,
        "",
        template,
        fields,
        Layout::Sparse,
    );
    Site { statement, callsite }
}

/// Text as a template that says it.
fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// Puts a record's values: its message, unless the template has it, and its key-values.
#[inline]
fn put_values(record: &Record<'_>, with_message: bool, out: &mut Scratch<'_>) {
    if with_message {
        out.put_array([0]);
        out.put_text(Type::Str, *record.args());
    }
    kv::put(record.key_values(), out);
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let level = from_log(metadata.level());
        sink::level_enabled(level) && sink::filter().allows_target(level, metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        // First what runs code of the program: then nothing has to be kept meanwhile.
        if let Some(literal) = record.args().as_str()
            && kv::is_empty(record.key_values())
            && let Some(site) = plain_site(record, literal)
            && let last = site.callsite.pass.last()
            && last.is_wanted()
            && sink::write(last, 0, |_| {})
        {
            return;
        }
        any(record);
    }

    /// Does nothing: a call that has returned has nothing left to flush.
    fn flush(&self) {}
}

/// Any record.
#[inline(never)]
fn any(record: &Record<'_>) {
    let Some(site) = site(record) else {
        return computed(record);
    };
    let pass = sink::pass(&site.callsite);
    if !pass.is_wanted() {
        return;
    }
    scratch::with(|mut values| {
        put_values(record, site.statement.literal.is_none(), &mut values);
        sink::event(&site.callsite, pass, values.bytes());
    });
}

/// A record whose target, file or module is computed, or one too many: it brings its description.
#[cold]
#[inline(never)]
fn computed(record: &Record<'_>) {
    let level = from_log(record.level());
    if !sink::filter().allows_target(level, record.target()) {
        return;
    }
    let message = Field { name: "message".into(), of: Type::Str, argument_only: true };
    let callsite = Callsite {
        level,
        facade: Facade::Log,
        layout: Layout::Sparse,
        line: record.line().unwrap_or(0),
        target: record.target().to_owned(),
        module: record.module_path().unwrap_or_default().to_owned(),
        file: record.file().unwrap_or_default().to_owned(),
        name: String::new(),
        template: "{0}".into(),
        fields: vec![message],
    };
    let mut description = Vec::new();
    callsite.encode(&mut description);
    scratch::with(|mut values| {
        put_values(record, true, &mut values);
        match ACTIVE.get() {
            Some(relay) => {
                relay.write_inline(level, record.target(), &description, values.bytes());
            }
            None => early::write_inline(level, record.target(), description, values.bytes()),
        }
    });
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::table::home;
    use std::collections::HashSet;

    /// Else some would not be remembered, and bring their descriptions each time.
    #[test]
    fn statements_of_one_file_have_places_of_their_own() {
        static TEXTS: &str = match std::str::from_utf8(&[b' '; 1 << 14]) {
            Ok(texts) => texts,
            Err(_) => "",
        };
        let statement = |line: u64, literal| {
            let place = line << 8 | 3;
            Statement { place, file: "src/main.rs", module: "main", literal }
        };
        // Without a text, with one text, and with texts that lie one behind the other.
        for apart in [None, Some(0), Some(1), Some(8), Some(16), Some(24), Some(100)] {
            for step in [0, 1, 3, 8, 10, 16, 32, 64, 100, 256, 1024] {
                let one = |n: usize| {
                    let text = apart.map(|apart| TEXTS.get(n * apart..).unwrap_or_default());
                    statement(n as u64 * step, text)
                };
                let homes: HashSet<usize> = (1..=128).map(|n| home(one(n).hash())).collect();
                let are_one = step == 0 && apart.is_none_or(|apart| apart == 0);
                let most = if are_one { 1 } else { 112 };
                assert!(homes.len() >= most, "{apart:?}, {step}: {}", homes.len());
            }
        }
    }
}
