//! What the program says about a log statement once, so that its records need not repeat it.

use crate::bytes::{Cursor, Error, Result, put_prefixed, put_varint};
use crate::value::{FieldValue, Layout, NAMED, Type, Value};
use std::borrow::Cow;

/// How urgent a record is. Smaller is more urgent, as in `log` and `tracing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names everyone knows")]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
    Trace = 5,
}

impl Level {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level of this number.
    #[must_use]
    pub const fn from_u8(level: u8) -> Option<Self> {
        Some(match level {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            5 => Self::Trace,
            _ => return None,
        })
    }

    /// Its name in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

impl std::str::FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|l| l.as_str().eq_ignore_ascii_case(text));
        found.ok_or(Error::new("a level is one of error, warn, info, debug, trace"))
    }
}

/// Which interface the statement used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Facade {
    /// The `log` crate.
    Log = 1,
    /// A `tracing` event.
    TracingEvent = 2,
    /// A `tracing` span.
    TracingSpan = 3,
    /// Relay's own macros.
    Relay = 4,
    /// Relay itself: resizes, hand-overs, the collector's notes.
    Internal = 5,
}

impl Facade {
    const fn from_u8(facade: u8) -> Option<Self> {
        Some(match facade {
            1 => Self::Log,
            2 => Self::TracingEvent,
            3 => Self::TracingSpan,
            4 => Self::Relay,
            5 => Self::Internal,
            _ => return None,
        })
    }
}

/// A declared field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name; empty for a positional argument of a template.
    pub name: String,
    /// Its type; [`Type::Tagged`] where values bring their own.
    pub of: Type,
    /// Whether it is an argument of the template only, or also a key-value to be shown.
    pub argument_only: bool,
}

/// A described log statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Callsite {
    /// How urgent.
    pub level: Level,
    /// Which interface.
    pub facade: Facade,
    /// How its records' values are laid out.
    pub layout: Layout,
    /// Line in the file; 0 when not known.
    pub line: u32,
    /// What filters go by.
    pub target: String,
    /// Module path; empty when not known.
    pub module: String,
    /// Source file; empty when not known.
    pub file: String,
    /// A span's or event's name; empty when it has none.
    pub name: String,
    /// The message in the syntax of `format!`, its holes naming fields by index: `took {0:.2} ms`.
    pub template: String,
    /// The declared fields.
    pub fields: Vec<Field>,
}

const VERSION: u8 = 1;
const MAX_FIELDS: usize = 1024;

impl Callsite {
    /// Appends the description.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head = [VERSION, self.level as u8, self.facade as u8, self.layout as u8];
        out.extend_from_slice(&head);
        put_varint(out, u64::from(self.line));
        for text in [&self.target, &self.module, &self.file, &self.name, &self.template] {
            put_prefixed(out, text.as_bytes());
        }
        put_varint(out, self.fields.len() as u64);
        for field in &self.fields {
            out.push(field.of as u8 | if field.argument_only { 0x80 } else { 0 });
            put_prefixed(out, field.name.as_bytes());
        }
    }

    /// Reads a description that fills `bytes`.
    ///
    /// # Errors
    /// When the version is newer, a number is unknown, or something is cut short or left over.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut input = Cursor::new(bytes);
        if input.u8()? != VERSION {
            return Err(Error::new("a callsite is of a newer version"));
        }
        let level = Level::from_u8(input.u8()?).ok_or(Error::new("a callsite has no level"))?;
        let facade = Facade::from_u8(input.u8()?).ok_or(Error::new("a callsite has no facade"))?;
        let layout = match input.u8()? {
            0 => Layout::Packed,
            1 => Layout::Sparse,
            _ => return Err(Error::new("a callsite has an unknown layout")),
        };
        let line = u32::try_from(input.varint()?).map_err(|_| Error::new("a line is too large"))?;
        let mut text = || input.text().map(str::to_owned);
        let (target, module, file) = (text()?, text()?, text()?);
        let (name, template) = (text()?, text()?);
        let count = input.varint_len()?;
        if count > MAX_FIELDS {
            return Err(Error::new("a callsite has too many fields"));
        }
        let mut fields = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let tag = input.u8()?;
            let of = Type::from_u8(tag & 0x7f).ok_or(Error::new("a field has an unknown type"))?;
            let name = input.text()?.to_owned();
            fields.push(Field { name, of, argument_only: tag & 0x80 != 0 });
        }
        if !input.is_empty() {
            return Err(Error::new("a callsite has something left over"));
        }
        Ok(Self { level, facade, layout, line, target, module, file, name, template, fields })
    }

    /// The values of a record of this callsite.
    ///
    /// Ends with an error at the first value that does not parse.
    #[must_use]
    pub fn values<'a>(&'a self, payload: &'a [u8]) -> Values<'a> {
        Values { callsite: self, input: Cursor::new(payload), next: 0, failed: false }
    }
}

