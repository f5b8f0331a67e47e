//! Which archives of a channel retention has deleted, so that what others have deleted is told from it.
//!
//! A tombstone goes with the archive that it stands in. So every archive begins with the numbers of all
//! that were deleted before it, and the newest knows all of them together with its own tombstones.

use crate::read::{ArchiveFd, ArchiveName, Ranges};
use relay_fmt::archive::{Deleted, Entry, open, read_control};
use std::path::Path;

/// Archive numbers of one channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfChannel {
    /// Those that retention deleted, as far as it is known.
    pub(crate) numbers: Ranges,
    /// Whether an archive says all of them. Older ones knew what their tombstones say.
    pub(crate) told: bool,
    stones: bool,
}

impl OfChannel {
    /// Takes into account what an archive of the channel says.
    pub(crate) fn add(&mut self, channel: &str, entry: &Entry) {
        match entry {
            Entry::Deleted(deleted) => {
                self.told = true;
                for (first, count) in &deleted.ranges {
                    self.numbers.add(*first, first.saturating_add(*count));
                }
            }
            Entry::Tombstone(stone)
                if ArchiveName::parse(&stone.file).is_some_and(|name| name.channel == channel) =>
            {
                self.stones = true;
                self.numbers.add(stone.number, stone.number.saturating_add(1));
            }
            _ => {}
        }
    }

    /// What the oldest tombstones said may have gone with the archives that they stood in: where none
    /// is told, whatever came before the oldest archive counts as deleted, if anything was.
    pub(crate) fn complete(&mut self, oldest: u64) {
        if !self.told && self.stones {
            self.numbers.add(0, oldest);
        }
    }

    /// What a new archive says.
    pub(crate) fn entry(numbers: &Ranges) -> Entry {
        let ranges = numbers.iter().map(|(from, to)| (from, to - from)).collect();
        Entry::Deleted(Deleted { ranges })
    }
}

/// What the archives of a channel say; `names` are all in `dir`. Only the newest is opened where it
/// knows all of them.
pub(crate) fn of_channel(dir: &Path, names: &[ArchiveName], channel: &str) -> Ranges {
    let mut found = OfChannel::default();
    let own = || names.iter().filter(|name| name.channel == channel);
    for name in own().rev() {
        // What cannot be read is told by others.
        let Ok(bytes) = ArchiveFd::open(&dir.join(&name.file)) else { continue };
        let Ok(opened) = open(&bytes) else { continue };
        let directory = opened.directory();
        for place in &directory.controls {
            let entries = read_control(&bytes, directory, *place).unwrap_or_default();
            entries.iter().for_each(|entry| found.add(channel, entry));
        }
        if found.told {
            break;
        }
    }
    found.complete(own().next().map_or(0, |oldest| oldest.number));
    found.numbers
}
