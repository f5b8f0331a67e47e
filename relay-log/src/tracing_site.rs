//! `tracing` callsites and the values of their fields.

use crate::callsite::StaticCallsite;
use crate::filter;
use crate::scratch::Scratch;
use crate::table::{Table, mix};
use relay_fmt::callsite::Facade;
use relay_fmt::value::{Layout, NAMED, Type};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use tracing_core::Metadata;
use tracing_core::field::{Field, Visit};

/// A span's or event's metadata, and what Relay knows about it.
#[derive(Debug)]
pub(crate) struct Site {
    metadata: &'static Metadata<'static>,
    /// The index of the field that is the message; [`NO_MESSAGE`] for none.
    message: usize,
    pub(crate) callsite: StaticCallsite,
}

/// No field's index.
const NO_MESSAGE: usize = usize::MAX;

static SITES: Table<Site> = Table::new();
/// Those that found no place in the table: there are as many as the program has statements.
static MORE: parking_lot::Mutex<Option<HashMap<usize, &'static Site>>> =
    parking_lot::Mutex::new(None);

#[inline(always)]
fn hash(metadata: &'static Metadata<'static>) -> u64 {
    mix(&[std::ptr::from_ref(metadata).addr() as u64])
}

/// What Relay knows about a span's or event's metadata.
#[inline(always)]
pub(crate) fn site(metadata: &'static Metadata<'static>) -> &'static Site {
    let at_home = SITES.at_home(hash(metadata), |site| std::ptr::eq(site.metadata, metadata));
    match at_home {
        Some(site) => site,
        None => find(metadata),
    }
}

#[inline(never)]
fn find(metadata: &'static Metadata<'static>) -> &'static Site {
    let is = |site: &Site| std::ptr::eq(site.metadata, metadata);
    let found = SITES.find(hash(metadata), is, || Site::new(metadata));
    found.unwrap_or_else(|| more(metadata))
}

#[cold]
fn more(metadata: &'static Metadata<'static>) -> &'static Site {
    let mut more = MORE.lock();
    let more = more.get_or_insert_default();
    let key = std::ptr::from_ref(metadata).addr();
    more.entry(key).or_insert_with(|| Box::leak(Box::new(Site::new(metadata))))
}

impl Site {
    fn new(metadata: &'static Metadata<'static>) -> Self {
        let message = metadata.fields().iter().position(|field| field.name() == "message");
        Self { metadata, message: message.unwrap_or(NO_MESSAGE), callsite: new_site(metadata) }
    }

    /// Puts values of this site's into scratch memory.
    #[inline(always)]
    pub(crate) fn values<'b>(&self, scratch: Scratch<'b>) -> Values<'b> {
        Values { scratch, message: self.message }
    }
}

fn new_site(metadata: &'static Metadata<'static>) -> StaticCallsite {
    let fields: Vec<_> = metadata
        .fields()
        .iter()
        .map(|field| (field.name(), Type::Tagged, field.name() == "message" && metadata.is_event()))
        .collect();
    let template: &'static str = match fields.iter().position(|(.., message)| *message) {
        Some(index) => Box::leak(format!("{{{index}}}").into_boxed_str()),
        None => "",
    };
    // The name that `tracing` makes up repeats file and line.
    let made_up = metadata.is_event() && metadata.name().starts_with("event ");
    let level = filter::from_tracing(*metadata.level());
    StaticCallsite::new(
        level,
        if metadata.is_span() { Facade::TracingSpan } else { Facade::TracingEvent },
        metadata.line().unwrap_or(0),
        metadata.target(),
        metadata.module_path().unwrap_or(""),
        metadata.file().unwrap_or(""),
        if made_up { "" } else { metadata.name() },
        template,
        Box::leak(fields.into_boxed_slice()),
        Layout::Sparse,
    )
}

/// A field's index, where a record can say it.
#[inline(always)]
fn index(field: &Field) -> Option<u8> {
    u8::try_from(field.index()).ok().filter(|index| *index != NAMED)
}

/// Puts each value with its field's index and its type. All fields are those of one site.
#[derive(Debug)]
pub(crate) struct Values<'b> {
    pub(crate) scratch: Scratch<'b>,
    message: usize,
}

impl Values<'_> {
    /// Puts a field's index, or its name where there are too many, and a value of fixed width.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self, field: &Field, of: Type, bytes: [u8; N]) {
        match index(field) {
            Some(index) => self.scratch.put_field(index, of, bytes),
            None => self.named_fixed(field, of, bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn named_fixed<const N: usize>(&mut self, field: &Field, of: Type, bytes: [u8; N]) {
        self.scratch.put_name(field.name());
        self.scratch.put_fixed(of, bytes);
    }

    #[inline(always)]
    fn text(&mut self, field: &Field, of: Type, text: &[u8]) {
        match index(field) {
            Some(index) => self.scratch.put_field_str(index, of, text),
            None => self.named_text(field, of, text),
        }
    }

    #[cold]
    #[inline(never)]
    fn named_text(&mut self, field: &Field, of: Type, text: &[u8]) {
        self.scratch.put_name(field.name());
        self.scratch.put_str(of, text);
    }

    #[inline(always)]
    fn printed(&mut self, field: &Field, of: Type, text: fmt::Arguments<'_>) {
        match index(field) {
            Some(index) => self.scratch.put_field_text(index, of, text),
            None => self.named_printed(field, of, text),
        }
    }

    #[cold]
    #[inline(never)]
    fn named_printed(&mut self, field: &Field, of: Type, text: fmt::Arguments<'_>) {
        self.scratch.put_name(field.name());
        self.scratch.put_text(of, text);
    }
}

impl Visit for Values<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fixed(field, Type::U64, value.to_le_bytes());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fixed(field, Type::I64, value.to_le_bytes());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.fixed(field, Type::U128, value.to_le_bytes());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.fixed(field, Type::I128, value.to_le_bytes());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fixed(field, Type::F64, value.to_le_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fixed(field, Type::Bool, [u8::from(value)]);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Type::Str, value.as_bytes());
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.text(field, Type::Bytes, value);
    }

    /// The error and what caused it, each behind a colon.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.printed(field, Type::Text, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let of = if field.index() == self.message { Type::Str } else { Type::Text };
        self.printed(field, of, format_args!("{value:?}"));
    }
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
