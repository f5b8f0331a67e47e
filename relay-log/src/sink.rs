//! Where records go: a relay's channels, routed by target; and which relay is the program's.

use crate::callsite::StaticCallsite;
use crate::channel::Payload;
use crate::channel::os;
use crate::channel::shelf::Leaked;
use crate::channel::thread::{append, append_in, own_channel};
use crate::early;
use crate::filter::FilterCell;
use crate::pass::Pass;
use relay_fmt::callsite::Level;
use relay_fmt::record::{Kind, put_inline};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// A relay's channels and filter, there for the life of the process.
#[derive(Debug)]
pub(crate) struct Relays {
    /// Its number in this process, from 1 on.
    pub(crate) number: u64,
    pub(crate) filter: FilterCell,
    /// Names and slots; the first is where everything goes that has no route.
    pub(crate) channels: Vec<(String, usize)>,
    /// Target prefixes and slots, the longest prefix first.
    pub(crate) routes: Vec<(String, usize)>,
    /// Records of this level and more urgent ones are durable when their call returns; 0 for none.
    pub(crate) sync_on: u8,
}

/// The relay that `log` and Relay's own macros write to.
pub(crate) static ACTIVE: Leaked<Relays> = Leaked::new();
/// The most verbose level that anything of the program's own passes; 0 for none.
static MAX: AtomicU8 = AtomicU8::new(if cfg!(test) { Level::Trace as u8 } else { 0 });

/// Sets the most verbose level for `log` and Relay's own macros.
pub(crate) fn set_max(max: log::LevelFilter) {
    MAX.store(max as u8, Relaxed);
    log::set_max_level(max);
}

/// Whether the program's relay records this callsite now, its level being let through, and where. For
/// callsites that ask nobody else.
#[inline]
pub(crate) fn pass(callsite: &StaticCallsite) -> Pass {
    match callsite.pass.get() {
        Some(pass) => pass,
        None => ask(callsite),
    }
}

#[cold]
#[inline(never)]
fn ask(callsite: &StaticCallsite) -> Pass {
    match ACTIVE.get() {
        Some(relay) => relay.ask(callsite),
        None if early::FILTER.allows_target(callsite.level, callsite.target) => Pass::once(0),
        None => Pass::NO,
    }
}

/// The filter of the program's relay, or of the records before it.
pub(crate) fn filter() -> &'static FilterCell {
    match ACTIVE.get() {
        Some(relay) => &relay.filter,
        None => &early::FILTER,
    }
}

/// Whether any target is let through at this level: one relaxed load.
#[inline]
pub(crate) fn level_enabled(level: Level) -> bool {
    level as u8 <= MAX.load(Relaxed)
}

/// Writes an event of the program's that [`pass`] has let through: when this returns, it is in the
/// channel.
#[inline]
pub(crate) fn event(callsite: &'static StaticCallsite, pass: Pass, values: &[u8]) {
    if !write(pass, values.len(), |p| p.put(values)) {
        write_slow(callsite, pass, values.len(), &|p| p.put(values));
    }
}

/// The short way of an event; `false` and nothing written where it is not open: then [`write_slow`].
///
/// `fill` gets exactly `len` bytes, must fill them, and must not run anybody else's code.
#[inline(always)]
pub(crate) fn write(pass: Pass, len: usize, fill: impl Fn(&mut Payload<'_>)) -> bool {
    append_in(pass.era(), pass.slot(), Kind::Event, pass.number(), len, fill)
}

/// The way that is always open. `fill` as in [`write()`]; it may be called more than once.
#[cold]
#[inline(never)]
pub(crate) fn write_slow(
    callsite: &'static StaticCallsite,
    pass: Pass,
    len: usize,
    fill: &dyn Fn(&mut Payload<'_>),
) {
    match ACTIVE.get() {
        Some(relay) => relay.write(callsite, pass, len, fill),
        None => early::write(callsite, len, fill),
    }
}

pub(crate) fn collected(len: usize, fill: &dyn Fn(&mut Payload<'_>)) -> Vec<u8> {
    let mut values = vec![0; len];
    fill(&mut Payload::over(&mut values));
    values
}

impl Relays {
    /// Whether this relay records a callsite now, and where. For callsites that several may ask.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn pass(&self, callsite: &StaticCallsite) -> Pass {
        match callsite.pass.get_for(self.number) {
            Some(pass) => pass,
            None => self.ask(callsite),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask(&self, callsite: &StaticCallsite) -> Pass {
        // Before the filter: if that changes meanwhile, this era is over.
        let era = os::era();
        let pass = if self.filter.allows_target(callsite.level, callsite.target) {
            let slot = self.slot_of(callsite.target);
            if self.waits(callsite.level) {
                // Never remembered, so that the short way does not ask.
                return Pass::once(slot);
            }
            match callsite.ensure_described(slot) {
                Some(number) => Pass::known(era, self.number, slot, number),
                None => return Pass::once(slot),
            }
        } else {
            Pass::refused(era, self.number)
        };
        // In a forked child that did not know itself, what is known holds for no era.
        if era != 0 {
            callsite.pass.set(pass);
        }
        pass
    }

    /// The slot for a target: of the longest prefix that ends where the target or a `::` does.
    pub(crate) fn slot_of(&self, target: &str) -> usize {
        let fits = |prefix: &str| {
            target
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let route = self.routes.iter().find(|(prefix, _)| fits(prefix)).map(|(_, slot)| *slot);
        route.or_else(|| self.channels.first().map(|(_, slot)| *slot)).unwrap_or(0)
    }

    /// Writes an event: when this returns, it is in the channel.
    pub(crate) fn write(
        &self,
        callsite: &StaticCallsite,
        pass: Pass,
        len: usize,
        fill: &dyn Fn(&mut Payload<'_>),
    ) {
        let place = pass.place().or_else(|| {
            let slot = self.slot_of(callsite.target);
            Some((slot, callsite.ensure_described(slot)?))
        });
        match place {
            Some((slot, number)) => {
                append(slot, Kind::Event, number, len, fill);
                self.written(slot, callsite.level);
            }
            None => {
                let (description, values) = (callsite.description(), collected(len, fill));
                self.write_inline(callsite.level, callsite.target, &description, &values);
            }
        }
    }

    /// Whether records of this level are to be durable when their calls return.
    #[inline]
    const fn waits(&self, level: Level) -> bool {
        level as u8 <= self.sync_on
    }

    /// Something of this level was written: where it is to be durable, it is when this returns.
    #[inline]
    pub(crate) fn written(&self, slot: usize, level: Level) {
        if self.waits(level)
            && let Some(channel) = own_channel(slot)
        {
            channel.insist_durable();
        }
    }

    /// Writes an event whose callsite is not described: the record brings the description.
    pub(crate) fn write_inline(
        &self,
        level: Level,
        target: &str,
        description: &[u8],
        values: &[u8],
    ) {
        let slot = self.slot_of(target);
        inline(slot, description, values);
        self.written(slot, level);
    }
}

#[cold]
pub(crate) fn inline(slot: usize, description: &[u8], values: &[u8]) {
    let payload = inline_payload(description, values);
    append(slot, Kind::InlineEvent, 0, payload.len(), |p| p.put(&payload));
}

pub(crate) fn inline_payload(description: &[u8], values: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(description.len() + values.len() + 5);
    put_inline(&mut payload, description);
    payload.extend_from_slice(values);
    payload
}
