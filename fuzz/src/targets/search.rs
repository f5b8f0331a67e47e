//! Rows and a needle: a search over the block finds what a walk over the rows finds.

use super::body::again;
use crate::limits::{MIB, within};
use crate::rows;
use memchr::memmem;
use relay_collect::render::{Contents, View, is_span};
use relay_fmt::block::columns::{Counted, Wanted, select};
use relay_fmt::block::{BlockKind, RowBuffer, encode};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;

/// What a row says of the needle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Holds,
    Lacks,
    /// Its values do not parse: a search may take its template's word for it.
    Broken,
    /// It is not asked.
    Other,
}

fn brute_force(rows: &RowBuffer, needle: &[u8]) -> Vec<Row> {
    let view = View::new(rows);
    let mut text = Vec::new();
    let hits = view.events().map(|event| {
        text.clear();
        let parses = event.write_message(&mut text).is_ok();
        match memmem::find(&text, needle) {
            _ if is_span(event.row.kind) || event.row.kind == Kind::Fragment => Row::Other,
            Some(_) => Row::Holds,
            None if parses => Row::Lacks,
            None => Row::Broken,
        }
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
    let mut wanted = Wanted {
        needles: &[needle],
        class: &class,
        time: &time,
        any_time: true,
        condition: None,
        count: Counted::None,
    };
    let found = select(&body, &wanted).unwrap();
    for (n, _) in hits.iter().enumerate().filter(|(_, row)| **row == Row::Holds) {
        let found = found.as_ref().expect("the needle is there");
        assert!(found.keep[n], "row {n} holds the needle");
        assert_eq!(found.rows.payload_of(n), rows.payload_of(n));
        assert_eq!(found.rows.time_ns[n], rows.time_ns[n]);
    }
    let hit = |n: usize| hits[n] == Row::Holds;
    let all = |of: Row| hits.iter().filter(|row| **row == of).count() as u64;
    let (least, most) = (all(Row::Holds), all(Row::Holds) + all(Row::Broken));
    for of in [Counted::Sites, Counted::All] {
        wanted.count = of;
        let counted = select(&body, &wanted).unwrap().map_or(0, |found| {
            let kept = (0..found.keep.len()).filter(|n| found.keep[*n] && hit(*n));
            found.sure + kept.count() as u64
        });
        assert!((least..=most).contains(&counted), "{counted} of {least} to {most}");
    }
    let mut contents = Contents::default();
    contents.see(rows);
    let filter = contents.finish(4096);
    assert!(!hits.contains(&Row::Holds) || filter.can_contain(needle), "the filter denies it");
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
