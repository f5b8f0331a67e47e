//! Any program's lines into a channel.

use super::DirArgs;
use anyhow::Result;
use clap::Args;
use relay_collect::args::ByteSize;
use relay_log::channel::{Config, RawChannel};
use std::io::BufRead;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The channel: letters, digits, - and _
    #[arg(long, value_parser = channel_name)]
    channel: String,
    /// What it allocates at the start and keeps
    #[arg(long, env = "RELAY_BUFFER", default_value = "4MiB", value_name = "SIZE")]
    buffer: ByteSize,
    /// What may wait for the collector; a quarter of the free disk if not given
    #[arg(long, env = "RELAY_BUFFER_MAX", value_name = "SIZE")]
    buffer_max: Option<ByteSize>,
}

fn channel_name(name: &str) -> Result<String, String> {
    let fits = relay_log::channel::is_channel_name(name);
    fits.then(|| name.to_owned()).ok_or("letters, digits, - and _, at most 63".into())
}

pub(crate) fn pipe(args: &PipeArgs) -> Result<ExitCode> {
    let live = args.dir.live_dir.clone().unwrap_or_else(|| args.dir.dir.join("live"));
    let mut config = Config::new(live, &args.channel);
    config.initial = args.buffer.bytes();
    config.max = args.buffer_max.map(ByteSize::bytes);
    let channel = RawChannel::create(config)?;
    let mut writer = channel.writer();
    let mut input = std::io::BufReader::with_capacity(64 << 10, std::io::stdin().lock());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        writer.write(&line)?;
        line.clear();
    }
    writer.flush();
    channel.announce_end();
    Ok(ExitCode::SUCCESS)
}
