//! Events as output: text for people, JSON and logfmt for programs, or the bare message.
//!
//! A [`View`] joins the rows of a buffer with what they refer to; a [`Renderer`] appends each
//! [`Event`] to a byte buffer as one line. Nothing in a message can forge a line or reach the
//! terminal as a control sequence, except in [`Format::Raw`], which is the message byte for byte.
//!
//! ```
//! use relay_collect::render::{Format, Options, Renderer, View};
//! let buffer = relay_fmt::block::RowBuffer::default();
//! let mut renderer = Renderer::new(&Options::default().format(Format::Json));
//! let mut out = Vec::new();
//! for event in View::new(&buffer).events() {
//!     renderer.render(&event, &mut out);
//! }
//! assert!(out.is_empty());
//! ```

mod clock;
mod columns;
mod contents;
mod escape;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod forging;
mod json;
pub(crate) mod level;
mod logfmt;
mod object;
#[cfg(test)]
mod schema;
mod sites;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod value;

pub use columns::Column;
pub use contents::Contents;
pub use escape::{escape_text, unescape};
pub(crate) use event::last_value;
pub use event::{Event, MAX_SPANS, SpanView, View, is_span, kind_name};
pub(crate) use object::{Member, Object};

use jiff::tz::TimeZone;

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line (docs/format/json.md).
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// The message alone, byte for byte.
    Raw,
}

/// What a [`Renderer`] is made with.
///
/// | option | default |
/// |---|---|
/// | format | text |
/// | zone | the system's |
/// | color | no |
/// | process | no |
/// | spans | no |
/// | nul | no |
/// | columns | all that the format shows |
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    format: Format,
    zone: Option<TimeZone>,
    color: bool,
    process: bool,
    spans: bool,
    nul: bool,
    columns: Vec<Column>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Text,
            zone: None,
            color: false,
            process: false,
            spans: false,
            nul: false,
            columns: Vec::new(),
        }
    }
}

impl Options {
    /// Sets the format. Default: text.
    pub const fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets the time zone of text and logfmt; JSON is always UTC. Default: the system's.
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Colours text with ANSI sequences; the caller knows whether a terminal reads it (write
    /// through `anstream`, which takes them out where none does). Default: no.
    pub const fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// Shows channel, process and thread in text. Default: no.
    pub const fn process(mut self, process: bool) -> Self {
        self.process = process;
        self
    }

    /// Shows the beginning, entering, leaving and end of spans too. Default: no.
    pub const fn spans(mut self, spans: bool) -> Self {
        self.spans = spans;
        self
    }

    /// Shows only these, in this order; none: what the format shows. Default: none.
    pub fn columns(mut self, columns: Vec<Column>) -> Self {
        self.columns = columns;
        self
    }

    /// Ends each record with NUL instead of a newline. Default: no.
    pub const fn nul(mut self, nul: bool) -> Self {
        self.nul = nul;
        self
    }
}

/// Turns events into bytes. Keeps what lines have in common; make one and use it for all events.
#[derive(Debug, Clone)]
pub struct Renderer {
    writer: Writer,
    spans: bool,
    end: u8,
}

#[derive(Debug, Clone)]
enum Writer {
    Text(Box<text::Text>),
    Json(Box<json::Json>),
    Logfmt(Box<logfmt::Logfmt>),
    Columns(Box<columns::Columns>),
    Raw,
}

impl Renderer {
    /// A renderer with these options.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let zone = || options.zone.clone().unwrap_or_else(TimeZone::system);
        let writer = match options.format {
            Format::Text | Format::Json | Format::Logfmt if !options.columns.is_empty() => {
                let columns = columns::Columns::new(options.format, zone(), &options.columns);
                Writer::Columns(Box::new(columns))
            }
            Format::Text => {
                let text = text::Text::new(zone(), options.color, options.process);
                Writer::Text(Box::new(text))
            }
            Format::Json => Writer::Json(Box::new(json::Json::new())),
            Format::Logfmt => Writer::Logfmt(Box::new(logfmt::Logfmt::new(zone()))),
            Format::Raw => Writer::Raw,
        };
        Self { writer, spans: options.spans, end: if options.nul { 0 } else { b'\n' } }
    }

    /// Appends the event and the end of its line. Answers whether it is shown: rows about spans
    /// are not unless [`Options::spans`] says so.
    ///
    /// A record whose values do not parse is shown as far as they do; text, JSON and logfmt say
    /// what is wrong with it.
    pub fn render(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        if is_span(event.row.kind) && !self.spans {
            return false;
        }
        match &mut self.writer {
            Writer::Text(text) => text.write(event, out),
            Writer::Json(json) => json.write(event, out),
            Writer::Logfmt(logfmt) => logfmt.write(event, out),
            Writer::Columns(columns) => columns.write(event, out),
            // What does parse of a malformed message is the message; the other formats say more.
            Writer::Raw => drop(event.write_message(out)),
        }
        out.push(self.end);
        true
    }
}
