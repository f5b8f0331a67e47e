//! The archive is the checkpoint: what it holds says where everything stands.
//!
//! The newest archive of a channel begins with the positions that were needed then, and repeats them
//! now and then; every block after that names the runs that it holds. So after any crash: find the
//! last positions, add the blocks behind them, and nothing else is to be asked.

use crate::archive_file::ArchiveFile;
use crate::live::Archived;
use crate::read::{ArchiveFd, ArchiveName, at};
use relay_fmt::archive::{
    self, BlockEntry, Directory, Entry, Scan, ScanOptions, read_block, read_control,
};
use relay_fmt::block::RowBuffer;
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Span};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// What is known about a channel name before anything is read from `live/`.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) channels: HashMap<ChannelId, Archived>,
    /// Channels that were announced already.
    pub(crate) announced: Vec<ChannelId>,
    /// The archive that is still open.
    pub(crate) open: Option<ArchiveFile>,
    /// Why the open archive must be superseded, if it must.
    pub(crate) suspect: Option<io::Error>,
    /// The number and name of the newest archive.
    pub(crate) last: Option<(u64, String)>,
    /// What was found on the way, to be said.
    pub(crate) said: Vec<String>,
}

/// Reads what the archives of `channel` say; `names` are all archives in `dir`.
pub(crate) fn recover(dir: &Path, names: &[ArchiveName], channel: &str) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let own: Vec<&ArchiveName> = names.iter().filter(|name| name.channel == channel).collect();
    for name in own.iter().rev() {
        let path = dir.join(&name.file);
        let bytes = ArchiveFd::open(&path).map_err(|error| at(&path, &error))?;
        if recovered.last.is_some() {
            // An older archive that was never sealed, after its successor was begun.
            if !name.sealed {
                seal_left_over(dir, name, &bytes, &mut recovered)?;
            }
            continue;
        }
        let (directory, scan) = match archive::open(&bytes) {
            Ok(archive::Opened::Sealed(directory)) => (directory, None),
            Ok(archive::Opened::Scanned(scan)) => (scan.directory.clone(), Some(scan)),
            Err(archive::Error::TornHeader) if !name.sealed => {
                // Killed while it was begun: it holds nothing.
                std::fs::remove_file(&path)?;
                recovered.said.push(format!("{} was just being begun: removed", name.file));
                continue;
            }
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        };
        positions(&bytes, &directory, &mut recovered)?;
        recovered.last = Some((name.number, name.file.clone()));
        if let Some(scan) = scan.filter(|_| !name.sealed) {
            resume(dir, name, (&scan, &bytes), &mut recovered)?;
        }
    }
    let last = recovered.last.as_ref().map(|(number, _)| *number);
    if recovered.open.is_none()
        && let Some(gone) = crate::catalogue::newest(dir, channel)
        && last.is_none_or(|last| gone.number > last)
    {
        // The next one follows it all the same, so that its absence is seen.
        recovered.said.push(format!("{} was the newest archive and is not there", gone.file));
        recovered.last = Some((gone.number, gone.file));
    }
    Ok(recovered)
}

fn resume(
    dir: &Path,
    name: &ArchiveName,
    (scan, bytes): (&Scan, &ArchiveFd),
    recovered: &mut Recovered,
) -> io::Result<()> {
    let path = dir.join(&name.file);
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.map_err(|error| at(&path, &error))?;
    if scan.sealed {
        // Killed between the directory and the new name.
        file.sync_all()?;
        let sealed = name.file.trim_end_matches(".part");
        std::fs::rename(dir.join(&name.file), dir.join(sealed))?;
        crate::archive_file::sync_dir(dir)?;
        recovered.last = Some((name.number, sealed.to_owned()));
        return Ok(());
    }
    let len = file.metadata()?.len();
    if scan.valid_len < len {
        let torn = len - scan.valid_len;
        recovered.said.push(format!("{}: cut a torn tail of {torn} bytes", name.file));
        file.set_len(scan.valid_len)?;
    }
    let (open, error) = ArchiveFile::resume(dir, name.file.clone(), file, (scan, bytes))?;
    recovered.open = Some(open);
    recovered.suspect = error;
    Ok(())
}

