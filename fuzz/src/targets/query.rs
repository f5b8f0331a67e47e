//! An expression of `--where` over rows: what it means is never pushed away.

use crate::limits::{MIB, within};
use crate::seeds;
use memchr::memmem;
use relay_collect::query::{BlockFacts, Expr};
use relay_collect::render::View;
use relay_fmt::block::Facts;

/// Deep expressions are refused, not recursed into.
const MOST: usize = 64 * MIB;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let now = "2026-11-24T13:00:00Z".parse().unwrap();
    let parsed = within(MOST, || Expr::parse_at(text, now, &jiff::tz::TimeZone::UTC));
    let mut expr = match parsed {
        Ok(expr) => expr,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column()), "{error}");
            return;
        }
    };
    let rows = seeds::many_rows();
    let needles: Vec<Vec<u8>> = expr.needles().into_iter().map(<[u8]>::to_vec).collect();
    let facts = Facts::of(&rows);
    let targets: Vec<&str> = facts.targets.iter().map(|target| target.name.as_str()).collect();
    let times = || rows.time_ns.iter().copied();
    let block = BlockFacts {
        level_mask: facts.level_mask,
        min_ns: times().min().unwrap_or_default(),
        max_ns: times().max().unwrap_or_default(),
        targets: Some(&targets),
    };
    let may = expr.may_match_block(&block);
    for event in View::new(&rows).events() {
        if !expr.matches(&event) {
            continue;
        }
        assert!(may, "a block was denied that holds what is meant");
        let mut message = Vec::new();
        let _ = event.write_message(&mut message);
        for needle in &needles {
            assert!(memmem::find(&message, needle).is_some(), "needle {needle:?}");
        }
    }
}
