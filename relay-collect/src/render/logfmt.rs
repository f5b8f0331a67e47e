//! `key=value` lines, for programs that split on spaces.

use super::clock::{Clock, Digits, put_number};
use super::escape;
use super::event::{Event, SpanView, kind_name};
use super::object::Object;
use super::sites::{Keys, Origin, Show, Sites, last_values};
use super::value;
use relay_fmt::callsite::{Callsite, Values};

/// What the lines of one callsite have in common.
#[derive(Debug, Clone)]
struct Site {
    /// ` level=info target=shop::cart`
    head: Vec<u8>,
    keys: Keys,
}

/// Writes events as `key=value` lines.
#[derive(Debug, Clone)]
pub(crate) struct Logfmt {
    clock: Clock,
    sites: Sites<Site>,
    spans: Sites<Keys>,
    origin: Origin,
    message: Vec<u8>,
    scratch: Vec<u8>,
    key: Vec<u8>,
}

/// Appends ` name=`. What logfmt forbids in a key becomes `_`.
fn put_key(name: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    put_name(name, out);
    out.push(b'=');
}

pub(super) fn put_name(name: &str, out: &mut Vec<u8>) {
    for c in name.chars() {
        let bad = escape::is_dangerous(c) || c.is_whitespace() || matches!(c, '=' | '"' | '\\');
        let c = if bad { '_' } else { c };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if name.is_empty() {
        out.push(b'_');
    }
}

fn put_word(key: &str, bytes: &[u8], out: &mut Vec<u8>) {
    put_key(key, out);
    escape::token(bytes, out);
}

fn make_site(callsite: &Callsite) -> Site {
    let mut head = Vec::new();
    let level = callsite.level.as_str().to_ascii_lowercase();
    put_word("level", level.as_bytes(), &mut head);
    put_word("target", callsite.target.as_bytes(), &mut head);
    Site { head, keys: Keys::new(callsite, Show::of(callsite, Show::All), put_key) }
}

fn make_span_keys(callsite: &Callsite) -> Keys {
    Keys::new(callsite, Show::Every, |field, out| {
        put_key(&format!("span.{}.{field}", callsite.name), out);
    })
}

fn put_origin(event: &Event<'_>, out: &mut Vec<u8>) {
    put_word("channel", event.source.channel.as_bytes(), out);
    put_key("pid", out);
    put_number(event.source.pid.into(), out);
    put_word("thread", &event.run.thread, out);
}

fn put_fields(
    values: Values<'_>,
    keys: &Keys,
    [key, scratch]: [&mut Vec<u8>; 2],
    write: impl Fn(&str, &mut Vec<u8>),
    out: &mut Vec<u8>,
) -> Option<relay_fmt::Error> {
    if !keys.any() {
        return None;
    }
    let (fields, error) = last_values(values, keys);
    for field in &fields {
        let written = keys.key(field, key, &write);
        out.extend_from_slice(written.unwrap_or_default());
        value::token(&field.value, scratch, out);
    }
    error
}

impl Logfmt {
    pub(crate) fn new(zone: jiff::tz::TimeZone) -> Self {
        Self {
            clock: Clock::local(zone),
            sites: Sites::new(),
            spans: Sites::new(),
            origin: Origin::default(),
            message: Vec::new(),
            scratch: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Appends the line, without its end.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"time=");
        self.clock.put(event.row.time_ns, Digits::Nine, out);
        let site = event.place().map(|c| self.sites.get(c, make_site));
        if let Some(site) = site {
            out.extend_from_slice(&site.head);
        }
        if let Some(kind) = kind_name(event.row.kind) {
            put_word("kind", kind.as_bytes(), out);
        }
        self.message.clear();
        let mut wrong = event.write_message(&mut self.message).err();
        put_word("msg", &self.message, out);
        let buffers = [&mut self.key, &mut self.scratch];
        let begin = out.len();
        if let (Some(site), Some(values)) = (site, event.fields()) {
            wrong = wrong.or(put_fields(values, &site.keys, buffers, put_key, out));
        }
        if out.len() == begin
            && let Some(object) = Object::of(&self.message)
        {
            let members = object.members();
            // Not a second time beside what the message calls so.
            if site.is_none()
                && let Some(level) = event.level()
                && !members.iter().any(|(name, _)| name == "level")
            {
                put_word("level", level.as_str().to_ascii_lowercase().as_bytes(), out);
            }
            for (name, member) in members {
                put_key(&name, out);
                self.scratch.clear();
                member.put_plain(&mut self.scratch);
                escape::token(&self.scratch, out);
            }
        }
        for span in event.spans {
            wrong = wrong.or(self.put_span(span, out));
        }
        if let Some(other) = event.follows() {
            put_key("follows", out);
            put_number(other, out);
        }
        if let Some(error) = wrong {
            put_word("error", error.what.as_bytes(), out);
        }
        out.extend_from_slice(self.origin.get(event, put_origin));
    }

    fn put_span(&mut self, span: &SpanView<'_>, out: &mut Vec<u8>) -> Option<relay_fmt::Error> {
        let mut key = Vec::new();
        out.extend_from_slice(b" span.");
        put_name(span.name(), &mut key);
        out.append(&mut key);
        out.push(b'=');
        put_number(span.span.id, out);
        let keys = self.spans.get(&span.span.callsite, make_span_keys);
        let write = |field: &str, out: &mut Vec<u8>| {
            put_key(&format!("span.{}.{field}", span.name()), out);
        };
        let buffers = [&mut self.key, &mut self.scratch];
        put_fields(span.values(), keys, buffers, write, out)
    }
}
