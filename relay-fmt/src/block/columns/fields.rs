//! Typed fields of a class: which value of its columns each is, without a payload.

use super::decode::Class;
use super::members::{At, Places};
use super::program::Op;
use super::strings;
use crate::callsite::Callsite;
use crate::value::{Layout, MAX_DEPTH, NAMED, Type};
use std::collections::BTreeSet;

/// Where a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// An integer, float or string of this type.
    Column(Type, At),
    /// `None`, or `()`.
    Unit(bool),
    /// The formatted text of the message.
    Text,
    /// In several columns, or within another value.
    Other,
}

/// A field of every row of a class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) source: Source,
    /// Whether the fields before it always parse.
    pub(super) certain: bool,
}

/// The field of this name, the last one where there are several; `None` where the class has none.
///
/// # Errors
/// When the class is not what its callsite says.
pub(super) fn find(
    class: &Class<'_>,
    site: &Callsite,
    name: &str,
) -> Result<Option<Found>, Strange> {
    let mut walk = Walk { class, places: Places::default(), ops: class.ops.iter(), rest: &[] };
    let (mut found, mut certain, mut several) = (None, true, false);
    let mut next = 0;
    while let Some((index, own, of)) = walk.begin(site, &mut next)? {
        let source = walk.value(of, 0)?;
        let same = match index {
            Some(index) if own.is_empty() => name.parse() == Ok(index),
            _ => own == name.as_bytes(),
        };
        if same {
            several |= found.is_some();
            found = Some(Found { source, certain });
        }
        certain &= match source {
            Source::Column(of, _) => !matches!(of, Type::Char | Type::Str | Type::Text),
            Source::Unit(_) => true,
            Source::Text | Source::Other => false,
        };
    }
    // Where one does not parse, an earlier one of the same name would count.
    if several && found.is_some_and(|found| !found.certain) {
        return Err(Strange);
    }
    Ok(found)
}

/// Adds the names of all fields; an argument without a name has its number.
///
/// # Errors
/// When the class is not what its callsite says.
pub(super) fn names(
    class: &Class<'_>,
    site: &Callsite,
    names: &mut BTreeSet<String>,
) -> Result<(), Strange> {
    let mut walk = Walk { class, places: Places::default(), ops: class.ops.iter(), rest: &[] };
    let mut next = 0;
    while let Some((index, own, of)) = walk.begin(site, &mut next)? {
        walk.value(of, 0)?;
        names.insert(match index {
            Some(index) if own.is_empty() => index.to_string(),
            _ => String::from_utf8_lossy(own).into_owned(),
        });
    }
    Ok(())
}

/// Values that are not what the callsite says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strange;

struct Walk<'c> {
    class: &'c Class<'c>,
    places: Places,
    ops: std::slice::Iter<'c, Op>,
    /// Constant bytes that were not looked at yet.
    rest: &'c [u8],
}

type Walked<T> = Result<T, Strange>;
/// Index, name and type of a field.
type Begun<'c> = (Option<usize>, &'c [u8], Type);

impl<'c> Walk<'c> {
    /// Index, name and type of the next field.
    fn begin(&mut self, site: &'c Callsite, next: &mut usize) -> Walked<Option<Begun<'c>>> {
        if site.layout == Layout::Packed {
            let Some(field) = site.fields.get(*next) else {
                return if self.is_at_end() { Ok(None) } else { Err(Strange) };
            };
            *next += 1;
            return Ok(Some((Some(*next - 1), field.name.as_bytes(), field.of)));
        }
        if self.is_at_end() {
            return Ok(None);
        }
        let [index] = self.array()?;
        if index == NAMED {
            return Ok(Some((None, self.name()?, Type::Tagged)));
        }
        let field = site.fields.get(usize::from(index)).ok_or(Strange)?;
        Ok(Some((Some(usize::from(index)), field.name.as_bytes(), Type::Tagged)))
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty() && self.ops.as_slice().is_empty()
    }

    fn bytes(&mut self, len: usize) -> Walked<&'c [u8]> {
        if self.rest.is_empty() {
            let Some(Op::Literal(reference)) = self.ops.next() else { return Err(Strange) };
            self.rest = strings::slice(self.class.program, *reference);
        }
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Strange)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Walked<[u8; N]> {
        let mut array = [0; N];
        for byte in &mut array {
            *byte = *self.bytes(1)?.first().ok_or(Strange)?;
        }
        Ok(array)
    }

