//! Values as `serde` sees them: numbers stay numbers, composites are arrays and objects.

use crate::value::{Nested, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// | value | becomes |
/// |---|---|
/// | numbers | numbers; NaN and the infinities the strings `NaN`, `inf`, `-inf` |
/// | bytes | a string; what is not UTF-8 in them is replaced |
/// | `None`, `()` | null |
/// | `Some` | what it holds |
/// | lists, tuples, tuple structs | arrays |
/// | structs | objects; one without fields its name |
/// | durations, addresses | strings, as the text shows them |
impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Bool(b) => to.serialize_bool(b),
            Self::Char(c) => to.serialize_char(c),
            Self::I8(n) => to.serialize_i8(n),
            Self::I16(n) => to.serialize_i16(n),
            Self::I32(n) => to.serialize_i32(n),
            Self::I64(n) | Self::Isize(n) => to.serialize_i64(n),
            Self::I128(n) => to.serialize_i128(n),
            Self::U8(n) => to.serialize_u8(n),
            Self::U16(n) => to.serialize_u16(n),
            Self::U32(n) => to.serialize_u32(n),
            Self::U64(n) | Self::Usize(n) => to.serialize_u64(n),
            Self::U128(n) => to.serialize_u128(n),
            Self::F32(x) if x.is_finite() => to.serialize_f32(x),
            Self::F64(x) if x.is_finite() => to.serialize_f64(x),
            Self::F32(x) => to.collect_str(&x),
            Self::F64(x) => to.collect_str(&x),
            Self::Str(text) | Self::Text(text) => to.serialize_str(text),
            Self::Bytes(bytes) => to.serialize_str(&String::from_utf8_lossy(bytes)),
            Self::None | Self::Unit => to.serialize_unit(),
            Self::Some(inner) => match inner.iter().next() {
                Some((_, value)) => to.serialize_some(&value),
                None => to.serialize_none(),
            },
            Self::List(inner) | Self::Tuple(inner) => array(&inner, to),
            Self::Duration(duration) => to.collect_str(&format_args!("{duration:?}")),
            Self::Ip(ip) => to.collect_str(&ip),
            Self::Socket(socket) => to.collect_str(&socket),
            Self::Struct(name, inner) => match inner.iter().next() {
                None => to.serialize_str(name),
                Some(("", _)) => array(&inner, to),
                Some(_) => {
                    let mut map = to.serialize_map(Some(inner.len()))?;
                    for (name, value) in inner.iter() {
                        map.serialize_entry(name, &value)?;
                    }
                    map.end()
                }
            },
        }
    }
}

fn array<S: Serializer>(inner: &Nested<'_>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(inner.iter().map(|(_, value)| value))
}
