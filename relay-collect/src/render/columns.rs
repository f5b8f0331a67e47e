//! Only some parts of each record, in the order they were asked for.
//!
//! Text is values separated by tabs, `-` where a record has none; logfmt leaves out what it has not.
//! JSON has the same keys as otherwise, only fewer of them: a field is in `fields`, a span's field in
//! `spans`.

use super::clock::{Clock, Digits, put_number};
use super::event::{Event, kind_name, last_value};
use super::json::{put_bytes, put_integer, put_key};
use super::object::Object;
use super::sites::{Keys, Show, Sites};
use super::{Format, escape, json, logfmt, value};
use crate::query::Name;
use jiff::tz::TimeZone;
use relay_fmt::callsite::{Level, Values};
use relay_fmt::value::{FieldValue, Value};

/// A part of a record that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column(Of);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    /// One of [`KNOWN`].
    Known(&'static str),
    /// A field of the innermost span around the event that has it.
    SpanField(String),
    /// A field of the event.
    Field(Name),
}

/// What every record may have, by the names that JSON has for it.
const KNOWN: [&str; 19] = [
    "time", "level", "target", "kind", "message", "span", "follows", "error", "module", "file",
    "line", "channel", "pid", "tid", "thread", "program", "host", "source", "writer",
];
/// The same, of which JSON shows numbers or objects.
const NUMBER: &str = "number";
const FIELDS: &str = "fields";
const SPANS: &str = "spans";

impl Column {
    /// What a name means: `time`, `level`, `target` and the other keys of JSON; `span.NAME` is a field
    /// of a span around the record, `field.NAME` and any other name a field of its own. `None`: no
    /// name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let known = KNOWN.into_iter().chain([NUMBER, FIELDS, SPANS]).find(|known| *known == name);
        let of = match (known, name.strip_prefix("span."), name.strip_prefix("field.")) {
            (Some(known), ..) => Of::Known(known),
            (_, Some(field), _) => Of::SpanField(field.to_owned()),
            (.., Some(field)) => Of::Field(field.into()),
            _ => Of::Field(name.into()),
        };
        let empty = match &of {
            Of::Known(_) => false,
            Of::SpanField(name) => name.is_empty(),
            Of::Field(name) => name.as_str().is_empty(),
        };
        (!empty).then_some(Self(of))
    }

    /// The name of a field of events, if it is one.
    pub(crate) const fn field(&self) -> Option<&Name> {
        match &self.0 {
            Of::Field(name) => Some(name),
            _ => None,
        }
    }
}

/// Writes chosen parts of events.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    format: Format,
    clock: Clock,
    columns: Vec<Of>,
    /// Which fields are shown where all are asked for.
    keys: Sites<Keys>,
    text: Vec<u8>,
    scratch: Vec<u8>,
}

impl Columns {
    pub(crate) fn new(format: Format, zone: TimeZone, columns: &[Column]) -> Self {
        let clock = if format == Format::Json { Clock::utc() } else { Clock::local(zone) };
        let columns = columns.iter().map(|column| column.0.clone()).collect();
        Self { format, clock, columns, keys: Sites::new(), text: Vec::new(), scratch: Vec::new() }
    }

