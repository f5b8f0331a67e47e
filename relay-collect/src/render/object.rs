//! Fields of records whose message is a JSON object: a line of JSON that came through `pipe`, `log`
//! or a raw channel.
//!
//! The message stays the text that it is; what is here is read from it, each time it is asked for. A
//! field's name is its key, or, within objects in objects, the keys on the way with points between
//! them. Arrays are one value, their text.

use super::escape;
use relay_fmt::value::Value;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Longer messages are only text: each record that is looked at costs their length.
const MOST_BYTES: usize = 64 << 10;
/// Deeper objects are only text, so that those who read our JSON can.
const MOST_DEPTH: usize = 32;

/// Where names get longer, what is below them is one text: every one repeats those above it.
const MOST_NAME: usize = 256;

/// A message that is a JSON object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'m>(&'m str);

/// What a member holds, as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member<'m>(&'m str);

impl<'m> Object<'m> {
    /// The object that a message is, if it is one.
    pub(crate) fn of(message: &'m [u8]) -> Option<Self> {
        if message.len() > MOST_BYTES {
            return None;
        }
        // What some programs write before it is no part of it.
        let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message).trim_ascii_start();
        if message.first() != Some(&b'{') {
            return None;
        }
        let text = std::str::from_utf8(message).ok().filter(|text| depth(text) <= MOST_DEPTH)?;
        let Readable = serde_json::from_str(text).ok()?;
        Some(Self(text.trim_end()))
    }

    /// The member of this name. Where it comes twice, the last one counts.
    pub(crate) fn find(self, name: &str) -> Option<Member<'m>> {
        let mut found = None;
        self.each(&mut |key, member: Member<'m>| {
            if key == name {
                found = Some(member);
            } else if let Some(inner) = member.object()
                && let Some(rest) = name.strip_prefix(key).and_then(|n| n.strip_prefix('.'))
            {
                found = inner.find(rest).or(found);
            }
        });
        found
    }

    /// All members that are no objects, with their names.
    pub(crate) fn members(self) -> Vec<(String, Member<'m>)> {
        let mut all = Vec::new();
        self.gather("", &mut all);
        all
    }

    fn gather(self, prefix: &str, all: &mut Vec<(String, Member<'m>)>) {
        self.each(&mut |key, member: Member<'m>| {
            let name = format!("{prefix}{key}");
            match member.object() {
                Some(inner) if name.len() < MOST_NAME => inner.gather(&format!("{name}."), all),
                _ => all.push((name, member)),
            }
        });
    }

    /// Appends it as JSON on one line.
    pub(crate) fn put_json(self, out: &mut Vec<u8>) {
        escape::json_text(self.0, out);
    }

    fn each(self, then: &mut dyn FnMut(&str, Member<'m>)) {
        let mut input = serde_json::Deserializer::from_str(self.0);
        // It was read whole before.
        let _ = input.deserialize_map(Each(then));
    }
}

impl<'m> Member<'m> {
    /// A member that is written so.
    pub(crate) const fn new(text: &'m str) -> Self {
        Self(text)
    }

    fn object(self) -> Option<Object<'m>> {
        self.0.starts_with('{').then_some(Object(self.0))
    }

    /// Calls back with its value: a number, a truth, text, nothing; objects and arrays are text.
    pub(crate) fn with<R>(self, then: impl FnOnce(&Value<'_>) -> R) -> R {
        let text = self.0;
        match text.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<String>(text) {
                Ok(text) => then(&Value::Str(&text)),
                // A lone surrogate is no text.
                Err(_) => then(&Value::Str(text)),
            },
            Some(b't' | b'f') => then(&Value::Bool(text == "true")),
            Some(b'n') => then(&Value::None),
            Some(b'{' | b'[') => then(&Value::Str(text)),
            _ => {
                let large =
                    || text.parse().map(Value::I128).or_else(|_| text.parse().map(Value::U128));
                let integer =
                    text.parse().map(Value::I64).or_else(|_| text.parse().map(Value::U64));
                let value = integer.or_else(|_| large());
                let value = value.or_else(|_| text.parse().map(Value::F64));
                then(&value.unwrap_or(Value::Str(text)))
            }
        }
    }

    /// Appends what it holds, numbers spelled as they were; text without quotes.
    pub(crate) fn put_plain(self, out: &mut Vec<u8>) {
        if !self.0.starts_with('"') {
            return out.extend_from_slice(self.0.as_bytes());
        }
        self.with(|value| super::value::plain(value, out));
    }

    /// Appends it as JSON.
    pub(crate) fn put_json(self, out: &mut Vec<u8>) {
        escape::json_text(self.0, out);
    }
}

