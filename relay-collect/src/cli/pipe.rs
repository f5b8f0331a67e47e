//! Any program's lines into a channel.

use super::{DirArgs, say, usage};
use anyhow::{Context, Result};
use clap::Args;
use relay_collect::args::ByteSize;
use relay_log::channel::{Config, RawChannel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Args)]
#[command(
    after_help = "SIGTERM and SIGINT end it behind what was written until then, also behind a line\n\
        without its end. While its channel is full it waits for the collector even\n\
        then. A second signal ends it at once: what it has read and not written is lost."
)]
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
    let dir = args.dir.live_dir.as_ref().unwrap_or(&args.dir.dir);
    let new = is_new(dir)?;
    let mut config = Config::new(live, &args.channel);
    config.initial = args.buffer.bytes();
    config.max = args.buffer_max.map(ByteSize::bytes);
    config.sub_buffer = sub_buffer(config.max.unwrap_or(u64::MAX).min(config.initial));
    let channel = RawChannel::create(config)?;
    if new {
        say(&format!("note: {} was made: it is new", dir.display()));
    }
    let mut writer = channel.writer();
    // The beginning of a line whose end was not read yet.
    let mut line = Vec::new();
    let mut take = |bytes: &[u8]| -> Result<()> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let part = bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            if line.is_empty() {
                writer.write(part)?;
            } else {
                line.extend_from_slice(part);
                writer.write(&line)?;
                line.clear();
            }
        }
        line.extend_from_slice(bytes.get(start..).unwrap_or_default());
        Ok(())
    };
    read(&mut take)?;
    // What comes without a newline at the end is a line all the same.
    if !line.is_empty() {
        writer.write(&line)?;
    }
    writer.flush();
    channel.announce_end();
    Ok(ExitCode::SUCCESS)
}

/// Whether a directory is to be made. A mistyped one does not take the lines: only its last part may be new.
fn is_new(dir: &Path) -> Result<bool> {
    if dir.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    // What cannot be looked at fails, and says why, when something is made there.
    if parent.is_some_and(|parent| matches!(parent.try_exists(), Ok(false))) {
        return Err(usage(format!(
            "{} cannot be made: there is no directory it could be in",
            dir.display()
        )));
    }
    Ok(true)
}

/// The size of a sub-buffer of a channel of so many bytes: one writer has no use for many, and each costs system
/// calls of its own.
fn sub_buffer(bytes: u64) -> u32 {
    let most = (bytes / 16).clamp(64 << 10, 256 << 10);
    1 << most.ilog2()
}

/// What a pipe holds at most, unless somebody made it larger: so much is still taken after a signal.
const IN_A_PIPE: usize = 64 << 10;

/// Reads standard input to its end. SIGTERM and SIGINT end it too, behind what is there by then; whoever
/// sends a second one does not want to wait.
fn read(take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let (woken, waker) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    // Without the buffer of the standard library: what stands in it is not seen by `poll`.
    let input = std::io::stdin();
    let (mut bytes, mut left) = (vec![0; 256 << 10], IN_A_PIPE);
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        let mut fds = [PollFd::new(&input, PollFlags::IN), PollFd::new(&woken, PollFlags::IN)];
        let time = stopping.then(Timespec::default);
        match poll(&mut fds, time.as_ref()) {
            Err(Errno::INTR) => continue,
            done => done?,
        };
        let ready = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if stopping && (!ready || left == 0) {
            return Ok(());
        }
        if !ready {
            continue;
        }
        let most = if stopping { left.min(bytes.len()) } else { bytes.len() };
        let count = match rustix::io::read(&input, bytes.get_mut(..most).unwrap_or_default()) {
            Err(Errno::INTR | Errno::AGAIN) => continue,
            count => count.context("cannot read standard input")?,
        };
        if count == 0 {
            return Ok(());
        }
        if stopping {
            left -= count;
        }
        take(bytes.get(..count).unwrap_or_default())?;
    }
}
