//! Bodies of blocks behind checksum and compression.

use crate::limits::{MIB, within};
use crate::pieces;
use relay_fmt::block::columns::{Counted, Wanted, census, contains, select};
use relay_fmt::block::{BlockKind, Facts, MAX_CONTENT, RowBuffer, decode, encode};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;

/// What a block holds at most: [`relay_fmt::block::columns::MAX_PAYLOAD`], and its lists.
const MOST: usize = 1024 * MIB;

/// What decodes is encoded, by each kind, to what decodes to the same.
pub(crate) fn again(rows: &RowBuffer) {
    if rows.len() > 2_000 || rows.payload.len() > MIB {
        return;
    }
    let facts = Facts::of(rows);
    assert_eq!(facts.rows, rows.len() as u64);
    for kind in [BlockKind::Rows, BlockKind::Columns] {
        let mut body = Vec::new();
        if encode(rows, kind, 1, &mut body).is_ok() {
            let back = decode(kind as u8, &body, MAX_CONTENT).unwrap();
            assert!(&back == rows, "{kind:?}: what was encoded is not what is decoded");
        }
    }
    assert!(rows.rows().count() <= rows.len());
}

pub(crate) fn rows(data: &[u8]) {
    let body = pieces::body(data, 3);
    let rows = within(MOST, || decode(BlockKind::Rows as u8, &body, MAX_CONTENT));
    if let Ok(rows) = rows {
        within(MOST, || again(&rows));
    }
}

/// Who counts rows without decoding them counts those that decode.
fn counted(body: &[u8], rows: &RowBuffer) {
    let census = census(body, |_| true).expect("what decodes can be counted");
    assert_eq!(census.groups.iter().map(|group| group.rows).sum::<u64>(), rows.len() as u64);
    assert_eq!(census.rows.len(), rows.len());
    for (n, (group, run, time)) in census.rows.iter().enumerate() {
        let site = (rows.callsite[n] as usize).checked_sub(1).map(|site| &rows.callsites[site]);
        let group = &census.groups[*group as usize];
        assert_eq!((group.kind, group.callsite.as_ref()), (rows.kind[n], site));
        assert_eq!((*run, *time), (rows.run[n], rows.time_ns[n]));
    }
}

pub(crate) fn columns(data: &[u8]) {
    let body = pieces::body(data, 4);
    let rows = within(MOST, || decode(BlockKind::Columns as u8, &body, MAX_CONTENT));
    let needle = data.get(data.len().saturating_sub(3)..).unwrap_or_default();
    let (class, time) = (|_: Kind, _: Option<&Callsite>| true, |_: i64| true);
    let all = Wanted {
        needles: &[],
        class: &class,
        time: &time,
        any_time: true,
        condition: None,
        count: Counted::None,
    };
    let selected = within(MOST, || select(&body, &all));
    let with_needle = Wanted { needles: &[needle], ..all };
    within(MOST, || {
        let _ = select(&body, &with_needle);
        let _ = contains(&body, needle);
        let _ = census(&body, |_| true);
    });
    let Ok(rows) = rows else { return };
    let selected = selected.expect("what decodes can be searched");
    match selected {
        None => assert!(rows.is_empty(), "all rows are meant"),
        Some(selected) => assert!(selected.rows == rows, "all rows are meant"),
    }
    within(MOST, || {
        counted(&body, &rows);
        again(&rows);
    });
}
