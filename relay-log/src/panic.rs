//! Panics are records too.

use crate::callsite::StaticCallsite;
use crate::channel::thread;
use crate::pass::Pass;
use crate::{early, scratch, sink};
use relay_fmt::callsite::{Facade, Level};
use relay_fmt::value::{Layout, Type};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

static PANIC: StaticCallsite = StaticCallsite::new(
    Level::Error,
    Facade::Internal,
    line!(),
    "panic",
    module_path!(),
    file!(),
    "",
    "{0}",
    &[
        ("message", Type::Str, true),
        ("location", Type::Str, false),
        ("thread", Type::Str, false),
        ("backtrace", Type::Text, false),
    ],
    Layout::Sparse,
);

/// Whether panics are wanted; the hook stays where it is.
static WANTED: AtomicBool = AtomicBool::new(true);

pub(crate) fn set_wanted(wanted: bool) {
    WANTED.store(wanted, Relaxed);
}

/// Puts a hook in front of the one that is there. For callers that set something up, one at a time.
pub(crate) fn install() {
    // No `Once`: one that another thread is in the middle of at the moment of a fork is waited for in the
    // child for ever.
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Relaxed) {
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if WANTED.load(Relaxed) && sink::level_enabled(PANIC.level) {
            let pass = sink::pass(&PANIC);
            if pass.is_wanted() {
                record(info, pass);
            }
        }
        if cfg!(panic = "abort") && early::is_waiting() {
            early::print_all();
        }
        previous(info);
    }));
}

fn record(info: &PanicHookInfo<'_>, pass: Pass) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic whose payload is no text");
    // Only with RUST_BACKTRACE or RUST_LIB_BACKTRACE.
    let backtrace = Backtrace::capture();
    let current = std::thread::current();
    scratch::with(|mut values| {
        values.put_array([0]);
        values.put_str(Type::Str, message.as_bytes());
        if let Some(location) = info.location() {
            values.put_array([1]);
            values.put_text(Type::Str, format_args!("{location}"));
        }
        values.put_array([2]);
        values.put_str(Type::Str, current.name().unwrap_or("<unnamed>").as_bytes());
        if backtrace.status() == BacktraceStatus::Captured {
            values.put_array([3]);
            values.put_text(Type::Text, format_args!("{backtrace}"));
        }
        // The hook behind this one, and what unwinding sets free, come also where the channel is full
        // and nobody collects.
        thread::past_the_cap(|| sink::event(&PANIC, pass, values.bytes()));
    });
}
