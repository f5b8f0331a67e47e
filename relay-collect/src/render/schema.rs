//! What `--format json` writes, against its schema, by a checker of the keywords that the schema uses.
//!
//! A keyword that the checker does not know fails the test: nothing in the schema is passed over.

use super::fixture::{
    TIME, add_site, add_span, buffer, everywhere, inline, int, lines, named, site, text,
};
use super::*;
use proptest::prelude::*;
use regex::Regex;
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::{Callsite, Level};
use relay_fmt::record::Kind;
use relay_fmt::value::{Type, put_str};
use serde_json::{Value as Json, json};

fn schema() -> Json {
    serde_json::from_str(include_str!("../../../docs/format/event.schema.json")).unwrap()
}

fn matches(pattern: &Json, value: &Json) -> Result<bool, String> {
    let regex = Regex::new(pattern.as_str().ok_or("a pattern is text")?);
    let regex = regex.map_err(|e| e.to_string())?;
    Ok(value.as_str().is_none_or(|text| regex.is_match(text)))
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    text.len().is_multiple_of(4) && text.len() - digits.len() <= 2 && digits.bytes().all(is_digit)
}

/// What is wrong with `value`, if anything.
fn check(root: &Json, schema: &Json, value: &Json, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        let passes = |schema: &Json| check(root, schema, value, at).is_ok();
        let list = || rule.as_array().ok_or(format!("{keyword} is a list"));
        let object = value.as_object();
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => true,
            "$ref" => {
                let place = rule.as_str().and_then(|to| to.strip_prefix('#')).unwrap_or("?");
                let target = root.pointer(place).ok_or(format!("{rule} leads nowhere"))?;
                check(root, target, value, at)?;
                true
            }
            "type" => match rule.as_str() {
                Some("object") => value.is_object(),
                Some("array") => value.is_array(),
                Some("string") => value.is_string(),
                Some("integer") => value.is_i64() || value.is_u64(),
                _ => return Err(format!("type {rule} is not known here")),
            },
            "enum" => list()?.contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap_or(f64::INFINITY)),
            "pattern" => matches(rule, value)?,
            "contentEncoding" if rule == "base64" => value.as_str().is_none_or(is_base64),
            "required" => object.is_none_or(|object| {
                list()
                    .is_ok_and(|l| l.iter().all(|k| object.contains_key(k.as_str().unwrap_or(""))))
            }),
            "dependentRequired" => object.zip(rule.as_object()).is_none_or(|(object, rule)| {
                rule.iter().filter(|(key, _)| object.contains_key(*key)).all(|(_, keys)| {
                    let mut keys = keys.as_array().into_iter().flatten().filter_map(Json::as_str);
                    keys.all(|key| object.contains_key(key))
                })
            }),
            "oneOf" => list()?.iter().filter(|schema| passes(schema)).count() == 1,
            "anyOf" => list()?.iter().any(passes),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, rule, item, &format!("{at}[]"))?;
                }
                true
            }
            "properties" => {
                let known = rule.as_object().ok_or("properties are an object")?;
                for (key, value) in object.into_iter().flatten() {
                    if let Some(schema) = known.get(key) {
                        check(root, schema, value, &format!("{at}.{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" if *rule == json!(false) => {
                let known = schema.get("properties").and_then(Json::as_object);
                let mut keys = object.into_iter().flatten().map(|(key, _)| key);
                keys.all(|key| known.is_some_and(|known| known.contains_key(key)))
            }
            _ => return Err(format!("the keyword {keyword} is not known here")),
        };
        if !holds {
            return Err(format!("{at}: {keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn check_line(line: &str) -> Result<(), String> {
    let schema = schema();
    let event: Json = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
    check(&schema, &schema, &event, "")?;
    // Keys may be added to the schema, and must be when they are written.
    let known = schema.get("properties").and_then(Json::as_object).ok_or("there are properties")?;
    let mut keys = event.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.find(|key| !known.contains_key(*key)).map_or(Ok(()), |key| Err(format!("{key} is new")))
}

fn tagged(of: Type, bytes: &[u8]) -> Vec<u8> {
    [&[of as u8], bytes].concat()
}

fn list(of: Type, values: &[Vec<u8>]) -> Vec<u8> {
    [&[of as u8][..], &(values.len() as u32).to_le_bytes(), &values.concat()].concat()
}

/// A value of every type, among them those that JSON has no number for.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let mut odd = Vec::new();
    put_str(&mut odd, Type::Bytes, b"\xff\0");
    let mut plain = Vec::new();
    put_str(&mut plain, Type::Str, "é\u{202e}\n\"".as_bytes());
    let double = |x: f64| tagged(Type::F64, &x.to_le_bytes());
    let unit = |flag| tagged(Type::Unit, &[flag]);
    let some = tagged(Type::Some, &plain);
    let structure =
        [&[Type::Struct as u8, 1, b'S'][..], &1u32.to_le_bytes(), b"\x01f", &odd].concat();
    vec![
        ("nan", double(f64::NAN)),
        ("inf", double(f64::INFINITY)),
        ("low", double(f64::NEG_INFINITY)),
        ("tiny", double(5e-324)),
        ("f32", tagged(Type::F32, &f32::MAX.to_le_bytes())),
        ("i128", tagged(Type::I128, &i128::MIN.to_le_bytes())),
        ("u128", tagged(Type::U128, &u128::MAX.to_le_bytes())),
        ("u64", tagged(Type::U64, &u64::MAX.to_le_bytes())),
        ("char", tagged(Type::Char, &u32::from('\u{85}').to_le_bytes())),
        ("bool", tagged(Type::Bool, &[1])),
        ("none", unit(0)),
        ("unit", unit(1)),
        ("time", tagged(Type::Duration, &[[1, 0, 0, 0].repeat(2), vec![5, 0, 0, 0]].concat())),
        ("ip", tagged(Type::Ipv6, &[7; 16])),
        ("socket", tagged(Type::SocketV4, &[1, 2, 3, 4, 80, 0])),
        ("list", list(Type::List, &[odd.clone(), unit(0)])),
        ("tuple", list(Type::Tuple, &[double(0.5), some.clone()])),
        ("struct", structure),
        ("some", some),
        ("bytes", odd),
        ("str", plain),
    ]
}

/// Rows of all kinds, with values of all types, and rows that are damaged or not whole.
fn all_kinds() -> RowBuffer {
    let mut b = buffer();
    add_span(&mut b, [1, 0], "request", "id", int(0, 7));
    let typed: Vec<u8> = values().iter().flat_map(|(name, value)| named(name, value)).collect();
    let message = [text(0, b"typed"), typed].concat();
    let info = add_site(&mut b, site(Level::Info, "shop::cart", &[]));
    b.push(0, Kind::Event, info, 0, TIME, &message);
    b.push(0, Kind::SpanEvent, info, 1, TIME, &message);
    b.push(0, Kind::SpanEvent, info, 99, TIME, &message);
    b.push(0, Kind::SpanRecord, info, 1, TIME, &message);
    b.push(0, Kind::InlineEvent, 0, 0, TIME, &inline(&site(Level::Error, "t", &[]), &message));
    // Damaged: cut short, of no callsite, with a description that is none.
    b.push(0, Kind::Event, info, 0, TIME, message.get(..message.len() / 2).unwrap());
    b.push(0, Kind::Event, 0, 0, TIME, &message);
    b.push(0, Kind::InlineEvent, 0, 0, TIME, b"\x03abc");
    b.push(0, Kind::SpanNew, info, 1, TIME, b"abc");
    // Piped text, a line of the kernel, piped JSON; bytes that are no text.
    b.push(0, Kind::Raw, 0, 0, TIME, b"6,1234,5678901,-;usb 1-1: new device\n SUBSYSTEM=usb");
    b.push(
        0,
        Kind::Raw,
        0,
        0,
        TIME,
        br#"{"a":{"b":[1,null,1.50]},"n":123456789012345678901234567890}"#,
    );
    b.push(0, Kind::Raw, 0, 0, TIME, b"\xff\xfe");
    let part =
        |kind: u64| [&9u64.to_le_bytes()[..], &[0; 8], &kind.to_le_bytes(), b"part"].concat();
    b.push(0, Kind::Fragment, 0, 0, TIME, &part(13));
    b.push(0, Kind::Fragment, info, 0, TIME, &part(4));
    b
}

#[test]
fn everything_that_is_written_has_the_schema() {
    for buffer in [all_kinds(), everywhere(b"plain"), everywhere(b"\xff"), everywhere(b"")] {
        let lines = lines(&buffer, Format::Json);
        assert_eq!(lines.len(), buffer.len());
        for line in lines {
            check_line(&line).unwrap();
        }
    }
    let all = lines(&all_kinds(), Format::Json);
    let errors = all.iter().filter(|line| line.contains("\"payload_b64\"")).count();
    assert!(errors >= 3, "damaged records are among them: {errors}");
    let fields = r#""nan":"NaN","inf":"inf","low":"-inf","tiny":5e-324,"f32":3.4028235e38,"i128":-170141183460469231731687303715884105728,"u128":340282366920938463463374607431768211455,"u64":18446744073709551615,"char":"\u0085","bool":true,"none":null,"unit":null,"time":4294967297.000000005,"ip":"707:707:707:707:707:707:707:707","socket":"1.2.3.4:80","list":[{"b64":"/wA="},null],"tuple":[0.5,"é\u202e\n\""],"struct":{"f":{"b64":"/wA="}},"some":"é\u202e\n\"","bytes":{"b64":"/wA="},"str":"é\u202e\n\""}"#;
    assert!(all[0].contains(fields), "{}", all[0]);
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    let line = lines(&all_kinds(), Format::Json).remove(1);
    let whole: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(check_line(&line), Ok(()));
    for (key, value) in [
        ("time", json!("2026-11-24 13:00:00")),
        ("level", json!("info")),
        ("kind", json!("event")),
        ("message", json!(1)),
        ("message_b64", json!("YQ==")),
        ("fields", json!([])),
        ("spans", json!([{"name": "x", "id": -1, "fields": {}}])),
        ("spans", json!([{"name": "x", "fields": {}}])),
        ("spans", json!([{"name": "x", "id": 1, "fields": {}, "more": 1}])),
        ("error", json!("alone")),
        ("line", json!(0)),
        ("pid", json!("1")),
        ("source", json!("AB")),
        ("novelty", json!(1)),
    ] {
        let mut event = whole.clone();
        event[key] = value;
        assert!(check_line(&event.to_string()).is_err(), "{event}");
    }
    for key in ["time", "message", "fields", "spans", "thread", "source", "number"] {
        let mut event = whole.clone();
        event.as_object_mut().unwrap().remove(key);
        assert!(check_line(&event.to_string()).is_err(), "without {key}");
    }
    let strange = json!({"maxLength": 3});
    assert!(check(&strange, &strange, &json!("a"), "").is_err());
}

proptest! {
    /// Arbitrary payloads of every kind, with and without a callsite, are shown by the schema.
    #[test]
    fn damaged_records_have_the_schema(
        rows in prop::collection::vec((4u8..15, 0u32..3, any::<Vec<u8>>(), 0u64..3), 1..8),
    ) {
        let mut b = buffer();
        add_span(&mut b, [1, 0], "request", "id", int(0, 7));
        add_site(&mut b, site(Level::Info, "t", &["a"]));
        let packed = Callsite {
            layout: relay_fmt::value::Layout::Packed,
            template: "{0} {1".into(),
            ..site(Level::Debug, "u", &["b"])
        };
        add_site(&mut b, packed);
        for (kind, callsite, payload, span) in rows {
            b.push(0, Kind::from_u8(kind).unwrap(), callsite, span, TIME, &payload);
        }
        for line in lines(&b, Format::Json) {
            prop_assert_eq!(check_line(&line), Ok(()), "{}", line);
        }
    }
}
