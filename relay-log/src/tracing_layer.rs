//! Relay as a layer of a `tracing` subscriber.

use crate::callsite::StaticCallsite;
use crate::channel::os;
use crate::channel::thread::{MAX_CHANNELS, append, append_in, own_channel};
use crate::pass::Pass;
use crate::relay::Relay;
use crate::scratch;
use crate::sink::{self, Relays};
use crate::tracing_site::{Site, site};
use crate::{InitError, filter};
use relay_fmt::record::Kind;
use relay_fmt::recorded;
use relay_fmt::value::Type;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

/// Writes events and spans into a relay's channels. Made by [`Relay::layer`].
///
/// It leaves out what the relay's filter does, for itself alone: other layers see everything. With
/// [`RelayFilter`] on it, what nobody wants costs nothing.
#[derive(Debug, Clone)]
pub struct RelayLayer {
    relays: &'static Relays,
}

/// A relay's filter in the form that `tracing` has for one layer. Made by [`Relay::layer_filter`].
#[derive(Debug, Clone)]
pub struct RelayFilter {
    relays: &'static Relays,
}

impl Relay {
    /// A layer that writes into this relay's channels, to be combined with others.
    ///
    /// Use `tracing::subscriber::set_global_default`: the `init` of `tracing-subscriber` may try to
    /// install a logger for `log` too, and fail where Relay is it.
    ///
    /// ```standalone_crate
    /// use tracing_subscriber::layer::{Layer, SubscriberExt};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let relay = relay_log::Relay::builder(dir.path()).channel("app").init()?;
    /// let layer = relay.layer().with_filter(relay.layer_filter());
    /// tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    /// tracing::info!(answer = 42, "kept, with its type");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn layer(&self) -> RelayLayer {
        RelayLayer { relays: self.relays }
    }

    /// This relay's filter for [`Layer::with_filter`]; it follows [`Relay::set_filter`].
    #[must_use]
    pub fn layer_filter(&self) -> RelayFilter {
        RelayFilter { relays: self.relays }
    }

    pub(crate) fn subscribe(&self) -> Result<(), InitError> {
        let layer = self.layer().with_filter(self.layer_filter());
        let dispatch = Dispatch::new(Registry::default().with(layer));
        let set = tracing_core::dispatcher::set_global_default(dispatch);
        set.map_err(|_| InitError::SubscriberSet)
    }
}

impl<S> Filter<S> for RelayFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let level = filter::from_tracing(*metadata.level());
        self.relays.filter.allows_target(level, metadata.target())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let level = filter::from_tracing(*metadata.level());
        if self.relays.filter.allows_target(level, metadata.target()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.relays.filter.max() {
            log::LevelFilter::Off => LevelFilter::OFF,
            log::LevelFilter::Error => LevelFilter::ERROR,
            log::LevelFilter::Warn => LevelFilter::WARN,
            log::LevelFilter::Info => LevelFilter::INFO,
            log::LevelFilter::Debug => LevelFilter::DEBUG,
            log::LevelFilter::Trace => LevelFilter::TRACE,
        })
    }
}

/// Registries use their ids again: these are unique within the process.
static NEXT_SPAN: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Whether this thread has ever been in a span that a layer of Relay has seen. Never unset: spans
    /// may be left in any order, and by layers that came later.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// A span as one relay knows it.
#[derive(Debug)]
struct Span {
    relay: u64,
    id: u64,
    parent: u64,
    site: &'static Site,
    /// Where its enters and exits go.
    slot: usize,
    /// Fork epoch, and a bit for each slot whose channel has its beginning.
    told: AtomicU64,
    /// Its values so far, for channels that are told later: another route, a forked child.
    values: parking_lot::Mutex<Vec<u8>>,
}

/// The spans of all relays that have a layer in this subscriber, in a span's extensions.
#[derive(Debug, Default)]
struct Spans(Vec<Arc<Span>>);

impl Span {
    fn is_told(&self, slot: usize) -> bool {
        let told = self.told.load(Relaxed);
        (told >> 32) as u32 == os::epoch() && told & 1 << slot != 0
    }

