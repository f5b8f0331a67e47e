//! One JSON object a line. The schema is `docs/format/event.schema.json`, its description
//! `docs/format/json.md`.

use super::clock::{Clock, Digits, put_number};
use super::escape;
use super::event::{Event, SpanView, kind_name};
use super::object::Object;
use super::sites::{Keys, Origin, Show, Sites, last_values};
use super::value;
use relay_fmt::callsite::{Callsite, Values};
use std::io::Write as _;

/// What the objects of one callsite have in common.
#[derive(Debug, Clone)]
struct Site {
    /// `"level":"INFO","target":"shop::cart",`
    head: Vec<u8>,
    /// `"module":"shop::cart","file":"src/cart.rs","line":7,`
    tail: Vec<u8>,
    keys: Keys,
}

/// What the objects of one span's callsite have in common.
#[derive(Debug, Clone)]
struct SpanSite {
    /// `{"name":"request","id":`
    head: Vec<u8>,
    keys: Keys,
}

/// Writes events as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Json {
    clock: Clock,
    sites: Sites<Site>,
    spans: Sites<SpanSite>,
    origin: Origin,
    message: Vec<u8>,
    key: Vec<u8>,
}

pub(super) fn put_key(name: &str, out: &mut Vec<u8>) {
    escape::json(name, out);
    out.push(b':');
}

/// Appends `"key":"text",`, or `"key_b64":"…",` where the bytes are not UTF-8.
pub(super) fn put_bytes(key: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.extend_from_slice(b"\":");
        escape::json(text, out);
    } else {
        out.extend_from_slice(b"_b64\":\"");
        escape::base64(bytes, out);
        out.push(b'"');
    }
    out.push(b',');
}

/// Appends `"key":7,`.
pub(super) fn put_integer(key: &str, value: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    put_number(value, out);
    out.push(b',');
}

fn make_site(callsite: &Callsite) -> Site {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    put_bytes("level", callsite.level.as_str().as_bytes(), &mut head);
    put_bytes("target", callsite.target.as_bytes(), &mut head);
    for (key, text) in [("module", &callsite.module), ("file", &callsite.file)] {
        if !text.is_empty() {
            put_bytes(key, text.as_bytes(), &mut tail);
        }
    }
    if callsite.line != 0 {
        put_integer("line", callsite.line.into(), &mut tail);
    }
    let keys = Keys::new(callsite, Show::of(callsite, Show::All), put_key);
    Site { head, tail, keys }
}

fn make_span_site(callsite: &Callsite) -> SpanSite {
    let mut head = Vec::new();
    put_span_name(callsite, &mut head);
    SpanSite { head, keys: Keys::new(callsite, Show::Every, put_key) }
}

fn put_span_name(callsite: &Callsite, out: &mut Vec<u8>) {
    out.push(b'{');
    put_bytes("name", callsite.name.as_bytes(), out);
    out.extend_from_slice(b"\"id\":");
}

/// Appends `{"name":"request","id":1,"fields":`.
pub(super) fn put_span_head(span: &SpanView<'_>, out: &mut Vec<u8>) {
    put_span_name(&span.span.callsite, out);
    put_number(span.span.id, out);
    out.extend_from_slice(b",\"fields\":");
}

fn put_origin(event: &Event<'_>, out: &mut Vec<u8>) {
    let source = event.source;
    put_bytes("channel", source.channel.as_bytes(), out);
    put_integer("pid", source.pid.into(), out);
    put_integer("tid", event.run.tid.into(), out);
    put_bytes("thread", &event.run.thread, out);
    put_bytes("program", source.program.as_bytes(), out);
    put_bytes("host", source.host.as_bytes(), out);
    let _ = write!(out, "\"source\":\"{}\",", source.id);
}

/// Appends the fields as an object.
fn put_fields(
    values: Option<Values<'_>>,
    keys: &Keys,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Option<relay_fmt::Error> {
    out.push(b'{');
    let mut wrong = None;
    if let Some(values) = values.filter(|_| keys.any()) {
        let (fields, error) = last_values(values, keys);
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let key = keys.key(field, scratch, put_key);
            out.extend_from_slice(key.unwrap_or_default());
            value::json(&field.value, out);
        }
        wrong = error;
    }
    out.push(b'}');
    wrong
}

impl Json {
    pub(crate) fn new() -> Self {
        Self {
            clock: Clock::utc(),
            sites: Sites::new(),
            spans: Sites::new(),
            origin: Origin::default(),
            message: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Appends the object, without the line's end.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        self.clock.put(event.row.time_ns, Digits::Nine, out);
        out.extend_from_slice(b"\",");
        let site = event.place().map(|c| self.sites.get(c, make_site));
        if let Some(site) = site {
            out.extend_from_slice(&site.head);
        } else if let Some(level) = event.level() {
            put_bytes("level", level.as_str().as_bytes(), out);
        }
        if let Some(kind) = kind_name(event.row.kind) {
            put_bytes("kind", kind.as_bytes(), out);
        }
        self.message.clear();
        let mut wrong = event.write_message(&mut self.message).err();
        put_bytes("message", &self.message, out);
        out.extend_from_slice(b"\"fields\":");
        let begin = out.len();
        match site {
            Some(site) => {
                let found = put_fields(event.fields(), &site.keys, &mut self.key, out);
                wrong = wrong.or(found);
            }
            None => out.extend_from_slice(b"{}"),
        }
        // A record without fields whose message is an object has its members.
        if out.get(begin..) == Some(b"{}")
            && let Some(object) = Object::of(&self.message)
        {
            out.truncate(begin);
            object.put_json(out);
        }
        out.extend_from_slice(b",\"spans\":[");
        for (i, span) in event.spans.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            wrong = wrong.or(put_span(span, &mut self.spans, &mut self.key, out));
        }
        out.extend_from_slice(b"],");
        if event.row.span != 0 && event.spans.is_empty() || kind_name(event.row.kind).is_some() {
            put_integer("span", event.row.span, out);
        }
        if let Some(other) = event.follows() {
            put_integer("follows", other, out);
        }
        if let Some(error) = wrong {
            put_bytes("error", error.what.as_bytes(), out);
            out.extend_from_slice(b"\"payload_b64\":\"");
            escape::base64(event.row.payload, out);
            out.extend_from_slice(b"\",");
        }
        if let Some(site) = site {
            out.extend_from_slice(&site.tail);
        }
        out.extend_from_slice(self.origin.get(event, put_origin));
        put_integer("number", event.row.number, out);
        put_integer("writer", event.run.writer, out);
        out.pop();
        out.push(b'}');
    }
}

fn put_span(
    span: &SpanView<'_>,
    sites: &mut Sites<SpanSite>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Option<relay_fmt::Error> {
    let site = sites.get(&span.span.callsite, make_span_site);
    out.extend_from_slice(&site.head);
    put_number(span.span.id, out);
    out.extend_from_slice(b",\"fields\":");
    let wrong = put_fields(Some(span.values()), &site.keys, scratch, out);
    out.push(b'}');
    wrong
}
