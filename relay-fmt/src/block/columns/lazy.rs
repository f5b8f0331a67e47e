//! Columns of which only those are decoded that a search looks at.
//!
//! Where each column begins is found by skipping: that takes a small part of what decoding takes, and
//! most needles are looked for in a few columns.

use super::decode::{Column, Layout, get_columns};
use super::floats::{self, Width};
use super::ints;
use super::program::Of;
use super::strings::{self, Text};
use crate::bytes::{Cursor, Error, Result};

/// The columns of a block.
pub(super) struct Columns<'a> {
    layout: &'a Layout<'a>,
    number: &'a [u8],
    texts: &'a [u8],
    /// What is left of the number frame where each column begins.
    rests: Vec<&'a [u8]>,
    known: Vec<Option<Vec<u64>>>,
    /// All columns, where some tell of others: these are read in their order.
    told: Option<Vec<Column>>,
}

impl<'a> Columns<'a> {
    /// Finds the columns in a number frame.
    ///
    /// # Errors
    /// When the frame does not hold these columns.
    pub(super) fn find(layout: &'a Layout<'a>, number: &'a [u8], texts: &'a [u8]) -> Result<Self> {
        let known = vec![None; layout.shapes.len()];
        let mut all = Self { layout, number, texts, rests: Vec::new(), known, told: None };
        match begins(&layout.shapes, number) {
            Ok(rests) => all.rests = rests,
            // One that is told by others cannot be skipped; nor can one that is damaged be read.
            Err(_) => all.told = Some(all.read()?),
        }
        Ok(all)
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.layout.shapes.len()
    }

    /// The text frame.
    pub(super) const fn texts(&self) -> &'a [u8] {
        self.texts
    }

    /// The values of a column; `None` where it is damaged or is none.
    pub(super) fn values(&mut self, column: u32) -> Option<&[u64]> {
        self.need(column as usize)?;
        self.known(column as usize)
    }

    /// The values of two columns.
    pub(super) fn pair(&mut self, first: u32, second: u32) -> Option<(&[u64], &[u64])> {
        self.need(first as usize)?;
        self.need(second as usize)?;
        Some((self.known(first as usize)?, self.known(second as usize)?))
    }

    /// The values of a column that was asked for before.
    pub(super) fn known(&self, at: usize) -> Option<&[u64]> {
        match &self.told {
            Some(told) => told.get(at).map(|column| &column.values[..]),
            None => self.known.get(at)?.as_deref(),
        }
    }

    /// Sees to it that a column is known.
    fn need(&mut self, at: usize) -> Option<()> {
        if self.known(at).is_some() {
            return Some(());
        }
        let (of, n) = self.layout.shapes.get(at)?;
        let mut input = Cursor::new(self.rests.get(at)?);
        let values = match of {
            Of::Int => ints::get(&mut input, *n).ok()?,
            Of::Single => floats::get(&mut input, *n, Width::Single).ok()?,
            Of::Double => floats::get(&mut input, *n, Width::Double).ok()?,
            Of::Str => return self.strings(),
        };
        *self.known.get_mut(at)? = Some(values);
        Some(())
    }

    /// Reads all columns of strings: those before one must be read to know where it lies.
    fn strings(&mut self) -> Option<()> {
        let mut text = Text::starting_at(self.texts, self.layout.text_at)?;
        let shapes = self.layout.shapes.iter();
        for (((of, n), rest), known) in shapes.zip(&self.rests).zip(&mut self.known) {
            if *of == Of::Str {
                *known = Some(strings::get(&mut Cursor::new(rest), &mut text, *n).ok()?);
            }
        }
        Some(())
    }

    /// Those that rows of the classes are put together from that are `used`; the others are empty, unless
    /// all had to be read.
    ///
    /// # Errors
    /// When they are damaged, or the text frame has something left over, as far as it is looked at.
    pub(super) fn of(mut self, used: &[bool]) -> Result<Vec<Column>> {
        if let Some(told) = self.told.take() {
            return Ok(told);
        }
        if used.iter().all(|used| *used) {
            return self.read();
        }
        let layout = self.layout;
        let of_classes = layout.classes.iter().zip(used).filter(|(_, used)| **used);
        for column in of_classes.flat_map(|(class, _)| &class.columns) {
            let damaged = Error::new("a column of a block is damaged");
            self.need(*column as usize).ok_or(damaged)?;
        }
        let columns = self.known.into_iter().zip(&layout.shapes);
        Ok(columns.map(|(values, (of, _))| Column::of(values.unwrap_or_default(), *of)).collect())
    }

    fn read(&self) -> Result<Vec<Column>> {
        let apart = Error::new("the frames of a block do not belong together");
        let mut text = Text::starting_at(self.texts, self.layout.text_at).ok_or(apart)?;
        let columns = get_columns(self.layout, self.number, &mut text)?;
        if !text.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
        Ok(columns)
    }
}

/// What is left of the number frame where each column begins.
fn begins<'a>(shapes: &[(Of, usize)], number: &'a [u8]) -> Result<Vec<&'a [u8]>> {
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
    Ok(rests)
}
