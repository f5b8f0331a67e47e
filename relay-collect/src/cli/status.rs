//! Live channels, as they are now.

use super::{DirArgs, Report};
use anyhow::Result;
use clap::Args;
use relay_collect::Holder;
use relay_collect::read::Store;
use relay_collect::render::escape_text;
use relay_log::channel::{ChannelReader, Counter, State, Sub};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// How it is shown
    #[arg(long, env = "RELAY_REPORT", value_enum, default_value_t = Report::Text)]
    format: Report,
}

/// What is shown of one channel.
#[derive(Debug, Serialize)]
struct Shown {
    channel: String,
    pid: u32,
    program: String,
    file: String,
    alive: bool,
    /// Somebody has removed the file's name; the collector that has it open drains it all the same.
    unlinked: bool,
    on_full: String,
    allocated_bytes: u64,
    cap_bytes: u64,
    waiting_bytes: u64,
    /// Everything recorded until then survives a loss of power, UTC nanoseconds; 0 for nothing yet.
    durable_until_ns: u64,
    sub_buffers: SubBuffers,
    waiting_threads: u32,
    grown: u64,
    given_back: u64,
    resizes: u64,
    waits: u64,
    waited_seconds: f64,
    discarded: u64,
    overwritten_sub_buffers: u64,
    writers: u64,
    failed_allocations: u64,
}

#[derive(Debug, Default, Serialize)]
struct SubBuffers {
    free: u64,
    owned: u64,
    ready: u64,
    parked: u64,
    meta: u64,
}

impl Shown {
    fn of(file: String, reader: &ChannelReader) -> Result<Self> {
        let (identity, status) = (reader.identity(), reader.status()?);
        let subs = reader.scan()?;
        let count = |counter: Counter| status.counters[counter as usize];
        let waits = |sub: &&Sub| !sub.is_meta() && sub.archived != sub.generation;
        Ok(Self {
            channel: identity.name.clone(),
            pid: identity.pid,
            program: identity.program.clone(),
            alive: reader.is_alive()?,
            unlinked: status.links == 0,
            on_full: format!("{:?}", identity.on_full).to_lowercase(),
            allocated_bytes: status.allocated,
            cap_bytes: status.cap,
            waiting_bytes: subs.iter().filter(waits).map(|s| u64::from(s.committed)).sum(),
            durable_until_ns: status.durable_until_ns(),
            sub_buffers: sub_buffers(&subs),
            waiting_threads: status.waiters,
            grown: count(Counter::Grown),
            given_back: count(Counter::Shrunk),
            resizes: count(Counter::Resized),
            waits: count(Counter::Waits),
            waited_seconds: count(Counter::WaitNanos) as f64 / 1e9,
            discarded: count(Counter::DiscardedFull) + count(Counter::DiscardedDisk),
            overwritten_sub_buffers: count(Counter::Overwritten),
            writers: count(Counter::Writers),
            failed_allocations: count(Counter::AllocFailed),
            file,
        })
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let state = match (self.alive, self.unlinked) {
            (_, true) => "its name was removed",
            (true, _) => "alive",
            (false, _) => "its process is gone",
        };
        let program = escape_text(&self.program);
        writeln!(out, "{} · pid {} · {program} · {state}", self.channel, self.pid)?;
        writeln!(
            out,
            "  allocated {:.2} MiB · may wait {:.0} MiB, then {} · waits for the collector {:.2} MiB",
            mib(self.allocated_bytes),
            mib(self.cap_bytes),
            self.on_full,
            mib(self.waiting_bytes)
        )?;
        let time = i64::try_from(self.durable_until_ns).ok().filter(|ns| *ns > 0);
        match time.and_then(|ns| jiff::Timestamp::from_nanosecond(ns.into()).ok()) {
            Some(until) => writeln!(out, "  durable: what was recorded until {until:.3}")?,
            None => writeln!(out, "  durable: nothing yet")?,
        }
        let subs = &self.sub_buffers;
        writeln!(
            out,
            "  sub-buffers: {} owned, {} ready, {} parked, {} handed back, {} with callsites",
            subs.owned, subs.ready, subs.parked, subs.free, subs.meta
        )?;
        writeln!(
            out,
            "  grown {} · given back {} · resized {} · writers {}",
            self.grown, self.given_back, self.resizes, self.writers
        )?;
        writeln!(
            out,
            "  waited {} times, {:.1} s, {} threads now · discarded {} records · overwrote {} sub-buffers · {} allocations failed",
            self.waits,
            self.waited_seconds,
            self.waiting_threads,
            self.discarded,
            self.overwritten_sub_buffers,
            self.failed_allocations
        )
    }
}

