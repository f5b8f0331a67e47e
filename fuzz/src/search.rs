//! A needle (`u16` length, it), a byte of choices, and a block ([`crate::frames`]).

use crate::frames::{self, part};
use memchr::memmem;
use relay_fmt::block::columns::{Selected, Wanted, contains, select};
use relay_fmt::block::{BlockKind, FilterBuilder, RowBuffer};
use relay_fmt::callsite::{Callsite, Level};
use relay_fmt::message::write_message;
use relay_fmt::record::Kind;

/// What a row is shown as, as far as it parses; `None` for what is not asked for needles.
fn message(rows: &RowBuffer, row: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let site = (rows.callsite[row] as usize).checked_sub(1).and_then(|c| rows.callsites.get(c));
    match (rows.kind[row], site) {
        (Kind::Raw, _) => out.extend_from_slice(rows.payload_of(row)),
        (Kind::Event | Kind::SpanEvent, Some(site)) => {
            let _ = write_message(site, rows.payload_of(row), &mut out);
        }
        _ => return None,
    }
    Some(out)
}

/// Whether a row is meant, the naive way.
struct Naive<'a> {
    rows: &'a RowBuffer,
    needle: &'a [u8],
    choices: u8,
}

impl Naive<'_> {
    fn class(&self, kind: Kind, site: Option<&Callsite>) -> bool {
        let level = site.is_none_or(|site| site.level <= Level::Info);
        (self.choices & 1 == 0 || level) && (self.choices & 2 == 0 || kind != Kind::Raw)
    }

    const fn time(&self, time_ns: i64) -> bool {
        self.choices & 4 == 0 || time_ns & 8 == 0
    }

    fn is_meant(&self, row: usize) -> bool {
        let rows = self.rows;
        let site = (rows.callsite[row] as usize).checked_sub(1).map(|c| &*rows.callsites[c]);
        self.class(rows.kind[row], site)
            && self.time(rows.time_ns[row])
            && message(rows, row).is_some_and(|m| memmem::find(&m, self.needle).is_some())
    }

    fn meant(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|row| self.is_meant(*row)).collect()
    }
}

fn select_rows(body: &[u8], naive: &Naive<'_>, count: bool) -> Option<Selected> {
    let (class, time) = (|k: Kind, s: Option<&Callsite>| naive.class(k, s), |t| naive.time(t));
    let needles: &[&[u8]] = if naive.needle.is_empty() { &[] } else { &[naive.needle] };
    let any_time = naive.choices & 4 == 0;
    let wanted = Wanted { needles, class: &class, time: &time, any_time, count };
    select(body, &wanted).expect("what decodes is searched")
}

/// A search finds what a naive one finds.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let (needle, rest) = part(data);
    let (choices, rest) = rest.split_first().unwrap_or((&0, &[]));
    let Some((kind, body, rows)) = frames::rows(rest) else { return };
    if !frames::is_small(&rows) {
        return;
    }
    let naive = Naive { rows: &rows, needle, choices: *choices };
    let meant = naive.meant();
    let mut filter = FilterBuilder::new();
    (0..rows.len()).filter_map(|row| message(&rows, row)).for_each(|m| filter.add(&m));
    let filter = filter.finish(1 << 16);
    assert!(meant.is_empty() || filter.can_contain(needle), "the filter denies what is there");
    if kind == BlockKind::Rows {
        return;
    }
    let found = select_rows(&body, &naive, false);
    for row in &meant {
        let found = found.as_ref().expect("there are rows that are meant");
        assert!(found.keep[*row], "row {row} is meant");
        assert_eq!(found.rows.payload_of(*row), rows.payload_of(*row));
        assert_eq!(found.rows.time_ns, rows.time_ns);
    }
    let raw = |row: usize| rows.kind[row] == Kind::Raw && !needle.is_empty();
    let holds = |row| memmem::find(rows.payload_of(row), needle).is_some();
    if (0..rows.len()).any(|row| raw(row) && holds(row)) {
        assert!(contains(&body, needle).unwrap(), "it is in a raw record");
    }
    let found = select_rows(&body, &naive, true);
    let counted = found.map_or(0, |found| {
        let kept = (0..found.keep.len()).filter(|row| found.keep[*row] && naive.is_meant(*row));
        found.sure + kept.count() as u64
    });
    if !needle.is_empty() {
        assert_eq!(counted, meant.len() as u64, "counted");
    }
}
