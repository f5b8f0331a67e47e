//! Expressions against events, and against what is known of a whole block.

use super::compare::{Literal, ordered};
use super::condition::{level_passes, site_passes};
use super::lex::Op;
use super::name::Name;
use super::parse::{Node, Operand, Test};
use super::{BlockFacts, Scratch};
use crate::render::value::plain;
use crate::render::{Event, Object, last_value};
use relay_fmt::callsite::{Level, Values};
use relay_fmt::value::Value;

impl Node {
    /// Whether the event is meant. What it does not have makes a comparison false.
    pub(super) fn holds(&self, event: &Event<'_>, scratch: &mut Scratch) -> bool {
        match self {
            Self::Any(nodes) => nodes.iter().any(|n| n.holds(event, scratch)),
            Self::All(nodes) => nodes.iter().all(|n| n.holds(event, scratch)),
            Self::Not(node) => !node.holds(event, scratch),
            Self::Leaf(operand, test) => leaf(operand, test, event, scratch),
        }
    }

    /// Whether some row of a block may make this true, and whether some row may make it false.
    pub(super) fn may(&self, facts: &BlockFacts<'_>) -> (bool, bool) {
        match self {
            Self::Any(nodes) => nodes.iter().fold((false, true), |(yes, no), node| {
                let (may, may_not) = node.may(facts);
                (yes || may, no && may_not)
            }),
            Self::All(nodes) => nodes.iter().fold((true, false), |(yes, no), node| {
                let (may, may_not) = node.may(facts);
                (yes && may, no || may_not)
            }),
            Self::Not(node) => {
                let (may, may_not) = node.may(facts);
                (may_not, may)
            }
            Self::Leaf(Operand::Level, Test::Level(op, level)) => {
                let mut levels = Level::ALL.iter().filter(|l| facts.has_level(**l));
                (levels.any(|l| ordered(*op, l, level)), true)
            }
            Self::Leaf(Operand::Time, Test::Time(op, at)) => may_time(*op, *at, facts),
            Self::Leaf(Operand::Target, Test::Value(op, literal)) => {
                let Some(targets) = facts.targets else {
                    return (true, true);
                };
                let mut targets = targets.iter();
                let may = targets.any(|t| literal.holds_for_text(*op, t.as_bytes()));
                (may, true)
            }
            Self::Leaf(..) => (true, true),
        }
    }

    /// Adds the names of fields that it asks for.
    pub(super) fn names<'n>(&'n self, out: &mut Vec<&'n Name>) {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|n| n.names(out)),
            Self::Not(node) => node.names(out),
            Self::Leaf(Operand::Field(name), _) => out.push(name),
            Self::Leaf(..) => {}
        }
    }

    /// Adds text that every message must contain for this to hold.
    pub(super) fn needles<'n>(&'n self, out: &mut Vec<&'n [u8]>) {
        match self {
            Self::All(nodes) => nodes.iter().for_each(|n| n.needles(out)),
            Self::Leaf(Operand::Message, Test::Value(op, literal)) => {
                let has = matches!(op, Op::Contains | Op::Prefix | Op::Suffix);
                if has && !literal.text.is_empty() {
                    out.push(literal.text.as_bytes());
                }
            }
            Self::Any(_) | Self::Not(_) | Self::Leaf(..) => {}
        }
    }
}

fn may_time(op: Op, at: i64, facts: &BlockFacts<'_>) -> (bool, bool) {
    let (min, max) = (facts.min_ns, facts.max_ns);
    let both = |op: Op| (ordered(op, &min, &at), ordered(op, &max, &at));
    match op {
        Op::Eq => ((min..=max).contains(&at), min != at || max != at),
        Op::Ne => (min != at || max != at, (min..=max).contains(&at)),
        _ => {
            let (of_min, of_max) = both(op);
            (of_min || of_max, !of_min || !of_max)
        }
    }
}

fn leaf(operand: &Operand, test: &Test, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    let source = event.source;
    let place = event.place();
    match operand {
        Operand::Level => event.level().is_some_and(|level| level_passes(test, level)),
        Operand::Target | Operand::Module | Operand::File => {
            place.is_some_and(|site| site_passes(operand, test, site))
        }
        Operand::Time => match test {
            Test::Time(op, at) => ordered(*op, &event.row.time_ns, at),
            Test::Exists => true,
            _ => false,
        },
        Operand::Line => place.is_some_and(|c| c.line != 0 && of_int(test, c.line)),
        Operand::Message => {
            scratch.text.clear();
            // What parsed is what is shown, and what is compared.
            let _ = event.write_message(&mut scratch.text);
            of_text(test, &scratch.text)
        }
        Operand::Thread => of_known(test, &event.run.thread),
        Operand::Pid => of_int(test, source.pid),
        Operand::Tid => of_int(test, event.run.tid),
        Operand::Channel => of_text(test, source.channel.as_bytes()),
        Operand::Program => of_known(test, source.program.as_bytes()),
        Operand::Host => of_known(test, source.host.as_bytes()),
        Operand::SpanName => {
            let mut names = event.spans.iter().map(|s| s.name());
            names.any(|name| of_text(test, name.as_bytes()))
        }
        Operand::SpanField(name) => {
            let mut spans = event.spans.iter();
            spans.any(|s| of_field(test, name, s.values(), scratch))
        }
        Operand::Field(name) => {
            let own = event.fields().and_then(|values| last_value(values, name.as_str()));
            match own {
                Some(value) => {
                    name.see();
                    of_value(test, &value, &mut scratch.value)
                }
                None => of_member(test, name, event, scratch),
            }
        }
    }
}

pub(super) fn of_text(test: &Test, text: &[u8]) -> bool {
    match test {
        Test::Exists => true,
        Test::Value(op, literal) => literal.holds_for_text(*op, text),
        Test::Regex(regex) => regex.is_match(text),
        Test::Level(..) | Test::Time(..) => false,
    }
}

/// As [`of_text`], where no text means that it is not known.
pub(super) fn of_known(test: &Test, text: &[u8]) -> bool {
    !text.is_empty() && of_text(test, text)
}

fn of_int(test: &Test, value: u32) -> bool {
    match test {
        Test::Value(op, literal) => literal.holds_for_int(*op, value.into()),
        _ => of_text(test, value.to_string().as_bytes()),
    }
}

fn of_field(test: &Test, name: &str, values: Values<'_>, scratch: &mut Scratch) -> bool {
    let found = last_value(values, name);
    found.is_some_and(|value| of_value(test, &value, &mut scratch.value))
}

/// As [`of_field`], for what a message that is a JSON object has under this name.
fn of_member(test: &Test, name: &Name, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    scratch.text.clear();
    let _ = event.write_message(&mut scratch.text);
    let member = Object::of(&scratch.text).and_then(|object| object.find(name.as_str()));
    member.is_some_and(|member| {
        name.see();
        member.with(|v| of_value(test, v, &mut scratch.value))
    })
}

pub(super) fn of_value(test: &Test, value: &Value<'_>, scratch: &mut Vec<u8>) -> bool {
    let compare = |op, literal: &Literal, scratch: &mut Vec<u8>| {
        !matches!(value, Value::None) && literal.holds_for(op, value, scratch)
    };
    match test {
        Test::Exists => !matches!(value, Value::None | Value::Bool(false)),
        Test::Value(op, literal) => compare(*op, literal, scratch),
        Test::Regex(regex) => {
            scratch.clear();
            plain(value, scratch);
            regex.is_match(scratch)
        }
        Test::Level(..) | Test::Time(..) => false,
    }
}
