//! A channel file of a dead process, through reader, audit and collector.

use super::channel::sealed;
use crate::limits::{MIB, within};
use crate::scratch::with_store;
use relay_collect::query::Filter;
use relay_collect::read::{Audit, Snapshot, Store};
use relay_collect::{Collector, Control, Options};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// What a reader is shown: for each writer its numbers.
fn shown(dir: &Path) -> BTreeMap<u64, Vec<u64>> {
    let mut snapshot = Snapshot::take(&Store::open(dir, None).unwrap()).unwrap();
    let mut events: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    snapshot.events(&mut Filter::new().spans(true), false, &mut |event| {
        events.entry(event.run.writer).or_default().push(event.row.number);
        ControlFlow::Continue(())
    });
    events
}

fn all(dir: &Path) {
    let store = Store::open(dir, None).unwrap();
    let (before, audit) = (shown(dir), Audit::of(&store).unwrap());
    audit.write_text(&mut std::io::sink()).unwrap();
    let mut collector = Collector::open(Options::new(dir)).unwrap();
    collector.drain(&Control::default()).unwrap();
    drop(collector);
    let after = shown(dir);
    Audit::of(&store).unwrap().write_text(&mut std::io::sink()).unwrap();
    // What could be read where it was can be read where it is now.
    for (writer, numbers) in &before {
        let archived = after.get(writer).map_or(&[][..], Vec::as_slice);
        let count = |list: &[u64], n: &u64| list.iter().filter(|m| *m == n).count();
        for number in numbers {
            assert!(
                count(archived, number) >= count(numbers, number),
                "record {number} of writer {writer} went while it was collected"
            );
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let (name, image) = sealed(data);
    with_store(|dir| {
        std::fs::write(dir.join("live").join(&name), &image).unwrap();
        within(96 * MIB, || all(dir));
        std::fs::remove_dir_all(dir.join("quarantine")).ok();
    });
}
