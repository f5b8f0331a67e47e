//! What the messages of a block contain.

use super::{View, is_span};
use relay_fmt::block::{
    BlockBuilder, BlockKind, BlockOptions, EncodedBlock, Error, Filter, FilterBuilder, RowBuffer,
    Sieve,
};
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
    /// Whether the next block's filter, of which nothing was seen yet, leaves digits out.
    pub const fn hurry(&mut self, hurry: bool) {
        self.filter.threes_only(hurry);
    }

    /// Encodes what was gathered, with a filter of at most `part`-th of its body. What the columns' limits
    /// refuse goes in as rows: nothing is too odd to be kept.
    ///
    /// # Errors
    /// As [`BlockBuilder::finish`].
    pub fn encode(
        &mut self,
        builder: &mut BlockBuilder,
        options: &BlockOptions,
        part: usize,
    ) -> Result<EncodedBlock, Error> {
        self.look(builder.rows(), false);
        let rows = BlockOptions { kind: BlockKind::Rows, ..*options };
        let encoded = builder.finish_sifted(options, self.sifted());
        let encoded = encoded.or_else(|_| builder.finish_sifted(&rows, self.sifted()));
        let most = encoded.as_ref().map_or(0, |block| block.body.len() / part);
        let filter = self.finish(most);
        encoded.map(|block| EncodedBlock { filter, ..block })
    }

    /// The filter, if the rows are added to it.
    fn sifted(&mut self) -> Option<&mut FilterBuilder> {
        (!self.unknown).then_some(&mut self.filter)
    }

    /// Looks at the messages of these rows, but not at rows about spans.
    pub fn see(&mut self, rows: &RowBuffer) {
        self.look(rows, true);
    }

    /// Looks at the messages of these rows, of raw channels' only if asked to.
    fn look(&mut self, rows: &RowBuffer, raw: bool) {
        // A part of a larger record shows only with the other parts what it is.
        self.unknown = rows.kind.contains(&Kind::Fragment);
        if self.unknown {
            return;
        }
        let printed = self.sift(rows, raw);
        if printed.iter().any(|printed| *printed) {
            self.print(rows, &printed);
        }
    }

    /// Adds what rows contain, as far as that is known without putting them together; says of each
    /// row whether it has to be printed.
    fn sift(&mut self, rows: &RowBuffer, raw: bool) -> Vec<bool> {
        // For each callsite: nothing yet, or its sieve where it has one.
        let mut sieves: Vec<Option<Option<Sieve<'_>>>> = Vec::new();
        sieves.resize_with(rows.callsites.len(), || None);
        let mut start = 0;
        let all = rows.kind.iter().zip(&rows.callsite).zip(&rows.end);
        let printed = all.map(|((kind, callsite), end)| {
            let payload = rows.payload.get(start..*end).unwrap_or_default();
            start = *end;
            let at = (*callsite as usize).wrapping_sub(1);
            match (kind, rows.callsites.get(at), sieves.get_mut(at)) {
                (Kind::Raw, ..) if raw => self.filter.add(payload),
                (Kind::Raw, ..) => {}
                (Kind::Event | Kind::SpanEvent, Some(callsite), Some(sieve)) => {
                    let sieve = sieve.get_or_insert_with(|| Sieve::new(callsite, &mut self.filter));
                    let Some(sieve) = sieve else { return true };
                    return !sieve.add(callsite, payload, &mut self.filter);
                }
                (kind, ..) => return !is_span(*kind),
            }
            false
        });
        printed.collect()
    }

    /// Adds the messages of these rows.
    fn print(&mut self, rows: &RowBuffer, printed: &[bool]) {
        let view = View::new(rows);
        for (row, _) in rows.rows().zip(printed).filter(|(_, printed)| **printed) {
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
