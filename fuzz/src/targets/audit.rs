//! A damaged archive: whoever says that nothing is missing shows everything.

use crate::limits::{MIB, within};
use crate::scratch::with_store;
use crate::{pieces, seeds};
use relay_collect::query::Filter;
use relay_collect::read::{Audit, Snapshot, Store, Verdict};
use std::ops::ControlFlow;
use std::path::Path;

fn events(store: &Store) -> Vec<(u64, Vec<u8>)> {
    let mut snapshot = Snapshot::take(store).unwrap();
    let mut found = Vec::new();
    snapshot.events(&mut Filter::new().spans(true), false, &mut |event| {
        found.push((event.row.number, event.row.payload.to_vec()));
        ControlFlow::Continue(())
    });
    found
}

fn audited(dir: &Path, file: &[u8]) -> (Audit, Vec<(u64, Vec<u8>)>) {
    let name = dir.join("archive/app-20261124T130000Z-0.relay.zst");
    std::fs::write(name, file).unwrap();
    let store = Store::open(dir, None).unwrap();
    let audit = Audit::of(&store).unwrap();
    audit.write_text(&mut std::io::sink()).unwrap();
    serde_json::to_string(&audit).unwrap();
    (audit, events(&store))
}

/// Patches of a sound archive: `u16` place, one byte; an odd first byte makes it pieces instead.
pub(crate) fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    with_store(|dir| {
        if mode & 1 == 1 {
            let file = pieces::archive(rest);
            within(1024 * MIB, || audited(dir, &file));
            return;
        }
        let sound = seeds::whole_archive();
        let mut file = sound.clone();
        for patch in rest.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % file.len();
            file[at] = patch[2];
        }
        if mode & 2 == 2 {
            file.truncate(rest.len() * 7 % sound.len());
        }
        let (audit, found) = within(128 * MIB, || audited(dir, &file));
        if audit.verdict == Verdict::Whole && audit.records > 0 {
            let (_, all) = audited(dir, &sound);
            assert_eq!(found, all, "{audit:?}");
        }
    });
}
