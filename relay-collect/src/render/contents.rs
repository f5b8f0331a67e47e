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
    /// Whether the next block's filter, of which nothing was seen yet, leaves digits out.
    pub const fn hurry(&mut self, hurry: bool) {
        self.filter.threes_only(hurry);
    }

    /// Who is to look at these rows: this ([`Contents::see`]), or whoever encodes them and adds to the filter,
    /// which costs less. That one knows only lines of raw channels, which are shown as they are.
    pub fn or_encoder(
        &mut self,
        rows: &RowBuffer,
    ) -> (Option<&mut Self>, Option<&mut FilterBuilder>) {
        self.unknown = false;
        let lines = rows.kind.iter().all(|kind| *kind == Kind::Raw);
        if lines { (None, Some(&mut self.filter)) } else { (Some(self), None) }
    }

    /// Looks at the messages of these rows, but not at rows about spans.
    pub fn see(&mut self, rows: &RowBuffer) {
        // A part of a larger record shows only with the other parts what it is.
        self.unknown = rows.kind.contains(&Kind::Fragment);
        if self.unknown {
            return;
        }
        let printed = self.sift(rows);
        if printed.iter().any(|printed| *printed) {
            self.print(rows, &printed);
        }
    }

    /// Adds what rows contain, as far as that is known without putting them together; says of each
    /// row whether it has to be printed.
    fn sift(&mut self, rows: &RowBuffer) -> Vec<bool> {
        // For each callsite: nothing yet, or its sieve where it has one.
        let mut sieves: Vec<Option<Option<Sieve<'_>>>> = Vec::new();
        sieves.resize_with(rows.callsites.len(), || None);
        let mut printed = vec![false; rows.len()];
        let (mut start, mut rest) = (0, Rest { kinds: &rows.kind, ends: &rows.end });
        let mut unseen = &mut printed[..];
        for alike in rows.callsite.chunk_by(|a, b| a == b) {
            let at =
                alike.first().map_or(usize::MAX, |callsite| (*callsite as usize).wrapping_sub(1));
            let mut sieve = rows.callsites.get(at).zip(sieves.get_mut(at));
            let (mut left, mut as_long) = (alike.len(), 0);
            while let (Some((kind, end)), 1..) = (rest.first(), left) {
                let len = end - start;
                if as_long == 0 {
                    as_long = rest.as_long(left, start, len);
                }
                let payloads = rows.payload.get(start..start + as_long * len).unwrap_or_default();
                let payload = payloads.get(..len).unwrap_or_default();
                let mut seen = 1;
                let print = match (kind, &mut sieve) {
                    (Kind::Raw, _) => {
                        self.filter.add(payload);
                        false
                    }
                    (Kind::Event | Kind::SpanEvent, Some((callsite, sieve))) => {
                        let filter = &mut self.filter;
                        let sieve = sieve.get_or_insert_with(|| Sieve::new(callsite, filter));
                        sieve.as_mut().is_none_or(|sieve| {
                            // One alone is added as quickly.
                            let many = (payloads, if as_long > 1 { len } else { 0 });
                            let alike = sieve.add_alike(callsite, many, unseen, filter);
                            seen = alike.max(1);
                            alike == 0 && !sieve.add(callsite, payload, filter)
                        })
                    }
                    (kind, _) => !is_span(kind),
                };
                if let Some(printed) = unseen.first_mut() {
                    *printed |= print;
                }
                unseen = unseen.split_at_mut(seen.min(unseen.len())).1;
                rest.skip(seen);
                (start, left, as_long) = (start + seen * len, left - seen, as_long - seen);
            }
        }
        printed
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

/// Rows that were not looked at yet.
struct Rest<'a> {
    kinds: &'a [Kind],
    ends: &'a [usize],
}

impl Rest<'_> {
    fn first(&self) -> Option<(Kind, usize)> {
        Some((*self.kinds.first()?, *self.ends.first()?))
    }

    /// How many of the next `most`, the first of which begins at `start` and has `len` bytes, are of one
    /// kind and length.
    fn as_long(&self, most: usize, start: usize, len: usize) -> usize {
        let rows = self.kinds.iter().zip(self.ends).take(most);
        let mut before = start;
        let same = |(kind, end): &(&Kind, &usize)| {
            let as_long = **end - std::mem::replace(&mut before, **end) == len;
            as_long && Some(*kind) == self.kinds.first()
        };
        rows.take_while(same).count()
    }

    fn skip(&mut self, count: usize) {
        self.kinds = self.kinds.get(count..).unwrap_or_default();
        self.ends = self.ends.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use relay_fmt::callsite::{Callsite, Facade, Field, Level};
    use relay_fmt::value::{Layout, Type};
    use std::sync::Arc;

    fn callsite(template: &str, types: [Type; 3]) -> Arc<Callsite> {
        let field = |of| Field { name: "f".into(), of, argument_only: false };
        Arc::new(Callsite {
            level: Level::Info,
            facade: Facade::Relay,
            layout: Layout::Packed,
            line: 1,
            target: String::new(),
            module: String::new(),
            file: String::new(),
            name: String::new(),
            template: template.into(),
            fields: types.map(field).to_vec(),
        })
    }

    fn payload(number: u32, text: &[u8]) -> Vec<u8> {
        let mut payload = number.to_le_bytes().to_vec();
        payload.extend((f64::from(number) / 8.0).to_le_bytes());
        payload.extend((text.len() as u32).to_le_bytes());
        payload.extend(text);
        payload
    }

    proptest! {
        /// Whatever the rows before it are like, a row's message is in the filter.
        #[test]
        fn no_row_is_passed_over(
            of in prop::collection::vec(
                (0u32..3, 0u8..4, any::<u32>(), "[a-z]{0,3}|[ab]{2}\u{e9}", 1usize..40), 1..20),
            hurry: bool,
        ) {
            let types = [Type::U32, Type::F64, Type::Str];
            let mut rows = RowBuffer {
                callsites: vec![callsite("id={0} took {1} of <{2}>", types), callsite("n{0} and {1} of: {2}.", types)],
                ..RowBuffer::default()
            };
            for (site, kind, number, text, times) in of {
                for n in 0..times {
                    let payload = payload(number.wrapping_add(n as u32 * 77), text.as_bytes());
                    let kind = [Kind::Event, Kind::SpanEvent, Kind::Raw, Kind::SpanEnter][usize::from(kind)];
                    let site = if kind == Kind::Raw { 0 } else { site };
                    rows.push(0, kind, site, 0, 0, &payload);
                }
            }
            let mut contents = Contents::default();
            contents.hurry(hurry);
            assert!(contents.or_encoder(&rows).0.is_some() || rows.kind.iter().all(|k| *k == Kind::Raw));
            contents.see(&rows);
            let filter = contents.finish(1 << 20);
            for (row, kind) in rows.kind.iter().enumerate() {
                let site = (rows.callsite[row] as usize).checked_sub(1);
                let mut message = Vec::new();
                match (kind, site.and_then(|site| rows.callsites.get(site))) {
                    (Kind::Raw, _) => message.extend_from_slice(rows.payload_of(row)),
                    (Kind::Event | Kind::SpanEvent, Some(site)) => {
                        let _ = relay_fmt::message::write_message(site, rows.payload_of(row), &mut message);
                    }
                    _ => {}
                }
                for (from, to) in [(0, message.len()), (message.len() / 3, message.len() / 2)] {
                    prop_assert!(filter.can_contain(&message[from..to]), "row {}", row);
                }
            }
        }
    }
}
