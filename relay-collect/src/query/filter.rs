//! The options that choose events.

use super::condition::raw_level;
use super::name::Name;
use super::{BlockFacts, Expr};
use crate::args::ArgError;
use crate::render::{Column, Event, is_span};
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use relay_fmt::block::columns::Condition;
use relay_fmt::callsite::{Callsite, Level};
use std::str::FromStr;

/// What messages must contain: a regular expression, or, where it has no signs of one, plain text.
///
/// ```
/// use relay_collect::query::Grep;
/// let grep: Grep = "took [0-9]+ ms".parse()?;
/// assert!(grep.is_match(b"it took 12 ms"));
/// assert_eq!("12 ms".parse::<Grep>()?.literal(), Some(&b"12 ms"[..]));
/// # Ok::<(), relay_collect::args::ArgError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grep(Matcher);

#[derive(Debug, Clone)]
enum Matcher {
    Text(Box<Finder<'static>>),
    Regex(Regex),
}

impl Grep {
    /// A pattern, whose letters match either case where `ignore_case` says so.
    ///
    /// # Errors
    /// When it is not a regular expression.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, ArgError> {
        if !ignore_case && regex::escape(pattern) == pattern {
            let finder = Finder::new(pattern.as_bytes()).into_owned();
            return Ok(Self(Matcher::Text(Box::new(finder))));
        }
        let regex = RegexBuilder::new(pattern).case_insensitive(ignore_case).build();
        let bad = |e| ArgError::new(format!("`{pattern}` is not a regular expression: {e}"));
        regex.map(|r| Self(Matcher::Regex(r))).map_err(bad)
    }

    /// Whether the bytes contain a match.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        match &self.0 {
            Matcher::Text(finder) => finder.find(bytes).is_some(),
            Matcher::Regex(regex) => regex.is_match(bytes),
        }
    }

    /// The text that is looked for, where it is plain text.
    #[must_use]
    pub fn literal(&self) -> Option<&[u8]> {
        match &self.0 {
            Matcher::Text(finder) => Some(finder.needle()),
            Matcher::Regex(_) => None,
        }
    }
}

impl FromStr for Grep {
    type Err = ArgError;

    fn from_str(pattern: &str) -> Result<Self, ArgError> {
        Self::new(pattern, false)
    }
}

/// Whether `target` is `prefix` or lies in the module that it names: `hyper` holds `hyper::proto`,
/// not `hyperion`.
#[must_use]
pub fn target_matches(target: &str, prefix: &str) -> bool {
    let rest = target.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || prefix.ends_with("::"))
}

/// Which events are meant: all that pass every option that was set.
///
/// An option that may be given several times lets pass what any of its values lets pass; only
/// patterns must all match. Rows about spans pass only with [`Filter::spans`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Filter {
    level: Option<Level>,
    targets: Vec<String>,
    channels: Vec<String>,
    pids: Vec<u32>,
    since_ns: Option<i64>,
    until_ns: Option<i64>,
    greps: Vec<Grep>,
    exprs: Vec<Expr>,
    /// Fields that are shown of what passes.
    shown: Vec<Name>,
    spans: bool,
    message: Vec<u8>,
}

impl Filter {
    /// A filter that all events pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what is at least as urgent. What has no level ([`Event::level`]) does not pass. Default: everything.
    pub const fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Only this target and those within it ([`target_matches`]). Default: every target.
    pub fn target(mut self, prefix: impl Into<String>) -> Self {
        self.targets.push(prefix.into());
        self
    }