fn sub_buffers(subs: &[Sub]) -> SubBuffers {
    let mut count = SubBuffers::default();
    for sub in subs {
        let Some((generation, state)) = sub.state else { continue };
        match state {
            State::Owned => count.owned += 1,
            State::Ready if sub.archived == generation => count.free += 1,
            State::Ready => count.ready += 1,
            State::Parked => count.parked += 1,
            State::Meta => count.meta += 1,
            State::Free => count.free += 1,
        }
    }
    count
}

/// The collector of the directory.
enum Collector {
    None,
    At(Holder),
    /// Why it is not known.
    Unknown(std::io::Error),
}

impl Collector {
    fn of(holder: std::io::Result<Option<Holder>>) -> Self {
        holder.map_or_else(Self::Unknown, |holder| holder.map_or(Self::None, Self::At))
    }

    fn json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Unknown(why) => json!({ "why": why.to_string() }),
            Self::At(holder) => {
                let level = |(channel, level)| json!({ "channel": channel, "level": level });
                let levels: Vec<_> =
                    holder.levels.iter().map(|of| (&of.0, of.1)).map(level).collect();
                json!({ "pid": holder.pid, "lowered_levels": levels })
            }
        }
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let holder = match self {
            Self::None => return writeln!(out, "no collector"),
            Self::Unknown(why) => return writeln!(out, "collector: cannot tell: {why}"),
            Self::At(holder) => holder,
        };
        let pid = holder.pid.map_or("unknown".into(), |pid| pid.to_string());
        writeln!(out, "collector · pid {pid}")?;
        for (channel, level) in &holder.levels {
            writeln!(out, "  {channel}: compressed less, at level {level}: there is a backlog")?;
        }
        Ok(())
    }
}

/// A file that is no channel, and why.
type Refused = (String, String);

/// The exit code: a file that cannot be read may be a channel, of which nothing is known.
fn code(refused: &[Refused]) -> ExitCode {
    if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn shown(store: &Store) -> Result<(Vec<Shown>, Vec<Refused>)> {
    let channels = store.channels()?;
    let refused = channels.refused.iter().map(|(file, why)| (file.clone(), why.to_string()));
    let (mut all, mut refused) = (Vec::new(), refused.collect::<Vec<_>>());
    for (file, reader) in &channels.channels {
        match Shown::of(file.clone(), reader) {
            Ok(shown) => all.push(shown),
            Err(error) => refused.push((file.clone(), error.to_string())),
        }
    }
    Ok((all, refused))
}

pub(crate) fn status(args: &StatusArgs) -> Result<ExitCode> {
    let (channels, refused) = shown(&args.dir.store()?)?;
    let collector = Collector::of(relay_collect::holder(&args.dir.dir));
    let code = match collector {
        Collector::Unknown(_) => ExitCode::FAILURE,
        _ => code(&refused),
    };
    let mut out = super::out::stdout();
    if args.format == Report::Json {
        let refused: Vec<_> =
            refused.iter().map(|(file, why)| json!({ "file": file, "why": why })).collect();
        let all = json!({
            "collector": collector.json(), "channels": channels, "refused": refused
        });
        writeln!(out, "{all}")?;
        out.flush()?;
        return Ok(code);
    }
    collector.write(&mut out)?;
    if channels.is_empty() {
        writeln!(out, "no live channels")?;
    }
    for channel in &channels {
        channel.write(&mut out)?;
    }
    for (file, why) in refused {
        writeln!(out, "{}: {why}", escape_text(&file))?;
    }
    out.flush()?;
    Ok(code)
}
