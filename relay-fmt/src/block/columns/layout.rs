//! Which values make a column.
//!
//! Values come from the scan row by row. They are brought together by class and place first. Those
//! that may share a column with values of other classes ([`Classes::assign`]) are brought together
//! by group, too, in arrival order; then it is estimated which of the two takes fewer bits. Process
//! ids do better together, durations of different statements do better apart.

use super::classes::{ALONE, Classes, MANY_ROWS};
use super::program::Of;
use super::scan::Scan;
use super::{choose, ints};

/// A column: what its values are, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// What its values are.
    pub(super) of: Of,
    shared: bool,
    start: usize,
    end: usize,
}

/// Where a class's values lie.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Where its cells begin.
    cells: usize,
    /// Where its column numbers begin.
    numbers: usize,
    /// How many rows came so far.
    seen: usize,
}

/// Columns, and their values.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// All columns.
    pub(super) columns: Vec<Column>,
    numbers: Vec<u32>,
    places: Vec<Place>,
    own: Vec<u64>,
    shared: Vec<u64>,
    /// Where each group's cells begin.
    starts: Vec<usize>,
    next: Vec<usize>,
}

impl Layout {
    /// The values of a column.
    pub(super) fn cells(&self, column: &Column) -> &[u64] {
        let cells = if column.shared { &self.shared } else { &self.own };
        cells.get(column.start..column.end).unwrap_or_default()
    }

    /// The columns that the values of a class go to.
    pub(super) fn of_class(&self, class: usize) -> &[u32] {
        let start = self.places.get(class).map_or(0, |p| p.numbers);
        let end = self.places.get(class + 1).map_or(0, |p| p.numbers);
        self.numbers.get(start..end).unwrap_or_default()
    }

    /// Brings values together.
    pub(super) fn arrange(&mut self, scan: &Scan, ints: &mut ints::Scratch) {
        self.make_room(&scan.classes, scan.split.values.len());
        self.scatter(scan);
        let apart = self.decide(&scan.classes, ints);
        self.compact(scan, &apart);
        self.number(&scan.classes, &apart);
    }

    /// Leaves only the small classes' values in the groups whose larger classes keep apart.
    fn compact(&mut self, scan: &Scan, apart: &[bool]) {
        self.places.iter_mut().for_each(|place| place.seen = 0);
        for ((next, start), apart) in self.next.iter_mut().zip(&self.starts).zip(apart) {
            if *apart {
                *next = *start;
            }
        }
        for number in &scan.class {
            let Some(class) = scan.classes.list.get(*number as usize) else {
                continue;
            };
            let Some(place) = self.places.get_mut(*number as usize) else {
                continue;
            };
            if class.rows >= MANY_ROWS {
                continue;
            }
            let mut at = place.cells + place.seen;
            place.seen += 1;
            for group in &class.groups {
                if apart.get(*group as usize) == Some(&true) {
                    let Some(next) = self.next.get_mut(*group as usize) else {
                        continue;
                    };
                    let value = self.own.get(at).copied().unwrap_or_default();
                    if let Some(cell) = self.shared.get_mut(*next) {
                        *cell = value;
                    }
                    *next += 1;
                }
                at += class.rows;
            }
        }
    }

    fn make_room(&mut self, classes: &Classes, values: usize) {
        self.places.clear();
        self.starts.clear();
        self.starts.resize(classes.groups.len() + 1, 0);
        let mut place = Place::default();
        for class in &classes.list {
            self.places.push(place);
            place.cells += class.groups.len() * class.rows;
            place.numbers += class.groups.len();
            for group in &class.groups {
                if let Some(start) = self.starts.get_mut((*group as usize).saturating_add(1)) {
                    *start += class.rows;
                }
            }
        }
        self.places.push(place);
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        self.next.clone_from(&self.starts);
        self.own.clear();
        self.own.resize(values, 0);
        self.shared.clear();
        self.shared.resize(sum, 0);
    }