    /// Appends the line, without its end.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let columns = std::mem::take(&mut self.columns);
        if self.format == Format::Json {
            self.write_json(&columns, event, out);
        } else {
            let begin = out.len();
            for (i, column) in columns.iter().enumerate() {
                let has = self.plain(column, event);
                if self.format == Format::Text {
                    out.extend(std::iter::repeat_n(b'\t', usize::from(i > 0)));
                    let text = if has { &self.text[..] } else { b"-" };
                    escape::escape(text, escape::Place::Bare, out);
                } else if has {
                    out.extend(std::iter::repeat_n(b' ', usize::from(out.len() > begin)));
                    logfmt::put_name(&column.key(), out);
                    out.push(b'=');
                    escape::token(&self.text, out);
                }
            }
        }
        self.columns = columns;
    }

    /// Puts a part's text into [`Self::text`]; whether the event has it.
    fn plain(&mut self, column: &Of, event: &Event<'_>) -> bool {
        let text = &mut self.text;
        text.clear();
        let value = match column {
            Of::Known(name) => return self.known(name, event),
            Of::SpanField(name) => {
                event.spans.iter().rev().find_map(|span| last_value(span.values(), name))
            }
            Of::Field(name) => {
                let own = event.fields().and_then(|values| last_value(values, name.as_str()));
                let has = own.is_some() || self.member(name.as_str(), event);
                if has {
                    name.see();
                }
                if own.is_none() {
                    return has;
                }
                own
            }
        };
        let text = &mut self.text;
        if let Some(value) = &value {
            value::plain(value, text);
        }
        value.is_some()
    }

    /// As [`Self::plain`], for what a message that is an object has under this name.
    fn member(&mut self, name: &str, event: &Event<'_>) -> bool {
        self.scratch.clear();
        let _ = event.write_message(&mut self.scratch);
        let member = Object::of(&self.scratch).and_then(|object| object.find(name));
        member.inspect(|member| member.put_plain(&mut self.text)).is_some()
    }

    fn known(&mut self, name: &str, event: &Event<'_>) -> bool {
        let (text, place) = (&mut self.text, event.place());
        let (source, run) = (event.source, event.run);
        let number = match name {
            "line" => place.map_or(0, |site| site.line.into()),
            "span" => event.row.span,
            "follows" => event.follows().unwrap_or(0),
            "pid" => source.pid.into(),
            "tid" => run.tid.into(),
            _ => 0,
        };
        match name {
            "time" => {
                let nine = self.format == Format::Logfmt;
                let digits = if nine { Digits::Nine } else { Digits::Six };
                self.clock.put(event.row.time_ns, digits, text);
            }
            "level" => text.extend_from_slice(event.level().map_or("", Level::as_str).as_bytes()),
            "target" => text.extend_from_slice(place.map_or("", |p| &p.target).as_bytes()),
            "module" => text.extend_from_slice(place.map_or("", |p| &p.module).as_bytes()),
            "file" => text.extend_from_slice(place.map_or("", |p| &p.file).as_bytes()),
            "kind" => {
                text.extend_from_slice(kind_name(event.row.kind).unwrap_or_default().as_bytes())
            }
            // What parsed is the message.
            "message" => return event.write_message(text).is_ok() || !text.is_empty(),
            "error" => text.extend_from_slice(error(event, &mut self.scratch).as_bytes()),
            "channel" => text.extend_from_slice(source.channel.as_bytes()),
            "thread" => text.extend_from_slice(&run.thread),
            "program" => text.extend_from_slice(source.program.as_bytes()),
            "host" => text.extend_from_slice(source.host.as_bytes()),
            "source" => text.extend_from_slice(source.id.to_string().as_bytes()),
            "writer" => put_number(run.writer, text),
            NUMBER => put_number(event.row.number, text),
            FIELDS => {
                for (i, (name, value)) in shown(event, &mut self.keys).iter().enumerate() {
                    text.extend(std::iter::repeat_n(b' ', usize::from(i > 0)));
                    logfmt::put_name(name, text);
                    text.push(b'=');
                    value::token(value, &mut self.scratch, text);
                }
            }
            SPANS => {
                for (i, span) in event.spans.iter().enumerate() {
                    text.extend(std::iter::repeat_n(b':', usize::from(i > 0)));
                    text.extend_from_slice(span.name().as_bytes());
                }
            }
            _ if number != 0 => put_number(number, text),
            _ => {}
        }
        !self.text.is_empty()
    }

    fn write_json(&mut self, columns: &[Of], event: &Event<'_>, out: &mut Vec<u8>) {
        let (mut fields, mut spans) = (false, false);
        out.push(b'{');
        for column in columns {
            match column {
                Of::Field(_) | Of::Known(FIELDS) => {
                    if !std::mem::replace(&mut fields, true) {
                        out.extend_from_slice(b"\"fields\":");
                        let mut named = last_values(event.fields());
                        named.retain(|(name, _)| see_field(columns, name));
                        if columns.contains(&Of::Known(FIELDS)) {
                            let all = shown(event, &mut self.keys);
                            named.retain(|(name, _)| all.iter().all(|(other, _)| other != name));
                            named.extend(all);
                        }
                        put_object(&named, out);
                        self.put_members(columns, &named, event, out);
                        out.push(b',');
                    }
                }
                Of::SpanField(_) | Of::Known(SPANS) => {
                    if !std::mem::replace(&mut spans, true) {
                        put_spans(columns, event, out);
                    }
                }
                Of::Known(name) => self.put_known(name, event, out),
            }
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
    }

    /// Adds to the object that `out` ends with what is asked for of a message that is an object.
    fn put_members(
        &mut self,
        columns: &[Of],
        named: &[(String, Value<'_>)],
        event: &Event<'_>,
        out: &mut Vec<u8>,
    ) {
        self.scratch.clear();
        let _ = event.write_message(&mut self.scratch);
        let Some(object) = Object::of(&self.scratch) else { return };
        if named.is_empty() && columns.contains(&Of::Known(FIELDS)) {
            out.truncate(out.len() - 2);
            return object.put_json(out);
        }
        let mut any = !named.is_empty();
        out.pop();
        for column in columns {
            let Of::Field(name) = column else { continue };
            if named.iter().any(|(known, _)| known == name.as_str()) {
                continue;
            }
            if let Some(member) = object.find(name.as_str()) {
                name.see();
                out.extend(std::iter::repeat_n(
                    b',',
                    usize::from(std::mem::replace(&mut any, true)),
                ));
                put_key(name.as_str(), out);
                member.put_json(out);
            }
        }
        out.push(b'}');
    }

    fn put_known(&mut self, name: &'static str, event: &Event<'_>, out: &mut Vec<u8>) {
        match name {
            "time" => {
                out.extend_from_slice(b"\"time\":\"");
                self.clock.put(event.row.time_ns, Digits::Nine, out);
                out.extend_from_slice(b"\",");
            }
            "pid" => put_integer(name, event.source.pid.into(), out),
            "tid" => put_integer(name, event.run.tid.into(), out),
            "writer" => put_integer(name, event.run.writer, out),
            NUMBER => put_integer(name, event.row.number, out),
            "span" | "follows" | "line" => {
                self.text.clear();
                if self.known(name, event) {
                    put_key(name, out);
                    out.append(&mut self.text);
                    out.push(b',');
                }
            }
            _ => {
                self.text.clear();
                let always = matches!(name, "message" | "thread" | "program" | "host");
                if self.known(name, event) || always {
                    put_bytes(name, &self.text, out);
                }
            }
        }
    }
}

impl Of {
    /// Its key in logfmt.
    fn key(&self) -> String {
        match self {
            Self::Known("message") => "msg".to_owned(),
            Self::Known(name) => (*name).to_owned(),
            Self::SpanField(name) => format!("span.{name}"),
            Self::Field(name) => name.as_str().to_owned(),
        }
    }
}

/// Whether a field of this name, which an event has, is asked for.
fn see_field(columns: &[Of], name: &str) -> bool {
    let mut fields = columns.iter().filter_map(|column| match column {
        Of::Field(field) if field.as_str() == name => Some(field),
        _ => None,
    });
    fields.next().inspect(|field| field.see()).is_some()
}

/// What is wrong with a record whose values do not parse; else nothing.
fn error(event: &Event<'_>, scratch: &mut Vec<u8>) -> &'static str {
    scratch.clear();
    let of_fields = || event.fields().and_then(|mut values| values.find_map(Result::err));
    let wrong = event.write_message(scratch).err().or_else(of_fields);
    wrong.map_or("", |error| error.what)
}

fn last_values<'v>(values: Option<Values<'v>>) -> Vec<(String, Value<'v>)> {
    last_of(values.into_iter().flatten().map_while(Result::ok))
}

/// Each name once, with its last value.
fn last_of<'v>(values: impl Iterator<Item = FieldValue<'v>>) -> Vec<(String, Value<'v>)> {
    let mut all: Vec<(String, _)> = Vec::new();
    for field in values {
        let unnamed = || field.index.map(|index| index.to_string()).unwrap_or_default();
        let name = if field.name.is_empty() { unnamed() } else { field.name.into_owned() };
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = field.value,
            None => all.push((name, field.value)),
        }
    }
    all
}