/// How deep objects and arrays are nested at most; what stands in strings does not count.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut quoted, mut skip) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if std::mem::take(&mut skip) => {}
            b'\\' => skip = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// JSON that strict readers take, since ours is made of it: no lone surrogates, also in keys, and no
/// numbers beyond what a double holds.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Calls back with each key and what it holds.
struct Each<'f, 'm>(&'f mut dyn FnMut(&str, Member<'m>));

impl<'m> Visitor<'m> for Each<'_, 'm> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, raw)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(&key, Member(raw.get()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str, name: &str) -> Option<String> {
        let member = Object::of(text.as_bytes())?.find(name)?;
        let mut out = Vec::new();
        member.put_plain(&mut out);
        String::from_utf8(out).ok()
    }

    #[test]
    fn members_are_found_by_path() {
        let line = r#"{"a":1, "id.orig_h":"10.0.0.1","b":{"c":{"d":2.50}},"b.c":{"e":null},"l":[1, 2],"t":"x\n","a":3}"#;
        for (name, value) in [
            ("a", "3"),
            ("id.orig_h", "10.0.0.1"),
            ("b.c.d", "2.50"),
            ("b.c.e", "null"),
            ("l", "[1, 2]"),
            ("t", "x\n"),
        ] {
            assert_eq!(plain(line, name).as_deref(), Some(value), "{name}");
        }
        assert!(plain(line, "b.c.f").is_none() && plain(line, "c").is_none());
        let members = Object::of(line.as_bytes()).unwrap().members();
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "id.orig_h", "b.c.d", "b.c.e", "l", "t", "a"]);
    }

    #[test]
    fn values_have_types() {
        let line = br#"{"i":-5,"u":18446744073709551615,"f":0.5,"b":true,"n":null}"#;
        let shown = |name| {
            let member = Object::of(line).and_then(|object| object.find(name)).unwrap();
            member.with(|value| format!("{value:?}"))
        };
        assert_eq!(shown("i"), "I64(-5)");
        assert_eq!(shown("u"), "U64(18446744073709551615)");
        assert_eq!([shown("f"), shown("b"), shown("n")], ["F64(0.5)", "Bool(true)", "None"]);
    }

    #[test]
    fn what_is_no_object_or_too_much_is_text() {
        for text in ["", "[1]", "{", "{}x", "{'a':1}", "{\"a\":01}", " [1]"] {
            assert!(Object::of(text.as_bytes()).is_none(), "{text}");
        }
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(Object::of(nested(31).as_bytes()).is_some());
        assert!(Object::of(nested(32).as_bytes()).is_none());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MOST_BYTES));
        assert!(Object::of(long.as_bytes()).is_none());
        assert!(Object::of(b"{\"a\":\"\xff\"}").is_none());
        for strange in [r#"{"a":["\ud800"]}"#, r#"{"\udfff":1}"#, r#"{"a":1e400}"#] {
            assert!(
                Object::of(strange.as_bytes()).is_none(),
                "{strange}: not every reader takes it"
            );
        }
    }

    proptest! {
        #[test]
        fn json_stays_the_same_value_on_one_line(
            entries in prop::collection::btree_map(".{0,6}", (".{0,12}", any::<i64>()), 0..6),
        ) {
            let value: serde_json::Value = entries
                .iter()
                .map(|(key, (text, n))| (key.clone(), serde_json::json!({ "t": text, "n": [n] })))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let mut out = Vec::new();
            Object::of(pretty.as_bytes()).unwrap().put_json(&mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert!(!text.chars().any(escape::is_dangerous));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_an_object_or_not(bytes: Vec<u8>, text in "[{}\\[\\]\",:a1. \\\\]{0,30}") {
            for message in [&bytes[..], text.as_bytes(), format!("{{{text}}}").as_bytes()] {
                if let Some(object) = Object::of(message) {
                    for (name, _) in object.members() {
                        prop_assert!(object.find(&name).is_some());
                    }
                }
            }
        }
    }
}
