//! An expression of `--where`, as text.

use crate::sample;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memmem;
use relay_collect::query::{BlockFacts, Expr, Grep, ParseError};
use relay_collect::render::{Event, View};
use relay_fmt::block::RowBuffer;
use std::sync::LazyLock;

static ROWS: LazyLock<RowBuffer> = LazyLock::new(sample::rows);

fn parse(text: &str) -> Result<Expr, ParseError> {
    let now = Timestamp::from_nanosecond(i128::from(sample::TIME)).unwrap();
    Expr::parse_at(text, now, &TimeZone::fixed(jiff::tz::offset(1)))
}

fn answers(expr: &mut Expr, events: &[Event<'_>]) -> Vec<bool> {
    events.iter().map(|event| expr.matches(event)).collect()
}

/// What is known of one row is true of it: a block of it alone may be skipped only if it is not meant.
fn facts(expr: &Expr, event: &Event<'_>, meant: bool) {
    let place = event.place();
    let targets: Vec<&str> = place.iter().map(|place| place.target.as_str()).collect();
    let facts = BlockFacts {
        level_mask: place.map_or(1, |place| 1 << place.level as u8),
        min_ns: event.row.time_ns,
        max_ns: event.row.time_ns,
        targets: Some(&targets),
    };
    assert!(!meant || expr.may_match_block(&facts), "a block with a row that is meant");
    let mut message = Vec::new();
    let _ = event.write_message(&mut message);
    for needle in expr.needles().iter().filter(|_| meant) {
        assert!(memmem::find(&message, needle).is_some(), "{needle:?} is not in {message:?}");
    }
}

/// An expression is refused at a place in it, or means what its variations mean.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Grep::new(&text, data.len().is_multiple_of(2)).map(|grep| grep.is_match(data));
    let mut expr = match parse(&text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column()), "{error:?}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let view = View::new(&ROWS);
    let events: Vec<_> = view.events().collect();
    let meant = answers(&mut expr, &events);
    for (event, meant) in events.iter().zip(&meant) {
        facts(&expr, event, *meant);
    }
    let vary = |text: String, same: bool| {
        // Deeper than the language goes, or more than a regular expression may take.
        let Ok(mut varied) = parse(&text) else { return };
        let found = answers(&mut varied, &events);
        assert!(found.iter().zip(&meant).all(|(a, b)| (a == b) == same), "{text:?}");
    };
    vary(format!("({text})"), true);
    vary(format!("!({text})"), false);
    vary(format!("({text}) && ({text})"), true);
    vary(format!("!(!({text}) && !({text}))"), true);
}
