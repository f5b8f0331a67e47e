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

struct Site {
    metadata: &'static Metadata<'static>,
    callsite: StaticCallsite,
}

static SITES: Table<Site> = Table::new();
/// Those that found no place in the table: there are as many as the program has statements.
static MORE: parking_lot::Mutex<Option<HashMap<usize, &'static StaticCallsite>>> =
    parking_lot::Mutex::new(None);

/// The callsite of a span's or event's metadata.
#[inline]
pub(crate) fn site(metadata: &'static Metadata<'static>) -> &'static StaticCallsite {
    let hash = mix(&[std::ptr::from_ref(metadata).addr() as u64]);
    let is = |site: &Site| std::ptr::eq(site.metadata, metadata);
    match SITES.find(hash, is, || Site { metadata, callsite: new_site(metadata) }) {
        Some(site) => &site.callsite,
        None => more(metadata),
    }
}

#[cold]
fn more(metadata: &'static Metadata<'static>) -> &'static StaticCallsite {
    let mut more = MORE.lock();
    let more = more.get_or_insert_default();
    let key = std::ptr::from_ref(metadata).addr();
    more.entry(key).or_insert_with(|| Box::leak(Box::new(new_site(metadata))))
}

fn new_site(metadata: &'static Metadata<'static>) -> StaticCallsite {
    let fields: Vec<_> = metadata
        .fields()
        .iter()
        .map(|field| (field.name(), Type::Tagged, is_message(&field) && metadata.is_event()))
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

#[inline]
fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

/// Puts each value with its field's index and its type.
pub(crate) struct Values<'s, 'b>(pub(crate) &'s mut Scratch<'b>);

impl Values<'_, '_> {
    /// Puts a field's index, or its name where there are too many, and a value of fixed width.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self, field: &Field, of: Type, bytes: [u8; N]) {
        match index(field) {
            Some(index) => self.0.put_field(index, of, bytes),
            None => {
                self.0.put_name(field.name());
                self.0.put_fixed(of, bytes);
            }
        }
    }

    #[inline(always)]
    fn text(&mut self, field: &Field, of: Type, text: &[u8]) {
        match index(field) {
            Some(index) => self.0.put_field_str(index, of, text),
            None => {
                self.0.put_name(field.name());
                self.0.put_str(of, text);
            }
        }
    }

    #[inline(always)]
    fn printed(&mut self, field: &Field, of: Type, text: fmt::Arguments<'_>) {
        match index(field) {
            Some(index) => self.0.put_field_text(index, of, text),
            None => {
                self.0.put_name(field.name());
                self.0.put_text(of, text);
            }
        }
    }
}

impl Visit for Values<'_, '_> {
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
        let of = if is_message(field) { Type::Str } else { Type::Text };
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