    fn scatter(&mut self, scan: &Scan) {
        let mut values = &scan.split.values[..];
        for alike in scan.class.chunk_by(|a, b| a == b) {
            let Some(number) = alike.first().map(|number| *number as usize) else { continue };
            let Some(class) = scan.classes.list.get(number) else { continue };
            let Some(place) = self.places.get_mut(number) else { continue };
            let (columns, mut at) = (class.groups.len(), place.cells + place.seen);
            place.seen += alike.len();
            let Some((here, behind)) = values.split_at_checked(columns * alike.len()) else {
                break;
            };
            values = behind;
            if alike.len() == 1 {
                for value in here {
                    if let Some(cell) = self.own.get_mut(at) {
                        *cell = *value;
                    }
                    at += class.rows;
                }
            }
            for nth in (0..columns).filter(|_| alike.len() > 1) {
                let column = here.chunks_exact(columns).filter_map(|row| row.get(nth));
                let cells = self.own.get_mut(at..).unwrap_or_default();
                cells.iter_mut().zip(column).for_each(|(cell, value)| *cell = *value);
                at += class.rows;
            }
            if class.groups.iter().all(|group| *group == ALONE) {
                continue;
            }
            // Row by row: two values of a row may be of one group.
            for row in here.chunks_exact(columns.max(1)) {
                for (group, value) in class.groups.iter().zip(row) {
                    let Some(next) = self.next.get_mut(*group as usize) else { continue };
                    if let Some(cell) = self.shared.get_mut(*next) {
                        *cell = *value;
                    }
                    *next += 1;
                }
            }
        }
    }

    /// For each group, whether its larger classes keep apart.
    fn decide(&self, classes: &Classes, ints: &mut ints::Scratch) -> Vec<bool> {
        let mut bits = vec![(0.0f32, 0usize, 0usize); classes.groups.len()];
        for (class, place) in classes.list.iter().zip(&self.places) {
            if class.rows < MANY_ROWS {
                continue;
            }
            for (nth, group) in class.groups.iter().enumerate() {
                let Some(sum) = bits.get_mut(*group as usize) else {
                    continue;
                };
                if classes.groups.get(*group as usize) != Some(&Of::Int) {
                    continue;
                }
                let start = place.cells + nth * class.rows;
                let cells = self.own.get(start..start + class.rows).unwrap_or_default();
                let (all, columns, rows) = *sum;
                let own = choose::bits(cells, ints) + OVERHEAD;
                *sum = (all + own, columns + 1, rows + class.rows);
            }
        }
        let bounds = self.starts.iter().zip(self.starts.iter().skip(1));
        let groups = bits.into_iter().zip(bounds);
        let apart = groups.map(|((own, columns, rows), (start, end))| {
            if columns < 2 {
                return false;
            }
            let cells = self.shared.get(*start..*end).unwrap_or_default();
            let together = choose::bits(cells, ints) * rows as f32 / cells.len().max(1) as f32;
            own < together
        });
        apart.collect()
    }

    fn number(&mut self, classes: &Classes, apart: &[bool]) {
        self.columns.clear();
        self.numbers.clear();
        let mut known = vec![None; classes.groups.len()];
        for (class, place) in classes.list.iter().zip(&self.places) {
            let kinds = class.ops.iter().flat_map(|op| op.columns());
            for (nth, (group, of)) in class.groups.iter().zip(kinds).enumerate() {
                let next = self.columns.len() as u32;
                let alone = *group == ALONE
                    || (apart.get(*group as usize) == Some(&true) && class.rows >= MANY_ROWS);
                if let Some(known) = known.get_mut(*group as usize).filter(|_| !alone) {
                    let number = *known.get_or_insert(next);
                    self.numbers.push(number);
                    if number != next {
                        continue;
                    }
                    let start = self.starts.get(*group as usize).copied().unwrap_or_default();
                    let end = self.next.get(*group as usize).copied().unwrap_or_default();
                    self.columns.push(Column { of: *of, shared: true, start, end });
                } else {
                    self.numbers.push(next);
                    let start = place.cells + nth * class.rows;
                    let end = start + class.rows;
                    self.columns.push(Column { of: *of, shared: false, start, end });
                }
            }
        }
    }
}

/// Bits that a column costs besides its values.
const OVERHEAD: f32 = 64.0;
