//! What a call passes: typed values, and how they lie in a record.
//!
//! A callsite says how its values are laid out ([`Layout`]):
//!
//! * **Packed**: one value after the other, of the types that the callsite names; no tags. This is
//!   what the hot path writes.
//! * **Sparse**: `u8` field index (255: a prefixed name follows), then a tagged value; absent fields
//!   are simply not there. This is what `log` key-values and `tracing` fields need.
//!
//! Fixed-width values are little-endian; [`Type::Str`], [`Type::Bytes`] and [`Type::Text`] are a
//! `u32` length and the bytes. Composites hold tagged values. Byte table: `docs/format/record.md`.

use crate::bytes::{Cursor, Error, Result, put_prefixed};
use std::borrow::Cow;

/// How deep values may nest; what is deeper is refused.
pub const MAX_DEPTH: u32 = 32;

/// The type of a value, as a byte: the tag in front of a tagged value, or a field's declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the Rust types")]
pub enum Type {
    /// Only as a field's type: the value brings its own tag.
    Tagged = 0,
    Bool = 1,
    Char = 2,
    I8 = 3,
    I16 = 4,
    I32 = 5,
    I64 = 6,
    I128 = 7,
    Isize = 8,
    U8 = 9,
    U16 = 10,
    U32 = 11,
    U64 = 12,
    U128 = 13,
    Usize = 14,
    F32 = 15,
    F64 = 16,
    Str = 17,
    /// Bytes that need not be UTF-8.
    Bytes = 18,
    /// What a `Display` or `Debug` printed.
    Text = 19,
    /// `None`, or `()`, by the flag byte that follows: 0 or 1.
    Unit = 20,
    /// `Some`: one tagged value.
    Some = 21,
    /// A slice or array: `u32` count, tagged values.
    List = 22,
    /// A tuple: `u32` count, tagged values.
    Tuple = 23,
    /// `u64` seconds, `u32` nanoseconds.
    Duration = 24,
    /// Four bytes.
    Ipv4 = 25,
    /// Sixteen bytes.
    Ipv6 = 26,
    /// Four bytes, `u16` port.
    SocketV4 = 27,
    /// Sixteen bytes, `u16` port, `u32` flow, `u32` scope.
    SocketV6 = 28,
    /// A struct: prefixed name (varint lengths), `u32` count, then prefixed field name and tagged
    /// value each. Fields of a tuple struct have empty names.
    Struct = 29,
}

impl Type {
    /// The type of this number.
    #[must_use]
    pub const fn from_u8(tag: u8) -> Option<Self> {
        const ALL: [Type; 30] = [
            Type::Tagged,
            Type::Bool,
            Type::Char,
            Type::I8,
            Type::I16,
            Type::I32,
            Type::I64,
            Type::I128,
            Type::Isize,
            Type::U8,
            Type::U16,
            Type::U32,
            Type::U64,
            Type::U128,
            Type::Usize,
            Type::F32,
            Type::F64,
            Type::Str,
            Type::Bytes,
            Type::Text,
            Type::Unit,
            Type::Some,
            Type::List,
            Type::Tuple,
            Type::Duration,
            Type::Ipv4,
            Type::Ipv6,
            Type::SocketV4,
            Type::SocketV6,
            Type::Struct,
        ];
        if (tag as usize) < ALL.len() { Some(ALL[tag as usize]) } else { None }
    }
}

/// How a callsite's values lie in its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Layout {
    /// One after the other, of the declared types.
    Packed = 0,
    /// Field index, tagged value.
    Sparse = 1,
}

/// The index that says a name follows in a sparse layout.
pub const NAMED: u8 = 255;

/// Tagged values inside another value, checked when they were parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested<'a> {
    count: u32,
    named: bool,
    bytes: &'a [u8],
}

impl<'a> Nested<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values, with their names where the composite has names.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let (mut input, named) = (Cursor::new(self.bytes), self.named);
        (0..self.count).map_while(move |_| {
            let name = if named { input.text().ok()? } else { "" };
            Some((name, Value::parse_tagged(&mut input).ok()?))
        })
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the Rust types")]
pub enum Value<'a> {
    Bool(bool),
    Char(char),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    Isize(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    Usize(u64),
    F32(f32),
    F64(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Text(&'a str),
    None,
    Unit,
    Some(Nested<'a>),
    List(Nested<'a>),
    Tuple(Nested<'a>),
    Duration(std::time::Duration),
    Ip(std::net::IpAddr),
    Socket(std::net::SocketAddr),
    Struct(&'a str, Nested<'a>),
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::new("a string is not UTF-8"))
}

fn long<'a>(input: &mut Cursor<'a>) -> Result<&'a [u8]> {
    let n = input.u32()? as usize;
    input.bytes(n)
}

fn nested<'a>(input: &mut Cursor<'a>, count: u32, named: bool, depth: u32) -> Result<Nested<'a>> {
    if depth >= MAX_DEPTH {
        return Err(Error::new("values nest too deep"));
    }
    let start = input.rest();
    for _ in 0..count {
        if named {
            input.text()?;
        }
        Value::tagged_at(input, depth + 1)?;
    }
    let bytes = start.get(..start.len() - input.rest().len()).unwrap_or_default();
    Ok(Nested { count, named, bytes })
}

impl<'a> Value<'a> {
    /// Reads a value that brings its tag.
    ///
    /// # Errors
    /// When the tag is unknown, the value is cut short, or it nests too deep.
    pub fn parse_tagged(input: &mut Cursor<'a>) -> Result<Self> {
        Self::tagged_at(input, 0)
    }

