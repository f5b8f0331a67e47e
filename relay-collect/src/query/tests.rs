//! Expressions and filters over a buffer.

use super::*;
use crate::render::View;
use crate::render::fixture::{TIME, add_site, add_span, buffer, everywhere, int, site, text};
use proptest::prelude::*;
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::Level;
use relay_fmt::record::Kind;
use relay_fmt::value::Type;

fn sample() -> RowBuffer {
    let mut b = buffer();
    add_span(&mut b, [1, 0], "request", "user", text(0, b"J B"));
    add_span(&mut b, [2, 1], "query", "rows", int(0, 12));
    let warn = add_site(&mut b, site(Level::Warn, "hyper::proto", &["status", "ok"]));
    let debug = add_site(&mut b, site(Level::Debug, "hyperion", &["status", "ratio"]));
    let first = [text(0, b"request timed out"), int(1, 503), vec![2, Type::Bool as u8, 1]];
    b.push(0, Kind::SpanEvent, warn, 2, TIME, &first.concat());
    let ratio = [&[2, Type::F64 as u8][..], &0.5f64.to_le_bytes()].concat();
    let second = [text(0, b"fine"), text(1, b"200"), ratio].concat();
    b.push(0, Kind::Event, debug, 0, TIME + 1_000_000_000, &second);
    b.push(0, Kind::Raw, 0, 0, TIME, b"raw \xff bytes");
    b.push(0, Kind::SpanEnter, 0, 2, TIME, &[]);
    b
}

fn expr(text: &str) -> Result<Expr, ParseError> {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    Expr::parse_at(text, "2026-11-24T13:30:00Z".parse().unwrap(), &zone)
}

/// Which of the sample's first three rows an expression means, as digits.
fn meant(text: &str) -> String {
    let (b, mut expr) = (sample(), expr(text).unwrap());
    let view = View::new(&b);
    let events = view.events().take(3).enumerate();
    let hits = events.filter(|(_, event)| expr.matches(event));
    hits.map(|(i, _)| i.to_string()).collect()
}

#[test]
fn members_of_a_message_that_is_an_object_are_fields() {
    let mut b = buffer();
    let line =
        br#"{"status": 503, "path": "/items/7", "t": {"ms": 2.50}, "ok": false, "l": [1, 2]}"#;
    b.push(0, Kind::Raw, 0, 0, TIME, line);
    let info = add_site(&mut b, site(Level::Info, "t", &["status"]));
    b.push(0, Kind::Event, info, 0, TIME, &[text(0, line), int(1, 200)].concat());
    b.push(0, Kind::Raw, 0, 0, TIME, &line[1..]);
    let view = View::new(&b);
    for (text, rows) in [
        ("status >= 500", "0"),
        // A field of the record's own comes first.
        ("status == 200", "1"),
        ("t.ms > 2 && t.ms < 2.6", "01"),
        ("path ~ \"items/\\\\d+\"", "01"),
        ("path == '/items/7' && !ok", "01"),
        ("l *= '1, 2'", "01"),
        ("t", "01"),
        ("ms || t.s", ""),
    ] {
        let mut expr = expr(text).unwrap();
        let events = view.events().enumerate().filter(|(_, event)| expr.matches(event));
        assert_eq!(events.map(|(i, _)| i.to_string()).collect::<String>(), rows, "{text}");
    }
}

