//! What is made of the events that are meant.

use crate::render::{Event, Renderer};

/// Makes something of events. Every thread that reads blocks has one of its own.
pub trait Work: Send {
    /// Takes an event that is meant, and appends what is to be written of it. Whether anything
    /// was.
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool;
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
    fn event(&mut self, _: &Event<'_>, _: &mut Vec<u8>) -> bool {
        self.0 += 1;
        false
    }
}
