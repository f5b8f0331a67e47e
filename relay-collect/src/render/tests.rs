//! What each renderer makes of a buffer.

use super::fixture::{
    TIME, add_site, add_span, buffer, everywhere, int, lines, named, render, site, text,
};
use super::*;
use proptest::prelude::*;
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::Level;
use relay_fmt::record::Kind;
use relay_fmt::value::{Layout, Type};
use serde_json::{Value as Json, json};

fn sample() -> RowBuffer {
    let mut b = buffer();
    add_span(&mut b, [1, 0], "request", "id", int(0, 7));
    let late = [text(0, b"old"), text(0, b"u s")].concat();
    add_span(&mut b, [2, 1], "query", "table", late);
    let c = add_site(&mut b, site(Level::Info, "shop::cart", &["user", "count"]));
    let payload = [text(0, b"added"), text(1, b"J B"), int(2, 3)].concat();
    b.push(0, Kind::SpanEvent, c, 2, TIME, &payload);
    b.push(0, Kind::Raw, 0, 0, TIME, b"a raw\nline \xff");
    b.push(0, Kind::SpanEnter, 0, 2, TIME, &[]);
    b
}

#[test]
fn text_is_for_people() {
    let found = lines(&sample(), Format::Text);
    assert_eq!(
        found[0],
        "2026-11-24T14:00:00.123456+01:00 INFO  shop::cart: \
         request{id=7}:query{table=\"u s\"}: added user=\"J B\" count=3"
    );
    assert_eq!(found[1], r"2026-11-24T14:00:00.123456+01:00 -     app: a raw\nline \xff");
    assert_eq!(
        found[2],
        "2026-11-24T14:00:00.123456+01:00 INFO  shop: request{id=7}: span_enter query#2"
    );
}

#[test]
fn text_says_who_when_asked_and_colours_when_asked() {
    let mut b = sample();
    b.runs[0].thread = b"pool 1".to_vec();
    let out = render(&b, Options::default().process(true));
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#"INFO  app[1234]/"pool 1" shop::cart: "#), "{out}");
    assert!(!out.contains('\x1b'));
    let out = render(&b, Options::default().color(true));
    assert!(String::from_utf8(out).unwrap().contains("\x1b[32mINFO\x1b[0m"));
}

