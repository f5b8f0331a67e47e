//! Values as text and as JSON.

use super::clock::put_number;
use super::escape::{self, Place};
use relay_fmt::value::{Nested, Value};
use std::io::Write as _;

/// The integer in a value, where it fits.
pub(crate) fn as_int(value: &Value<'_>) -> Option<i128> {
    Some(match *value {
        Value::I8(n) => n.into(),
        Value::I16(n) => n.into(),
        Value::I32(n) => n.into(),
        Value::I64(n) | Value::Isize(n) => n.into(),
        Value::I128(n) => n,
        Value::U8(n) => n.into(),
        Value::U16(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::U64(n) | Value::Usize(n) => n.into(),
        Value::U128(n) => return i128::try_from(n).ok(),
        _ => return None,
    })
}

fn put_int(value: i128, out: &mut Vec<u8>) {
    match u64::try_from(value) {
        Ok(small) => put_number(small, out),
        Err(_) => drop(write!(out, "{value}")),
    }
}

/// Appends what a value says, not escaped: text as it is, numbers in decimal, composites in the
/// manner of `Debug`.
pub(crate) fn plain(value: &Value<'_>, out: &mut Vec<u8>) {
    if let Some(n) = as_int(value) {
        return put_int(n, out);
    }
    if let Some(text) = value.as_bytes() {
        return out.extend_from_slice(text);
    }
    match value {
        Value::None => out.extend_from_slice(b"None"),
        Value::Unit => out.extend_from_slice(b"()"),
        Value::Some(inner) => inner.iter().for_each(|(_, v)| plain(&v, out)),
        Value::List(items) => list(*items, [b"[", b"]"], out),
        Value::Tuple(items) => list(*items, [b"(", b")"], out),
        Value::Struct(name, items) => {
            out.extend_from_slice(name.as_bytes());
            list(*items, [b"{", b"}"], out);
        }
        _ => scalar(value, out),
    }
}

fn scalar(value: &Value<'_>, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = match value {
        Value::Bool(b) => write!(out, "{b}"),
        Value::Char(c) => write!(out, "{c}"),
        Value::U128(n) => write!(out, "{n}"),
        Value::F32(x) => write!(out, "{x:?}"),
        Value::F64(x) => write!(out, "{x:?}"),
        Value::Duration(d) => write!(out, "{d:?}"),
        Value::Ip(ip) => write!(out, "{ip}"),
        Value::Socket(at) => write!(out, "{at}"),
        _ => Ok(()),
    };
}

fn list(items: Nested<'_>, [open, close]: [&[u8]; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    for (i, (name, item)) in items.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        if !name.is_empty() {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
        }
        if let Some(text) = item.as_bytes() {
            out.push(b'"');
            escape::escape(text, Place::Quoted, out);
            out.push(b'"');
        } else {
            plain(&item, out);
        }
    }
    out.extend_from_slice(close);
}

/// Appends a value as the right side of `key=value`: one word, or quoted.
pub(crate) fn token(value: &Value<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    if let Some(n) = as_int(value) {
        return put_int(n, out);
    }
    if let Some(text) = value.as_bytes() {
        return escape::token(text, out);
    }
    scratch.clear();
    plain(value, scratch);
    escape::token(scratch, out);
}

/// Appends a value as JSON.
///
/// Numbers are numbers; what JSON has no number for (`NaN`, infinities) is a string; bytes that are
/// not UTF-8 are `{"b64": …}`; a duration is a number of seconds.
pub(crate) fn json(value: &Value<'_>, out: &mut Vec<u8>) {
    if let Some(n) = as_int(value) {
        return put_int(n, out);
    }
    match value {
        Value::Str(text) | Value::Text(text) => escape::json(text, out),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => escape::json(text, out),
            Err(_) => {
                out.extend_from_slice(b"{\"b64\":\"");
                escape::base64(bytes, out);
                out.extend_from_slice(b"\"}");
            }
        },
        Value::None | Value::Unit => out.extend_from_slice(b"null"),
        Value::Some(inner) => inner.iter().for_each(|(_, v)| json(&v, out)),
        Value::List(items) | Value::Tuple(items) => json_list(*items, out),
        Value::Struct(_, items) => {
            if items.iter().all(|(name, _)| name.is_empty()) && !items.is_empty() {
                json_list(*items, out);
            } else {
                json_object(*items, out);
            }
        }
        Value::Bool(_) | Value::U128(_) => scalar(value, out),
        Value::F32(x) if x.is_finite() => scalar(value, out),
        Value::F64(x) if x.is_finite() => scalar(value, out),
        Value::Duration(d) => {
            let _ = write!(out, "{}.{:09}", d.as_secs(), d.subsec_nanos());
        }
        _ => {
            let mut text = Vec::new();
            scalar(value, &mut text);
            escape::json(&String::from_utf8_lossy(&text), out);
        }
    }
}

fn json_list(items: Nested<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, (_, item)) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json(&item, out);
    }
    out.push(b']');
}

fn json_object(items: Nested<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, item)) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        escape::json(name, out);
        out.push(b':');
        json(&item, out);
    }
    out.push(b'}');
}