/// Walks the values of a record. See [`Callsite::values`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    callsite: &'a Callsite,
    input: Cursor<'a>,
    next: usize,
    failed: bool,
}

impl<'a> Values<'a> {
    fn read(&mut self) -> Result<Option<FieldValue<'a>>> {
        match self.callsite.layout {
            Layout::Packed => {
                let Some(field) = self.callsite.fields.get(self.next) else {
                    return if self.input.is_empty() {
                        Ok(None)
                    } else {
                        Err(Error::new("a record has more values than its callsite"))
                    };
                };
                let value = Value::parse(&mut self.input, field.of)?;
                let index = Some(self.next);
                self.next += 1;
                Ok(Some(FieldValue { index, name: Cow::Borrowed(&field.name), value }))
            }
            Layout::Sparse if self.input.is_empty() => Ok(None),
            Layout::Sparse => {
                let index = self.input.u8()?;
                if index == NAMED {
                    let name = Cow::Borrowed(self.input.text()?);
                    let value = Value::parse_tagged(&mut self.input)?;
                    return Ok(Some(FieldValue { index: None, name, value }));
                }
                let field = self.callsite.fields.get(usize::from(index));
                let field = field.ok_or(Error::new("a record names a field that is none"))?;
                let value = Value::parse_tagged(&mut self.input)?;
                let name = Cow::Borrowed(field.name.as_str());
                Ok(Some(FieldValue { index: Some(usize::from(index)), name, value }))
            }
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<FieldValue<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read();
        self.failed = read.is_err();
        read.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_type() -> impl Strategy<Value = Type> {
        (0u8..30).prop_map(|tag| Type::from_u8(tag).unwrap())
    }

    prop_compose! {
        fn any_callsite()(
            level in 1u8..=5, facade in 1u8..=5, sparse: bool, line: u32,
            target: String, module: String, file: String, name: String, template: String,
            fields in prop::collection::vec((any::<String>(), any_type(), any::<bool>()), 0..20),
        ) -> Callsite {
            Callsite {
                level: Level::from_u8(level).unwrap(),
                facade: Facade::from_u8(facade).unwrap(),
                layout: if sparse { Layout::Sparse } else { Layout::Packed },
                line, target, module, file, name, template,
                fields: fields.into_iter()
                    .map(|(name, of, argument_only)| Field { name, of, argument_only })
                    .collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn callsites_come_back(callsite in any_callsite()) {
            let mut bytes = Vec::new();
            callsite.encode(&mut bytes);
            prop_assert_eq!(Callsite::decode(&bytes).unwrap(), callsite);
        }

        #[test]
        fn any_payload_ends(callsite in any_callsite(), payload: Vec<u8>) {
            let most = payload.len() + callsite.fields.len() + 1;
            prop_assert!(callsite.values(&payload).count() <= most);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Callsite::decode(&bytes);
        }
    }
}
