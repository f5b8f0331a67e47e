//! Asking programs for other buffer sizes while they run.

use super::{DirArgs, usage};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use relay_collect::args::ByteSize;
use relay_collect::read::Channels;
use relay_log::channel::{ChannelReader, Counter, Status};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
#[command(
    after_help = "A smaller size takes nothing from records: sub-buffers beyond it are given back\n\
        once they are archived and the channel has been idle for a second, never under\n\
        load. What may wait is not lowered. A request takes the place of an earlier one,\n\
        also of growth that is under way.\n\n\
        Exit codes: 0 it was asked for; 1 it failed; 2 no such live channel, or a size\n\
        that cannot be."
)]
pub(crate) struct ResizeArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The channel; where several programs have one of this name, all of them
    #[arg(long)]
    channel: String,
    /// What it is to keep allocated, as in 64MiB; what may wait for the collector is raised to it
    size: ByteSize,
}

/// How long a program is waited for: one that is idle looks once a second.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn resize(args: &ResizeArgs) -> Result<ExitCode> {
    let store = args.dir.store()?;
    let channels = store.channels()?;
    for (file, why) in &channels.refused {
        super::say(&format!("{}: {why}", store.live_dir().join(file).display()));
    }
    let chosen = choose(&channels, &args.channel)?;
    // All of them before the first is asked.
    for (file, reader) in &chosen {
        check(args.size, file, reader)?;
    }
    let mut asked = Vec::new();
    for (file, reader) in chosen {
        let before = reader.status().with_context(|| file.to_owned())?;
        reader.request_resize(args.size.bytes()).map_err(|errno| match errno {
            // It was opened for reading, since it could not be opened for more.
            Errno::BADF => {
                anyhow!("{file}: it may be read, not written: nothing can be asked of it")
            }
            errno => anyhow::Error::from(errno).context(file.to_owned()),
        })?;
        asked.push((file, reader, before));
    }
    let until = Instant::now() + PATIENCE;
    for (file, reader, before) in asked {
        match taken_up(reader, &before, until).with_context(|| file.to_owned())? {
            Some(now) => tell(args.size, file, &now)?,
            None => super::say(&format!(
                "{file}: its program has not taken that up in {} s: it is stopped or very busy, or its channel \
                has no helper thread; the request stands",
                PATIENCE.as_secs()
            )),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The live channels of this name.
fn choose<'c>(channels: &'c Channels, name: &str) -> Result<Vec<(&'c str, &'c ChannelReader)>> {
    let (mut chosen, mut others) = (Vec::new(), BTreeSet::new());
    for (file, reader) in &channels.channels {
        if !reader.is_alive().with_context(|| file.clone())? {
            continue;
        }
        let own = reader.identity().name.as_str();
        if own == name {
            chosen.push((file.as_str(), reader));
        } else {
            others.insert(own);
        }
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let others: Vec<_> = others.into_iter().collect();
    let there = match &others[..] {
        [] => "there are none".into(),
        names => format!("there are: {}", names.join(", ")),
    };
    Err(usage(format!("no live channel is named {name}; {there}")))
}

/// Refuses what the channel cannot have.
fn check(size: ByteSize, file: &str, reader: &ChannelReader) -> Result<()> {
    let least = 2 * u64::from(reader.identity().sub_buffer);
    if size.bytes() < least {
        let least = ByteSize::new(least);
        return Err(usage(format!(
            "{file}: {size} is too small: a channel keeps two sub-buffers at least, here {least}"
        )));
    }
    let most = reader.most_bytes().with_context(|| file.to_owned())?;
    if size.bytes() > most {
        let most = short(most);
        return Err(usage(format!(
            "{file}: {size} is too large: it cannot have more than {most} now, by the free disk and its addresses"
        )));
    }
    Ok(())
}

/// A size without what nobody wants to read.
const fn short(bytes: u64) -> ByteSize {
    ByteSize::new(if bytes < 1 << 20 { bytes } else { bytes >> 20 << 20 })
}

/// What the channel says once its program has taken the request up.
fn taken_up(reader: &ChannelReader, before: &Status, until: Instant) -> Result<Option<Status>> {
    let resized = |status: &Status| status.counters[Counter::Resized as usize];
    loop {
        let now = reader.status()?;
        if resized(&now) != resized(before) {
            return Ok(Some(now));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tell(size: ByteSize, file: &str, now: &Status) -> std::io::Result<()> {
    let has = if now.allocated > size.bytes() {
        "; what is beyond is given back when it is idle"
    } else {
        ""
    };
    let cap = short(now.cap);
    let mut out = super::out::findings();
    writeln!(out, "{file}: keeps {size} allocated{has}; up to {cap} may wait")
}
