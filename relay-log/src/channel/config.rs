//! How a channel is to be opened.

use super::error::CreateError;
use super::identity::{MAX_NAME, OnFull, is_channel_name};
use super::layout;
use std::path::PathBuf;

/// How a channel is to be opened.
///
/// | setting | default |
/// |---|---|
/// | `sub_buffer` | 64 KiB |
/// | `initial` | 4 MiB |
/// | `max` | a quarter of what is free in the file system; in one that stands in memory, also of what the process may use |
/// | `on_full` | [`OnFull::Block`] |
/// | `mode` | `0o600` |
/// | `keeper` | true |
/// | `sync_every` | never: the collector syncs every second, without being asked |
/// | `counter` | true |
#[derive(Debug, Clone)]
pub struct Config {
    /// The live directory: files of channels stand directly in it.
    pub dir: PathBuf,
    /// The channel's name.
    pub name: String,
    /// Bytes of a sub-buffer: a power of two from 4 KiB to 8 MiB.
    pub sub_buffer: u32,
    /// Bytes allocated at birth and kept; rounded up to whole sub-buffers, at least two.
    pub initial: u64,
    /// Bytes that may wait for the collector; `None` for the default.
    pub max: Option<u64>,
    /// What a call does when the channel is full.
    pub on_full: OnFull,
    /// Permission bits of the file; directories that have to be made get the matching ones.
    pub mode: u32,
    /// Whether a helper thread allocates ahead and gives back what is idle.
    pub keeper: bool,
    /// How often the keeper has everything made durable: by the collector, or without one by syncing
    /// the channel's file. Needs the keeper.
    pub sync_every: Option<std::time::Duration>,
    /// Whether the processor's counter may tell the time where the kernel trusts it; CLOCK_MONOTONIC
    /// otherwise.
    pub counter: bool,
}

impl Config {
    /// The defaults, for the channel `name` in the live directory `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            name: name.into(),
            sub_buffer: 64 << 10,
            initial: 4 << 20,
            max: None,
            on_full: OnFull::Block,
            mode: 0o600,
            keeper: true,
            sync_every: None,
            counter: true,
        }
    }

    pub(super) fn check(&self) -> Result<(), CreateError> {
        let size = self.sub_buffer;
        if !is_channel_name(&self.name) {
            return Err(CreateError::Config(format!(
                "{:?} cannot name a channel: letters, digits, - and _, at most {} bytes",
                self.name, MAX_NAME
            )));
        }
        if !size.is_power_of_two()
            || !(layout::MIN_SUB_BUFFER..=layout::MAX_SUB_BUFFER).contains(&size)
        {
            return Err(CreateError::Config(format!(
                "a sub-buffer of {size} bytes: it must be a power of two from 4 KiB to 8 MiB"
            )));
        }
        if self.sync_every.is_some_and(|every| every.is_zero() || !self.keeper) {
            return Err(CreateError::Config(
                "sync_every needs the keeper, and a time longer than nothing".into(),
            ));
        }
        Ok(())
    }

    /// For a forked child, which has no helper threads.
    pub(crate) fn of_child(&self) -> Self {
        Self { keeper: false, sync_every: None, ..self.clone() }
    }
}