fn seal_left_over(
    dir: &Path,
    name: &ArchiveName,
    bytes: &ArchiveFd,
    recovered: &mut Recovered,
) -> io::Result<()> {
    match archive::scan(bytes, &ScanOptions::default()) {
        Ok(scan) => {
            let mut older = Recovered::default();
            resume(dir, name, (&scan, bytes), &mut older)?;
            if let Some(error) = older.suspect {
                return Err(error);
            }
            if let Some(open) = older.open {
                open.into_sealing()?.finish()?;
            }
            recovered.said.append(&mut older.said);
            recovered.said.push(format!("{} was left open: sealed", name.file));
        }
        Err(error) => recovered.said.push(format!("{}: left as it is: {error}", name.file)),
    }
    Ok(())
}

/// The positions that an archive says: its last positions entry, and the blocks behind it.
fn positions(
    bytes: &ArchiveFd,
    directory: &Directory,
    recovered: &mut Recovered,
) -> io::Result<()> {
    let mut from = 0;
    for place in &directory.controls {
        let entries = read_control(bytes, directory, *place).unwrap_or_default();
        for entry in entries {
            match entry {
                Entry::Positions(positions) => {
                    from = place.offset;
                    recovered.channels.clear();
                    for position in &positions.channels {
                        let archived = Archived::from_entry(position);
                        recovered.channels.insert(position.source.id, archived);
                        recovered.announced.push(position.source.id);
                    }
                }
                Entry::Announce(announce) => recovered.announced.push(announce.source.id),
                _ => {}
            }
        }
    }
    for block in directory.blocks.iter().filter(|block| block.offset >= from) {
        add_block(bytes, block, recovered);
    }
    // What is finished is finished, wherever the entry stands.
    for place in &directory.controls {
        for entry in read_control(bytes, directory, *place).unwrap_or_default() {
            if let Entry::Final(end) = entry {
                let id = end.id;
                recovered.channels.entry(id).or_default().end = Some(end);
            }
        }
    }
    Ok(())
}

fn add_block(bytes: &ArchiveFd, block: &BlockEntry, recovered: &mut Recovered) {
    // The archive was scanned: its lists were looked at.
    let Ok(facts) = block.facts() else { return };
    // The rows say exactly how far each writer's clock came; without them the header says enough.
    let rows = read_block(bytes, block).ok();
    let mut max = vec![i64::MIN; facts.runs.len()];
    if let Some(rows) = &rows {
        for row in rows.rows() {
            if let Some(max) = max.get_mut(row.run as usize) {
                *max = (*max).max(row.order_ns);
            }
        }
    } else {
        max.fill(facts.max_order_ns);
    }
    let mut touched = Vec::new();
    for (run, max) in facts.runs.iter().zip(max) {
        let Some(source) = facts.sources.get(run.source as usize) else { continue };
        let channel = recovered.channels.entry(source.id).or_default();
        channel.source.get_or_insert_with(|| source.clone());
        channel.add_run(run, max);
        touched.push(source.id);
    }
    touched.sort_unstable();
    touched.dedup();
    for id in touched {
        recovered.channels.entry(id).or_default().end_block();
    }
    if let Some(rows) = rows {
        spans(&rows, recovered);
    }
}

/// The spans that are still open behind a block.
fn spans(rows: &RowBuffer, recovered: &mut Recovered) {
    let mut open: HashMap<(u32, u64), Span> =
        rows.spans.iter().map(|span| ((span.source, span.id), span.clone())).collect();
    for row in rows.rows() {
        let Some(run) = rows.runs.get(row.run as usize) else { continue };
        if row.kind == Kind::SpanClose {
            open.remove(&(run.source, row.span));
            if let Some(source) = rows.sources.get(run.source as usize) {
                let channel = recovered.channels.entry(source.id).or_default();
                channel.spans.remove(&row.span);
            }
        }
    }
    for ((source, id), span) in open {
        if let Some(source) = rows.sources.get(source as usize) {
            recovered.channels.entry(source.id).or_default().spans.insert(id, span);
        }
    }
}
