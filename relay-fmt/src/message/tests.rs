//! Differential tests: every spec of a large set, over values of every type, against `format!`.

use super::*;
use crate::bytes::{Cursor, put_prefixed};
use crate::callsite::{Callsite, Facade, Field, Level};
use crate::value::Layout;
use crate::value::{Type, put_str};
use proptest::prelude::*;
use std::fmt::{Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

fn ours(template: &str, values: &[Value<'_>]) -> String {
    let mut out = Vec::new();
    let parsed = Template::parse(template).expect(template);
    parsed.write(values, &mut out).expect(template);
    String::from_utf8(out).unwrap()
}

/// What `format!` makes of a value, a width and a precision.
type Theirs<T> = fn(&T, usize, usize) -> String;

/// All combinations of alignment, flags and counts of one type of spec: our template, and
/// `format!` with the same. A table of small functions, which compiles in seconds.
macro_rules! table {
    ($all:ident, $of:ty, $kind:literal) => {
        fn $all(x: &$of, value: Value<'_>, w: usize, p: usize) {
            let mut table: Vec<(&str, Theirs<$of>)> = Vec::new();
            table!(@align table, $of, $kind, "", "<", "^", ">", "*<", "é^", "0>", "}^");
            let values = [value, Value::Usize(w as u64), Value::U32(p as u32)];
            for (template, theirs) in table {
                assert_eq!(ours(template, &values), theirs(x, w, p), "{template}");
            }
        }
    };
    (@align $table:ident, $of:ty, $kind:literal, $($align:literal),*) => {$(
        table!(@flags $table, $of, $kind, $align, "", "+", "-#", "0", "#0", "+#0");
    )*};
    (@flags $table:ident, $of:ty, $kind:literal, $align:literal, $($flags:literal),*) => {$(
        table!(@one $table, $of, $kind, $align, $flags, "", x, w, p,);
        table!(@one $table, $of, $kind, $align, $flags, "3", x, w, p,);
        table!(@one $table, $of, $kind, $align, $flags, ".0", x, w, p,);
        table!(@one $table, $of, $kind, $align, $flags, "12.3", x, w, p,);
        table!(@one $table, $of, $kind, $align, $flags, "1$", x, w, p, w);
        table!(@one $table, $of, $kind, $align, $flags, "1$.2$", x, w, p, w, p);
    )*};
    (@one $table:ident, $of:ty, $kind:literal, $align:literal, $flags:literal, $counts:literal,
        $x:ident, $w:ident, $p:ident, $($n:ident),*) => {
        $table.push((concat!("{0:", $align, $flags, $counts, $kind, "}"), |$x, $w, $p| {
            let _ = ($w, $p);
            format!(concat!("{0:", $align, $flags, $counts, $kind, "}"), $x, $($n),*)
        }));
    };
}

table!(display, dyn Display, "");
table!(debug, dyn Debug, "?");
table!(debug_lower_hex, dyn Debug, "x?");
table!(debug_upper_hex, dyn Debug, "X?");
table!(lower_hex, dyn LowerHex, "x");
table!(upper_hex, dyn UpperHex, "X");
table!(octal, dyn Octal, "o");
table!(binary, dyn Binary, "b");
table!(lower_exp, dyn LowerExp, "e");
table!(upper_exp, dyn UpperExp, "E");

fn debug_hex(x: &dyn Debug, value: Value<'_>, w: usize, p: usize) {
    debug_lower_hex(x, value, w, p);
    debug_upper_hex(x, value, w, p);
}

fn hex(x: &(impl LowerHex + UpperHex), value: Value<'_>, w: usize, p: usize) {
    lower_hex(x, value, w, p);
    upper_hex(x, value, w, p);
}

fn bits(x: &(impl Octal + Binary), value: Value<'_>, w: usize, p: usize) {
    octal(x, value, w, p);
    binary(x, value, w, p);
}

fn exponents(x: &(impl LowerExp + UpperExp), value: Value<'_>, w: usize, p: usize) {
    lower_exp(x, value, w, p);
    upper_exp(x, value, w, p);
}

macro_rules! integers {
    ($($name:ident: $of:ident => $value:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(16))]
            $(#[test]
            fn $name(x: $of, small in -3i8..20, w in 0usize..30, p in 0usize..9) {
                let value = $value;
                for x in [x, small as $of] {
                    display(&x, value(x), w, p);
                    debug(&x, value(x), w, p);
                    debug_hex(&x, value(x), w, p);
                    hex(&x, value(x), w, p);
                    bits(&x, value(x), w, p);
                    exponents(&x, value(x), w, p);
                }
            })*
        }
    };
}

