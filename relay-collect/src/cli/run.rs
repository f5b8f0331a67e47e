//! The collector as a process.

use anyhow::Result;
use clap::Args;
use relay_collect::args::{ArgError, ByteSize, HumanDuration};
use relay_collect::read::Store;
use relay_collect::{CollectError, Collector, Control, Options, Repack};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    // Not `DirArgs`: whether these arguments are there at all goes by those that stand here.
    /// The directory shared with programs
    #[arg(long, env = "RELAY_DIR")]
    dir: PathBuf,
    /// Where channels live, if not in DIR/live
    #[arg(long, env = "RELAY_LIVE_DIR")]
    live_dir: Option<PathBuf>,
    /// Trust channels of this user too
    #[arg(long, env = "RELAY_ALLOW_UID", value_name = "UID", value_parser = super::number::<u32>)]
    allow_uid: Option<u32>,
    /// Archive what is there, seal the archives, and exit
    #[arg(long)]
    once: bool,
    /// With --once: how long to wait for room on a full disk, then exit with 1
    #[arg(long, default_value = "10s", value_name = "TIME", requires = "once")]
    full_wait: HumanDuration,
    /// Wait for another collector to end, then take over
    #[arg(long, conflicts_with = "once")]
    standby: bool,
    /// Seal an archive when it is larger
    #[arg(long, env = "RELAY_ROTATE_SIZE", default_value = "64MiB", value_name = "SIZE", value_parser = rotate::<ByteSize>)]
    rotate_size: ByteSize,
    /// Seal an archive when it is older
    #[arg(long, env = "RELAY_ROTATE_AGE", default_value = "1h", value_name = "TIME", value_parser = rotate::<HumanDuration>)]
    rotate_age: HumanDuration,
    /// Delete the oldest archives while all together are larger
    #[arg(long, env = "RELAY_KEEP_SIZE", value_name = "SIZE", value_parser = keep::<ByteSize>)]
    keep_size: Option<ByteSize>,
    /// Delete archives whose newest record is older
    #[arg(long, env = "RELAY_KEEP_AGE", value_name = "TIME", value_parser = keep::<HumanDuration>)]
    keep_age: Option<HumanDuration>,
    /// Delete the oldest archives of a channel while it has more
    #[arg(long, env = "RELAY_KEEP_COUNT", value_name = "N", value_parser = at_least_one)]
    keep_count: Option<usize>,
    /// The zstd level of blocks; while a backlog grows they are compressed less
    #[arg(long, env = "RELAY_ZSTD_LEVEL", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// When sealed archives are packed again: while there is nothing else to do, or never
    #[arg(long, env = "RELAY_REPACK", default_value = "idle", value_parser = ["idle", "never"])]
    repack: String,
    /// The zstd level of archives that are packed again
    #[arg(long, env = "RELAY_REPACK_LEVEL", default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=19))]
    repack_level: i32,
    /// Keep times to the microsecond only: archives are up to half as large
    #[arg(long, env = "RELAY_TIME_PRECISION", default_value = "ns", value_parser = ["ns", "us"])]
    time_precision: String,
    /// Permission bits of archives
    #[arg(long, env = "RELAY_MODE", default_value = "600", value_parser = octal)]
    mode: u32,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 would keep nothing but the newest; say 1 if that is meant".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("it is a number of archives".into()),
    }
}

/// Nothing at all is most likely meant to be no limit.
fn above_zero<T>(text: &str, zero: &str) -> Result<T, String>
where
    T: FromStr<Err = ArgError> + PartialEq,
{
    let value: T = text.parse().map_err(|error: ArgError| error.to_string())?;
    if "0".parse().is_ok_and(|nothing: T| nothing == value) {
        Err(zero.to_owned())
    } else {
        Ok(value)
    }
}

fn rotate<T: FromStr<Err = ArgError> + PartialEq>(text: &str) -> Result<T, String> {
    above_zero(text, "0 would seal an archive behind every block")
}

fn keep<T: FromStr<Err = ArgError> + PartialEq>(text: &str) -> Result<T, String> {
    above_zero(text, "0 would keep nothing but the newest; without the option everything is kept")
}

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("permission bits are an octal number such as 600 or 640".into()),
    }
}

impl RunArgs {
    fn options(&self) -> Options {
        let mut options = Options::new(&self.dir);
        if let Some(live) = &self.live_dir {
            options.live_dir.clone_from(live);
        }
        options.uid = self.allow_uid;
        options.rotate_size = self.rotate_size.bytes();
        options.rotate_age = self.rotate_age.duration();
        options.keep_size = self.keep_size.map(ByteSize::bytes);
        options.keep_age = self.keep_age.map(HumanDuration::duration);
        options.keep_count = self.keep_count;
        options.level = self.level;
        options.repack = if self.repack == "idle" { Repack::Idle } else { Repack::Never };
        options.repack_level = self.repack_level;
        options.micros = self.time_precision == "us";
        options.mode = self.mode;
        options.full_wait = self.once.then(|| self.full_wait.duration());
        options
    }
}

/// Opens the collector, waiting for another one to end if that was asked for; `None` when it was told to
/// stop meanwhile.
fn open(args: &RunArgs, control: &Control) -> Result<Option<Collector>, CollectError> {
    let mut told = false;
    loop {
        match Collector::open(args.options()) {
            Err(error @ CollectError::Held { .. }) if args.standby => {
                if control.is_stopping() {
                    return Ok(None);
                }
                if !told {
                    super::say(&format!("{error}; waiting"));
                    told = true;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return other.map(Some),
        }
    }
}

/// Whether neither programs nor collectors have ever been there.
fn is_new(args: &RunArgs) -> bool {
    let store = Store::open(&args.dir, args.live_dir.as_deref());
    store
        .and_then(|store| store.is_there())
        .map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |is_there| !is_there)
}

pub(crate) fn run(args: RunArgs) -> Result<ExitCode> {
    let control = Arc::new(Control::new());
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let of_signals = Arc::clone(&control);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => of_signals.rotate(),
                // Whoever asks twice does not want to wait.
                _ if asked => std::process::exit(1),
                _ => {
                    asked = true;
                    of_signals.stop();
                }
            }
        }
    })?;
    let is_new = is_new(&args);
    let Some(mut collector) = open(&args, &control)? else { return Ok(ExitCode::SUCCESS) };
    if is_new {
        // A name that was mistyped would be waited in for ever.
        super::say(&format!("note: nothing is in {} yet: it is new", args.dir.display()));
    }
    if !args.once {
        collector.run(&control)?;
        return Ok(ExitCode::SUCCESS);
    }
    collector.drain(&control)?;
    // Each was said when it was found.
    Ok(if collector.left().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
