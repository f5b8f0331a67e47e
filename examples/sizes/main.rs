//! How large archives are: replays text logs and puts what the collector makes of them next to what
//! zstd makes of the same text in the same order. Prints a Markdown table.
//!
//! ```text
//! cargo run --release --example sizes -- FILE…
//! cargo run --release --example sizes -- --traced FILE…     (printed traces, through `tracing`)
//! ```

mod traced;

use anyhow::{Context, Result};
use relay_collect::query::Filter;
use relay_collect::read::{ArchiveFd, ArchiveName, Snapshot, Store};
use relay_collect::{Collector, Control, Options, repack};
use relay_fmt::archive::{open, read_body};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of an archive, apart.
#[derive(Debug, Default)]
struct Sizes {
    /// The text, and what `zstd -3` and `zstd -19` make of it.
    text: usize,
    plain: usize,
    small: usize,
    /// Templates, values, strings, and which row is of which kind.
    messages: usize,
    /// Times and writers.
    order: usize,
    /// Everything together: what is left is headers, positions and the index.
    all: usize,
    /// Everything together, packed again.
    repacked: usize,
}

/// The messages of everything in a directory, a line each, in the order of the archives.
fn text_of(dir: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let store = Store::open(dir, None)?;
    Snapshot::take(&store)?.events(&mut Filter::new(), false, &mut |event| {
        // The channel's own records, of its resizes, are no text of the file's.
        let own = event.callsite.is_some_and(|site| site.target == "relay::channel");
        if !own && event.write_message(&mut text).is_ok() {
            text.push(b'\n');
        }
        ControlFlow::Continue(())
    });
    Ok(text)
}

/// Lets another example feed a file. The logger is global: a process for each file.
fn feed(example: &str, options: &[&str], path: &Path, dir: &Path) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name(example);
    let done = Command::new(&program)
        .arg("--dir")
        .arg(dir)
        .args(options)
        .arg(path)
        .stderr(std::process::Stdio::null())
        .status()
        .with_context(|| format!("{}: build it with --examples", program.display()))?;
    anyhow::ensure!(done.success(), "{example} has failed");
    Ok(())
}

/// Archives what was fed; gives the directory of the archives.
fn collect(dir: &Path, micros: bool) -> Result<PathBuf> {
    let mut options = Options::new(dir);
    options.micros = micros;
    let archives = options.archive_dir();
    Collector::open(options)?.drain(&Control::new())?;
    Ok(archives)
}

/// Replays a file into a directory of its own, and archives it.
fn archive(path: &Path, threads: u32, micros: bool) -> Result<Sizes> {
    let dir = tempfile::tempdir()?;
    feed("replay", &["--threads", &threads.to_string()], path, dir.path())?;
    let archives = collect(dir.path(), micros)?;
    let text = text_of(dir.path())?;
    let mut sizes = Sizes { text: text.len(), ..Sizes::default() };
    sizes.plain = zstd::encode_all(&text[..], 3)?.len();
    sizes.all = bytes_of(&archives)?;
    // It is slow, and the text is the same with times that are cut.
    sizes.small = if micros { 0 } else { zstd::encode_all(&text[..], 19)?.len() };
    for name in ArchiveName::list(&archives)? {
        let bytes = ArchiveFd::open(&archives.join(&name.file))?;
        for block in &open(&bytes)?.directory().blocks {
            let body = read_body(&bytes, block)?;
            // Four frames: tables, texts, numbers, order.
            let mut rest = &body[..];
            for frame in 0..4 {
                let len = zstd::zstd_safe::find_frame_compressed_size(rest)
                    .map_err(|_| anyhow::anyhow!("a body is not four frames"))?;
                *(if frame < 3 { &mut sizes.messages } else { &mut sizes.order }) += len;
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }
    let level = Options::new(dir.path()).repack_level;
    repack(dir.path(), level, &mut |_, _| {})?;
    anyhow::ensure!(text_of(dir.path())? == text, "packing again has changed the text");
    sizes.repacked = bytes_of(&archives)?;
    Ok(sizes)
}

/// What all archives in a directory take.
fn bytes_of(archives: &Path) -> Result<usize> {
    let mut bytes = 0;
    for name in ArchiveName::list(archives)? {
        bytes += usize::try_from(std::fs::metadata(archives.join(&name.file))?.len())?;
    }
    Ok(bytes)
}

/// The figures of one file with so many writers: a row of the table.
fn row(path: &Path, threads: u32) -> Result<[f64; 4]> {
    let (nanos, micros) = (archive(path, threads, false)?, archive(path, threads, true)?);
    let ratio = |n: usize| nanos.plain as f64 / n as f64;
    let again = nanos.repacked as f64 / nanos.all as f64;
    println!(
        "| {} | {threads} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.3} |",
        path.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(".zst"),
        nanos.text,
        nanos.plain,
        nanos.small,
        nanos.messages,
        nanos.order,
        nanos.all,
        micros.all,
        nanos.repacked,
        micros.repacked,
        ratio(nanos.messages),
        ratio(nanos.all),
        nanos.small as f64 / nanos.all as f64,
        again
    );
    Ok([ratio(nanos.messages), ratio(nanos.all), nanos.small as f64 / nanos.all as f64, again])
}

fn main() -> Result<()> {
    let mut files = std::env::args().skip(1).peekable();
    if files.next_if(|first| first == "--traced").is_some() {
        return traced::table(files);
    }
    println!(
        "| file | writers | text | zstd -3 | zstd -19 | messages | times, writers | everything | everything, µs | repacked | repacked, µs | zstd -3 : messages | zstd -3 : everything | zstd -19 : everything | repacked : everything |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut rows: Vec<(u32, [f64; 4])> = Vec::new();
    for path in files {
        for threads in [1, 4] {
            rows.push((threads, row(Path::new(&path), threads)?));
        }
    }
    for threads in [1, 4] {
        let of = rows.iter().filter(|(t, _)| *t == threads);
        let mean = |i: usize| {
            let logs: Vec<f64> = of.clone().map(|(_, ratios)| ratios[i].ln()).collect();
            (logs.iter().sum::<f64>() / logs.len() as f64).exp()
        };
        println!(
            "\nGeometric means with {threads} writers: messages {:.2} × smaller than zstd -3, everything {:.2} × smaller, and {:.2} × smaller than zstd -19; packed again, {:.3} of that.",
            mean(0),
            mean(1),
            mean(2),
            mean(3)
        );
    }
    Ok(())
}
