//! Sealed archives, smaller.

use super::DirArgs;
use anyhow::Result;
use clap::Args;
use relay_collect::render::escape_text;
use relay_collect::{Repacked, repack};
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct RepackArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The zstd level
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
}

pub(crate) fn run(args: &RepackArgs) -> Result<ExitCode> {
    args.dir.store()?;
    let mut out = super::out::findings();
    let (mut all, mut left, mut written) = ((0, 0), false, Ok(()));
    repack(&args.dir.dir, args.level, &mut |file, became| {
        let file = escape_text(file);
        let line = match became {
            Repacked::Done { before, after } => {
                all = (all.0 + before, all.1 + after);
                format!("{file}: {before} to {after} bytes")
            }
            Repacked::Already => format!("{file}: was packed again already"),
            Repacked::Left(why) => {
                left = true;
                format!("{file}: left as it is: {why}")
            }
        };
        written = writeln!(out, "{line}");
    })?;
    written?;
    writeln!(out, "{} to {} bytes", all.0, all.1)?;
    Ok(if left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
