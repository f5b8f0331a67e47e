//! A collector that keeps everything in memory: the channel's own reader, judged by the oracle.

use crate::recover::{Oracle, Streams};
use relay_log::channel::ChannelReader;
use std::path::Path;

/// A collector.
#[derive(Debug)]
pub struct Drain {
    /// What it reads with.
    pub reader: ChannelReader,
    oracle: Oracle,
    /// Whether it hands sub-buffers back.
    pub hand_back: bool,
}

impl Drain {
    /// Opens the channel `name` in `dir`.
    #[must_use]
    pub fn open(dir: &Path, name: &str) -> Self {
        let reader = ChannelReader::open(dir, name.as_ref(), None).unwrap();
        Self { reader, oracle: Oracle::default(), hand_back: true }
    }

    /// Takes what is new. Returns how many bytes that was.
    pub fn drain(&mut self) -> usize {
        let mut got = 0;
        for sub in self.reader.scan().unwrap() {
            let from = self.oracle.taken(sub.index, sub.generation);
            let Some(data) = self.reader.read(&sub, from as u32).unwrap() else {
                continue;
            };
            if !data.bytes.is_empty() {
                self.oracle.feed(sub.index, sub.generation, from, &data.bytes);
                got += data.bytes.len();
            }
            if sub.is_ready() && sub.archived != sub.generation && self.hand_back {
                self.reader.hand_back(&sub).unwrap();
                self.reader.wake_writers().unwrap();
            }
        }
        got
    }

    /// Everything that was drained.
    #[must_use]
    pub fn finish(self) -> Streams {
        self.oracle.finish()
    }

    /// Everything that was drained so far.
    #[must_use]
    pub fn so_far(&self) -> Streams {
        self.oracle.clone().finish()
    }
}

/// The only channel in a directory, once it is there; `None` after ten seconds.
#[must_use]
pub fn find(dir: &Path) -> Option<String> {
    for _ in 0..10_000 {
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names = names.map(|e| e.file_name().to_string_lossy().into_owned());
        if let Some(name) = names.find(|n| n.ends_with(".relay") && !n.starts_with('.')) {
            return Some(name);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}
