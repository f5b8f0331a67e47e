//! Rows and columns: see [`crate::frames`] for what the bytes are.

use crate::frames;
use relay_fmt::block::{self, BlockKind, Facts, MAX_CONTENT};

/// What decodes is encoded in both kinds, and decodes to the same.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let Some((_, _, rows)) = frames::rows(data) else { return };
    assert_eq!(rows.end.last().copied().unwrap_or_default(), rows.payload.len());
    assert!(rows.end.is_sorted());
    if !frames::is_small(&rows) {
        return;
    }
    assert_eq!(rows.rows().count(), rows.len(), "every row has a run");
    let facts = Facts::of(&rows);
    assert_eq!(facts.rows, rows.len() as u64);
    for kind in [BlockKind::Columns, BlockKind::Rows] {
        let mut body = Vec::new();
        block::encode(&rows, kind, 1, &mut body).unwrap();
        let again = block::decode(kind as u8, &body, MAX_CONTENT).unwrap();
        assert!(again == rows, "{kind:?}: {again:?} is not {rows:?}");
    }
}