/// The fields that JSON shows where it shows all.
fn shown<'v>(event: &Event<'v>, sites: &mut Sites<Keys>) -> Vec<(String, Value<'v>)> {
    let Some(callsite) = event.callsite else { return Vec::new() };
    let keys = sites.get(callsite, |callsite| {
        Keys::new(callsite, Show::of(callsite, Show::All), |name, out| {
            out.extend_from_slice(name.as_bytes());
        })
    });
    let values = event.fields().into_iter().flatten().map_while(Result::ok);
    last_of(values.filter(|field| keys.shows(field)))
}

/// Appends an object.
fn put_object(values: &[(String, Value<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in values.iter().enumerate() {
        out.extend(std::iter::repeat_n(b',', usize::from(i > 0)));
        put_key(name, out);
        value::json(value, out);
    }
    out.push(b'}');
}

fn put_spans(columns: &[Of], event: &Event<'_>, out: &mut Vec<u8>) {
    let all = columns.contains(&Of::Known(SPANS));
    let wanted = |name: &str| {
        all || columns.iter().any(|c| matches!(c, Of::SpanField(field) if field == name))
    };
    out.extend_from_slice(b"\"spans\":[");
    for (i, span) in event.spans.iter().enumerate() {
        out.extend(std::iter::repeat_n(b',', usize::from(i > 0)));
        json::put_span_head(span, out);
        let mut values = last_values(Some(span.values()));
        values.retain(|(name, _)| wanted(name));
        put_object(&values, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],");
}
