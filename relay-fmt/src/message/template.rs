//! Templates: text and holes, in the syntax of `format!` with the holes naming fields by index.
//!
//! ```text
//! hole      := '{' field [ ':' spec ] '}'          a literal brace is doubled
//! spec      := [ [ fill ] align ] [ sign ] [ '#' ] [ '0' ] [ width ] [ '.' precision ] type
//! width     := integer | field '$'
//! precision := integer | field '$'                 '.*' names its field by the time it is stored
//! type      := '' | '?' | 'x?' | 'X?' | 'x' | 'X' | 'o' | 'b' | 'e' | 'E' | 'p'
//! ```

use super::render::{Align, Kind, Spec};
use super::{Slots, fill, with_values};
use crate::bytes::{Error, Result};
use crate::callsite::Callsite;
use crate::value::Value;

/// The field that holds a width or a precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) usize);

/// A hole: which field, and how to print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) field: usize,
    pub(super) spec: Spec,
    /// Replaces the spec's width, where a field holds it.
    pub(super) width: Option<Count>,
    /// Replaces the spec's precision, where a field holds it.
    pub(super) precision: Option<Count>,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands; a doubled brace ends a text, so that it can be borrowed.
    Text(&'a str),
    Hole(Hole),
}

/// Walks the pieces of a template. Nothing follows an error.
#[derive(Debug, Clone)]
pub(super) struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    pub(super) const fn new(template: &'a str) -> Self {
        Self { rest: template }
    }

    fn piece(&mut self) -> Result<Piece<'a>> {
        let brace = self.rest.find(['{', '}']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(brace);
        if let Some((one, rest)) = doubled(rest) {
            // The first brace belongs to the text before it.
            let end = text.len() + one.len();
            let text = self.rest.get(..end).unwrap_or(text);
            self.rest = rest;
            return Ok(Piece::Text(text));
        }
        if !text.is_empty() {
            self.rest = rest;
            return Ok(Piece::Text(text));
        }
        let mut input = Scan { rest };
        if !input.eat('{') {
            return Err(Error::new("a template closes a brace that is not open"));
        }
        let hole = input.hole()?;
        self.rest = input.rest;
        Ok(Piece::Hole(hole))
    }
}

/// Splits a doubled brace into one brace and what follows.
fn doubled(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("{{").or_else(|| text.strip_prefix("}}"))?;
    Some((text.get(..1)?, rest))
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let piece = self.piece();
        if piece.is_err() {
            self.rest = "";
        }
        Some(piece)
    }
}

struct Scan<'a> {
    rest: &'a str,
}

impl Scan<'_> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn eat_one(&mut self, of: &str) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| of.contains(*c))?;
        self.eat(c).then_some(c)
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some(number)
    }

    /// After the opening brace, through the closing one.
    fn hole(&mut self) -> Result<Hole> {
        let field = self.number();
        let field = field.ok_or(Error::new("a hole of a template names no field"))?;
        let mut hole = Hole { field, spec: Spec::PLAIN, width: None, precision: None };
        if self.eat(':') {
            self.spec(&mut hole)?;
        }
        if self.eat('}') {
            Ok(hole)
        } else {
            Err(Error::new("a hole of a template has an unknown spec"))
        }
    }

    fn spec(&mut self, hole: &mut Hole) -> Result<()> {
        let align = |c: char| Align::from_char(c);
        let mut chars = self.rest.chars();
        match (chars.next(), chars.next()) {
            (Some(fill), Some(next)) if align(next).is_some() => {
                hole.spec.fill = fill;
                hole.spec.align = align(next);
                self.rest = chars.as_str();
            }
            (Some(first), _) if align(first).is_some() => {
                hole.spec.align = align(first);
                self.eat(first);
            }
            _ => {}
        }
        // `-` is accepted and means nothing to any type of std.
        hole.spec.plus = self.eat_one("+-") == Some('+');
        hole.spec.alternate = self.eat('#');
        // `0$` is a width, not the flag.
        hole.spec.zero = !self.rest.starts_with("0$") && self.eat('0');
        let width = self.count()?;
        hole.spec.width = width.fixed.unwrap_or(0);
        hole.width = width.field;
        if self.eat('.') {
            let precision = self.count()?;
            if precision.fixed.is_none() && precision.field.is_none() {
                return Err(Error::new("a hole of a template has an empty precision"));
            }
            hole.spec.precision = precision.fixed;
            hole.precision = precision.field;
        }
        hole.spec.kind = self.kind();
        Ok(())
    }

    fn count(&mut self) -> Result<FixedOrField> {
        let none = FixedOrField { fixed: None, field: None };
        let Some(number) = self.number() else {
            return Ok(none);
        };
        if self.eat('$') {
            let field = Some(Count(number));
            return Ok(FixedOrField { field, ..none });
        }
        let fixed = u16::try_from(number).map_err(|_| Error::new("a width is larger than 65535"));
        let fixed = Some(fixed?);
        Ok(FixedOrField { fixed, ..none })
    }

    fn kind(&mut self) -> Kind {
        const KINDS: [(&str, Kind); 10] = [
            ("?", Kind::Debug),
            ("x?", Kind::DebugLowerHex),
            ("X?", Kind::DebugUpperHex),
            ("x", Kind::LowerHex),
            ("X", Kind::UpperHex),
            ("o", Kind::Octal),
            ("b", Kind::Binary),
            ("e", Kind::LowerExp),
            ("E", Kind::UpperExp),
            // Pointers are printed at the call: what is left to render is text.
            ("p", Kind::Display),
        ];
        for (name, kind) in KINDS {
            if let Some(rest) = self.rest.strip_prefix(name) {
                self.rest = rest;
                return kind;
            }
        }
        Kind::Display
    }
}

