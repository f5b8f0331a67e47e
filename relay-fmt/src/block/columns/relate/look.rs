//! Rows of a block in which columns are compared.

use super::Block;
use crate::block::columns::latest::Values;

/// Columns are compared on so many rows of a class, if it has more than half as many.
const ROWS: usize = 384;
/// Classes with more values than this in a row are left alone, and more than this many samples.
const MOST_SLOTS: usize = 512;
const MOST_SAMPLES: usize = 1 << 20;

/// Where a column is looked at: a class, which of its values, and how many rows it has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Home {
    pub(super) class: usize,
    pub(super) slot: usize,
    rows: usize,
}

/// Rows of a class that were looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Looked {
    start: usize,
    rows: usize,
}

/// The first rows of the classes that have many.
#[derive(Debug, Default)]
pub(super) struct Looks {
    homes: Vec<Home>,
    looked: Vec<Looked>,
    /// For each row of each class that is looked at, where its values are in their columns.
    places: Vec<u32>,
    next: Vec<u32>,
}

impl Looks {
    /// Begins a block; `look` says whether there are to be any rows.
    pub(super) fn begin(&mut self, block: Block<'_>, look: bool) {
        self.homes.clear();
        if !look {
            return;
        }
        let classes = &block.scan.classes.list;
        self.homes.resize(block.layout.columns.len(), Home::default());
        self.looked.clear();
        let mut samples = 0;
        for (number, class) in classes.iter().enumerate() {
            let columns = block.columns(number);
            for (slot, column) in columns.iter().enumerate() {
                if let Some(home) = self.homes.get_mut(*column as usize)
                    && home.rows < class.rows
                {
                    *home = Home { class: number, slot, rows: class.rows };
                }
            }
            let rows = class.rows.min(ROWS);
            let most = rows * columns.len();
            let looks = rows > ROWS / 2
                && (2..=MOST_SLOTS).contains(&columns.len())
                && samples + most <= MOST_SAMPLES;
            self.looked.push(Looked { start: samples, rows: if looks { rows } else { 0 } });
            samples += if looks { most } else { 0 };
        }
        self.look(block, samples);
    }

    /// Notes where the values of the first rows of classes are.
    fn look(&mut self, block: Block<'_>, samples: usize) {
        self.places.clear();
        self.places.resize(samples, 0);
        self.next.clear();
        self.next.resize(block.layout.columns.len(), 0);
        let mut missing = samples;
        let mut seen = vec![0; self.looked.len()];
        for class in &block.scan.class {
            if missing == 0 {
                return;
            }
            let class = *class as usize;
            let columns = block.columns(class);
            let looked = self.looked.get(class).copied().unwrap_or_default();
            let Some(row) = seen.get_mut(class) else { continue };
            let start = looked.start + *row * columns.len();
            let wanted = *row < looked.rows;
            *row += 1;
            if wanted {
                missing -= columns.len();
            }
            for (slot, column) in columns.iter().enumerate() {
                let Some(next) = self.next.get_mut(*column as usize) else { continue };
                if let Some(place) = self.places.get_mut(start + slot).filter(|_| wanted) {
                    *place = *next;
                }
                *next += 1;
            }
        }
    }

    /// The rows to look at a column in; `None` when nothing stands before it, or there are too few.
    pub(super) fn seen<'a>(
        &'a self,
        block: Block<'_>,
        column: usize,
        values: &'a [u64],
    ) -> Option<(Home, Seen<'a>)> {
        let home = self.homes.get(column).copied().filter(|home| home.slot > 0)?;
        let looked = self.looked.get(home.class).copied().filter(|looked| looked.rows > 0)?;
        let columns = block.columns(home.class).len();
        let places = self.places.get(looked.start..looked.start + looked.rows * columns)?;
        Some((home, Seen { values, columns, slot: home.slot, places }))
    }
}

/// The rows that a column is looked at in.
pub(super) struct Seen<'a> {
    values: &'a [u64],
    columns: usize,
    /// Which value of the class's rows it is.
    pub(super) slot: usize,
    places: &'a [u32],
}

impl Seen<'_> {
    /// The numbers of the rows.
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..self.places.len() / self.columns.max(1)
    }

    /// Which value of its column another value of a row is.
    #[inline]
    pub(super) fn place(&self, row: usize, slot: usize) -> usize {
        self.places.get(row * self.columns + slot).copied().unwrap_or_default() as usize
    }

    /// The value of a row.
    #[inline]
    pub(super) fn value(&self, row: usize) -> u64 {
        self.values.get(self.place(row, self.slot)).copied().unwrap_or_default()
    }

    /// The value that the column has before it.
    #[inline]
    pub(super) fn before(&self, row: usize) -> u64 {
        let place = self.place(row, self.slot).checked_sub(1);
        place.and_then(|place| self.values.get(place)).copied().unwrap_or_default()
    }

    /// Whether another column has different values in these rows.
    pub(super) fn varies(&self, slot: usize, values: &Values<'_>) -> bool {
        let first = values.get(self.place(0, slot));
        self.rows().any(|row| values.get(self.place(row, slot)) != first)
    }
}
