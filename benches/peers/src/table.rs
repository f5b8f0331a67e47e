//! Running rows in turn, and counting what has arrived.

use crate::peer::Row;
use relay_collect::query::Filter;
use relay_collect::read::{Count, Snapshot, Store, Work};
use relay_collect::render::Event;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

/// Counts events that it has seen, not those that an index promises.
#[derive(Default)]
struct Seen(Count);

impl Work for Seen {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        self.0.event(event, out)
    }
}

/// Messages that have arrived in a directory, in archives of Relay or as lines of text.
fn arrived(dir: &Path) -> u64 {
    if dir.join("archive").is_dir() {
        let store = Store::open(dir, None).unwrap();
        let mut snapshot = Snapshot::take(&store).unwrap();
        let filter = Filter::new().channel("bench").target("relay_peers");
        let mut nothing = |_: &[u8]| ControlFlow::Continue(());
        let seen = snapshot.work(&filter, false, &Seen::default, &mut nothing);
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        return seen.iter().map(|seen| seen.0.0).sum();
    }
    let files = std::fs::read_dir(dir).unwrap().flatten();
    files.map(|file| lines(&file.path())).sum()
}

fn lines(file: &Path) -> u64 {
    let mut reader = BufReader::with_capacity(1 << 20, std::fs::File::open(file).unwrap());
    let (mut line, mut count) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        count += u64::from(line.windows(15).any(|window| window == b"request handled"));
        line.clear();
    }
    count
}

/// What a role had to say, and what is there afterwards.
pub(crate) struct Outcome {
    pub(crate) numbers: Vec<f64>,
    pub(crate) arrived: u64,
    /// Bytes of archives, or of all files.
    pub(crate) bytes: u64,
}

/// Runs a role for a row in new directories.
pub(crate) fn run(role: &str, row: Row, more: &[&str]) -> Outcome {
    let (dir, fast) = (relay_benches::on_disk(), relay_benches::in_memory());
    let (dir_path, fast_path) = (relay_benches::argument(&dir), relay_benches::argument(&fast));
    let arguments: Vec<&str> =
        [role, row.name, &dir_path, &fast_path].into_iter().chain(more.iter().copied()).collect();
    let numbers = relay_benches::run(&arguments);
    let archive = dir.path().join("archive");
    let kept = if archive.is_dir() { archive } else { dir.path().to_owned() };
    Outcome { numbers, arrived: arrived(dir.path()), bytes: relay_benches::bytes(&kept) }
}

/// Runs a role for all rows in turn, so many times: what is measured of each, run by run.
pub(crate) fn rounds(
    rounds: usize,
    rows: &[Row],
    run: impl Fn(Row) -> Vec<f64>,
) -> Vec<Vec<Vec<f64>>> {
    let mut runs = vec![Vec::new(); rows.len()];
    for _ in 0..rounds {
        for (row, runs) in rows.iter().zip(&mut runs) {
            runs.push(run(*row));
        }
    }
    runs
}

/// What share of the messages is missing, as the tables say it.
pub(crate) fn lost(made: f64, arrived: f64) -> String {
    match made - arrived {
        0.0 => "0".into(),
        missing => format!("**{:.3} %**", 100.0 * missing / made),
    }
}