    /// Says in a channel that the span began, if it does not know.
    fn tell(&self, slot: usize) {
        // Never waits: it may be this very thread that a signal handler has interrupted in here. Then
        // an event comes a little before its span, as it can from another thread.
        let Some(values) = self.values.try_lock() else {
            return;
        };
        if self.is_told(slot) {
            return;
        }
        // Creates a forked child's channels, so that the epoch below is the child's.
        let callsite = self.site.callsite.ensure_described(slot);
        let begin = |values: &[u8]| {
            append(slot, Kind::SpanNew, callsite.unwrap_or(0), 16 + values.len(), |p| {
                p.put_u64(self.id);
                p.put_u64(self.parent);
                p.put(values);
            });
        };
        match too_much(&values, slot) {
            None => begin(&values),
            Some((fit, large)) => {
                begin(&fit);
                self.write(slot, Kind::SpanRecord, &large);
            }
        }
        let (epoch, told) = (os::epoch(), self.told.load(Relaxed));
        let before = if (told >> 32) as u32 == epoch { told & 0xffff_ffff } else { 0 };
        self.told.store(u64::from(epoch) << 32 | before | 1 << slot, Relaxed);
    }

    /// Writes a record about this span: its id, then `rest`.
    fn write(&self, slot: usize, kind: Kind, rest: &[u8]) {
        let callsite = self.site.callsite.ensure_described(slot).unwrap_or(0);
        append(slot, kind, callsite, 8 + rest.len(), |p| {
            p.put_u64(self.id);
            p.put(rest);
        });
    }

    /// Writes a record about this span wherever its beginning stands.
    fn write_where_told(&self, kind: Kind, rest: &[u8]) {
        for slot in (0..MAX_CHANNELS).filter(|slot| self.is_told(*slot)) {
            self.write(slot, kind, rest);
        }
    }
}

/// Takes values apart that make the beginning of a span larger than a sub-buffer. It would be written in
/// parts, and a span of which the beginning is not one record is unknown to those that lie in it: the
/// fields that fit are known to them, the others are recorded behind.
fn too_much(values: &[u8], slot: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    // The smallest sub-buffer holds these.
    const FEW: usize = 3 << 10;
    if values.len() <= FEW {
        return None;
    }
    // Leases and anchors need some of the room.
    recorded::fitting(values, own_channel(slot)?.room() as usize / 8 * 7)
}

impl RelayLayer {
    fn own<'a, R: LookupSpan<'a>>(&self, span: &SpanRef<'a, R>) -> Option<Arc<Span>> {
        let extensions = span.extensions();
        let spans = extensions.get::<Spans>()?;
        spans.0.iter().find(|own| own.relay == self.relays.number).map(Arc::clone)
    }

    /// The id of the span, or of the nearest around it that this relay records, once the channel in
    /// `slot` knows it; 0 for none.
    #[inline]
    fn present<'a, R: LookupSpan<'a>>(&self, span: &SpanRef<'a, R>, slot: usize) -> u64 {
        if let Some(spans) = span.extensions().get::<Spans>()
            && let Some(own) = spans.0.iter().find(|own| own.relay == self.relays.number)
            && own.is_told(slot)
        {
            return own.id;
        }
        self.make_present(span, slot)
    }

    #[cold]
    fn make_present<'a, R: LookupSpan<'a>>(&self, span: &SpanRef<'a, R>, slot: usize) -> u64 {
        let mut nearest = 0;
        for around in span.scope().from_root() {
            if let Some(own) = self.own(&around) {
                own.tell(slot);
                nearest = own.id;
            }
        }
        nearest
    }
}

/// Writes an event in a span; in none when that is 0.
#[inline(always)]
fn write_event(relays: &Relays, pass: Pass, callsite: &StaticCallsite, span: u64, values: &[u8]) {
    let done = if span == 0 {
        sink::write(pass, values.len(), |p| p.put(values))
    } else {
        let (kind, len) = (Kind::SpanEvent, 8 + values.len());
        append_in(pass.era(), pass.slot(), kind, pass.number(), len, |p| {
            p.put_u64(span);
            p.put(values);
        })
    };
    if !done {
        write_event_slow(relays, pass.slot(), callsite, span, values);
    }
}

