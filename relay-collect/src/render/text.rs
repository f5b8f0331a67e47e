//! Lines for people.
//!
//! ```text
//! 2026-11-24T14:00:00.123456+01:00 INFO  shop::cart: request{id=7}:query{table=users}: added 3 items user="J B"
//! ```

use super::clock::{Clock, Digits};
use super::escape::{self, Place};
use super::event::{Event, SpanView, is_span, kind_name};
use super::sites::{Keys, Show, Sites, last_values};
use super::value;
use clap::builder::styling::{AnsiColor, Style};
use jiff::tz::TimeZone;
use relay_fmt::callsite::{Callsite, Level};
use relay_fmt::record::Kind;

/// What the lines of one callsite have in common.
#[derive(Debug, Clone)]
struct Site {
    /// `INFO  `
    level: Vec<u8>,
    /// `shop::cart: `
    target: Vec<u8>,
    keys: Keys,
}

/// Writes events as lines for people.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    clock: Clock,
    paint: Paint,
    process: bool,
    sites: Sites<Site>,
    span_keys: Sites<Keys>,
    message: Vec<u8>,
    scratch: Vec<u8>,
    key: Vec<u8>,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

const fn level_style(level: Level) -> Style {
    match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Trace => AnsiColor::Magenta.on_default(),
    }
}

impl Paint {
    fn on(self, style: Style, out: &mut Vec<u8>) {
        if self.0 {
            // Writing to a vector cannot fail.
            drop(style.write_to(out));
        }
    }

    fn off(self, style: Style, out: &mut Vec<u8>) {
        if self.0 {
            drop(style.write_reset_to(out));
        }
    }

    fn key(self, name: &str, out: &mut Vec<u8>) {
        self.on(DIM, out);
        escape::token(name.as_bytes(), out);
        out.push(b'=');
        self.off(DIM, out);
    }

    fn target(self, target: &str, out: &mut Vec<u8>) {
        self.on(DIM, out);
        escape::escape(target.as_bytes(), Place::Bare, out);
        out.push(b':');
        self.off(DIM, out);
        out.push(b' ');
    }

    fn level(self, level: Level, out: &mut Vec<u8>) {
        let style = level_style(level);
        self.on(style, out);
        out.extend_from_slice(level.as_str().as_bytes());
        self.off(style, out);
        out.extend(std::iter::repeat_n(b' ', 6usize.saturating_sub(level.as_str().len())));
    }

    fn site(self, callsite: &Callsite) -> Site {
        let (mut level, mut target) = (Vec::new(), Vec::new());
        self.level(callsite.level, &mut level);
        self.target(&callsite.target, &mut target);
        let show = Show::of(callsite, Show::Rest);
        let keys = Keys::new(callsite, show, |name, out| self.key(name, out));
        Site { level, target, keys }
    }
}

impl Text {
    pub(crate) fn new(zone: TimeZone, color: bool, process: bool) -> Self {
        Self {
            clock: Clock::local(zone),
            paint: Paint(color),
            process,
            sites: Sites::new(),
            span_keys: Sites::new(),
            message: Vec::new(),
            scratch: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Appends the line, without its end.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let paint = self.paint;
        paint.on(DIM, out);
        self.clock.put(event.row.time_ns, Digits::Six, out);
        paint.off(DIM, out);
        out.push(b' ');
        let place = event.place();
        let site = place.map(|c| self.sites.get(c, |c| paint.site(c)));
        match (site, event.level()) {
            (Some(site), _) => out.extend_from_slice(&site.level),
            (None, Some(level)) => paint.level(level, out),
            (None, None) => out.extend_from_slice(b"-     "),
        }
        if self.process {
            put_process(event, out);
        }
        match site {
            Some(site) => out.extend_from_slice(&site.target),
            None => paint.target(&event.source.channel, out),
        }
        self.put_spans(event, out);
        self.message.clear();
        let (mut error, mut message) = (None, event.values);
        if event.row.kind != Kind::Raw {
            error = event.write_message(&mut self.message).err();
            message = &self.message;
        }
        if let Some(kind) = kind_name(event.row.kind).filter(|_| event.row.kind != Kind::Raw) {
            out.extend_from_slice(kind.as_bytes());
            out.push(b' ');
        }
        escape::escape(message, Place::Bare, out);
        if is_span(event.row.kind) {
            out.push(b'#');
            super::clock::put_number(event.row.span, out);
        }
        error = error.or(self.put_fields(event, out));
        if let Some(error) = error {
            out.extend_from_slice(b" !malformed=");
            escape::token(error.what.as_bytes(), out);
        }
    }

    /// Appends ` key=value` for each field that the message does not show.
    fn put_fields(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Option<relay_fmt::Error> {
        let paint = self.paint;
        if let Some(other) = event.follows() {
            out.push(b' ');
            paint.key("follows", out);
            super::clock::put_number(other, out);
        }
        let (callsite, values) = (event.callsite?, event.fields()?);
        let site = self.sites.get(callsite, |c| paint.site(c));
        if !site.keys.any() {
            return None;
        }
        for field in values {
            let field = match field {
                Ok(field) => field,
                Err(error) => return Some(error),
            };
            let key = site.keys.key(&field, &mut self.key, |n, o| paint.key(n, o));
            let Some(key) = key else { continue };
            out.push(b' ');
            out.extend_from_slice(key);
            value::token(&field.value, &mut self.scratch, out);
        }
        None
    }

    /// Appends `outer{field=value}:inner: `; a row about a span does not show that span here.
    fn put_spans(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let about = is_span(event.row.kind).then_some(event.row.span);
        let spans = event.spans.iter().filter(|s| about != Some(s.span.id));
        let mut any = false;
        for span in spans {
            if any {
                out.push(b':');
            }
            any = true;
            self.put_span(span, out);
        }
        if any {
            out.extend_from_slice(b": ");
        }
    }

    fn put_span(&mut self, span: &SpanView<'_>, out: &mut Vec<u8>) {
        let paint = self.paint;
        paint.on(BOLD, out);
        escape::escape(span.name().as_bytes(), Place::Bare, out);
        paint.off(BOLD, out);
        let keys = self.span_keys.get(&span.span.callsite, |c| {
            Keys::new(c, Show::Every, |name, out| paint.key(name, out))
        });
        if !keys.any() {
            return;
        }
        let (fields, error) = last_values(span.values(), keys);
        if fields.is_empty() && error.is_none() {
            return;
        }
        out.push(b'{');
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            let key = keys.key(field, &mut self.key, |n, o| paint.key(n, o));
            out.extend_from_slice(key.unwrap_or_default());
            value::token(&field.value, &mut self.scratch, out);
        }
        if error.is_some() {
            out.extend_from_slice(b" !malformed");
        }
        out.push(b'}');
    }
}

/// Appends `app[1234]/worker `.
fn put_process(event: &Event<'_>, out: &mut Vec<u8>) {
    escape::token(event.source.channel.as_bytes(), out);
    out.push(b'[');
    super::clock::put_number(event.source.pid.into(), out);
    out.extend_from_slice(b"]/");
    if event.run.thread.is_empty() {
        super::clock::put_number(event.run.tid.into(), out);
    } else {
        escape::token(&event.run.thread, out);
    }
    out.push(b' ');
}
