//! Columns of which only those are decoded that a search looks at.
//!
//! Where each column begins is found by skipping: that takes a small part of what decoding takes, and
//! most needles are looked for in a few columns.

use super::decode::{Column, get_columns};
use super::floats::{self, Width};
use super::ints;
use super::program::Of;
use super::strings::{self, Text};
use crate::bytes::{Cursor, Error, Result};

/// The columns of a block.
pub(super) struct Columns<'a> {
    /// What each column is, and how many values it has.
    shapes: &'a [(Of, usize)],
    number: &'a [u8],
    /// What is left of the number frame where each column begins.
    rests: Vec<&'a [u8]>,
    texts: &'a [u8],
    /// Where the columns' strings begin in them.
    text_at: usize,
    known: Vec<Option<Vec<u64>>>,
}

impl<'a> Columns<'a> {
    /// Finds the columns in a number frame.
    ///
    /// # Errors
    /// When the frame does not hold these columns.
    pub(super) fn find(
        shapes: &'a [(Of, usize)],
        number: &'a [u8],
        texts: &'a [u8],
        text_at: usize,
    ) -> Result<Self> {
        let mut input = Cursor::new(number);
        let mut rests = Vec::with_capacity(shapes.len());
        for (of, n) in shapes {
            rests.push(input.rest());
            match of {
                Of::Int => ints::skip(&mut input, *n)?,
                Of::Single | Of::Double => floats::skip(&mut input, *n)?,
                Of::Str => strings::skip(&mut input, *n)?,
            }
        }
        if !input.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
        Ok(Self { shapes, number, rests, texts, text_at, known: vec![None; shapes.len()] })
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The text frame.
    pub(super) const fn texts(&self) -> &'a [u8] {
        self.texts
    }

    /// The values of a column; `None` where it is damaged or is none.
    pub(super) fn values(&mut self, column: u32) -> Option<&[u64]> {
        let at = column as usize;
        if self.known.get(at)?.is_none() {
            let (of, n) = self.shapes.get(at)?;
            let mut input = Cursor::new(self.rests.get(at)?);
            let values = match of {
                Of::Int => ints::get(&mut input, *n).ok()?,
                Of::Single => floats::get(&mut input, *n, Width::Single).ok()?,
                Of::Double => floats::get(&mut input, *n, Width::Double).ok()?,
                Of::Str => return self.strings(at),
            };
            *self.known.get_mut(at)? = Some(values);
        }
        self.known.get(at)?.as_deref()
    }

    /// The values of two columns.
    pub(super) fn pair(&mut self, first: u32, second: u32) -> Option<(&[u64], &[u64])> {
        self.values(first)?;
        self.values(second)?;
        let known = |column: u32| self.known.get(column as usize)?.as_deref();
        Some((known(first)?, known(second)?))
    }

    /// The values of a column of strings: those before it must be read to know where they lie.
    fn strings(&mut self, at: usize) -> Option<&[u64]> {
        let mut text = Text::starting_at(self.texts, self.text_at)?;
        for (((of, n), rest), known) in self.shapes.iter().zip(&self.rests).zip(&mut self.known) {
            if *of == Of::Str {
                *known = Some(strings::get(&mut Cursor::new(rest), &mut text, *n).ok()?);
            }
        }
        self.known.get(at)?.as_deref()
    }

    /// All of them, to put rows together.
    ///
    /// # Errors
    /// When they are damaged, or the text frame has something left over.
    pub(super) fn all(self) -> Result<Vec<Column>> {
        let apart = Error::new("the frames of a block do not belong together");
        let mut text = Text::starting_at(self.texts, self.text_at).ok_or(apart)?;
        let columns = get_columns(self.shapes, self.number, &mut text)?;
        if !text.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
        Ok(columns)
    }
}
