//! What an expression asks of fields and callsites, for those who tell it from columns.

use super::compare::ordered;
use super::eval::{of_known, of_text, of_value};
use super::parse::{Node, Operand, Test};
use crate::render::{Member, level};
use relay_fmt::block::columns::{Condition, FieldOf};
use relay_fmt::callsite::{Callsite, Level};
use std::cell::RefCell;

impl Node {
    /// This, as far as it can be told from fields and callsites.
    pub(super) fn condition(&self) -> Condition<'_> {
        match self {
            Self::Any(nodes) => Condition::Any(nodes.iter().map(Self::condition).collect()),
            Self::All(nodes) => Condition::All(nodes.iter().map(Self::condition).collect()),
            Self::Not(node) => Condition::Not(Box::new(node.condition())),
            Self::Leaf(Operand::Field(name), test) => {
                let scratch = RefCell::new(Vec::new());
                Condition::Field(
                    name.as_str(),
                    Box::new(move |field| {
                        name.see();
                        passes(test, field, &mut scratch.borrow_mut())
                    }),
                )
            }
            Self::Leaf(Operand::Level, test) => Condition::Place(
                Box::new(move |site| level_passes(test, site.level)),
                Box::new(raw_level(move |level| level_passes(test, level))),
            ),
            Self::Leaf(operand, test) if of_site(operand) => {
                Condition::Site(Box::new(move |site| site_passes(operand, test, site)))
            }
            Self::Leaf(..) => Condition::Unknown,
        }
    }
}

/// Whether an operand is something of the callsite.
const fn of_site(operand: &Operand) -> bool {
    matches!(operand, Operand::Target | Operand::Module | Operand::File)
}

/// That the level of a raw record passes, if it is an object that says one.
pub(super) fn raw_level<'a>(passes: impl Fn(Level) -> bool + Copy + 'a) -> Condition<'a> {
    let of = |field: FieldOf<'_>| match field {
        FieldOf::Value(value) => level::of_value(value),
        FieldOf::Json(text) => Member::new(text).with(level::of_value),
    };
    // Which of the names counts is not looked at: that one of them may pass is all that is asked here.
    let key = |key| Condition::Field(key, Box::new(move |field| of(field).is_some_and(passes)));
    Condition::Any(level::KEYS.into_iter().map(key).collect())
}

/// As an expression is true of this level.
pub(super) fn level_passes(test: &Test, level: Level) -> bool {
    match test {
        Test::Level(op, than) => ordered(*op, &level, than),
        _ => of_text(test, level.as_str().as_bytes()),
    }
}

fn passes(test: &Test, field: FieldOf<'_>, scratch: &mut Vec<u8>) -> bool {
    match field {
        FieldOf::Value(value) => of_value(test, value, scratch),
        FieldOf::Json(text) => Member::new(text).with(|value| of_value(test, value, scratch)),
    }
}