integers! {
    i8_prints_as_format_does: i8 => Value::I8;
    i16_prints_as_format_does: i16 => Value::I16;
    i32_prints_as_format_does: i32 => Value::I32;
    i64_prints_as_format_does: i64 => Value::I64;
    i128_prints_as_format_does: i128 => Value::I128;
    isize_prints_as_format_does: isize => |x| Value::Isize(x as i64);
    u8_prints_as_format_does: u8 => Value::U8;
    u16_prints_as_format_does: u16 => Value::U16;
    u32_prints_as_format_does: u32 => Value::U32;
    u64_prints_as_format_does: u64 => Value::U64;
    u128_prints_as_format_does: u128 => Value::U128;
    usize_prints_as_format_does: usize => |x| Value::Usize(x as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn floats_print_as_format_does(
        x in prop::num::f64::ANY, y in prop::num::f32::ANY, near in -2000i32..2000,
        w in 0usize..30, p in 0usize..9,
    ) {
        let near = f64::from(near) / 16.0;
        let odd = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e16, 1e-7];
        for x in [x, near].into_iter().chain(odd) {
            display(&x, Value::F64(x), w, p);
            debug(&x, Value::F64(x), w, p);
            debug_hex(&x, Value::F64(x), w, p);
            exponents(&x, Value::F64(x), w, p);
        }
        for x in [y, near as f32] {
            display(&x, Value::F32(x), w, p);
            debug(&x, Value::F32(x), w, p);
            exponents(&x, Value::F32(x), w, p);
        }
    }

    #[test]
    fn strings_chars_and_bools_print_as_format_does(
        text: String, c: char, b: bool, w in 0usize..30, p in 0usize..9,
    ) {
        for text in [text.as_str(), "", " a", "é\u{301}\"\n", "{0}"] {
            display(&text, Value::Str(text), w, p);
            debug(&text, Value::Str(text), w, p);
        }
        display(&c, Value::Char(c), w, p);
        debug(&c, Value::Char(c), w, p);
        display(&b, Value::Bool(b), w, p);
        debug(&b, Value::Bool(b), w, p);
        debug_hex(&b, Value::Bool(b), w, p);
    }

    #[test]
    fn durations_and_addresses_print_as_format_does(
        secs: u64, nanos in 0u32..1_000_000_000, few in 0u64..2_000_000_000,
        four: [u8; 4], sixteen: [u8; 16], port: u16, flow: u32, scope: u32,
        w in 0usize..60, p in 0usize..12,
    ) {
        for d in [Duration::new(secs, nanos), Duration::from_nanos(few), Duration::ZERO] {
            debug(&d, Value::Duration(d), w, p);
        }
        let sparse = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, four[0], 0, 0, four[1]];
        for ip in [IpAddr::from(four), IpAddr::from(sixteen), IpAddr::from(sparse)] {
            display(&ip, Value::Ip(ip), w, p);
            debug(&ip, Value::Ip(ip), w, p);
            let socket = match ip {
                IpAddr::V4(ip) => SocketAddr::from(SocketAddrV4::new(ip, port)),
                IpAddr::V6(ip) => SocketAddr::from(SocketAddrV6::new(ip, port, flow, scope)),
            };
            display(&socket, Value::Socket(socket), w, p);
            debug(&socket, Value::Socket(socket), w, p);
        }
    }
}

/// Tagged values, the way a program would store them.
trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

impl Put for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::I32 as u8);
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Put for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::F64 as u8);
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_str(out, Type::Str, self.as_bytes());
    }
}

impl Put for () {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[Type::Unit as u8, 1]);
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.extend_from_slice(&[Type::Unit as u8, 0]),
            Some(inner) => {
                out.push(Type::Some as u8);
                inner.put(out);
            }
        }
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::List as u8);
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        self.iter().for_each(|item| item.put(out));
    }
}

impl<T: Put> Put for (T,) {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[Type::Tuple as u8, 1, 0, 0, 0]);
        self.0.put(out);
    }
}

impl<T: Put, U: Put> Put for (T, U) {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[Type::Tuple as u8, 2, 0, 0, 0]);
        self.0.put(out);
        self.1.put(out);
    }
}

#[derive(Debug, Clone)]
struct Named {
    id: i32,
    name: String,
    inner: Wrapped,
}

