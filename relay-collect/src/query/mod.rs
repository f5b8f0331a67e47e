//! Which events are meant.
//!
//! A [`Filter`] holds what the options of `cat` say; [`Expr`] is the language of `--where`:
//!
//! ```text
//! level <= warn && (status >= 500 || message ~ "time(d )?out") && !(target ^= hyper)
//! span.name == request && span.user == "J B" && time >= 13:00
//! ```
//!
//! | sign | means |
//! |---|---|
//! | `==` `!=` `<` `<=` `>` `>=` | compares numbers as numbers, text as bytes |
//! | `^=` `$=` `*=` | begins with, ends with, contains |
//! | `~` | matches the regular expression (of the crate `regex`) |
//! | `&&` `\|\|` `!` `( )` | and, or, not |
//!
//! To the left stands a name: `level`, `target`, `message`, `thread`, `pid`, `tid`, `channel`,
//! `program`, `host`, `module`, `file`, `line`, `time`, `span.name`, `span.` and a field of any span
//! around the event, or a field of the event (with `field.` in front where its name is one of these,
//! between quotes where it has signs in it). A name alone asks whether there is such a thing. To
//! the right stands a word, a number, or text between quotes. What an event does not have makes a
//! comparison false, also with `!=`. docs/search.md has the whole of it.
//!
//! Levels are ordered as in the crate `log`: error < warn < info < debug < trace, so that
//! `level <= warn` means what `--level warn` means.

mod compare;
mod condition;
mod eval;
mod filter;
mod lex;
mod name;
mod parse;
#[cfg(test)]
mod tests;

pub use filter::{Filter, Grep, target_matches};
pub(crate) use name::{Name, nearest};

use crate::render::Event;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use relay_fmt::block::columns::Condition;
use std::fmt;
use std::str::FromStr;

/// An expression that cannot be understood, and where.
///
/// Shown as a sentence, then the expression with a mark under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    column: usize,
    what: String,
}

impl ParseError {
    fn new(text: &str, at: usize, what: String) -> Self {
        let before = text.get(..at).unwrap_or(text);
        Self { text: text.into(), column: before.chars().count() + 1, what }
    }

    /// The character at which it goes wrong, counted from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever was typed, so that the mark stands under its place.
        let line: String =
            self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (what, column) = (&self.what, self.column);
        writeln!(f, "{what} (column {column})\n    {line}")?;
        write!(f, "    {:>column$}", '^')
    }
}

impl std::error::Error for ParseError {}

/// What is known of a block without reading its rows.
#[derive(Debug, Clone, Copy)]
pub struct BlockFacts<'a> {
    /// For each level that a row has, the bit `1 << level`; where there are rows without a callsite, all
    /// bits, since their messages may say a level.
    pub level_mask: u8,
    /// The smallest `time_ns` of its rows.
    pub min_ns: i64,
    /// The largest `time_ns` of its rows.
    pub max_ns: i64,
    /// The targets of its rows' callsites; `None` where they are not known.
    pub targets: Option<&'a [&'a str]>,
}

impl BlockFacts<'_> {
    fn has_level(&self, level: relay_fmt::callsite::Level) -> bool {
        self.level_mask & 1 << (level as u8) != 0
    }
}

/// Memory that evaluation uses again and again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    text: Vec<u8>,
    value: Vec<u8>,
}

/// A parsed `--where`.
///
/// ```
/// use relay_collect::query::Expr;
/// assert!("level <= warn && status >= 500".parse::<Expr>().is_ok());
/// let error = "level = warn".parse::<Expr>().unwrap_err();
/// assert_eq!(error.column(), 7);
/// assert!(error.to_string().starts_with("equality is written `==`"));
/// ```
#[derive(Debug, Clone)]
pub struct Expr {
    root: parse::Node,
    scratch: Scratch,
}

impl Expr {
    /// Parses an expression whose times are relative to `now` and local to `zone`.
    ///
    /// # Errors
    /// When it cannot be understood; the error says where.
    pub fn parse_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, ParseError> {
        let root = parse::parse(text, parse::Clock { now, zone })?;
        Ok(Self { root, scratch: Scratch::default() })
    }

    /// Whether the event is meant.
    pub fn matches(&mut self, event: &Event<'_>) -> bool {
        self.root.holds(event, &mut self.scratch)
    }

    /// Whether a block may hold a row that is meant. `false` is certain, `true` is not.
    #[must_use]
    pub fn may_match_block(&self, facts: &BlockFacts<'_>) -> bool {
        self.root.may(facts).0
    }

    /// What it asks of fields and callsites.
    pub(crate) fn condition(&self) -> Condition<'_> {
        self.root.condition()
    }

    /// The names of fields that it asks for and that nothing was seen of.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.root.names(&mut names);
        names.into_iter().filter(|name| !name.is_seen()).map(name::Name::as_str)
    }

    /// Something has a field of this name.
    pub(crate) fn see(&self, field: &str) {
        let mut names = Vec::new();
        self.root.names(&mut names);
        names.into_iter().filter(|name| name.as_str() == field).for_each(name::Name::see);
    }

    /// The names that mean something else than a field of the event.
    pub(crate) fn built_in<'a>() -> impl Iterator<Item = &'a str> {
        parse::BUILT_IN.into_iter()
    }

    /// Text that the message of every row that is meant contains.
    #[must_use]
    pub fn needles(&self) -> Vec<&[u8]> {
        let mut found = Vec::new();
        self.root.needles(&mut found);
        found
    }
}

impl FromStr for Expr {
    type Err = ParseError;

    /// Parses with the system's clock and zone.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse_at(text, Timestamp::now(), &TimeZone::system())
    }
}