/// As the expression is true of an event of this callsite.
pub(super) fn site_passes(operand: &Operand, test: &Test, site: &Callsite) -> bool {
    match operand {
        Operand::Target => of_text(test, site.target.as_bytes()),
        Operand::Module => of_known(test, site.module.as_bytes()),
        Operand::File => of_known(test, site.file.as_bytes()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Expr, Filter};
    use crate::render::View;
    use crate::render::fixture::{TIME, add_site, buffer, int, site, text};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use relay_fmt::block::RowBuffer;
    use relay_fmt::block::columns::{Counted, Selected, Wanted, encode, select};
    use relay_fmt::callsite::{Callsite, Field, Level};
    use relay_fmt::record::Kind;
    use relay_fmt::value::{Layout, Type};

    /// A value of a member, in all the ways that JSON and its splitting know.
    fn any_json() -> impl Strategy<Value = String> {
        prop_oneof![
            (-3i64..4).prop_map(|n| n.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            (-300i32..300).prop_map(|n| format!("{:.2}", f64::from(n) / 100.0)),
            any::<f64>()
                .prop_filter("JSON has no others", |x| x.is_finite())
                .prop_map(|x| format!("{x:?}")),
            prop::sample::select(vec![
                "true",
                "false",
                "null",
                "[1,2]",
                "[\"x\",[3]]",
                "{\"b\":2,\"c\":\"x\"}",
                "{}",
                "1e2",
                "\"x\"",
                "\"ab\"",
                "\"a/b\"",
                "\"/items/7\"",
                "\"10.0.0.1\"",
                "\"a\\\"b\"",
                "\"\\u0061b\"",
                "\"2026-11-24T10:00:00.5Z\"",
                "\"\"",
                "\"2\"",
                "\"\\ud800\"",
                "1722000000.25",
                "-0.0",
                "340282366920938463463374607431768211455",
                "340282366920938463463374607431768211454",
                "\"warn\"",
                "\"INFO\"",
                "30",
                "50",
            ])
            .prop_map(str::to_owned),
        ]
    }

    /// Lines of the same keys, and some that are no objects.
    fn any_line() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec!["a", "a.b", "q", "ok", "c", "level", "severity"]);
        prop_oneof![
            3 => (any_json(), any_json()).prop_map(|(a, level)| {
                format!("{{\"a\":{a}, \"level\":{level}}}")
            }),
            6 => (any_json(), any_json()).prop_map(|(a, q)| format!("{{\"a\":{a}, \"q\":{q}}}")),
            3 => vec((key, any_json()), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            1 => any_json(),
            1 => (any_json(), any_json()).prop_map(|(a, b)| format!("{{\"a\":{a},\"q\":{b}")),
            1 => "[a-z{\"\\\\:, 0-9]{0,20}",
        ]
    }

    fn any_condition() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "a.b", "q", "ok", "c", "n", "0"]);
        let value = prop::sample::select(vec![
            "0",
            "1",
            "2",
            "-1.5",
            "0.25",
            "x",
            "ab",
            "'2'",
            "100",
            "true",
            "9007199254740993",
            "340282366920938463463374607431768211455",
            "10",
            "/",
        ]);
        let op = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">=", "^=", "$=", "*="]);
        let leaf = prop_oneof![
            8 => (name.clone(), op, value).prop_map(|(n, o, v)| format!("field.{n} {o} {v}")),
            2 => name.clone().prop_map(|n| format!("field.{n}")),
            1 => name.prop_map(|n| format!("field.{n} ~ '^[a-z1]'")),
            1 => prop::sample::select(vec![
                "level <= warn",
                "level == info",
                "level != error",
                "level ~ '^W'",
                "level",
                "target ^= hyper",
                "message *= x",
            ])
                .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|e| format!("!({e})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("({a} || {b})")),
            ]
        })
    }

    fn packed(template: &str, fields: &[(&str, Type)]) -> Callsite {
        let field = |(name, of): &(&str, Type)| Field {
            name: (*name).into(),
            of: *of,
            argument_only: false,
        };
        let fields = fields.iter().map(field).collect();
        Callsite {
            layout: Layout::Packed,
            template: template.into(),
            fields,
            ..site(Level::Info, "hyper", &[])
        }
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
    }

    /// Rows of raw lines, of lines through `log`, and of typed values; whose bytes are sometimes wrong.
    fn rows(lines: &[(String, u8, i64)]) -> RowBuffer {
        let mut b = buffer();
        let sparse = add_site(&mut b, site(Level::Warn, "hyper", &["a"]));
        let macros = packed("n is {0}", &[("n", Type::I16), ("q", Type::Str), ("ok", Type::Bool)]);
        let macros = add_site(&mut b, macros);
        let floats = [("a", Type::F64), ("q", Type::Bytes), ("", Type::U64), ("c", Type::Char)];
        let floats = add_site(&mut b, packed("{1}{0}", &floats));
        let log = add_site(&mut b, packed("{0}", &[("", Type::Text), ("c", Type::U8)]));
        for (line, how, n) in lines {
            let wrong: &[u8] = if n % 7 == 3 { b"\xff" } else { b"" };
            let line = [line.as_bytes(), if *how > 5 { wrong } else { b"" }].concat();
            let (kind, site, payload) = match how % 6 {
                0 | 1 => (Kind::Raw, 0, line),
                2 => (Kind::Event, sparse, [text(0, &line), int(1, *n)].concat()),
                3 => {
                    let n = (*n as i16 % 4).to_le_bytes();
                    (Kind::Event, macros, [&n[..], &string(&line), &[*how & 1]].concat())
                }
                4 => {
                    let x = (*n as f64 / 4.0).to_le_bytes();
                    let c = (*n as u32 % 130).to_le_bytes();
                    let all = [&x[..], &string(&line), &n.to_le_bytes(), &c];
                    (Kind::Event, floats, all.concat())
                }
                _ => (Kind::Event, log, [string(&line), vec![*n as u8]].concat()),
            };
            let time = TIME + b.len() as i64;
            b.push(0, kind, site, 0, time, &payload);
        }
        b
    }

    fn chosen(rows: &RowBuffer, filter: &Filter) -> Option<Selected> {
        let mut body = Vec::new();
        encode(rows, 1, &mut body).unwrap();
        let condition = filter.condition();
        let wanted = Wanted {
            needles: &[],
            class: &|_, _| true,
            time: &|_| true,
            any_time: true,
            condition: condition.as_ref(),
            count: Counted::None,
        };
        select(&body, &wanted).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        /// No row that is meant is left out, and what is put together is what it was.
        #[test]
        fn columns_exclude_no_row_that_is_meant(
            lines in vec((any_line(), 0u8..12, -6i64..300), 1..25),
            copies in 1usize..4,
            expr in any_condition(),
        ) {
            let lines: Vec<_> = lines.iter().cycle().take(lines.len() * copies).cloned().collect();
            let b = rows(&lines);
            let mut filter = Filter::new().expr(expr.parse::<Expr>().unwrap());
            let selected = chosen(&b, &filter);
            for (row, event) in View::new(&b).events().enumerate() {
                if !filter.matches(&event) {
                    continue;
                }
                let found = selected.as_ref().filter(|found| found.keep[row]);
                prop_assert!(found.is_some(), "{}: row {}: {:?}", expr, row, lines[row]);
                prop_assert_eq!(found.unwrap().rows.payload_of(row), b.payload_of(row));
            }
        }
    }

    #[test]
    fn rows_that_cannot_be_meant_are_not_put_together() {
        let lines: Vec<_> = (0..600)
            .map(|n| {
                let query = ["www.example.org", "a\\u002fb", "mail.example.com"][n % 3];
                let line = format!(
                    "{{\"query\":\"{query}\",\"rtt\":{:.3},\"id\":{{\"port\":{n}}},\"l\":[{n},\"x\"]}}",
                    n as f64 / 1000.0
                );
                (line, (n % 6) as u8, n as i64)
            })
            .collect();
        let b = rows(&lines);
        for (expr, most) in [
            ("rtt > 0.5 && query *= example", 50),
            ("id.port == 7", 1),
            ("id.port >= 590 || rtt < 0.010", 20),
            ("l *= '[17,'", 2),
            ("query == 'a/b'", 200),
            ("ok && n == 1", 100),
            ("level == error && rtt > 0", 0),
            ("nothing == 1", 0),
        ] {
            let mut filter = Filter::new().expr(expr.parse::<Expr>().unwrap());
            let selected = chosen(&b, &filter);
            // Of one callsite the message may be anything: its rows are put together.
            let judged = |row: &usize| lines[*row].1 != 4;
            let keep = selected.map(|found| found.keep).unwrap_or_default();
            let kept = (0..keep.len()).filter(|row| keep[*row]).filter(judged).count();
            let view = View::new(&b);
            let hits = view.events().enumerate().filter(|(_, event)| filter.matches(event));
            let hits = hits.map(|(row, _)| row).filter(judged).count();
            assert!(kept <= most && hits <= kept, "{expr}: {hits} are meant, {kept} are kept");
        }
    }
}
