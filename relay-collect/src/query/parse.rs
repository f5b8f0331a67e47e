//! From an expression's text to what is evaluated.
//!
//! ```text
//! expr  = and ("||" and)*
//! and   = not ("&&" not)*
//! not   = "!" not | "(" expr ")" | name [op value]
//! ```

use super::lex::{Op, Placed, Token, lex};
use super::name::Name;
use super::{ParseError, compare::Literal};
use crate::args::{When, level};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::bytes::Regex;
use relay_fmt::callsite::Level;

/// How deep parentheses and negations may nest.
const MAX_DEPTH: usize = 64;

/// The names that mean something else than a field of the event.
pub(super) const BUILT_IN: [&str; 14] = [
    "level",
    "target",
    "message",
    "thread",
    "pid",
    "tid",
    "channel",
    "program",
    "host",
    "module",
    "file",
    "line",
    "time",
    "span.name",
];

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    Level,
    Target,
    Message,
    Thread,
    Pid,
    Tid,
    Channel,
    Program,
    Host,
    Module,
    File,
    Line,
    Time,
    /// The name of any span around the event.
    SpanName,
    /// A field of any span around the event.
    SpanField(String),
    /// A field of the event.
    Field(Name),
}

/// A comparison and what it compares with.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// The operand exists and is not `false`.
    Exists,
    /// Its level, by urgency: `error` is the least.
    Level(Op, Level),
    /// Its time in UTC nanoseconds.
    Time(Op, i64),
    /// A value.
    Value(Op, Literal),
    /// A regular expression.
    Regex(Regex),
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Leaf(Operand, Test),
}

impl Operand {
    fn of(word: &str) -> Self {
        match word {
            "level" => Self::Level,
            "target" => Self::Target,
            "message" => Self::Message,
            "thread" => Self::Thread,
            "pid" => Self::Pid,
            "tid" => Self::Tid,
            "channel" => Self::Channel,
            "program" => Self::Program,
            "host" => Self::Host,
            "module" => Self::Module,
            "file" => Self::File,
            "line" => Self::Line,
            "time" => Self::Time,
            "span.name" => Self::SpanName,
            _ => match (word.strip_prefix("span."), word.strip_prefix("field.")) {
                (Some(field), _) => Self::SpanField(field.into()),
                (_, Some(field)) => Self::Field(field.into()),
                _ => Self::Field(word.into()),
            },
        }
    }
}

/// What relative and local times mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock<'a> {
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
}

struct Parser<'a> {
    text: &'a str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Placed>>,
    clock: Clock<'a>,
    depth: usize,
}

pub(super) fn parse(text: &str, clock: Clock<'_>) -> Result<Node, ParseError> {
    let tokens = lex(text)?.into_iter().peekable();
    let mut parser = Parser { text, tokens, clock, depth: 0 };
    let node = parser.any()?;
    match parser.next() {
        (_, Token::End) => Ok(node),
        (at, Token::Close) => parser.fail(at, "a `)` closes nothing"),
        (at, token) => {
            let found = token.describe();
            parser.fail(at, format!("expected `&&`, `||` or the end, found {found}"))
        }
    }
}

impl Parser<'_> {
    fn fail<T>(&self, at: usize, what: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.text, at, what.into()))
    }

    fn next(&mut self) -> Placed {
        let end = (self.text.len(), Token::End);
        self.tokens.next().unwrap_or(end)
    }

    fn eat(&mut self, token: &Token) -> bool {
        self.tokens.next_if(|(_, t)| t == token).is_some()
    }

    fn any(&mut self) -> Result<Node, ParseError> {
        let first = self.all()?;
        let mut nodes = vec![first];
        while self.eat(&Token::Or) {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, ParseError> {
        let first = self.not()?;
        let mut nodes = vec![first];
        while self.eat(&Token::And) {
            nodes.push(self.not()?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn not(&mut self) -> Result<Node, ParseError> {
        let (at, token) = self.next();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(at, format!("more than {MAX_DEPTH} `(` and `!` are open"));
        }
        let node = match token {
            Token::Not => Node::Not(Box::new(self.not()?)),
            Token::Open => {
                let inner = self.any()?;
                match self.next() {
                    (_, Token::Close) => inner,
                    (_, Token::End) => return self.fail(at, "a `(` is never closed"),
                    (at, token) => {
                        let found = token.describe();
                        return self.fail(at, format!("expected `)`, `&&` or `||`, found {found}"));
                    }
                }
            }
            Token::Word(word) => self.comparison(Operand::of(&word))?,
            Token::Quoted(name) => self.comparison(Operand::Field(name.as_str().into()))?,
            token => {
                let found = token.describe();
                return self.fail(at, format!("expected a name, `!` or `(`, found {found}"));
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self, operand: Operand) -> Result<Node, ParseError> {
        let is_op = |placed: &Placed| matches!(placed.1, Token::Op(_));
        let Some((op_at, Token::Op(op))) = self.tokens.next_if(is_op) else {
            return Ok(Node::Leaf(operand, Test::Exists));
        };
        let (at, token) = self.next();
        let sign = Token::Op(op).describe();
        let (text, bare) = match token {
            Token::Word(word) => (word, true),
            Token::Quoted(text) => (text, false),
            token => {
                let found = token.describe();
                return self.fail(at, format!("expected a value after {sign}, found {found}"));
            }
        };
        if op == Op::Matches && operand != Operand::Time {
            return match Regex::new(&text) {
                Ok(regex) => Ok(Node::Leaf(operand, Test::Regex(regex))),
                Err(error) => self.fail(at, format!("not a regular expression: {error}")),
            };
        }
        let of_text = matches!(op, Op::Prefix | Op::Suffix | Op::Contains | Op::Matches);
        let test = match operand {
            Operand::Level | Operand::Time if of_text => {
                return self.fail(op_at, format!("{sign} compares text, but this is none"));
            }
            Operand::Level => match level(&text) {
                Ok(level) => Test::Level(op, level),
                Err(_) => return self.fail(at, "a level is error, warn, info, debug or trace"),
            },
            Operand::Time => Test::Time(op, self.time(at, &text)?),
            _ => Test::Value(op, Literal::new(text, bare)),
        };
        Ok(Node::Leaf(operand, test))
    }

    fn time(&self, at: usize, text: &str) -> Result<i64, ParseError> {
        let Clock { now, zone } = self.clock;
        let when = text.parse::<When>();
        let nanos = when.and_then(|when| when.resolve_ns(now, zone));
        nanos.or_else(|error| self.fail(at, error.to_string()))
    }
}

fn one_or(mut nodes: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => {
            nodes.extend(last);
            many(nodes)
        }
    }
}
