//! Where records go: a relay's channels, routed by target; and which relay is the program's.

use crate::callsite::StaticCallsite;
use crate::channel::Payload;
use crate::channel::shelf::Leaked;
use crate::channel::thread::{append, own_channel};
use crate::early;
use crate::filter::FilterCell;
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

/// One thread at a time makes or prepares the program's relay.
pub(crate) static SETTING_UP: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// Sets the most verbose level for `log` and Relay's own macros.
pub(crate) fn set_max(max: log::LevelFilter) {
    MAX.store(max as u8, Relaxed);
    log::set_max_level(max);
}

/// Whether the program's relay records this callsite now, its level being let through.
#[inline]
pub(crate) fn allowed(callsite: &StaticCallsite) -> bool {
    filter().allows(callsite)
}

/// The filter of the program's relay, or of the records before it.
#[inline]
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

/// Writes an event of the program's. See [`Relays::event`].
#[inline]
pub(crate) fn event(callsite: &'static StaticCallsite, values: &[u8]) {
    write(callsite, values.len(), |p| p.put(values));
}

/// As [`event`]; `fill` gets exactly `len` bytes, must fill them, and may be called more than once.
#[inline]
pub(crate) fn write(
    callsite: &'static StaticCallsite,
    len: usize,
    fill: impl Fn(&mut Payload<'_>),
) {
    match ACTIVE.get() {
        Some(relay) => relay.write(callsite, len, fill),
        None => early::write(callsite, len, &fill),
    }
}

pub(crate) fn collected(len: usize, fill: &dyn Fn(&mut Payload<'_>)) -> Vec<u8> {
    let mut values = vec![0; len];
    fill(&mut Payload::over(&mut values));
    values
}

impl Relays {
    /// The slot for a callsite.
    #[inline]
    pub(crate) fn slot(&self, callsite: &StaticCallsite) -> usize {
        let known = callsite.route.load(Relaxed);
        if known >> 8 == self.number {
            return (known & 0xff) as usize;
        }
        self.remember_slot(callsite)
    }

    #[cold]
    fn remember_slot(&self, callsite: &StaticCallsite) -> usize {
        let slot = self.slot_of(callsite.target);
        if callsite.level as u8 <= self.sync_on {
            return slot;
        }
        callsite.route.store(self.number << 8 | slot as u64, Relaxed);
        slot
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
    #[inline]
    pub(crate) fn write(
        &self,
        callsite: &StaticCallsite,
        len: usize,
        fill: impl Fn(&mut Payload<'_>),
    ) {
        let known = callsite.route.load(Relaxed);
        if known >> 8 == self.number {
            self.put((known & 0xff) as usize, callsite, len, fill);
        } else {
            self.write_cold(callsite, len, &fill);
        }
    }

    /// A callsite's first event, and every one that is to be durable: the slots of those are never
    /// remembered, so that the common path does not ask.
    #[cold]
    #[inline(never)]
    fn write_cold(&self, callsite: &StaticCallsite, len: usize, fill: &dyn Fn(&mut Payload<'_>)) {
        let slot = self.slot(callsite);
        self.put(slot, callsite, len, fill);
        self.written(slot, callsite.level);
    }

    /// Something of this level was written: where it is to be durable, it is when this returns.
    #[inline]
    pub(crate) fn written(&self, slot: usize, level: Level) {
        if level as u8 <= self.sync_on
            && let Some(channel) = own_channel(slot)
        {
            channel.insist_durable();
        }
    }

    #[inline]
    fn put(
        &self,
        slot: usize,
        callsite: &StaticCallsite,
        len: usize,
        fill: impl Fn(&mut Payload<'_>),
    ) {
        match callsite.ensure_described(slot) {
            Some(id) => {
                append(slot, Kind::Event, id, len, fill);
            }
            None => inline(slot, &callsite.description(), &collected(len, &fill)),
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