    fn tagged_at(input: &mut Cursor<'a>, depth: u32) -> Result<Self> {
        let of = Type::from_u8(input.u8()?).filter(|t| *t != Type::Tagged);
        Self::at(input, of.ok_or(Error::new("a value has an unknown type"))?, depth)
    }

    /// Reads a value of a declared type.
    ///
    /// # Errors
    /// As [`Value::parse_tagged`].
    pub fn parse(input: &mut Cursor<'a>, of: Type) -> Result<Self> {
        Self::at(input, of, 0)
    }

    fn at(input: &mut Cursor<'a>, of: Type, depth: u32) -> Result<Self> {
        Ok(match of {
            Type::Tagged => Self::tagged_at(input, depth)?,
            Type::Bool => Self::Bool(input.u8()? != 0),
            Type::Char => {
                let c = char::from_u32(input.u32()?);
                Self::Char(c.ok_or(Error::new("a char is none"))?)
            }
            Type::I8 => Self::I8(i8::from_le_bytes(input.array()?)),
            Type::I16 => Self::I16(i16::from_le_bytes(input.array()?)),
            Type::I32 => Self::I32(i32::from_le_bytes(input.array()?)),
            Type::I64 => Self::I64(i64::from_le_bytes(input.array()?)),
            Type::I128 => Self::I128(i128::from_le_bytes(input.array()?)),
            Type::Isize => Self::Isize(i64::from_le_bytes(input.array()?)),
            Type::U8 => Self::U8(input.u8()?),
            Type::U16 => Self::U16(input.u16()?),
            Type::U32 => Self::U32(input.u32()?),
            Type::U64 => Self::U64(input.u64()?),
            Type::U128 => Self::U128(u128::from_le_bytes(input.array()?)),
            Type::Usize => Self::Usize(input.u64()?),
            Type::F32 => Self::F32(f32::from_le_bytes(input.array()?)),
            Type::F64 => Self::F64(f64::from_le_bytes(input.array()?)),
            Type::Str => Self::Str(utf8(long(input)?)?),
            Type::Bytes => Self::Bytes(long(input)?),
            Type::Text => Self::Text(utf8(long(input)?)?),
            Type::Unit if input.u8()? == 0 => Self::None,
            Type::Unit => Self::Unit,
            Type::Some => Self::Some(nested(input, 1, false, depth)?),
            Type::List => {
                let count = input.u32()?;
                Self::List(nested(input, count, false, depth)?)
            }
            Type::Tuple => {
                let count = input.u32()?;
                Self::Tuple(nested(input, count, false, depth)?)
            }
            _ => return Self::rare(input, of, depth),
        })
    }

    fn rare(input: &mut Cursor<'a>, of: Type, depth: u32) -> Result<Self> {
        use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
        Ok(match of {
            Type::Duration => {
                let (secs, nanos) = (input.u64()?, input.u32()?);
                if nanos >= 1_000_000_000 {
                    return Err(Error::new("a duration has too many nanoseconds"));
                }
                Self::Duration(std::time::Duration::new(secs, nanos))
            }
            Type::Ipv4 => Self::Ip(IpAddr::V4(Ipv4Addr::from(input.array::<4>()?))),
            Type::Ipv6 => Self::Ip(IpAddr::V6(Ipv6Addr::from(input.array::<16>()?))),
            Type::SocketV4 => {
                let ip = Ipv4Addr::from(input.array::<4>()?);
                Self::Socket(SocketAddrV4::new(ip, input.u16()?).into())
            }
            Type::SocketV6 => {
                let ip = Ipv6Addr::from(input.array::<16>()?);
                let (port, flow, scope) = (input.u16()?, input.u32()?, input.u32()?);
                Self::Socket(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            Type::Struct => {
                let name = input.text()?;
                let count = input.u32()?;
                Self::Struct(name, nested(input, count, true, depth)?)
            }
            _ => return Err(Error::new("a value has an unknown type")),
        })
    }

    /// The text of a string-like value, `None` for others.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Str(s) | Self::Text(s) => Some(s.as_bytes()),
            Self::Bytes(b) => Some(b),
            _ => None,
        }
    }
}

/// Appends a tagged string.
pub fn put_str(out: &mut Vec<u8>, of: Type, bytes: &[u8]) {
    debug_assert!(matches!(of, Type::Str | Type::Bytes | Type::Text), "{of:?} has no bytes");
    out.push(of as u8);
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes.get(..u32::MAX as usize).unwrap_or(bytes));
}

/// Begins a field of a sparse layout that the callsite does not know.
pub fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(NAMED);
    put_prefixed(out, name.as_bytes());
}

/// A field of a record: its index in the callsite, its name and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue<'a> {
    /// Position in the callsite's fields; `None` where the record brings the name.
    pub index: Option<usize>,
    /// The name; empty for a positional argument.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_type_number_comes_back() {
        for tag in 0..=255u8 {
            if let Some(of) = Type::from_u8(tag) {
                assert_eq!(of as u8, tag);
            }
        }
        assert_eq!(Type::from_u8(29), Some(Type::Struct));
        assert_eq!(Type::from_u8(30), None);
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = vec![Type::Some as u8; 100];
        assert!(Value::parse_tagged(&mut Cursor::new(&deep)).is_err());
    }

    #[test]
    fn a_list_claiming_a_billion_values_costs_nothing() {
        let mut bytes = vec![Type::List as u8];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(Value::parse_tagged(&mut Cursor::new(&bytes)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            use Value::{List, Some, Struct, Tuple};
            let value = Value::parse_tagged(&mut Cursor::new(&bytes));
            if let Ok(List(n) | Tuple(n) | Some(n) | Struct(_, n)) = value {
                prop_assert_eq!(n.iter().count(), n.len());
            }
        }
    }
}
