//! What the messages of a block contain.

use super::{View, is_span};
use relay_fmt::block::{Filter, FilterBuilder, RowBuffer};
use relay_fmt::record::Kind;

/// Gathers what searches look at, as it is shown to them.
#[derive(Debug, Default)]
pub struct Contents {
    filter: FilterBuilder,
    text: Vec<u8>,
    /// Whether there is something that is not known yet.
    unknown: bool,
}

impl Contents {
    /// Looks at the messages of these rows, but not at rows about spans.
    pub fn see(&mut self, rows: &RowBuffer) {
        // A part of a larger record shows only with the other parts what it is.
        self.unknown = rows.kind.contains(&Kind::Fragment);
        if self.unknown {
            return;
        }
        for event in View::new(rows).events().filter(|event| !is_span(event.row.kind)) {
            self.text.clear();
            // What parses is what is searched.
            let _ = event.write_message(&mut self.text);
            self.filter.add(&self.text);
        }
    }

    /// The filter over what was seen, of at most `most` bytes; begins anew.
    pub fn finish(&mut self, most: usize) -> Filter {
        let filter = self.filter.finish(most);
        if self.unknown { Filter::default() } else { filter }
    }
}