    /// Only the channel of this name. Default: every channel.
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.channels.push(name.into());
        self
    }

    /// Only this process. Default: every process.
    pub fn pid(mut self, pid: u32) -> Self {
        self.pids.push(pid);
        self
    }

    /// Only what happened at this time or later, UTC nanoseconds. Default: from the beginning.
    pub const fn since_ns(mut self, time_ns: i64) -> Self {
        self.since_ns = Some(time_ns);
        self
    }

    /// Only what happened before this time, UTC nanoseconds. Default: to the end.
    pub const fn until_ns(mut self, time_ns: i64) -> Self {
        self.until_ns = Some(time_ns);
        self
    }

    /// Only messages that match. Default: every message.
    pub fn grep(mut self, grep: Grep) -> Self {
        self.greps.push(grep);
        self
    }

    /// Only what the expression means. Default: everything.
    pub fn expr(mut self, expr: Expr) -> Self {
        self.exprs.push(expr);
        self
    }

    /// What passes is shown with these columns: [`Store::unknown_fields`] says which of their fields
    /// nothing has.
    ///
    /// [`Store::unknown_fields`]: crate::read::Store::unknown_fields
    pub fn shown(mut self, columns: &[Column]) -> Self {
        self.shown.extend(columns.iter().filter_map(Column::field).cloned());
        self
    }

    /// The names of fields that are asked for and that nothing was seen of so far.
    pub(crate) fn unseen_fields(&self) -> Vec<String> {
        let shown = self.shown.iter().filter(|name| !name.is_seen()).map(Name::as_str);
        let mut names: Vec<_> =
            self.exprs.iter().flat_map(Expr::unseen).chain(shown).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Something has a field of this name.
    pub(crate) fn see_field(&self, name: &str) {
        self.exprs.iter().for_each(|expr| expr.see(name));
        self.shown.iter().filter(|own| own.as_str() == name).for_each(Name::see);
    }

    /// The same without patterns and expressions.
    pub(crate) fn without_text(&self) -> Self {
        Self { greps: Vec::new(), exprs: Vec::new(), ..self.clone() }
    }

    /// Lets rows about spans pass. Default: no.
    pub const fn spans(mut self, spans: bool) -> Self {
        self.spans = spans;
        self
    }

    /// Whether the event is meant. Uses memory of the filter's own; threads use clones.
    pub fn matches(&mut self, event: &Event<'_>) -> bool {
        (self.spans || !is_span(event.row.kind))
            && self.passes_time(event.row.time_ns, event.row.time_ns)
            && self.passes_place(event)
            && self.passes_message(event)
            && self.exprs.iter_mut().all(|e| e.matches(event))
    }

    /// Whether some time between the two may pass.
    fn passes_time(&self, min_ns: i64, max_ns: i64) -> bool {
        self.since_ns.is_none_or(|since| max_ns >= since)
            && self.until_ns.is_none_or(|until| min_ns < until)
    }

    fn passes_place(&self, event: &Event<'_>) -> bool {
        let source = event.source;
        if !self.pids.is_empty() && !self.pids.contains(&source.pid)
            || !self.channels.is_empty() && !self.channels.contains(&source.channel)
        {
            return false;
        }
        let target = || event.place().is_some_and(|place| self.passes_target(&place.target));
        (self.targets.is_empty() || target())
            && self.level.is_none_or(|most| event.level().is_some_and(|level| level <= most))
    }

    fn passes_target(&self, target: &str) -> bool {
        let mut prefixes = self.targets.iter();
        self.targets.is_empty() || prefixes.any(|p| target_matches(target, p))
    }

    fn passes_message(&mut self, event: &Event<'_>) -> bool {
        if self.greps.is_empty() {
            return true;
        }
        self.message.clear();
        // What parsed is what is shown, and what is searched.
        let _ = event.write_message(&mut self.message);
        self.greps.iter().all(|g| g.is_match(&self.message))
    }

    /// Whether a channel of this name and process may hold what is meant.
    #[must_use]
    pub fn may_match_source(&self, channel: &str, pid: u32) -> bool {
        (self.pids.is_empty() || self.pids.contains(&pid))
            && (self.channels.is_empty() || self.channels.iter().any(|c| c == channel))
    }

    /// Whether a block may hold a row that is meant. `false` is certain, `true` is not.
    ///
    /// Where rows about spans pass, only times exclude a block: such rows take level and target
    /// from their spans, which the facts do not speak of.
    #[must_use]
    pub fn may_match_block(&self, facts: &BlockFacts<'_>) -> bool {
        if !self.passes_time(facts.min_ns, facts.max_ns) {
            return false;
        }
        if self.spans {
            return true;
        }
        let wanted = |most| Level::ALL.into_iter().take_while(move |l| *l <= most);
        self.level.is_none_or(|most| wanted(most).any(|l| facts.has_level(l)))
            && facts
                .targets
                .is_none_or(|t| self.targets.is_empty() || t.iter().any(|t| self.passes_target(t)))
            && self.exprs.iter().all(|e| e.may_match_block(facts))
    }

    /// Whether a row of this time may be meant.
    pub(crate) fn may_match_time(&self, time_ns: i64) -> bool {
        self.passes_time(time_ns, time_ns)
    }

    /// Whether all times between these pass.
    pub(crate) fn all_may_match_time(&self, min_ns: i64, max_ns: i64) -> bool {
        self.may_match_time(min_ns) && self.may_match_time(max_ns)
    }

    /// Whether a row of this callsite may be meant.
    pub(crate) fn may_match_site(&self, site: &Callsite) -> bool {
        self.level.is_none_or(|most| site.level <= most) && self.passes_target(&site.target)
    }

    /// Whether rows can be told from others before their messages are put together. Rows about spans
    /// take level and target from their spans.
    pub(crate) fn can_select(&self) -> bool {
        !self.spans
    }

    /// What the expressions ask of fields and callsites, and what the level asks of records without a
    /// callsite.
    pub(crate) fn condition(&self) -> Option<Condition<'_>> {
        let mut all: Vec<_> = self.exprs.iter().map(Expr::condition).collect();
        if let Some(most) = self.level {
            let raw = raw_level(move |level| level <= most);
            all.push(Condition::Place(Box::new(|_| true), Box::new(raw)));
        }
        (!all.is_empty()).then_some(Condition::All(all))
    }

    /// Whether every time passes.
    pub(crate) const fn any_time(&self) -> bool {
        self.since_ns.is_none() && self.until_ns.is_none()
    }

    /// Whether time, callsite and [`Filter::needles`] say all that is wanted.
    pub(crate) fn is_simple(&self) -> bool {
        let plain = self.greps.iter().all(|grep| grep.literal().is_some());
        plain && self.exprs.is_empty() && self.channels.is_empty() && self.pids.is_empty()
    }

    /// Whether every record is meant whose time passes. Rows about spans may be meant, too.
    pub(crate) fn means_all(&self) -> bool {
        self.is_simple() && self.greps.is_empty() && self.any_site()
    }

    /// Whether source, callsite and time of a row say whether it is meant.
    pub(crate) fn tells_by_class(&self) -> bool {
        self.greps.is_empty() && self.exprs.is_empty() && !self.spans
    }

    /// The part of a range of times that passes.
    pub(crate) fn narrow_ns(&self, (min_ns, max_ns): (i64, i64)) -> (i64, i64) {
        let since = self.since_ns.unwrap_or(i64::MIN);
        let until = self.until_ns.unwrap_or(i64::MAX).saturating_sub(1);
        (min_ns.max(since), max_ns.min(until))
    }

    /// Whether rows of no callsite may be meant, of which a message may say the level.
    pub(crate) fn may_match_raw(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether rows without level and target may be meant.
    pub(crate) fn any_site(&self) -> bool {
        self.level.is_none() && self.targets.is_empty()
    }

    /// Whether sources or targets of a block may say that it does not matter.
    pub(crate) fn asks_for_names(&self) -> bool {
        let of_rows = !self.targets.is_empty() || !self.exprs.is_empty();
        !self.channels.is_empty() || !self.pids.is_empty() || (of_rows && !self.spans)
    }

    /// Whether [`Filter::may_match_text`] may say no.
    pub(crate) fn asks_for_text(&self) -> bool {
        !self.spans && !self.needles().is_empty()
    }

    /// Whether a block with this filter over its messages may hold what is meant.
    pub(crate) fn may_match_text(&self, filter: &relay_fmt::block::Filter) -> bool {
        self.spans || self.needles().iter().all(|needle| filter.can_contain(needle))
    }

    /// Text that the message of every row that is meant contains: a block without it can be skipped.
    #[must_use]
    pub fn needles(&self) -> Vec<&[u8]> {
        let literals = self.greps.iter().filter_map(Grep::literal);
        let of_exprs = self.exprs.iter().flat_map(Expr::needles);
        literals.chain(of_exprs).filter(|n| !n.is_empty()).collect()
    }
}
