//! `resize`: asks programs for another buffer size.

use super::{BAD, GOOD, Place, out};
use clap::Args;
use relay_collect::args::ByteSize;
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct ResizeArgs {
    #[command(flatten)]
    place: Place,
    /// Which channel
    #[arg(long, env = "RELAY_CHANNEL", value_name = "NAME")]
    channel: String,
    /// What its programs are to keep allocated, like 16MiB
    size: ByteSize,
}

/// Asks every live channel of the name.
pub(crate) fn run(args: &ResizeArgs) -> anyhow::Result<u8> {
    let (mut to, mut asked) = (out::stdout(), 0);
    let mut code = GOOD;
    for (file, reader) in args.place.store()?.channels()?.channels {
        let identity = reader.identity();
        if identity.name != args.channel || !reader.is_alive().unwrap_or(true) {
            continue;
        }
        let (program, pid) = (out::plain(&identity.program), identity.pid);
        match reader.request_resize(args.size.bytes()) {
            Ok(()) => writeln!(to, "{file}: asked {program}, pid {pid}, for {}", args.size)?,
            Err(error) => {
                out::say(&format!("{file}: {program}, pid {pid}, could not be asked: {error}"));
                code = BAD;
            }
        }
        asked += 1;
    }
    if asked == 0 {
        out::say(&format!("there is no live channel {}", args.channel));
        code = BAD;
    }
    to.flush()?;
    Ok(code)
}
