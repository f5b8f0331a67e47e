//! No command: the collector.

use super::{Place, USAGE};
use clap::Args;
use relay_collect::args::{ByteSize, HumanDuration};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The directory shared by programs and collector
    #[arg(long, env = "RELAY_DIR", value_name = "DIR", required = true)]
    pub(crate) dir: Option<PathBuf>,
    /// Where channels live [default: DIR/live]
    #[arg(long, env = "RELAY_LIVE_DIR", value_name = "DIR")]
    pub(crate) live_dir: Option<PathBuf>,
    /// Drains what is there, seals and exits
    #[arg(long, env = "RELAY_ONCE")]
    pub(crate) once: bool,
    /// Waits while another collector works here, and takes over
    #[arg(long, env = "RELAY_STANDBY")]
    pub(crate) standby: bool,
    /// Seals an archive that is larger
    #[arg(long, env = "RELAY_ROTATE_SIZE", value_name = "SIZE", default_value = "64MiB")]
    pub(crate) rotate_size: ByteSize,
    /// Seals an archive that is older
    #[arg(long, env = "RELAY_ROTATE_AGE", value_name = "AGE", default_value = "1h")]
    pub(crate) rotate_age: HumanDuration,
    /// Deletes the oldest archives while all together are larger [default: keep everything]
    #[arg(long, env = "RELAY_KEEP_SIZE", value_name = "SIZE")]
    pub(crate) keep_size: Option<ByteSize>,
    /// Deletes archives that are older [default: keep everything]
    #[arg(long, env = "RELAY_KEEP_AGE", value_name = "AGE")]
    pub(crate) keep_age: Option<HumanDuration>,
    /// Deletes the oldest archives of a channel that has more [default: keep everything]
    #[arg(long, env = "RELAY_KEEP_COUNT", value_name = "N")]
    pub(crate) keep_count: Option<usize>,
    /// The zstd level of archives
    #[arg(long, env = "RELAY_ZSTD_LEVEL", value_name = "1-22", default_value_t = 3,
        value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
    /// Another user whose channels are trusted
    #[arg(long, env = "RELAY_ALLOW_UID", value_name = "UID")]
    pub(crate) allow_uid: Option<u32>,
    /// Permission bits of archives, octal
    #[arg(long, env = "RELAY_MODE", value_name = "BITS", default_value = "600", value_parser = octal)]
    pub(crate) mode: u32,
}

fn octal(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text.trim_start_matches("0o"), 8);
    bits.ok()
        .filter(|bits| *bits <= 0o777)
        .ok_or_else(|| format!("`{text}` is not a file mode; use octal digits like 600 or 640"))
}

/// Runs the collector.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<u8> {
    let Some(dir) = args.dir.clone() else {
        return super::usage("--dir is missing");
    };
    let _ = Place { dir, live_dir: args.live_dir.clone(), allow_uid: args.allow_uid };
    super::out::say("this build has no collector");
    Ok(USAGE)
}