fn chosen(format: Format, names: &str) -> Vec<String> {
    let columns = names.split(',').map(|name| Column::parse(name).unwrap()).collect();
    let out = render(&sample(), Options::default().format(format).columns(columns));
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn only_what_is_asked_for_is_shown_in_that_order() {
    let names = "count,level,user,span.table,none,message,pid,spans";
    assert_eq!(
        chosen(Format::Text, names),
        [
            "3\tINFO\tJ B\tu s\t-\tadded\t1234\trequest:query",
            "-\t-\t-\t-\t-\ta raw\\nline \\xff\t1234\t-"
        ]
    );
    assert_eq!(
        chosen(Format::Logfmt, names),
        [
            r#"count=3 level=INFO user="J B" span.table="u s" msg=added pid=1234 spans=request:query"#,
            r#"msg="a raw\nline \xff" pid=1234"#
        ]
    );
    let json = chosen(Format::Json, "count,level,none,span.table,message,time,thread");
    assert_eq!(
        json[0],
        r#"{"fields":{"count":3},"level":"INFO","spans":[{"name":"request","id":1,"fields":{}},{"name":"query","id":2,"fields":{"table":"u s"}}],"message":"added","time":"2026-11-24T13:00:00.123456789Z","thread":"main"}"#
    );
    let raw: Json = serde_json::from_str(&json[1]).unwrap();
    assert_eq!(raw["fields"], json!({}));
    assert!(raw.get("message_b64").is_some() && raw.get("level").is_none());
    assert_eq!(Column::parse("span."), None);
    assert_ne!(Column::parse("field.level"), Column::parse("level"));
}

#[test]
fn every_key_of_json_can_be_chosen_and_is_the_same_then() {
    let b = everywhere(b"a b");
    let whole = lines(&b, Format::Json);
    for key in [
        "time", "level", "target", "kind", "message", "fields", "spans", "follows", "error",
        "module", "file", "line", "channel", "pid", "tid", "thread", "program", "host", "source",
        "writer", "number",
    ] {
        let columns = vec![Column::parse(key).unwrap()];
        let options = Options::default().format(Format::Json).spans(true).columns(columns);
        let out = String::from_utf8(render(&b, options)).unwrap();
        for (some, all) in out.lines().zip(&whole) {
            let (some, all): (Json, Json) =
                (serde_json::from_str(some).unwrap(), serde_json::from_str(all).unwrap());
            let wanted = all.get(key).or_else(|| all.get(format!("{key}_b64")));
            let found = some.as_object().unwrap().values().next();
            assert_eq!(found, wanted, "{key} of {all}");
        }
    }
}

#[test]
fn members_of_a_message_that_is_an_object_are_fields() {
    let mut b = buffer();
    let line =
        "{\"n\": 2.50, \"id.h\": \"a b\", \"in\": {\"t\": \"\u{202e}\"},\r\n\"l\": [1, null]}";
    b.push(0, Kind::Raw, 0, 0, TIME, line.as_bytes());
    let json = lines(&b, Format::Json).remove(0);
    let fields = r#""fields":{"n":2.50,"id.h":"a b","in":{"t":"\u202e"},"l":[1,null]},"#;
    assert!(json.contains(fields), "{json}");
    let event: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(event["message"], line);
    let logfmt = lines(&b, Format::Logfmt).remove(0);
    assert!(logfmt.contains(" n=2.50 id.h=\"a b\" in.t=\"\\u{202e}\" l=\"[1, null]\""), "{logfmt}");
    let chosen = |format, names: &[&str]| {
        let columns = names.iter().map(|name| Column::parse(name).unwrap()).collect();
        let options = Options::default().format(format).columns(columns);
        String::from_utf8(render(&b, options)).unwrap()
    };
    assert_eq!(
        chosen(Format::Text, &["n", "id.h", "nothing", "in.t"]),
        "2.50\ta b\t-\t\\u{202e}\n"
    );
    assert_eq!(
        chosen(Format::Json, &["in.t", "n", "nothing"]),
        "{\"fields\":{\"in.t\":\"\\u202e\",\"n\":2.50}}\n"
    );
}

#[test]
fn json_has_its_schema() {
    let found = lines(&sample(), Format::Json);
    let event: Json = serde_json::from_str(&found[0]).unwrap();
    let expected = json!({
        "time": "2026-11-24T13:00:00.123456789Z", "level": "INFO", "target": "shop::cart",
        "message": "added", "fields": {"user": "J B", "count": 3},
        "spans": [
            {"name": "request", "id": 1, "fields": {"id": 7}},
            {"name": "query", "id": 2, "fields": {"table": "u s"}},
        ],
        "channel": "app", "pid": 1234, "tid": 1235, "thread": "main", "program": "shop",
        "host": "box", "module": "shop::cart", "file": "src/cart.rs", "line": 7, "number": 40,
        "writer": 5, "source": "ab".repeat(16),
    });
    assert_eq!(event, expected);
    let page = include_str!("../../../docs/format/json.md");
    assert!(page.contains(&found[0]), "the page shows another line than {}", found[0]);
    let raw: Json = serde_json::from_str(&found[1]).unwrap();
    assert_eq!(raw["message_b64"], "YSByYXcKbGluZSD/");
    assert_eq!((&raw["kind"], &raw["level"]), (&json!("raw"), &Json::Null));
    let enter: Json = serde_json::from_str(&found[2]).unwrap();
    assert_eq!((&enter["kind"], &enter["span"]), (&json!("span_enter"), &json!(2)));
}

/// Every key that any row has is in the committed schema, and every required one is in every row.
#[test]
fn the_committed_schema_is_the_one_written() {
    let schema = include_str!("../../../docs/format/event.schema.json");
    let schema: Json = serde_json::from_str(schema).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let required = schema["required"].as_array().unwrap();
    for bytes in [&b"plain"[..], b"\xff"] {
        for line in lines(&everywhere(bytes), Format::Json) {
            let event: Json = serde_json::from_str(&line).unwrap();
            let event = event.as_object().unwrap();
            assert!(event.keys().all(|k| known.contains_key(k)), "{line}");
            assert!(required.iter().all(|k| event.contains_key(k.as_str().unwrap())));
        }
    }
}

#[test]
fn logfmt_is_words() {
    let found = lines(&sample(), Format::Logfmt);
    assert_eq!(
        found[0],
        "time=2026-11-24T14:00:00.123456789+01:00 level=info target=shop::cart msg=added \
         user=\"J B\" count=3 span.request=1 span.request.id=7 span.query=2 \
         span.query.table=\"u s\" channel=app pid=1234 thread=main"
    );
}

#[test]
fn raw_is_byte_for_byte() {
    let out = render(&sample(), Options::default().format(Format::Raw));
    assert_eq!(out, b"added\na raw\nline \xff\n");
    let out = render(&sample(), Options::default().format(Format::Raw).nul(true));
    assert_eq!(out, b"added\0a raw\nline \xff\0");
}

#[test]
fn a_malformed_record_is_shown_and_said() {
    let mut b = buffer();
    let c = add_site(&mut b, site(Level::Info, "t", &["x"]));
    b.push(0, Kind::Event, c, 0, TIME, &[text(0, b"hi"), vec![1, 99]].concat());
    assert!(
        lines(&b, Format::Text)[0].ends_with(r#"t: hi !malformed="a value has an unknown type""#)
    );
    let event: Json = serde_json::from_str(&lines(&b, Format::Json)[0]).unwrap();
    assert_eq!(event["error"], "a value has an unknown type");
    assert!(lines(&b, Format::Logfmt)[0].contains("error=\"a value"));
}

#[test]
fn an_inline_event_that_is_torn_is_said() {
    let mut b = buffer();
    b.push(0, Kind::InlineEvent, 0, 0, TIME, &[200, 1, 2]);
    let event: Json = serde_json::from_str(&lines(&b, Format::Json)[0]).unwrap();
    assert_eq!(event["error"], "an event has no readable callsite");
    assert_eq!(event["payload_b64"], "yAEC");
}

#[test]
fn what_the_template_shows_is_not_shown_twice() {
    let mut callsite = site(Level::Info, "t", &["took", "extra"]);
    callsite.layout = Layout::Packed;
    callsite.template = "request {0} took {1:.2} ms".into();
    callsite.fields[0].name = "id".into();
    callsite.fields[1].argument_only = true;
    callsite.fields.iter_mut().for_each(|f| f.of = Type::U8);
    let mut b = buffer();
    let c = add_site(&mut b, callsite);
    b.push(0, Kind::Event, c, 0, TIME, &[7, 12, 1]);
    let line = &lines(&b, Format::Text)[0];
    assert!(line.ends_with(" ms extra=1"), "{line}");
    let event: Json = serde_json::from_str(&lines(&b, Format::Json)[0]).unwrap();
    assert_eq!(event["fields"], json!({"id": 7, "extra": 1}));
}

/// What is kept between lines is not kept for others.
#[test]
fn lines_in_turn_are_each_their_own() {
    let mut b = buffer();
    b.sources.push(b.sources[0].clone());
    b.sources[1].pid = 99;
    b.runs.push(b.runs[0].clone());
    b.runs.push(b.runs[0].clone());
    b.runs[1].thread = b"other".to_vec();
    b.runs[2].source = 1;
    // More callsites than are remembered.
    let sites: Vec<u32> =
        (0..5000).map(|i| add_site(&mut b, site(Level::Info, &format!("t{i}"), &[]))).collect();
    for round in 0..2 {
        for (i, c) in sites.iter().enumerate() {
            let time = TIME + (i as i64 % 2) * 1_000_000_000;
            b.push((i % 3) as u32, Kind::Event, *c, 0, time, &text(0, b"x"));
        }
        assert_eq!(b.len(), (round + 1) * 5000);
    }
    for (i, line) in lines(&b, Format::Json).iter().enumerate() {
        let event: Json = serde_json::from_str(line).unwrap();
        assert_eq!(event["target"], format!("t{}", i % 5000));
        let j = i % 5000;
        assert_eq!(event["thread"], ["main", "other", "main"][j % 3]);
        assert_eq!(event["pid"], [1234, 1234, 99][j % 3]);
        let second = event["time"].as_str().unwrap().get(17..19).unwrap();
        assert_eq!(second, ["00", "01"][j % 2]);
    }
}

#[test]
fn damaged_parents_end() {
    let mut b = buffer();
    add_span(&mut b, [1, 2], "a", "x", vec![]);
    add_span(&mut b, [2, 1], "b", "x", vec![]);
    let c = add_site(&mut b, site(Level::Info, "t", &[]));
    b.push(0, Kind::SpanEvent, c, 2, TIME, &text(0, b"hi"));
    b.push(0, Kind::SpanEvent, c, 77, TIME, &text(0, b"hi"));
    assert_eq!(lines(&b, Format::Text).len(), 2);
    let unknown: Json = serde_json::from_str(&lines(&b, Format::Json)[1]).unwrap();
    assert_eq!(unknown["span"], 77);
}

/// A tagged value and the JSON that it must become.
fn any_value() -> impl Strategy<Value = (Vec<u8>, Json)> {
    let tagged = |of: Type, bytes: &[u8]| [&[of as u8][..], bytes].concat();
    let leaf = prop_oneof![
        any::<bool>().prop_map(move |b| (tagged(Type::Bool, &[b.into()]), json!(b))),
        any::<i64>().prop_map(move |n| (tagged(Type::I64, &n.to_le_bytes()), json!(n))),
        any::<u64>().prop_map(move |n| (tagged(Type::U64, &n.to_le_bytes()), json!(n))),
        any::<u8>().prop_map(move |n| (tagged(Type::U8, &[n]), json!(n))),
        any::<i128>().prop_map(move |n| {
            let text = n.to_string();
            (tagged(Type::I128, &n.to_le_bytes()), serde_json::from_str(&text).unwrap())
        }),
        any::<f64>().prop_map(move |x| {
            let shown = if x.is_finite() { json!(x) } else { json!(format!("{x:?}")) };
            (tagged(Type::F64, &x.to_le_bytes()), shown)
        }),
        any::<f32>().prop_map(move |x| {
            let shown = if x.is_finite() { format!("{x:?}") } else { format!("\"{x:?}\"") };
            (tagged(Type::F32, &x.to_le_bytes()), serde_json::from_str(&shown).unwrap())
        }),
        any::<String>().prop_map(|s| (text(0, s.as_bytes())[1..].to_vec(), json!(s))),
        any::<char>()
            .prop_map(move |c| (tagged(Type::Char, &u32::from(c).to_le_bytes()), json!(c))),
        Just((tagged(Type::Unit, &[0]), Json::Null)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let many = prop::collection::vec(inner.clone(), 0..4);
        let some = inner.prop_map(move |(bytes, json)| (tagged(Type::Some, &bytes), json));
        let list = many.prop_map(move |items| {
            let count = (items.len() as u32).to_le_bytes();
            let bytes = items.iter().flat_map(|(b, _)| b.clone());
            let head = tagged(Type::List, &count);
            let json = items.iter().map(|(_, j)| j.clone()).collect();
            (head.into_iter().chain(bytes).collect(), json)
        });
        prop_oneof![some, list]
    })
}

proptest! {
    #[test]
    fn values_come_back_from_json(
        fields in prop::collection::btree_map("[^m]{0,8}", any_value(), 0..6),
        // More names than are compared one by one.
        many in prop::collection::btree_map("m[a-z]{8}", 0i64..9, 0..60),
        message: Vec<u8>,
    ) {
        let mut b = buffer();
        let c = add_site(&mut b, site(Level::Info, "t", &[]));
        let mut payload = text(0, &message);
        let mut expected = serde_json::Map::new();
        for (name, (bytes, json)) in &fields {
            payload.extend(named(name, bytes));
            expected.insert(name.clone(), json.clone());
        }
        for (name, value) in &many {
            for n in [value + 1, *value] {
                payload.extend(named(name, &int(0, n)[1..]));
            }
            expected.insert(name.clone(), json!(value));
        }
        b.push(0, Kind::Event, c, 0, TIME, &payload);
        let line = lines(&b, Format::Json).remove(0);
        let event: Json = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&event["fields"], &Json::Object(expected));
        if let Ok(text) = std::str::from_utf8(&message) {
            prop_assert_eq!(&event["message"], text);
        } else {
            prop_assert!(event["message_b64"].is_string());
        }
    }

    #[test]
    fn any_payload_is_rendered(kind in 1u8..=14, payload: Vec<u8>, span in 0u64..4) {
        let mut b = everywhere(b"x");
        let (kind, from) = (Kind::from_u8(kind).unwrap(), b.len());
        for c in 0..=b.callsites.len() as u32 {
            b.push(0, kind, c, span, TIME, &payload);
        }
        prop_assert_eq!(lines(&b, Format::Text).len(), from + 2);
        prop_assert_eq!(lines(&b, Format::Json).len(), from + 2);
        prop_assert_eq!(lines(&b, Format::Logfmt).len(), from + 2);
    }
}