#[cold]
#[inline(never)]
fn write_event_slow(
    relays: &Relays,
    slot: usize,
    callsite: &StaticCallsite,
    span: u64,
    values: &[u8],
) {
    let kind = if span == 0 { Kind::Event } else { Kind::SpanEvent };
    let prefix = span.to_le_bytes();
    let prefix = if span == 0 { &[][..] } else { &prefix[..] };
    match callsite.ensure_described(slot) {
        Some(id) => {
            append(slot, kind, id, prefix.len() + values.len(), |p| {
                p.put(prefix);
                p.put(values);
            });
        }
        // An inline event has no place for its span but a field.
        None => scratch::with(|mut more| {
            more.put(values);
            if span != 0 {
                more.put_name("relay.span");
                more.put_fixed(Type::U64, span.to_le_bytes());
            }
            sink::inline(slot, &callsite.description(), more.bytes());
        }),
    }
    relays.written(slot, callsite.level);
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RelayLayer {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let site = site(attrs.metadata());
        let pass = self.relays.pass(&site.callsite);
        let Some(span) = ctx.span(id).filter(|_| pass.is_wanted()) else {
            return;
        };
        let slot = pass.slot();
        let parent = span.parent().map_or(0, |parent| self.present(&parent, slot));
        let values = scratch::with(|scratch| {
            let mut values = site.values(scratch);
            attrs.record(&mut values);
            values.scratch.bytes().to_vec()
        });
        let own = Arc::new(Span {
            relay: self.relays.number,
            id: NEXT_SPAN.fetch_add(1, Relaxed),
            parent,
            site,
            slot,
            told: AtomicU64::new(0),
            values: parking_lot::Mutex::new(values),
        });
        own.tell(slot);
        let mut extensions = span.extensions_mut();
        if let Some(spans) = extensions.get_mut::<Spans>() {
            spans.0.push(own);
        } else {
            extensions.insert(Spans(vec![own]));
        }
    }

    fn on_record(&self, id: &span::Id, record: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(own) = ctx.span(id).and_then(|span| self.own(&span)) else {
            return;
        };
        scratch::with(|scratch| {
            let mut values = own.site.values(scratch);
            record.record(&mut values);
            let values = values.scratch.bytes();
            // First for channels that are told later: at worst a value is there twice.
            let fields = own.site.callsite.fields;
            recorded::put(&mut own.values.lock(), values, |index| {
                fields.get(usize::from(index)).map(|(name, ..)| *name)
            });
            own.write_where_told(Kind::SpanRecord, values);
        });
    }

    fn on_follows_from(&self, id: &span::Id, follows: &span::Id, ctx: Context<'_, S>) {
        if let Some(own) = ctx.span(id).and_then(|span| self.own(&span))
            && let Some(follows) = ctx.span(follows)
        {
            let other = self.present(&follows, own.slot);
            if other != 0 {
                own.write_where_told(Kind::SpanFollows, &other.to_le_bytes());
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let site = site(event.metadata());
        let pass = self.relays.pass(&site.callsite);
        if !pass.is_wanted() {
            return;
        }
        // To ask the registry for the current span costs as much as a record.
        let none = event.is_root() || event.is_contextual() && !ENTERED.get();
        let span = if none { 0 } else { self.span_of(event, &ctx, pass.slot()) };
        scratch::with(|scratch| {
            let mut values = site.values(scratch);
            event.record(&mut values);
            write_event(self.relays, pass, &site.callsite, span, values.scratch.bytes());
        });
    }

    fn on_enter(&self, id: &span::Id, ctx: Context<'_, S>) {
        ENTERED.set(true);
        self.pass(Kind::SpanEnter, id, &ctx);
    }

    fn on_exit(&self, id: &span::Id, ctx: Context<'_, S>) {
        self.pass(Kind::SpanExit, id, &ctx);
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        if let Some(own) = ctx.span(&id).and_then(|span| self.own(&span)) {
            own.write_where_told(Kind::SpanClose, &[]);
        }
    }
}

impl RelayLayer {
    /// The id of the span that an event is in, once the channel in `slot` knows it; 0 for none.
    #[inline(never)]
    fn span_of<S>(&self, event: &Event<'_>, ctx: &Context<'_, S>, slot: usize) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        ctx.event_span(event).map_or(0, |span| self.present(&span, slot))
    }

    #[inline]
    fn pass<S>(&self, kind: Kind, id: &span::Id, ctx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(span) = ctx.span(id)
            && let Some(own) = self.own(&span)
        {
            if !own.is_told(own.slot) {
                self.make_present(&span, own.slot);
            }
            own.write(own.slot, kind, &[]);
        }
    }
}
