//! Asking programs for other buffer sizes while they run.

use super::DirArgs;
use anyhow::{Result, bail};
use clap::Args;
use relay_collect::args::ByteSize;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct ResizeArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The channel
    #[arg(long)]
    channel: String,
    /// What it is to keep allocated; what may wait for the collector is raised to it
    size: ByteSize,
}

pub(crate) fn resize(args: &ResizeArgs) -> Result<ExitCode> {
    let channels = args.dir.store()?.channels()?;
    let mut out = std::io::stdout().lock();
    let mut asked = 0;
    for (file, reader) in &channels.channels {
        if reader.identity().name == args.channel && reader.is_alive()? {
            reader.request_resize(args.size.bytes())?;
            writeln!(out, "{file}: asked for {} bytes", args.size.bytes())?;
            asked += 1;
        }
    }
    if asked == 0 {
        bail!("no live channel is named {}", args.channel);
    }
    Ok(ExitCode::SUCCESS)
}
