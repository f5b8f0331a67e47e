//! Channels prepared for a collector: two whose processes are gone, and one that lives.

use crate::payload::{Random, make};
use relay_log::channel::{Config, RawChannel};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Records of each channel.
pub const EACH: u64 = 250;

/// Channels of dead processes, to be copied.
#[derive(Debug)]
pub struct Template {
    dir: TempDir,
}

/// A directory for one run of a collector.
#[derive(Debug)]
pub struct Arena {
    /// The directory.
    pub dir: TempDir,
    /// The channel that lives.
    pub live: RawChannel,
}

/// A directory in memory where there is one: what is measured is the collector, not the disk.
#[must_use]
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs the test again as a process of its own; its directory, there.
#[must_use]
pub fn apart(name: &str, dir: &Path) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("RELAY_APART") {
        return Some(dir.into());
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", name, "--nocapture"]).env("RELAY_APART", dir).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}", said.get(said.find("ATTACK|").unwrap_or(0)..).unwrap_or_default());
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    None
}

fn filled(live: &Path, name: &str, thread: u64) -> RawChannel {
    let mut config = Config::new(live, name);
    (config.sub_buffer, config.initial, config.keeper) = (4096, 16 << 10, false);
    let channel = RawChannel::create(config).unwrap();
    let (mut writer, mut random) = (channel.writer(), Random::new(thread + 1));
    for number in 0..EACH {
        writer.write(&make(thread, number, random.below(200) as usize)).unwrap();
    }
    channel
}

impl Template {
    /// One that ended in order and one that was killed.
    #[must_use]
    pub fn new() -> Self {
        let (dir, live) = (scratch(), scratch());
        let clean = filled(live.path(), "app", 0);
        let killed = filled(live.path(), "app", 1);
        let copy = |channel: &RawChannel| {
            let name = channel.file_name();
            std::fs::copy(live.path().join(&name), dir.path().join(&name)).unwrap();
        };
        copy(&killed);
        clean.announce_end();
        copy(&clean);
        Self { dir }
    }

    /// A fresh directory with all three.
    #[must_use]
    pub fn arena(&self) -> Arena {
        let dir = scratch();
        let live = dir.path().join("live");
        let channel = filled(&live, "app", 2);
        for entry in std::fs::read_dir(&self.dir).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), live.join(entry.file_name())).unwrap();
        }
        Arena { dir, live: channel }
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::new()
    }
}

impl Arena {
    /// What had returned, by thread.
    #[must_use]
    pub const fn returned() -> [u64; 3] {
        [EACH; 3]
    }

    /// Writes more into the channel that lives.
    pub fn write_on(&self, numbers: std::ops::Range<u64>) {
        let mut writer = self.live.writer();
        for number in numbers {
            writer.write(&make(2, number, 100)).unwrap();
        }
    }
}
