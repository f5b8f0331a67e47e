//! Where the program's own `Display` and `Debug` print, before any space is reserved.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::ops::Range;

thread_local! {
    /// The text of the last call, for the next one. Whoever logs while it prints finds it empty,
    /// and takes a new one.
    static SPARE: Cell<String> = const { Cell::new(String::new()) };
}

/// Larger texts are given back to the allocator.
const KEEP_BYTES: usize = 64 * 1024;

/// The printed arguments of one call, one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    text: String,
}

impl Scratch {
    /// An empty one; it costs nothing until something is printed.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new() }
    }

    /// Prints, and answers where in [`Scratch::text`]: at most as much as a record can say.
    ///
    /// What a `Display` printed before it returned an error is kept; its panic goes to the caller
    /// of the log macro, as that of `format!` would, and nothing is logged.
    #[inline(never)]
    pub fn render(&mut self, printed: fmt::Arguments<'_>) -> Range<usize> {
        if self.text.capacity() == 0 {
            // In a late destructor of a thread there is no spare one.
            self.text = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        let from = self.text.len();
        let _ = self.text.write_fmt(printed);
        let printed = self.text.get(from..).unwrap_or_default();
        from..from + super::argument::cut(printed).len()
    }

    /// What was printed.
    #[inline]
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        if self.text.capacity() > 0 {
            give_back(std::mem::take(&mut self.text));
        }
    }
}

fn give_back(mut text: String) {
    if text.capacity() <= KEEP_BYTES {
        text.clear();
        let _ = SPARE.try_with(|spare| spare.set(text));
    }
}
