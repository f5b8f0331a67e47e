//! What the collector says: on stderr at once, and into the archive with the next frame.

use crate::render::escape_text;
use relay_fmt::archive::{Entry, Note};
use relay_fmt::callsite::Level;
use std::collections::HashSet;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// UTC nanoseconds.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What was said and is not in an archive yet.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    entries: Vec<Entry>,
    said: HashSet<String>,
    /// What could not be read, or was left where it is, a sentence each.
    left: Vec<String>,
    quiet: bool,
}

impl Notes {
    /// Notes that do not go to stderr: of a collector inside of a program.
    pub(crate) fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// Says a line.
    pub(crate) fn say(&mut self, level: Level, text: String) {
        if !self.quiet {
            // Its standard error may be a file on the disk that is full: no reason to end. Names of files
            // may be anything.
            let _ = writeln!(std::io::stderr(), "relay-collect: {}", escape_text(&text));
        }
        self.entries.push(Entry::Note(Note { level, time_ns: now_ns(), text }));
    }

    /// Says a line unless it has been said: what stays as it is is said once.
    pub(crate) fn say_once(&mut self, level: Level, text: String) {
        if self.said.insert(text.clone()) {
            self.say(level, text);
        }
    }

    /// Says, once, that something could not be read and is left where it is.
    pub(crate) fn leave(&mut self, text: String) {
        if !self.is_said(&text) {
            self.left.push(text.clone());
        }
        self.say_once(Level::Error, text);
    }

    /// What was left.
    pub(crate) fn left(&self) -> &[String] {
        &self.left
    }

    /// Whether the line has been said and still is so.
    pub(crate) fn is_said(&self, text: &str) -> bool {
        self.said.contains(text)
    }

    /// The line has stopped being so: it may be said again.
    pub(crate) fn forget(&mut self, text: &str) -> bool {
        self.said.remove(text)
    }

    /// An entry for the archive.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// What is to go into the archive now.
    pub(crate) fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }
}
