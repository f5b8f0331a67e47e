//! Printed traces that went through `tracing` again: records with callsites, spans and fields.

use super::{collect, feed};
use anyhow::{Context, Result};
use relay_collect::query::Filter;
use relay_collect::read::{ArchiveName, Snapshot, Store};
use relay_examples::trace::timed;
use std::ops::ControlFlow;
use std::path::Path;

/// The times of all records of one writer, nanoseconds from the first.
fn times(dir: &Path) -> Result<Vec<u64>> {
    let (store, mut times) = (Store::open(dir, None)?, Vec::new());
    Snapshot::take(&store)?.events(&mut Filter::new(), false, &mut |event| {
        // The channel's own records, of its resizes, are no text of the file's.
        if event.callsite.is_some_and(|site| site.target != "relay::channel") {
            times.push(event.row.time_ns);
        }
        ControlFlow::Continue(())
    });
    let first = times.first().copied().unwrap_or_default();
    Ok(times.into_iter().map(|time| u64::try_from(time - first).unwrap_or_default()).collect())
}

/// What `zstd -3` makes of the text with the times that the records have, and all bytes of archives.
fn pair(path: &Path, micros: bool) -> Result<(usize, usize, u64)> {
    let dir = tempfile::tempdir()?;
    feed("retrace", &[], path, dir.path())?;
    let archives = collect(dir.path(), micros)?;
    let (text, times) = (relay_examples::read(path)?, times(dir.path())?);
    anyhow::ensure!(text.lines().count() == times.len(), "not a record for each line");
    let text: String = text.lines().zip(times).map(|(l, after)| timed(l, after, micros)).collect();
    let mut all = 0;
    for name in ArchiveName::list(&archives)? {
        all += std::fs::metadata(archives.join(&name.file))?.len();
    }
    Ok((text.len(), zstd::encode_all(text.as_bytes(), 3)?.len(), all))
}

/// What `tracing_subscriber::fmt` writes of the same events, to the microsecond, and what `zstd -3` makes of it.
fn written(path: &Path) -> Result<(usize, usize)> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("text");
    let name = file.to_str().context("the path of a temporary file is no text")?;
    feed("retrace", &["--text", name], path, dir.path())?;
    let text = std::fs::read(&file)?;
    Ok((text.len(), zstd::encode_all(&text[..], 3)?.len()))
}

/// Prints a Markdown table.
pub(crate) fn table(files: impl Iterator<Item = String>) -> Result<()> {
    println!(
        "| trace | times | text | zstd -3 | archive | zstd -3 : archive | text of `fmt` | zstd -3 of it | : archive |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for file in files {
        let path = Path::new(&file);
        let (usual, packed) = written(path)?;
        for (micros, times) in [(false, "ns"), (true, "µs")] {
            let (text, plain, all) = pair(path, micros)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let (name, ratio) = (name.trim_end_matches(".zst"), plain as f64 / all as f64);
            let beside = packed as f64 / all as f64;
            println!(
                "| {name} | {times} | {text} | {plain} | {all} | {ratio:.2} | {usual} | {packed} | {beside:.2} |"
            );
        }
    }
    Ok(())
}