#[derive(Debug, Clone)]
struct Wrapped(Option<f64>, Unit);

#[derive(Debug, Clone)]
struct Unit;

impl Put for Named {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::Struct as u8);
        put_prefixed(out, b"Named");
        out.extend_from_slice(&3u32.to_le_bytes());
        put_prefixed(out, b"id");
        self.id.put(out);
        put_prefixed(out, b"name");
        self.name.put(out);
        put_prefixed(out, b"inner");
        self.inner.put(out);
    }
}

impl Put for Wrapped {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::Struct as u8);
        put_prefixed(out, b"Wrapped");
        out.extend_from_slice(&2u32.to_le_bytes());
        put_prefixed(out, b"");
        self.0.put(out);
        put_prefixed(out, b"");
        self.1.put(out);
    }
}

impl Put for Unit {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(Type::Struct as u8);
        put_prefixed(out, b"Unit");
        out.extend_from_slice(&0u32.to_le_bytes());
    }
}

fn composite(x: &(impl Put + Debug), w: usize, p: usize) {
    let mut bytes = Vec::new();
    x.put(&mut bytes);
    let value = Value::parse_tagged(&mut Cursor::new(&bytes)).unwrap();
    debug(x, value, w, p);
    debug_hex(x, value, w, p);
    assert_eq!(ours("{0}", &[value]), format!("{x:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn composites_print_as_format_does(
        n: Option<i32>, list: Vec<i32>, pairs: Vec<(String, Option<f64>)>, bytes: Vec<u8>,
        w in 0usize..20, p in 0usize..9,
    ) {
        composite(&n, w, p);
        composite(&Some(n), w, p);
        composite(&(), w, p);
        composite(&vec![(), ()], w, p);
        composite(&list, w, p);
        composite(&(list.clone(),), w, p);
        composite(&(n, pairs.clone()), w, p);
        let (name, half) = pairs.first().cloned().unwrap_or_default();
        let named = Named { id: n.unwrap_or(-1), name, inner: Wrapped(half, Unit) };
        composite(&named, w, p);
        composite(&vec![Some(named.clone()), None, Some(named)], w, p);
        debug(&bytes, Value::Bytes(&bytes), w, p);
        debug_hex(&bytes, Value::Bytes(&bytes), w, p);
    }

    #[test]
    fn any_template_is_parsed_or_refused(
        template in "[{}0-9:$.#?xXe+<^ é]{0,24}", n: i32,
    ) {
        if let Ok(parsed) = Template::parse(&template) {
            let _ = parsed.write(&[Value::I32(n), Value::Usize(7), Value::None], &mut Vec::new());
        }
    }

    #[test]
    fn any_kind_of_any_value_prints_something(
        bytes: Vec<u8>, kind in 0usize..10, counts in "(|9|\\.2|9\\.2)", align in "(|\\*\\^)",
    ) {
        let kind = ["", "?", "x?", "X?", "x", "X", "o", "b", "e", "E"][kind];
        if let Ok(value) = Value::parse_tagged(&mut Cursor::new(&bytes)) {
            ours(&format!("{{0:{align}{counts}{kind}}}"), &[value]);
        }
    }
}

fn callsite(template: &str, layout: Layout, fields: &[Type]) -> Callsite {
    let field = |of: &Type| Field { name: String::new(), of: *of, argument_only: true };
    Callsite {
        level: Level::Info,
        facade: Facade::Relay,
        layout,
        line: 0,
        target: String::new(),
        module: String::new(),
        file: String::new(),
        name: String::new(),
        template: template.into(),
        fields: fields.iter().map(field).collect(),
    }
}

/// Both ways to a record's message, which must agree.
fn message(callsite: &Callsite, payload: &[u8]) -> Result<Vec<u8>> {
    let (mut once, mut cached) = (Vec::new(), Vec::new());
    let first = write_message(callsite, payload, &mut once);
    let template = Template::parse(&callsite.template);
    let second = template.and_then(|t| t.write_record(callsite, payload, &mut cached));
    assert_eq!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
    first.map(|()| {
        assert_eq!(once, cached);
        once
    })
}

#[test]
fn braces_and_fields_in_any_order_are_rendered() {
    let of = callsite("{{{1}}} {0:>2$}{{", Layout::Packed, &[Type::Bool, Type::U8, Type::Usize]);
    let payload = [1, 42, 6, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(message(&of, &payload).unwrap(), b"{42}   true{");
    assert_eq!(message(&callsite("}}{{}}", Layout::Packed, &[]), b"").unwrap(), b"}{}");
}

proptest! {
    #[test]
    fn once_and_cached_agree(
        holes in prop::collection::vec((0usize..5, any::<bool>()), 0..6), sparse: bool,
        bytes: [u8; 8], cut in 0usize..9,
    ) {
        let template = holes.iter().map(|(field, wide)| {
            if *wide { format!("{{{field}:>3$}}-") } else { format!("{{{field}:02x}}+") }
        });
        let layout = if sparse { Layout::Sparse } else { Layout::Packed };
        let fields = [Type::U8, Type::I16, Type::Bool, Type::U32];
        let of = callsite(&template.collect::<String>(), layout, &fields);
        let _ = message(&of, &bytes[..cut]);
    }
}

#[test]
fn many_fields_are_rendered() {
    let fields = [Type::U8; 40];
    let template: String = (0..40).rev().map(|n| format!("{{{n}}},")).collect();
    let payload: Vec<u8> = (0..40).collect();
    let text: String = (0..40).rev().map(|n| format!("{n},")).collect();
    let of = callsite(&template, Layout::Packed, &fields);
    assert_eq!(message(&of, &payload).unwrap(), text.as_bytes());
}

#[test]
fn text_ignores_its_spec_and_bytes_stand_verbatim() {
    let text = Value::Text("as it is");
    assert_eq!(ours("{0:*^30.2}|{0:?}|{0:p}|{0:#x}", &[text]), ["as it is"; 4].join("|"));
    assert_eq!(ours("{0:>1$}", &[text, Value::Text("no width")]), "as it is");
    let mut out = Vec::new();
    let template = Template::parse("<{0}>{0:-^5}").unwrap();
    template.write(&[Value::Bytes(b"\xff\0")], &mut out).unwrap();
    assert_eq!(out, b"<\xff\0>-\xff\0--");
}

#[test]
fn a_sparse_record_leaves_out_what_it_has_not() {
    let of = callsite("[{0}] {1}", Layout::Sparse, &[Type::Tagged, Type::Tagged]);
    assert_eq!(message(&of, &[1, Type::U8 as u8, 7]).unwrap(), b"[] 7");
    assert_eq!(message(&of, b"").unwrap(), b"[] ");
}

#[test]
fn what_does_not_parse_is_refused() {
    for template in ["{", "}", "{}", "{x}", "{0", "{0:", "{0:y}", "{0:.}", "{0:.*}", "{0:70000}"] {
        assert!(Template::parse(template).is_err(), "{template}");
        assert!(message(&callsite(template, Layout::Packed, &[]), b"").is_err(), "{template}");
    }
    assert!(message(&callsite("{1}", Layout::Packed, &[Type::Bool]), &[1]).is_err());
    assert!(message(&callsite("{0}", Layout::Packed, &[Type::U32]), &[1]).is_err());
    let wide = Template::parse("{0:1$}").unwrap();
    let values = [Value::Bool(true), Value::Usize(65_536)];
    assert!(wide.write(&values, &mut Vec::new()).is_err());
}

#[test]
fn values_are_numbers_arrays_and_objects_in_json() {
    let json = |value: Value<'_>| serde_json::to_string(&value).unwrap();
    assert_eq!(json(Value::U64(u64::MAX)), "18446744073709551615");
    assert_eq!(json(Value::I128(-1)), "-1");
    assert_eq!(json(Value::F64(1.5)), "1.5");
    assert_eq!(json(Value::F64(f64::NAN)), "\"NaN\"");
    assert_eq!(json(Value::F32(f32::NEG_INFINITY)), "\"-inf\"");
    assert_eq!(json(Value::Bytes(b"a\xff")), "\"a\u{fffd}\"");
    assert_eq!(json(Value::None), "null");
    assert_eq!(json(Value::Duration(Duration::from_millis(1500))), "\"1.5s\"");
    assert_eq!(json(Value::Ip([127, 0, 0, 1].into())), "\"127.0.0.1\"");
    let named = Named { id: 7, name: "x".into(), inner: Wrapped(Some(0.5), Unit) };
    let mut bytes = Vec::new();
    (named, vec![None, Some(1)]).put(&mut bytes);
    let value = Value::parse_tagged(&mut Cursor::new(&bytes)).unwrap();
    let text = r#"[{"id":7,"name":"x","inner":[0.5,"Unit"]},[null,1]]"#;
    assert_eq!(json(value), text);
}
