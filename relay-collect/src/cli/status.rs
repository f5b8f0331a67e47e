//! `status`: live channels.

use super::{GOOD, Place, Report, out};
use clap::Args;
use relay_collect::read::{ArchiveName, Store};
use relay_log::channel::{ChannelReader, Counter};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: Place,
    /// How it is shown
    #[arg(long, env = "RELAY_REPORT", value_enum, default_value = "text")]
    format: Report,
}

const COUNTERS: [(Counter, &str); Counter::COUNT] = [
    (Counter::Grown, "grown"),
    (Counter::Shrunk, "shrunk"),
    (Counter::Resized, "resized"),
    (Counter::Waits, "waits"),
    (Counter::WaitNanos, "wait_ns"),
    (Counter::DiscardedFull, "discarded_full"),
    (Counter::DiscardedDisk, "discarded_disk"),
    (Counter::Overwritten, "overwritten"),
    (Counter::OneShot, "one_shot"),
    (Counter::Writers, "writers"),
    (Counter::AllocFailed, "alloc_failed"),
];

#[derive(Debug, Serialize)]
struct ChannelStatus {
    file: String,
    channel: String,
    program: String,
    pid: u32,
    alive: bool,
    sub_buffer_bytes: u32,
    /// Sub-buffers that hold something that no archive has.
    waiting_sub_buffers: u64,
    waiting_bytes: u64,
    used_sub_buffers: u64,
    allocated_bytes: u64,
    cap_bytes: u64,
    waiters: u32,
    counters: BTreeMap<&'static str, u64>,
    on_full: String,
}

#[derive(Debug, Serialize)]
struct ArchiveStatus {
    channel: String,
    archives: u64,
    bytes: u64,
    open: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    channels: Vec<ChannelStatus>,
    archives: Vec<ArchiveStatus>,
    refused: Vec<String>,
}

/// Shows live channels.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<u8> {
    let store = args.place.store()?;
    let found = store.channels()?;
    let mut channels = Vec::new();
    for (file, reader) in &found.channels {
        channels.push(channel(file, reader)?);
    }
    let archives = archives(&store)?;
    let refused = found.refused.iter().map(|(file, why)| format!("{file}: {why}")).collect();
    let status = Status { channels, archives, refused };
    let mut to = out::stdout();
    match args.format {
        Report::Json => {
            serde_json::to_writer(&mut to, &status).map_err(io::Error::from)?;
            to.write_all(b"\n")?;
        }
        Report::Text => text(&status, &mut to)?,
    }
    to.flush()?;
    Ok(GOOD)
}

fn channel(file: &str, reader: &ChannelReader) -> io::Result<ChannelStatus> {
    let (identity, status) = (reader.identity(), reader.status()?);
    let mut waiting = (0, 0);
    let mut used = 0;
    for sub in reader.scan()? {
        used += u64::from(sub.committed > 0);
        if !sub.is_meta() && sub.committed > 0 && sub.archived != sub.generation {
            waiting = (waiting.0 + 1, waiting.1 + u64::from(sub.committed));
        }
    }
    let counter = |(counter, name): &(Counter, &'static str)| {
        (*name, status.counters.get(*counter as usize).copied().unwrap_or(0))
    };
    Ok(ChannelStatus {
        file: file.to_owned(),
        channel: identity.name.clone(),
        program: identity.program.clone(),
        pid: identity.pid,
        alive: reader.is_alive()?,
        sub_buffer_bytes: identity.sub_buffer,
        waiting_sub_buffers: waiting.0,
        waiting_bytes: waiting.1,
        used_sub_buffers: used,
        allocated_bytes: status.allocated,
        cap_bytes: status.cap,
        waiters: status.waiters,
        counters: COUNTERS.iter().map(counter).collect(),
        on_full: format!("{:?}", identity.on_full).to_lowercase(),
    })
}

fn archives(store: &Store) -> io::Result<Vec<ArchiveStatus>> {
    let mut all: BTreeMap<String, ArchiveStatus> = BTreeMap::new();
    for name in ArchiveName::list(store.archive_dir())? {
        let path = store.archive_dir().join(&name.file);
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let channel = name.channel.clone();
        let of = all.entry(name.channel.clone()).or_insert_with(|| ArchiveStatus {
            channel,
            archives: 0,
            bytes: 0,
            open: None,
        });
        of.archives += 1;
        of.bytes += bytes;
        if !name.sealed {
            of.open = Some(name.file);
        }
    }
    Ok(all.into_values().collect())
}

fn text(status: &Status, to: &mut dyn Write) -> io::Result<()> {
    for of in &status.channels {
        let (name, program) = (out::plain(&of.channel), out::plain(&of.program));
        let alive = if of.alive { "alive" } else { "gone" };
        writeln!(
            to,
            "{name}: {program}, pid {}, {alive}: {} wait in {} of {} sub-buffers, {} allocated, cap {}, {} threads wait",
            of.pid,
            out::bytes(of.waiting_bytes),
            of.waiting_sub_buffers,
            of.used_sub_buffers,
            out::bytes(of.allocated_bytes),
            out::bytes(of.cap_bytes),
            of.waiters
        )?;
        let counters: Vec<String> = of
            .counters
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(to, "  on full: {}; {}", of.on_full, counters.join(", "))?;
    }
    for of in &status.archives {
        let (name, bytes) = (out::plain(&of.channel), out::bytes(of.bytes));
        let open = of.open.as_deref().map_or("none is open".to_owned(), |o| format!("{o} is open"));
        writeln!(to, "{name}: {} archives, {bytes}; {open}", of.archives)?;
    }
    for refused in &status.refused {
        writeln!(to, "refused: {}", out::plain(refused))?;
    }
    Ok(())
}
