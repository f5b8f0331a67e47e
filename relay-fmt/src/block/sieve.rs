//! What the messages of one callsite contain, without printing each of them.
//!
//! A filter may say that something is there which is not; it may never deny what is. So of a callsite
//! whose holes are plain:
//!
//! * its texts are added once;
//! * a text that came not long ago is not added again, and of others only what differs from the one
//!   before;
//! * integers are added as they are, but printed only as long as their digits make a difference: until
//!   all threes of digits are there, and the set of digits is full;
//! * floats below a thousand are printed and added until there have been some hundreds in a hole. From
//!   then on, all digits are taken to be possible, as many in front of the point as come: printing
//!   them is most of what making a block costs, and they are no needles that blocks differ by.
//!
//! What is looked for reaches over the ends of a hole: by two bytes, and as far as digits go. So what
//! stands between holes has to be longer than that; other callsites are printed.

mod hole;
mod place;
mod recent;
mod shape;
#[cfg(test)]
mod tests;

use super::FilterBuilder;
use crate::bytes::Cursor;
use crate::callsite::Callsite;
use crate::message::plain_texts;
use crate::value::{Layout, NAMED, Type, Value};
use hole::{Hole, is_number};
use place::Places;

/// So many holes at most: one bit each.
const MOST: usize = 63;

/// Adds to a filter what the messages of one callsite contain. Begin a new one with every filter.
#[derive(Debug)]
pub struct Sieve<'a> {
    holes: Vec<Hole<'a>>,
    /// Where the values stood in the record that [`Sieve::add_alike`] was last given first.
    places: Places,
}

impl<'a> Sieve<'a> {
    /// Adds the texts of a callsite; `None` where its messages have to be printed.
    #[must_use]
    pub fn new(callsite: &Callsite, filter: &mut FilterBuilder) -> Option<Self> {
        let texts = plain_texts(&callsite.template)?;
        let holes = texts.len() - 1;
        let near = |text: &String| text.len() < 2 || is_number(text.as_bytes());
        let between = texts.get(1..holes).unwrap_or_default();
        if holes > callsite.fields.len().min(MOST) || between.iter().any(near) {
            return None;
        }
        texts.iter().for_each(|text| filter.add(text.as_bytes()));
        let around = texts.iter().zip(texts.iter().skip(1));
        let hole = |(left, right): (&String, &String)| Hole::new(left.as_bytes(), right.as_bytes());
        Some(Self { holes: around.map(hole).collect(), places: Places::default() })
    }

    /// As [`Sieve::add`], for payloads of `len` bytes that follow each other, as far as values stand in them
    /// where they do in the first: hole by hole, which is quicker. Returns how many these are, and says of
    /// each whether it has to be `printed`. 0 where they have to be added one by one.
    pub fn add_alike(
        &mut self,
        callsite: &Callsite,
        (payloads, len): (&'a [u8], usize),
        printed: &mut [bool],
        filter: &mut FilterBuilder,
    ) -> usize {
        let first = payloads.get(..len).filter(|_| len > 0);
        let Some(first) = first.filter(|_| callsite.layout == Layout::Packed) else { return 0 };
        let places = &mut self.places;
        if places.find(callsite, self.holes.len(), first) != Some(len) {
            return 0;
        }
        let count = payloads.chunks_exact(len).take_while(|payload| places.are_in(payload)).count();
        let payloads = payloads.get(..count * len).unwrap_or_default();
        for (hole, place) in self.holes.iter_mut().zip(&places.all) {
            hole.take_all(payloads.chunks_exact(len), place, printed, filter);
        }
        count
    }

    /// Adds what a record of the callsite contains. `false` where its values are not what the callsite
    /// says: it has to be printed then.
    pub fn add(
        &mut self,
        callsite: &Callsite,
        payload: &'a [u8],
        filter: &mut FilterBuilder,
    ) -> bool {
        let mut input = Cursor::new(payload);
        let filled = match callsite.layout {
            _ if self.holes.is_empty() => return true,
            Layout::Packed => self.fill_all(callsite, &mut input, filter),
            Layout::Sparse => self.fill_some(callsite, &mut input, filter),
        };
        // More values than the callsite has: who prints them stops somewhere.
        filled.is_some() && input.is_empty()
    }

    /// Adds a value of each field. `None` where they do not parse.
    fn fill_all(
        &mut self,
        callsite: &Callsite,
        input: &mut Cursor<'a>,
        filter: &mut FilterBuilder,
    ) -> Option<()> {
        for (hole, field) in self.holes.iter_mut().zip(&callsite.fields) {
            hole.take(input, field.of, filter)?;
        }
        for field in callsite.fields.iter().skip(self.holes.len()) {
            Value::parse(input, field.of).ok()?;
        }
        Some(())
    }

    /// Adds the values that are there. `None` where they do not parse or a hole has none: it joins what
    /// stands around it.
    fn fill_some(
        &mut self,
        callsite: &Callsite,
        input: &mut Cursor<'a>,
        filter: &mut FilterBuilder,
    ) -> Option<()> {
        let mut filled = 0u64;
        while !input.is_empty() {
            let index = input.u8().ok()?;
            if index == NAMED {
                input.text().ok()?;
                Value::parse_tagged(input).ok()?;
                continue;
            }
            callsite.fields.get(usize::from(index))?;
            match self.holes.get_mut(usize::from(index)) {
                Some(hole) => {
                    hole.take(input, Type::Tagged, filter)?;
                    filled |= 1 << index;
                }
                None => drop(Value::parse_tagged(input).ok()?),
            }
        }
        let all = (1 << self.holes.len()) - 1;
        (filled == all).then_some(())
    }
}
