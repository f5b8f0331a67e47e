//! Records from before there is a channel.

use crate::callsite::StaticCallsite;
use crate::channel::handover::{self, Kept, Who};
use crate::channel::shelf::{Leaked, Stack};
use crate::channel::{Payload, TickSource, os, thread, tick};
use crate::filter::{Filter, FilterCell};
use crate::pass::Pass;
use crate::sink::{ACTIVE, Relays, inline_payload, set_max};
use crate::{logger, panic};
use relay_fmt::callsite::{Callsite, Level};
use relay_fmt::record::Kind;
use relay_fmt::time::{Anchor, Rate};
use relay_fmt::value::Value;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// How a kept record knows its callsite.
#[derive(Debug)]
enum Site {
    Static(&'static StaticCallsite),
    /// Target, encoded description.
    Inline(String, Vec<u8>),
}

#[derive(Debug)]
struct Record {
    thread: u32,
    who: Who,
    /// The process in a line of forks: a child holds copies of its parent's records.
    epoch: u32,
    tick: u64,
    site: Site,
    values: Vec<u8>,
}

static KEPT: Stack<Record> = Stack::new();
pub(crate) static FILTER: FilterCell = FilterCell::new();
static STARTED: AtomicBool = AtomicBool::new(false);
static START: Leaked<(TickSource, Anchor)> = Leaked::new();

/// Keeps records in memory from here on, until [`Builder::init`](crate::Builder::init) moves them
/// into the channel: nothing that a program logs before it knows its configuration is lost.
///
/// Call it in the first line of `main`. Each thread's early records are the first of its stream,
/// with the times at which they were logged; other threads may go on logging during `init`. They
/// survive the end of the process from the moment `init` returns. A process that ends without `init`
/// prints them to stderr, unless a signal kills it.
///
/// What is kept is what `RELAY_LOG` lets through; without it, or when it is no filter, `info`.
///
/// Returns whether Relay is now the program's logger: another one may have been there first. Calling
/// it again, or after `init`, changes nothing.
///
/// ```standalone_crate
/// assert!(relay_log::early());
/// log::info!("before anything is configured");
/// let dir = tempfile::tempdir()?;
/// let relay = relay_log::Relay::builder(dir.path()).channel("doc").init()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn early() -> bool {
    let _one = os::lock(os::Lock::SettingUp);
    if STARTED.swap(true, AcqRel) || ACTIVE.get().is_some() {
        return logger::is_installed();
    }
    let source = tick::choose();
    START.set_first(Box::leak(Box::new((source, tick::anchor(source)))));
    let spec = std::env::var("RELAY_LOG").ok().filter(|spec| !spec.trim().is_empty());
    let filter = spec.as_deref().and_then(|spec| Filter::parse(spec).ok());
    if let Some(filter) = filter.or_else(|| Filter::parse("info").ok()) {
        FILTER.set(filter);
    }
    if logger::install().is_err() {
        return false;
    }
    static ASKED: AtomicBool = AtomicBool::new(false);
    os::at_exit(&ASKED, at_exit);
    panic::install();
    set_max(FILTER.max());
    true
}

fn now() -> u64 {
    tick::now(START.get().map_or(TickSource::Monotonic, |(source, _)| *source))
}

