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

/// So many holes at most: one bit each.
const MOST: usize = 63;

/// Adds to a filter what the messages of one callsite contain. Begin a new one with every filter.
#[derive(Debug)]
pub struct Sieve<'a> {
    holes: Vec<Hole<'a>>,
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
        Some(Self { holes: around.map(hole).collect() })
    }

    /// Adds what a record of the callsite contains. `false` where its values are not what the callsite
    /// says: it has to be printed then.
    pub fn add(
        &mut self,
        callsite: &Callsite,
        payload: &'a [u8],
        filter: &mut FilterBuilder,
    ) -> bool {
        // A hole whose value a sparse record leaves out joins what stands around it.
        let all = (1u64 << self.holes.len()) - 1;
        self.holes.is_empty() || self.fill(callsite, payload, filter) == Some(all)
    }

    /// Adds the values of a record; gives the holes that have one, a bit each. `None` where they do not
    /// parse.
    fn fill(
        &mut self,
        callsite: &Callsite,
        payload: &'a [u8],
        filter: &mut FilterBuilder,
    ) -> Option<u64> {
        let (mut input, mut filled) = (Cursor::new(payload), 0);
        match callsite.layout {
            Layout::Packed => {
                for (index, field) in callsite.fields.iter().enumerate() {
                    filled |= self.take(index, &mut input, field.of, filter)?;
                }
            }
            Layout::Sparse => {
                while !input.is_empty() {
                    let index = input.u8().ok()?;
                    if index == NAMED {
                        input.text().ok()?;
                        Value::parse_tagged(&mut input).ok()?;
                        continue;
                    }
                    callsite.fields.get(usize::from(index))?;
                    filled |= self.take(usize::from(index), &mut input, Type::Tagged, filter)?;
                }
            }
        }
        // More values than the callsite has: who prints them stops somewhere.
        input.is_empty().then_some(filled)
    }

    /// Takes a value, and adds it if it fills a hole; gives the hole's bit.
    #[inline]
    fn take(
        &mut self,
        index: usize,
        input: &mut Cursor<'a>,
        of: Type,
        filter: &mut FilterBuilder,
    ) -> Option<u64> {
        match self.holes.get_mut(index) {
            Some(hole) => hole.take(input, of, filter).map(|()| 1 << index),
            None => Value::parse(input, of).ok().map(|_| 0),
        }
    }
}