#[test]
fn expressions_mean_what_they_say() {
    for (text, rows) in [
        ("level == warn", "0"),
        // As `--level` takes it.
        ("level == Warning", "0"),
        ("level <= warn", "0"),
        ("level <= DEBUG", "01"),
        ("level > error", "01"),
        ("level ~ '^W'", "0"),
        ("target == hyperion", "1"),
        ("target ^= hyper", "01"),
        ("target $= proto", "0"),
        ("message *= timed", "0"),
        ("message ~ 'tim(ed)? out|fine'", "01"),
        (r"message ~ '(?-u)\xff'", "2"),
        ("status >= 500", "0"),
        ("status < 500", "1"),
        ("status == 200", "1"),
        ("status == \"503\"", "0"),
        ("status != 503", "1"),
        ("!(status == 503)", "12"),
        ("!status == 503", "12"),
        ("ratio < 1 && ratio > 0.25", "1"),
        ("ratio == 0.5", "1"),
        ("ok", "0"),
        ("ok == true", "0"),
        ("field.ok || ratio", "01"),
        ("\"status\" == 503", "0"),
        ("missing == 1", ""),
        ("missing != 1", ""),
        ("span.name == request", "0"),
        ("span.user == 'J B' && span.rows == 12", "0"),
        ("span.rows > 11.5", "0"),
        ("span.nothing", ""),
        ("channel == app && pid == 1234 && tid == 1235", "012"),
        ("program == shop && host == box && thread == main", "012"),
        ("line == 7 && file $= .rs && module == shop::cart", "01"),
        ("time < 2026-11-24T13:00:01Z", "02"),
        ("time >= '2026-11-24 14:00:01'", "1"),
        ("time >= -30min", "012"),
        ("level == debug || level == warn && status == 1", "1"),
        ("(level == debug || level == warn) && status == 503", "0"),
    ] {
        assert_eq!(meant(text), rows, "{text}");
    }
}

#[test]
fn errors_point_at_their_place() {
    for (text, column, what) in [
        ("", 1, "expected a name"),
        ("level = warn", 7, "equality is written `==`"),
        ("level == && x", 10, "expected a value after `==`, found `&&`"),
        ("level == loud", 10, "a level is error, warn"),
        ("level ^= w", 7, "`^=` compares text"),
        ("time ~ x", 6, "`~` compares text"),
        ("time > noon", 8, "`noon` is not a time"),
        ("(a == 1", 1, "a `(` is never closed"),
        ("a == 1)", 7, "a `)` closes nothing"),
        ("(a b)", 4, "expected `)`, `&&` or `||`, found `b`"),
        ("a == 1 b", 8, "expected `&&`, `||` or the end, found `b`"),
        ("é == 'x", 6, "a quote is never closed"),
        ("a & b", 3, "and is written `&&`"),
        ("a ~ '('", 5, "not a regular expression"),
        ("a ^ b", 3, "`^` is no sign"),
    ] {
        let error = expr(text).unwrap_err();
        let shown = error.to_string();
        assert_eq!(error.column(), column, "{text}: {shown}");
        assert!(shown.starts_with(what), "{text}: {shown}");
        let mark = shown.lines().last().unwrap();
        assert_eq!(mark.find('^'), Some(3 + column), "{shown}");
    }
    assert!(expr(&"!".repeat(100_000)).is_err());
    assert!(expr(&"(".repeat(100_000)).is_err());
    let wide = vec!["a == 1"; 10_000].join(" && ");
    assert!(expr(&wide).is_ok());
}

fn rows(mut filter: Filter) -> String {
    let b = sample();
    let view = View::new(&b);
    let events = view.events().enumerate();
    let hits = events.filter(|(_, event)| filter.matches(event));
    hits.map(|(i, _)| i.to_string()).collect()
}

#[test]
fn filters_let_pass_what_they_say() {
    let grep = |p: &str| p.parse::<Grep>().unwrap();
    assert_eq!(rows(Filter::new()), "012");
    assert_eq!(rows(Filter::new().spans(true)), "0123");
    assert_eq!(rows(Filter::new().level(Level::Info)), "0");
    assert_eq!(rows(Filter::new().level(Level::Info).spans(true)), "03");
    assert_eq!(rows(Filter::new().target("hyper")), "0");
    assert_eq!(rows(Filter::new().target("hyper").target("hyperion")), "01");
    assert_eq!(rows(Filter::new().channel("app").pid(1234)), "012");
    assert_eq!(rows(Filter::new().channel("audit")), "");
    assert_eq!(rows(Filter::new().since_ns(TIME + 1)), "1");
    assert_eq!(rows(Filter::new().until_ns(TIME + 1)), "02");
    assert_eq!(rows(Filter::new().grep(grep("timed"))), "0");
    assert_eq!(rows(Filter::new().grep(grep("^fi|raw"))), "12");
    assert_eq!(rows(Filter::new().grep(Grep::new("FINE", true).unwrap())), "1");
    assert_eq!(rows(Filter::new().expr(expr("status > 0").unwrap())), "01");
    assert!(Grep::new("(", false).is_err());
    assert!(grep("a.b").literal().is_none());
}

