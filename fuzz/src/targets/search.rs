//! Rows and a needle: a search over the block finds what a walk over the rows finds.

use super::body::again;
use crate::limits::{MIB, within};
use crate::rows;
use memchr::memmem;
use relay_collect::render::{Contents, View, is_span};
use relay_fmt::block::columns::{Wanted, select};
use relay_fmt::block::{BlockKind, RowBuffer, encode};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;

/// Which rows' messages hold the needle; `None` for rows that are not asked.
fn brute_force(rows: &RowBuffer, needle: &[u8]) -> Vec<Option<bool>> {
    let view = View::new(rows);
    let mut text = Vec::new();
    let hits = view.events().map(|event| {
        text.clear();
        let _ = event.write_message(&mut text);
        let asked = !is_span(event.row.kind) && event.row.kind != Kind::Fragment;
        asked.then(|| memmem::find(&text, needle).is_some())
    });
    hits.collect()
}

fn check(rows: &RowBuffer, needle: &[u8]) {
    let mut body = Vec::new();
    if encode(rows, BlockKind::Columns, 1, &mut body).is_err() {
        return;
    }
    let hits = brute_force(rows, needle);
    let (class, time) = (|_: Kind, _: Option<&Callsite>| true, |_: i64| true);
    let mut wanted =
        Wanted { needles: &[needle], class: &class, time: &time, any_time: true, count: false };
    let found = select(&body, &wanted).unwrap();
    for (n, _) in hits.iter().enumerate().filter(|(_, hit)| **hit == Some(true)) {
        let found = found.as_ref().expect("the needle is there");
        assert!(found.keep[n], "row {n} holds the needle");
        assert_eq!(found.rows.payload_of(n), rows.payload_of(n));
        assert_eq!(found.rows.time_ns[n], rows.time_ns[n]);
    }
    wanted.count = true;
    let hit = |n: usize| hits[n] == Some(true);
    let counted = select(&body, &wanted).unwrap().map_or(0, |found| {
        let kept = (0..found.keep.len()).filter(|n| found.keep[*n] && hit(*n));
        found.sure + kept.count() as u64
    });
    assert_eq!(counted, hits.iter().filter(|hit| **hit == Some(true)).count() as u64);
    let mut contents = Contents::default();
    contents.see(rows);
    let filter = contents.finish(4096);
    assert!(!hits.contains(&Some(true)) || filter.can_contain(needle), "the filter denies it");
}

/// The input: length of the needle, needle, rows.
pub(crate) fn run(data: &[u8]) {
    let Some((len, rest)) = data.split_first() else { return };
    let (needle, rest) = rest.split_at(usize::from(*len).min(rest.len()));
    let rows = rows::get(rest);
    within(256 * MIB, || {
        again(&rows);
        check(&rows, needle);
    });
}