/// Keeps an event, or writes it to the relay that has come meanwhile.
#[cold]
#[inline(never)]
pub(crate) fn write(
    callsite: &'static StaticCallsite,
    len: usize,
    fill: &dyn Fn(&mut Payload<'_>),
) {
    let mut values = vec![0; len];
    fill(&mut Payload::over(&mut values));
    if let Some(record) = keep(Site::Static(callsite), values) {
        match ACTIVE.get() {
            Some(relay) => {
                let (pass, values) = (Pass::once(0), &record.values);
                relay.write(callsite, pass, values.len(), &|p| p.put(values));
            }
            None => print(&[record]),
        }
    }
}

/// As [`write`], for an event whose callsite is not static.
#[cold]
pub(crate) fn write_inline(level: Level, target: &str, description: Vec<u8>, values: &[u8]) {
    let site = Site::Inline(target.to_owned(), description);
    if let Some(record) = keep(site, values.to_vec()) {
        match (ACTIVE.get(), &record.site) {
            (Some(relay), Site::Inline(target, description)) => {
                relay.write_inline(level, target, description, &record.values);
            }
            _ => print(&[record]),
        }
    }
}

/// Gives the record back when nothing is kept any more.
fn keep(site: Site, values: Vec<u8>) -> Option<Record> {
    if os::epoch() == 0 {
        thread::after_fork();
    }
    let (thread, epoch) = (thread::early_number(), os::epoch());
    KEPT.push(Record { thread, who: Who::here(), epoch, tick: now(), site, values }).err()
}

fn close() -> Vec<Record> {
    if os::epoch() == 0 {
        thread::after_fork();
    }
    let mut kept = KEPT.close();
    kept.retain(|record| record.epoch == os::epoch());
    kept
}

/// Makes `relay` the program's, and what was kept the beginning of its channels.
pub(crate) fn hand_over(relay: &'static Relays) {
    thread::busy(|| {
        handover::begin();
        // From here on calls go to the channels; those that were on their way to the stack either
        // get there before it closes, or find it closed and come here.
        ACTIVE.set(relay);
        handover::finish(close().into_iter().map(|record| to_kept(relay, record)).collect());
    });
}

fn to_kept(relay: &Relays, record: Record) -> Kept {
    let Record { thread, who, tick, site, values, .. } = record;
    let inline = |description: &[u8]| (Kind::InlineEvent, 0, inline_payload(description, &values));
    let (slot, (kind, callsite, payload)) = match &site {
        Site::Static(callsite) => {
            let slot = relay.slot_of(callsite.target);
            // Waiting is fine: whoever describes now is another thread and comes to an end.
            let event = match callsite.wait_described(slot) {
                Some(id) => (Kind::Event, id, values),
                None => inline(&callsite.description()),
            };
            (slot, event)
        }
        Site::Inline(target, description) => (relay.slot_of(target), inline(description)),
    };
    let same_clock = thread::channel(slot)
        .is_none_or(|channel| START.get().is_none_or(|(source, _)| *source == channel.ticks()));
    // The clock source has changed under us: better a late time than a wrong one.
    let tick = if same_clock {
        tick
    } else {
        thread::channel(slot).map_or(tick, |channel| tick::now(channel.ticks()))
    };
    Kept { thread, who, slot, tick, kind, callsite, payload }
}

extern "C" fn at_exit() {
    if ACTIVE.get().is_none() {
        print_all();
    }
}

/// Prints what is kept; nothing is kept any more.
pub(crate) fn print_all() {
    print(&close());
}

/// Prints records to stderr, a line each: seconds since [`early`], level, target, message, fields.
fn print(records: &[Record]) {
    let Some((source, start)) = START.get() else {
        return;
    };
    let rate = match source {
        TickSource::Monotonic => Rate::NANOSECOND,
        TickSource::Tsc => Rate::between(*start, tick::anchor(*source)).unwrap_or(Rate::NANOSECOND),
    };
    if records.is_empty() {
        // A forked child may meet a lock on stderr that nobody is going to give back.
        return;
    }
    let mut stderr = std::io::stderr().lock();
    for record in records {
        let callsite = match &record.site {
            Site::Static(callsite) => Ok(callsite.to_callsite()),
            Site::Inline(_, description) => Callsite::decode(description),
        };
        if let Ok(callsite) = callsite {
            let since = start.real_of(record.tick, rate) - start.real_ns.cast_signed();
            let line = line(since, &callsite, &record.values);
            let _ = stderr.write_all(&line);
        }
    }
}

fn line(since_ns: i64, callsite: &Callsite, values: &[u8]) -> Vec<u8> {
    let level = callsite.level.as_str();
    let since = since_ns.max(0) as f64 / 1e9;
    let mut text = Vec::new();
    let _ = relay_fmt::message::write_message(callsite, values, &mut text);
    for field in callsite.values(values).map_while(Result::ok) {
        let declared = field.index.and_then(|i| callsite.fields.get(i));
        if !declared.is_some_and(|field| field.argument_only) {
            let _ = write!(text, " {}=", field.name);
            let _ = match field.value {
                Value::Str(s) | Value::Text(s) => write!(text, "{s}"),
                Value::Bool(b) => write!(text, "{b}"),
                Value::I64(n) => write!(text, "{n}"),
                Value::U64(n) => write!(text, "{n}"),
                Value::F64(n) => write!(text, "{n}"),
                other => write!(text, "{other:?}"),
            };
        }
    }
    let mut line = format!("[{since:.6}s {level} {}] ", callsite.target).into_bytes();
    // What was logged may hold anything; a terminal should not obey it.
    for byte in text {
        match byte {
            0..0x20 | 0x7f => line.extend(std::ascii::escape_default(byte)),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

/// Whether nothing has been handed over or printed yet.
pub(crate) fn is_waiting() -> bool {
    STARTED.load(Relaxed) && !KEPT.is_closed() && ACTIVE.get().is_none()
}
