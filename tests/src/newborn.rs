//! What a program leaves that is killed in the middle of a birth, looked for after each of its instructions.

use crate::births::Birth;
use crate::payload;
use crate::recover::{Streams, recover};
use crate::report::Outcome;
use crate::step::read_whole;
use crate::storm::text;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// One channel file of the program.
struct Channel {
    name: OsString,
    file: File,
    image: Vec<u8>,
    streams: Streams,
}

/// The channels of a program, as they come to be.
pub(crate) struct Newborn {
    live: PathBuf,
    birth: Birth,
    marks: [String; 2],
    channels: Vec<Channel>,
    read: Vec<u8>,
    judged: Option<(u64, bool)>,
    /// Images that differed from the one before.
    pub(crate) images: u64,
    /// What was found.
    pub(crate) outcome: Outcome,
}

impl Newborn {
    /// Of process `pid`.
    pub(crate) fn new(live: &Path, birth: Birth, pid: i32) -> Self {
        Self {
            live: live.to_owned(),
            birth,
            marks: marks(pid),
            channels: Vec::new(),
            read: Vec::new(),
            judged: None,
            images: 0,
            outcome: Outcome::default(),
        }
    }

    /// Opens what has a name by now.
    fn find(&mut self) {
        for entry in std::fs::read_dir(&self.live).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_own = self.marks.iter().any(|mark| name.to_string_lossy().starts_with(mark));
            if is_own && self.channels.iter().all(|channel| channel.name != name) {
                let file = File::open(entry.path()).unwrap();
                let (image, streams) = (Vec::new(), Streams::default());
                self.channels.push(Channel { name, file, image, streams });
            }
        }
    }

    /// Looks, `said` of the program's calls having returned; `set_up` says that its `init` has.
    pub(crate) fn look(&mut self, said: u64, set_up: bool) {
        let most = if self.birth == Birth::Channel { 1 } else { 2 };
        if self.channels.len() < most {
            self.find();
        }
        let mut changed = self.judged != Some((said, set_up));
        for channel in &mut self.channels {
            read_whole(&channel.file, &mut self.read);
            if self.read != channel.image {
                std::mem::swap(&mut self.read, &mut channel.image);
                channel.streams = recover(&channel.image);
                changed = true;
            }
        }
        if changed {
            self.images += 1;
            self.judged = Some((said, set_up));
            self.judge(said, set_up);
        }
    }

    fn judge(&mut self, said: u64, set_up: bool) {
        let (mut numbers, mut early) = (BTreeSet::new(), 0);
        let outcome = &mut self.outcome;
        for streams in self.channels.iter().map(|channel| &channel.streams) {
            outcome.torn += streams.violations.len() as u64;
            for (_, payload) in streams.writers.values().flatten() {
                match number(self.birth, payload) {
                    Some(Said::Early) => early += 1,
                    Some(Said::Number(n)) => outcome.doubled += u64::from(!numbers.insert(n)),
                    None => outcome.torn += 1,
                }
            }
        }
        // One call may be under way.
        outcome.torn += numbers.iter().filter(|n| **n > said).count() as u64;
        outcome.lost += said - numbers.range(..said).count() as u64;
        // Until `init` has returned, early records are in the program's memory alone.
        let due = u64::from(self.birth == Birth::Early && set_up);
        outcome.lost += u64::saturating_sub(due, early);
        outcome.doubled += early.saturating_sub(1);
    }
}

/// Which record it is.
enum Said {
    Early,
    Number(u64),
}

fn number(birth: Birth, payload: &[u8]) -> Option<Said> {
    if birth == Birth::Channel {
        return payload::check(payload).map(|(_, number)| Said::Number(number));
    }
    let said = text(payload)?.split(' ').next()?;
    if said == "early0" {
        return Some(Said::Early);
    }
    said.strip_prefix('p')?.parse().ok().map(Said::Number)
}

/// How the names of a process's channels begin.
pub(crate) fn marks(pid: i32) -> [String; 2] {
    [format!("births.{pid}-"), format!("births-2.{pid}-")]
}