    /// A name. Longer ones are not looked for.
    fn name(&mut self) -> Walked<&'c [u8]> {
        let [len] = self.array()?;
        if len > 127 { Err(Strange) } else { self.bytes(usize::from(len)) }
    }

    fn step(&mut self) -> Walked<Op> {
        if !self.rest.is_empty() {
            return Err(Strange);
        }
        self.ops.next().copied().ok_or(Strange)
    }

    fn numbers(&mut self, widths: &[u8]) -> Walked<At> {
        let mut last = None;
        for width in widths {
            match self.step()? {
                Op::Integer { width: own, .. } if own == *width => {
                    last = self.places.next(self.class);
                }
                _ => return Err(Strange),
            }
        }
        last.ok_or(Strange)
    }

    fn value(&mut self, of: Type, depth: u32) -> Walked<Source> {
        let width = match of {
            Type::Tagged => {
                let [tag] = self.array()?;
                let of = Type::from_u8(tag).filter(|of| *of != Type::Tagged).ok_or(Strange)?;
                return self.value(of, depth);
            }
            Type::Bool | Type::U8 | Type::I8 => 1,
            Type::U16 | Type::I16 => 2,
            Type::Char | Type::U32 | Type::I32 => 4,
            Type::U64 | Type::Usize | Type::I64 | Type::Isize => 8,
            Type::F32 | Type::F64 => return self.float(of),
            Type::Str | Type::Bytes | Type::Text => return self.string(of),
            Type::Unit => {
                let [flag] = self.array()?;
                return Ok(Source::Unit(flag != 0));
            }
            _ => return self.other(of, depth),
        };
        Ok(Source::Column(of, self.numbers(&[width])?))
    }

    fn float(&mut self, of: Type) -> Walked<Source> {
        match self.step()? {
            Op::Float { double } if double == (of == Type::F64) => {
                Ok(Source::Column(of, self.places.next(self.class).ok_or(Strange)?))
            }
            _ => Err(Strange),
        }
    }

    fn string(&mut self, of: Type) -> Walked<Source> {
        match self.step()? {
            Op::Str => Ok(Source::Column(of, self.places.next(self.class).ok_or(Strange)?)),
            Op::Open => loop {
                match self.step()? {
                    Op::Close => return Ok(Source::Text),
                    op => self.places.pass(self.class, op),
                }
            },
            _ => Err(Strange),
        }
    }

    fn other(&mut self, of: Type, depth: u32) -> Walked<Source> {
        let widths: &[u8] = match of {
            Type::I128 | Type::U128 | Type::Ipv6 => &[8, 8],
            Type::Duration => &[8, 4],
            Type::Ipv4 => &[4],
            Type::SocketV4 => &[4, 2],
            Type::SocketV6 => &[8, 8, 2, 4, 4],
            _ if depth >= MAX_DEPTH => return Err(Strange),
            _ => {
                if of == Type::Struct {
                    self.name()?;
                }
                let count = if of == Type::Some { 1 } else { u32::from_le_bytes(self.array()?) };
                for _ in 0..count {
                    if of == Type::Struct {
                        self.name()?;
                    }
                    self.value(Type::Tagged, depth + 1)?;
                }
                return Ok(Source::Other);
            }
        };
        self.numbers(widths)?;
        Ok(Source::Other)
    }
}