struct FixedOrField {
    fixed: Option<u16>,
    field: Option<Count>,
}

/// The texts before, between and behind the holes of a template; `None` unless the holes name the
/// fields in their order, each once, and print them as `{}` does.
#[cfg(feature = "archive")]
pub(crate) fn plain_texts(template: &str) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    for piece in Pieces::new(template) {
        match piece.ok()? {
            Piece::Text(text) => texts.last_mut()?.push_str(text),
            Piece::Hole(hole) => {
                let plain = Hole {
                    field: texts.len() - 1,
                    spec: Spec::PLAIN,
                    width: None,
                    precision: None,
                };
                if hole != plain {
                    return None;
                }
                texts.push(String::new());
            }
        }
    }
    Some(texts)
}

/// A callsite's template, parsed once.
///
/// ```
/// use relay_fmt::{message::Template, value::Value};
///
/// let template = Template::parse("request {0} took {1:>8.2} ms")?;
/// let mut out = Vec::new();
/// template.write(&[Value::U32(7), Value::F64(1.5)], &mut out)?;
/// assert_eq!(out, b"request 7 took     1.50 ms");
/// # Ok::<(), relay_fmt::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Part>,
}

/// As [`Piece`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When a brace is unmatched, a hole names no field by index, or its spec is unknown.
    pub fn parse(template: &str) -> Result<Self> {
        let mut pieces: Vec<Part> = Vec::new();
        for piece in Pieces::new(template) {
            match (piece?, pieces.last_mut()) {
                (Piece::Text(text), Some(Part::Text(before))) => before.push_str(text),
                (Piece::Text(text), _) => pieces.push(Part::Text(text.into())),
                (Piece::Hole(hole), _) => pieces.push(Part::Hole(hole)),
            }
        }
        Ok(Self { pieces })
    }

    /// Appends the text with `values` in the holes, by index.
    ///
    /// # Errors
    /// When a hole names a value that is not there, or a width is no number up to 65535; what was
    /// appended until then stays.
    pub fn write(&self, values: &[Value<'_>], out: &mut Vec<u8>) -> Result<()> {
        let slots: Vec<_> = values.iter().copied().map(Some).collect();
        self.write_slots(&slots, out)
    }

    /// Appends the message of a record of the callsite that this template was parsed for.
    ///
    /// # Errors
    /// As [`super::write_message`].
    pub fn write_record(
        &self,
        callsite: &Callsite,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        with_values(callsite, payload, |values| self.write_slots(values, out))
    }

    fn write_slots(&self, values: &Slots<'_>, out: &mut Vec<u8>) -> Result<()> {
        self.pieces.iter().try_for_each(|piece| match piece {
            Part::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Part::Hole(hole) => fill(hole, values, out),
        })
    }
}
