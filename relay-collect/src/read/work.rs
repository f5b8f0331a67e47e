//! What is made of the events that are meant.

use crate::render::{Event, Renderer};

/// Makes something of events. Every thread that reads blocks has one of its own.
pub trait Work: Send {
    /// Takes an event that is meant, and appends what is to be written of it. Whether anything
    /// was.
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool;

    /// Whether events that are certainly meant may be counted ([`Work::count`]) without being shown.
    const COUNTS: bool = false;

    /// Takes the number of events that are meant and were not shown.
    fn count(&mut self, _events: u64) {}
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
    const COUNTS: bool = true;

    fn count(&mut self, events: u64) {
        self.0 += events;
    }

    fn event(&mut self, _: &Event<'_>, _: &mut Vec<u8>) -> bool {
        self.0 += 1;
        false
    }
}
