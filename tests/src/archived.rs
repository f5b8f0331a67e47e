//! What readers of a directory are shown, as streams that can be judged.

use crate::recover::Streams;
use crate::report::Outcome;
use crate::verdict::judge;
use relay_collect::query::Filter;
use relay_collect::read::{ArchiveFd, ArchiveName, Audit, Snapshot, Store};
use relay_fmt::archive::verify;
use relay_fmt::record::Kind;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Everything in `dir`, archived or live, by the process that wrote it.
#[must_use]
pub fn streams(dir: &Path) -> HashMap<u32, Streams> {
    let store = Store::open(dir, None).unwrap();
    let mut snapshot = Snapshot::take(&store).unwrap();
    let mut of: HashMap<u32, Streams> = HashMap::new();
    let mut writers = HashMap::new();
    snapshot.events(&mut Filter::new(), false, &mut |event| {
        // Writers of several channels are told apart by a number of their own.
        let fresh = writers.len() as u64;
        let writer = *writers.entry((event.source.id, event.run.writer)).or_insert(fresh);
        let streams = of.entry(event.source.pid).or_default();
        // The first parts of a record whose call has not returned.
        if event.row.kind == Kind::Fragment {
            streams.unfinished += 1;
            return ControlFlow::Continue(());
        }
        let record = (event.row.number, event.values.to_vec());
        streams.writers.entry(writer).or_default().push(record);
        ControlFlow::Continue(())
    });
    of
}

/// What is wrong with archives in `dir`, a line each. An archive that another one supersedes may be
/// damaged; every other one must be whole.
#[must_use]
pub fn unsound(dir: &Path, all_sealed: bool) -> Vec<String> {
    let archive = dir.join("archive");
    let mut problems = Vec::new();
    for name in ArchiveName::list(&archive).unwrap() {
        let bytes = ArchiveFd::open(&archive.join(&name.file)).unwrap();
        match verify(&bytes) {
            Ok(report) if report.is_sound() && (report.sealed || !all_sealed) => {}
            Ok(report) => problems.push(format!("{}: {:?}", name.file, report.problems)),
            Err(error) => problems.push(format!("{}: {error}", name.file)),
        }
    }
    problems
}

/// Judges what one process, this one, has written into channels of `dir`.
#[must_use]
pub fn judge_own(dir: &Path, returned: &[u64]) -> Outcome {
    judge(&streams(dir).remove(&std::process::id()).unwrap_or_default(), returned)
}

/// What an audit finds in a directory, against the number of records that there must be.
#[must_use]
pub fn audited(dir: &Path, records: u64) -> Outcome {
    let audit = Audit::of(&Store::open(dir, None).unwrap()).unwrap();
    let there = audit.records + audit.waiting;
    let doubled = audit.channels.iter().map(|channel| channel.doubled).sum::<u64>();
    let lost = records.saturating_sub(there).max(audit.lost);
    let torn = there.saturating_sub(records) + audit.doubts.len() as u64;
    Outcome { cases: records, lost, doubled, torn, ..Outcome::default() }
}