#[test]
fn targets_are_modules() {
    assert!(target_matches("hyper", "hyper"));
    assert!(target_matches("hyper::proto", "hyper"));
    assert!(target_matches("hyper::proto", "hyper::"));
    assert!(!target_matches("hyperion", "hyper"));
    assert!(!target_matches("hyper", "hyper::proto"));
}

#[test]
fn needles_are_what_every_hit_contains() {
    let filter = Filter::new()
        .grep("fine".parse().unwrap())
        .grep("a|b".parse().unwrap())
        .expr(expr("message *= in && (message *= x || ok) && !(message *= y)").unwrap());
    assert_eq!(filter.needles(), [&b"fine"[..], b"in"]);
}

fn atom() -> impl Strategy<Value = String> {
    let op = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let text_op = prop::sample::select(vec!["^=", "$=", "*=", "==", "!="]);
    prop_oneof![
        (op.clone(), "error|warn|info|debug|trace").prop_map(|(o, v)| format!("level {o} {v}")),
        (op.clone(), 0i64..3)
            .prop_map(|(o, s)| format!("time {o} @{}.123456789", 1_795_525_199 + s)),
        (text_op, "hyper(ion)?|proto").prop_map(|(o, v)| format!("target {o} {v}")),
        (op, prop::sample::select(vec!["200", "503", "250.5"]))
            .prop_map(|(o, v)| format!("status {o} {v}")),
        Just("ok".to_owned()),
    ]
}

fn any_expr() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("!({e})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} || {b})")),
        ]
    })
}

proptest! {
    /// A block of one row, then of three: none is skipped that holds a hit.
    #[test]
    fn no_block_with_a_hit_is_skipped(text in any_expr(), level in 0u8..6) {
        let b = sample();
        let view = View::new(&b);
        let mut filter = Filter::new().expr(expr(&text).unwrap());
        if let Some(level) = Level::from_u8(level) {
            filter = filter.level(level).target("hyper");
        }
        let events: Vec<_> = view.events().take(3).collect();
        for block in [&events[..1], &events[1..2], &events[2..], &events[..]] {
            let places = || block.iter().filter_map(|e| e.place());
            let targets: Vec<&str> = places().map(|p| p.target.as_str()).collect();
            let times = || block.iter().map(|e| e.row.time_ns);
            let facts = BlockFacts {
                level_mask: places().fold(0, |mask, p| mask | 1 << p.level as u8),
                min_ns: times().min().unwrap(),
                max_ns: times().max().unwrap(),
                targets: Some(&targets),
            };
            let hit = block.iter().any(|e| filter.matches(e));
            prop_assert!(!hit || filter.may_match_block(&facts), "{}", text);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(
        text: String,
        near in r#"(level|a|time|span\.x|==|!=|<|~|&&|\|\||!|\(|\)|'|"|\\|é|1| |-){0,16}"#,
    ) {
        let b = everywhere(b"x");
        let view = View::new(&b);
        for text in [text, near] {
            match expr(&text) {
                Ok(mut expr) => {
                    view.events().for_each(|e| {
                        expr.matches(&e);
                    });
                }
                Err(error) => {
                    prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

#[test]
fn blocks_are_skipped() {
    let facts = BlockFacts {
        level_mask: 1 << Level::Debug as u8,
        min_ns: TIME,
        max_ns: TIME + 5,
        targets: Some(&["hyperion", "shop::cart"]),
    };
    let skips = |filter: Filter| !filter.may_match_block(&facts);
    let by = |text| Filter::new().expr(expr(text).unwrap());
    assert!(skips(Filter::new().level(Level::Info)));
    assert!(!skips(Filter::new().level(Level::Debug)));
    assert!(!skips(Filter::new().level(Level::Info).spans(true)));
    assert!(skips(Filter::new().target("hyper")));
    assert!(!skips(Filter::new().target("shop")));
    assert!(skips(Filter::new().since_ns(TIME + 6)));
    assert!(!skips(Filter::new().since_ns(TIME + 5)));
    assert!(skips(Filter::new().until_ns(TIME)));
    assert!(skips(by("level <= info && message *= x")));
    assert!(skips(by("time > 2027-01-01 || target == hyper")));
    assert!(!skips(by("!(level <= info)")));
    assert!(!skips(by("level <= info || status == 1")));
}
