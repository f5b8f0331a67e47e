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

/// A log statement as the `log` crate shows it.
#[derive(Debug)]
struct Site {
    file: &'static str,
    module: &'static str,
    /// The message, where it has no arguments.
    literal: Option<&'static str>,
    callsite: StaticCallsite,
}

static SITES: Table<Site> = Table::new();

const MESSAGE: &[(&str, Type, bool)] = &[("message", Type::Str, true)];

fn same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b)
}

/// The statement that a record comes from; `None` when it is not static, or there are too many.
#[inline]
fn site(record: &Record<'_>) -> Option<&'static Site> {
    let file = record.file_static()?;
    let module = record.module_path_static()?;
    let literal = record.args().as_str();
    let (level, line) = (from_log(record.level()), record.line().unwrap_or(0));
    let target = record.target();
    let address = |s: &str| s.as_ptr().addr() as u64;
    let hash =
        mix(&[address(file), u64::from(line) << 8 | level as u64, literal.map_or(0, address)]);
    SITES.find(
        hash,
        |site| {
            site.callsite.line == line
                && site.callsite.level == level
                && same(site.file, file)
                && same(site.module, module)
                && match (site.literal, literal) {
                    (Some(a), Some(b)) => same(a, b),
                    (None, None) => true,
                    _ => false,
                }
                && (same(site.callsite.target, module) && std::ptr::eq(target, module)
                    // By content: a computed target may stand where another one stood.
                    || site.callsite.target == target)
        },
        || new_site(level, line, file, module, literal, target),
    )
}

fn new_site(
    level: Level,
    line: u32,
    file: &'static str,
    module: &'static str,
    literal: Option<&'static str>,
    target: &str,
) -> Site {
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
    Site { file, module, literal, callsite }
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
        let Some(site) = site(record) else {
            return computed(record);
        };
        let pass = sink::pass(&site.callsite);
        if !pass.is_wanted() {
            return;
        }
        if site.literal.is_some() && kv::is_empty(record.key_values()) {
            if !sink::write(pass, 0, |_| {}) {
                sink::write_slow(&site.callsite, pass, 0, &|_| {});
            }
        } else {
            scratch::with(|values| {
                put_values(record, site.literal.is_none(), values);
                sink::event(&site.callsite, pass, values.bytes());
            });
        }
    }

    /// Does nothing: a call that has returned has nothing left to flush.
    fn flush(&self) {}
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
    scratch::with(|values| {
        put_values(record, true, values);
        match ACTIVE.get() {
            Some(relay) => {
                relay.write_inline(level, record.target(), &description, values.bytes());
            }
            None => early::write_inline(level, record.target(), description, values.bytes()),
        }
    });
}
