//! Feeds text logs, also compressed ones, through the `log` facade: one line a record, the message
//! being the whole line. Level and target are set where the line shows them; line i goes to thread
//! i mod T.
//!
//! ```text
//! cargo run --release --example replay -- --dir logs --threads 4 app.log old.log.zst
//! relay-collect --dir logs --once
//! relay-collect cat --dir logs --format raw
//! ```

use anyhow::Result;
use clap::Parser;
use relay_examples::shown;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Feeds text logs through Relay, one line a record.
#[derive(Debug, Parser)]
struct Args {
    /// The directory shared with the collector
    #[arg(long)]
    dir: PathBuf,
    /// The channel's name
    #[arg(long, default_value = "replay")]
    channel: String,
    /// How many threads log; line i goes to thread i mod THREADS
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Lines a second, all threads together; as fast as possible if not given
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes of buffer at the start, as in 4MiB
    #[arg(long)]
    buffer: Option<relay_log::ByteSize>,
    /// Text files, also with .zst at the end
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Logs every `threads`-th line, beginning with line `first`.
fn log_lines(lines: &[&str], first: u64, args: &Args, since: Instant) {
    let step = args.threads as usize;
    for (i, line) in lines.iter().enumerate().skip(first as usize).step_by(step) {
        if let Some(rate) = args.rate {
            let due = since + Duration::from_secs_f64(i as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let (level, target) = shown::level_and_target(line);
        log::log!(target: target, level, "{line}");
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut builder = relay_log::Relay::builder(&args.dir).channel(&args.channel).filter("trace");
    if let Some(buffer) = args.buffer {
        builder = builder.buffer(buffer);
    }
    builder.init()?;
    for path in &args.files {
        let text = relay_examples::read(path)?;
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(&text).split('\n').collect();
        let since = Instant::now();
        std::thread::scope(|scope| {
            for first in 0..args.threads {
                let (lines, args) = (&lines, &args);
                scope.spawn(move || log_lines(lines, first, args, since));
            }
        });
        let (count, seconds) = (lines.len(), since.elapsed().as_secs_f64());
        eprintln!("{}: {count} lines in {seconds:.2} s", path.display());
    }
    Ok(())
}
