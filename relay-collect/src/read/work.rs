//! What is made of the events that are meant.

use crate::render::{Event, Renderer};
use relay_fmt::block::Facts;
use relay_fmt::block::columns::{Census, Group};

/// Makes something of events. Every thread that reads blocks has one of its own.
pub trait Work: Send {
    /// Takes an event that is meant, and appends what is to be written of it. Whether anything
    /// was.
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool;

    /// Whether it matters to it in which order events come. Where it does not, archives are read one
    /// after the other, however much they overlap in time.
    const IN_ORDER: bool = true;

    /// Whether events that are certainly meant may be counted ([`Work::count`]) without being shown.
    const COUNTS: bool = false;

    /// Takes the number of events that are meant and were not shown.
    fn count(&mut self, _events: u64) {}

    /// Whether blocks may be given to [`Work::tally`] instead of being shown.
    const TALLIES: bool = false;

    /// Whether all times between these are the same to it.
    fn is_one(&self, _min_ns: i64, _max_ns: i64) -> bool {
        false
    }

    /// Takes a block's rows by what they have in common. Of single rows, if the census has any, those
    /// are meant of which `meant` says so by group and time; else all are.
    fn tally(&mut self, _: &Facts, _: &Census, _meant: &dyn Fn(&Group, i64) -> bool) {}
}

impl Work for Renderer {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        self.render(event, out)
    }
}

/// Counts events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count(pub u64);

impl Work for Count {
    const IN_ORDER: bool = false;
    const COUNTS: bool = true;

    fn count(&mut self, events: u64) {
        // What headers say may be anything.
        self.0 = self.0.saturating_add(events);
    }

    fn event(&mut self, _: &Event<'_>, _: &mut Vec<u8>) -> bool {
        self.0 += 1;
        false
    }
}
