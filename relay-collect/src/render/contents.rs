//! What the messages of a block contain.

use super::{View, is_span};
use relay_fmt::block::{Filter, FilterBuilder, RowBuffer, Sieve};
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
        // For each callsite: nothing yet, or its sieve where it has one.
        let mut sieves: Vec<Option<Option<Sieve>>> = Vec::new();
        sieves.resize_with(rows.callsites.len(), || None);
        let view = View::new(rows);
        for (row, callsite) in rows.rows().zip(&rows.callsite) {
            if is_span(row.kind) {
                continue;
            }
            let plain = matches!(row.kind, Kind::Event | Kind::SpanEvent);
            if plain
                && let (Some(callsite), Some(at)) = (row.callsite, callsite.checked_sub(1))
                && let Some(sieve) = sieves.get_mut(at as usize)
                && let Some(sieve) =
                    sieve.get_or_insert_with(|| Sieve::new(callsite, &mut self.filter))
                && sieve.add(callsite, row.payload, &mut self.filter)
            {
                continue;
            }
            let Some(event) = view.event(row) else { continue };
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
