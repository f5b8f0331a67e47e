//! Checks everything that an archive says.

use super::block_header::BlockEntry;
use super::directory::Directory;
use super::error::{Error, Result};
use super::read::{ReadAt, directory_at_end, read_block};
use super::scan::{Scan, ScanOptions, scan};
use crate::block::{Facts, RowBuffer};

/// Something in an archive that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// What, as a sentence.
    pub what: String,
}

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks whose headers are whole.
    pub blocks: u64,
    /// Rows that were decoded.
    pub rows: u64,
    /// Control frames.
    pub controls: u64,
    /// Whether the archive ends with its directory.
    pub sealed: bool,
    /// What is not as it should be, by offset.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether everything is as it should be.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn say(&mut self, offset: u64, what: impl Into<String>) {
        let what = what.into();
        self.problems.push(Problem { offset, what });
    }
}

/// Checks every checksum, decodes every block, and checks that headers agree with content, that no
/// block is missing, that the chain holds, and that the directory is what a walk finds.
///
/// # Errors
/// As [`scan`].
pub fn verify<R: ReadAt + ?Sized>(source: &R) -> Result<Report> {
    let scan = scan(source, &ScanOptions { all_bodies: true })?;
    let mut report = Report {
        blocks: scan.directory.blocks.len() as u64,
        controls: scan.directory.controls.len() as u64,
        sealed: scan.sealed,
        ..Report::default()
    };
    for damage in &scan.damages {
        report.say(damage.offset, format!("{} bytes are damaged: {}", damage.len, damage.error));
    }
    chain(&scan.directory, &mut report);
    for block in &scan.directory.blocks {
        let damaged = |offset: u64| scan.damages.iter().any(|damage| damage.offset == offset);
        if !damaged(block.body_offset()) {
            content(source, block, &mut report)?;
        }
    }
    if scan.sealed {
        directory(source, &scan, &mut report)?;
    }
    report.problems.sort_by_key(|problem| problem.offset);
    Ok(report)
}

fn chain(directory: &Directory, report: &mut Report) {
    let (mut sequence, mut crc) = (0, directory.header_crc);
    for block in &directory.blocks {
        let header = &block.header;
        if header.sequence != sequence {
            let found = header.sequence;
            report.say(block.offset, format!("block {found} stands where {sequence} belongs"));
        }
        if header.previous_crc != crc {
            report.say(block.offset, "the block does not follow the one before it");
        }
        if header.sections.total() != header.body_len {
            report.say(block.offset, "the frames of the block are not as long as its body");
        }
        (sequence, crc) = (header.sequence.saturating_add(1), block.crc);
    }
}

fn content<R: ReadAt + ?Sized>(source: &R, block: &BlockEntry, report: &mut Report) -> Result<()> {
    match read_block(source, block) {
        Ok(rows) => {
            report.rows += rows.len() as u64;
            let mut facts = Facts::of(&rows);
            // Older archives do not say the rows' own times, nor that they are all records by themselves.
            facts.times = facts.times.filter(|_| block.header.facts.times.is_some());
            facts.events_only &= block.header.facts.events_only;
            if block.facts().ok() != Some(facts) {
                report.say(block.offset, "the block's header says other things than its rows");
            }
            runs(&rows, block.offset, report);
            Ok(())
        }
        Err(Error::Block { error, .. }) => {
            report.say(block.offset, error.to_string());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Each run must have as many rows as it says: the audit counts by runs.
fn runs(rows: &RowBuffer, offset: u64, report: &mut Report) {
    let mut counts = vec![0u64; rows.runs.len()];
    for run in &rows.run {
        if let Some(count) = counts.get_mut(*run as usize) {
            *count += 1;
        }
    }
    for (index, (run, count)) in rows.runs.iter().zip(counts).enumerate() {
        if u64::from(run.records) != count {
            let said = run.records;
            report.say(offset, format!("run {index} says {said} records and has {count} rows"));
        }
    }
}

fn directory<R: ReadAt + ?Sized>(source: &R, scan: &Scan, report: &mut Report) -> Result<()> {
    let offset = scan.valid_len;
    match directory_at_end(source)? {
        Some(Ok(directory)) if directory == scan.directory => {}
        Some(Ok(_)) => report.say(offset, "the directory is not what the file consists of"),
        Some(Err(error)) => report.say(offset, error.to_string()),
        None => report.say(offset, "the trailer does not lead to the directory"),
    }
    Ok(())
}
