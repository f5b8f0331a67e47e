//! Buffers for tests.

use super::{Format, Options, Renderer, View};
use jiff::tz::TimeZone;
use relay_fmt::block::RowBuffer;
use relay_fmt::bytes::put_prefixed;
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source, Span};
use relay_fmt::value::{Layout, Type, put_name, put_str};
use std::sync::Arc;

/// 2026-11-24T13:00:00.123456789Z
pub(crate) const TIME: i64 = 1_795_525_200_123_456_789;

/// A buffer with one source and one run.
pub(crate) fn buffer() -> RowBuffer {
    RowBuffer {
        sources: vec![Source {
            id: ChannelId([0xab; 16]),
            channel: "app".into(),
            pid: 1234,
            program: "shop".into(),
            host: "box".into(),
            boot: [0; 16],
            opened_ns: 0,
        }],
        runs: vec![Run {
            source: 0,
            sub_buffer: 0,
            generation: 0,
            from: 0,
            to: 0,
            prior_generations: 0,
            prior_records: 0,
            records: 0,
            writer: 5,
            first_number: 40,
            tid: 1235,
            nesting: 0,
            thread: b"main".to_vec(),
            floor_ns: i64::MIN,
        }],
        ..RowBuffer::default()
    }
}

/// A callsite with sparse values whose first field is the message.
pub(crate) fn site(level: Level, target: &str, fields: &[&str]) -> Callsite {
    let declared =
        |name: &&str| Field { name: (*name).into(), of: Type::Tagged, argument_only: false };
    Callsite {
        level,
        facade: Facade::TracingEvent,
        layout: Layout::Sparse,
        line: 7,
        target: target.into(),
        module: "shop::cart".into(),
        file: "src/cart.rs".into(),
        name: "event".into(),
        template: "{0}".into(),
        fields: std::iter::once(&"message").chain(fields).map(declared).collect(),
    }
}

/// Adds a callsite; answers what rows call it.
pub(crate) fn add_site(buffer: &mut RowBuffer, callsite: Callsite) -> u32 {
    buffer.callsites.push(Arc::new(callsite));
    buffer.callsites.len() as u32
}

/// Adds a span of `name` whose only field is `field`.
pub(crate) fn add_span(
    buffer: &mut RowBuffer,
    [id, parent]: [u64; 2],
    name: &str,
    field: &str,
    values: Vec<u8>,
) {
    let mut callsite = site(Level::Info, "shop", &[]);
    callsite.facade = Facade::TracingSpan;
    callsite.name = name.into();
    callsite.template = String::new();
    callsite.fields[0].name = field.into();
    buffer.spans.push(Span {
        source: 0,
        id,
        parent,
        callsite: Arc::new(callsite),
        values,
        since_ns: TIME,
    });
}

/// A sparse string value.
pub(crate) fn text(index: u8, bytes: &[u8]) -> Vec<u8> {
    let of = if std::str::from_utf8(bytes).is_ok() { Type::Str } else { Type::Bytes };
    let mut out = vec![index];
    put_str(&mut out, of, bytes);
    out
}

/// A sparse integer value.
pub(crate) fn int(index: u8, value: i64) -> Vec<u8> {
    let mut out = vec![index, Type::I64 as u8];
    out.extend_from_slice(&value.to_le_bytes());
    out
}

/// A sparse value that brings its name.
pub(crate) fn named(name: &str, tagged: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_name(&mut out, name);
    out.extend_from_slice(tagged);
    out
}

/// An inline event's payload.
pub(crate) fn inline(callsite: &Callsite, values: &[u8]) -> Vec<u8> {
    let (mut description, mut out) = (Vec::new(), Vec::new());
    callsite.encode(&mut description);
    put_prefixed(&mut out, &description);
    out.extend_from_slice(values);
    out
}

/// One row of each kind that shows `bytes` wherever a person's text can stand.
pub(crate) fn everywhere(bytes: &[u8]) -> RowBuffer {
    let mut b = buffer();
    let name = String::from_utf8_lossy(bytes).into_owned();
    b.sources[0].channel.clone_from(&name);
    b.sources[0].program.clone_from(&name);
    b.sources[0].host.clone_from(&name);
    b.runs[0].thread = bytes.to_vec();
    let mut callsite = site(Level::Warn, &name, &[&name]);
    callsite.file.clone_from(&name);
    callsite.module.clone_from(&name);
    callsite.name.clone_from(&name);
    add_span(&mut b, [1, 0], &name, &name, text(0, bytes));
    add_span(&mut b, [2, 1], &name, &name, text(0, bytes));
    let mut payload = [text(0, bytes), text(1, bytes)].concat();
    payload.extend(named(&name, &text(0, bytes)[1..]));
    let brought = inline(&callsite, &payload);
    let c = add_site(&mut b, callsite);
    b.push(0, Kind::Event, c, 0, TIME, &payload);
    b.push(0, Kind::SpanEvent, c, 2, TIME + 1, &payload);
    b.push(0, Kind::Raw, 0, 0, TIME, bytes);
    b.push(0, Kind::InlineEvent, 0, 0, TIME, &brought);
    b.push(0, Kind::SpanNew, c, 2, TIME, &[&[0; 8][..], &payload].concat());
    b.push(0, Kind::SpanEnter, 0, 2, TIME, &[]);
    b.push(0, Kind::SpanRecord, c, 2, TIME, &payload);
    b.push(0, Kind::SpanFollows, 0, 2, TIME, &[9, 0, 0, 0, 0, 0, 0, 0]);
    b.push(0, Kind::SpanClose, 0, 2, TIME, &[]);
    b.push(0, Kind::Fragment, 0, 0, TIME, bytes);
    b
}

/// What a renderer makes of a buffer, in a zone an hour ahead.
pub(crate) fn render(buffer: &RowBuffer, options: Options) -> Vec<u8> {
    let mut renderer = Renderer::new(&options.zone(TimeZone::fixed(jiff::tz::offset(1))));
    let mut out = Vec::new();
    for event in View::new(buffer).events() {
        renderer.render(&event, &mut out);
    }
    out
}

/// The lines of a buffer, rows about spans too.
pub(crate) fn lines(buffer: &RowBuffer, format: Format) -> Vec<String> {
    let out = render(buffer, Options::default().format(format).spans(true));
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}
