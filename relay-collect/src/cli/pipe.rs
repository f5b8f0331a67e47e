//! `pipe`: the lines of stdin, into a channel.

use super::{BAD, GOOD, Place, out};
use anyhow::Context as _;
use clap::Args;
use relay_collect::args::level;
use relay_fmt::callsite::Level;
use relay_log::channel::{Config, RawChannel};
use std::io::{BufRead, BufReader};

#[derive(Debug, Args)]
#[command(
    after_help = "Each line becomes one record, whatever its bytes, without its newline. A record is safe from \
SIGKILL once its line was read."
)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    place: Place,
    /// The channel to write
    #[arg(long, env = "RELAY_CHANNEL", value_name = "NAME")]
    channel: String,
    /// The level of the lines; raw records have none yet
    #[arg(long, env = "RELAY_LEVEL", value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// The target of the lines; raw records have none yet
    #[arg(long, env = "RELAY_TARGET", value_name = "TARGET")]
    target: Option<String>,
}

/// Copies lines until the end of stdin.
pub(crate) fn run(args: &PipeArgs) -> anyhow::Result<u8> {
    if !relay_log::channel::is_channel_name(&args.channel) {
        return super::usage("a channel's name has letters, digits, - and _ only");
    }
    if args.level.is_some() || args.target.is_some() {
        out::say("raw records carry no level and no target: --level and --target are ignored");
    }
    let config = Config::new(args.place.live_dir(), args.channel.clone());
    let channel = RawChannel::create(config).context("cannot open the channel")?;
    let mut writer = channel.writer();
    let mut input = BufReader::with_capacity(128 << 10, std::io::stdin().lock());
    let (mut line, mut refused) = (Vec::new(), 0u64);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).context("cannot read stdin")? == 0 {
            break;
        }
        let record = line.strip_suffix(b"\n").unwrap_or(&line);
        if writer.write(record).is_err() {
            refused += 1;
        }
    }
    writer.flush();
    if refused > 0 {
        out::say(&format!("{refused} lines could not be written"));
        return Ok(BAD);
    }
    Ok(GOOD)
}
