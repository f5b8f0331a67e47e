//! Decoding a block.

use super::floats::{self, Width};
use super::frames::{Frame, Packed};
use super::latest::{MAX_WALK, Order, Values};
use super::program::{self, Of, Op};
use super::related::{self, Known};
use super::stamp::Second;
use super::strings::{self, Text};
use super::template::Slot;
use super::{MAX_PAYLOAD, MAX_ROWS, ints, tables};
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Error, Result};
use crate::record::Kind;

/// The most steps of all programs of a block together.
const MAX_OPS: usize = 1 << 22;

/// A class as the body describes it.
pub(super) struct Class<'a> {
    pub(super) kind: Kind,
    pub(super) callsite: u32,
    pub(super) program: &'a [u8],
    pub(super) ops: Vec<Op>,
    pub(super) columns: Vec<u32>,
    /// How many columns it must have.
    taken: usize,
}

/// A column, and how far it has been used.
pub(super) struct Column {
    pub(super) values: Vec<u64>,
    /// Of strings with a dictionary, which of them each value is.
    indexes: Vec<u32>,
    of: Of,
    next: usize,
}

impl Column {
    /// A column of which nobody asks what it tells of others.
    pub(super) const fn of(values: Vec<u64>, of: Of) -> Self {
        Self { values, indexes: Vec::new(), of, next: 0 }
    }
}

impl Known for Vec<Column> {
    fn values(&self, column: u32) -> Option<Values<'_>> {
        let column = self.get(column as usize)?;
        Some(match column.of {
            Of::Str if column.indexes.is_empty() => return None,
            Of::Str => Values::Indexes(&column.indexes),
            _ => Values::Numbers(&column.values),
        })
    }
}

/// Reads the body of a block.
///
/// # Errors
/// When the body is damaged or is not what [`encode`](super::encode()) writes.
pub fn decode(body: &[u8]) -> Result<RowBuffer> {
    let packed = Packed::split(body)?;
    let meta = packed.unpack(Frame::Meta)?;
    let texts = packed.unpack(Frame::Text)?;
    let mut rows = RowBuffer::default();
    let (mut input, mut text) = (Cursor::new(&meta), Text::new(&texts));
    let extra = tables::get_meta(&mut input, &mut rows)?;
    {
        let order = packed.unpack(Frame::Order)?;
        let mut order = Cursor::new(&order);
        tables::get_order(&mut order, &texts, &mut text, &extra, &mut rows)?;
        if !order.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
    }
    let layout = Layout::get(&mut input)?;
    if layout.sequence.len() != rows.run.len() || layout.text_at != text.position() {
        return Err(Error::new("the frames of a block do not belong together"));
    }
    let mut columns = {
        let number = packed.unpack(Frame::Number)?;
        get_columns(&layout, &number, &mut text)?
    };
    let Layout { classes, sequence, .. } = layout;
    if !text.is_empty() {
        return Err(Error::new("a block has something left over"));
    }
    put_together(&classes, &sequence, &mut columns, &texts, None, &mut rows)?;
    Ok(rows)
}

/// Classes, columns and the order of rows, which the meta frame ends with.
pub(super) struct Layout<'a> {
    pub(super) classes: Vec<Class<'a>>,
    /// For each column, what its values are and how many there are.
    pub(super) shapes: Vec<(Of, usize)>,
    /// For each row, its class.
    pub(super) sequence: Vec<u64>,
    /// Where the columns' strings begin in the text frame.
    pub(super) text_at: usize,
}

impl<'a> Layout<'a> {
    /// Reads the rest of the meta frame.
    pub(super) fn get(input: &mut Cursor<'a>) -> Result<Self> {
        let (rows, text_at) = (input.varint_len()?, input.varint_len()?);
        if rows > MAX_ROWS {
            return Err(Error::new("a block has too many rows"));
        }
        let (classes, count) = get_classes(input)?;
        let sequence = ints::get(input, rows)?;
        if !input.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
        let shapes = column_shapes(&classes, count, &sequence)?;
        Ok(Self { classes, shapes, sequence, text_at })
    }
}

fn get_classes<'a>(input: &mut Cursor<'a>) -> Result<(Vec<Class<'a>>, usize)> {
    let (classes, columns) = (input.varint_len()?, input.varint_len()?);
    let mut list = Vec::new();
    let (mut steps, mut values) = (0, 0);
    for _ in 0..classes {
        let kind = Kind::from_u8(input.u8()?).ok_or(Error::new("a class has an unknown kind"))?;
        let callsite = u32::try_from(input.varint()?);
        let callsite = callsite.map_err(|_| Error::new("a class has an unknown callsite"))?;
        let program = input.prefixed()?;
        let ops = program::parse(program)?;
        steps += ops.len() + 1;
        let taken: usize = ops.iter().map(|op| op.columns().len()).sum();
        values += taken;
        if steps > MAX_OPS {
            return Err(Error::new("a block has too many programs"));
        }
        list.push(Class { kind, callsite, program, ops, columns: Vec::new(), taken });
    }
    if columns > values {
        return Err(Error::new("a block has columns that nothing uses"));
    }
    let mut steps = ints::get(input, values)?.into_iter();
    let mut next = 0u64;
    for class in &mut list {
        for _ in 0..class.taken {
            let column = next.wrapping_add(steps.next().unwrap_or_default());
            if column >= columns as u64 {
                return Err(Error::new("a class names a column that is none"));
            }
            class.columns.push(column as u32);
            next = column + 1;
        }
    }
    Ok((list, columns))
}

/// For each column, what its values are and how many there are.
fn column_shapes(
    classes: &[Class<'_>],
    count: usize,
    sequence: &[u64],
) -> Result<Vec<(Of, usize)>> {
    let mut rows = vec![0usize; classes.len()];
    for class in sequence {
        let place = usize::try_from(*class).ok().and_then(|c| rows.get_mut(c));
        *place.ok_or(Error::new("a row is of a class that is none"))? += 1;
    }
    let mut shapes: Vec<Option<(Of, usize)>> = vec![None; count];
    for (class, rows) in classes.iter().zip(rows) {
        let kinds = class.ops.iter().flat_map(|op| op.columns());
        for (column, of) in class.columns.iter().zip(kinds) {
            let shape = shapes.get_mut(*column as usize);
            let shape = shape.ok_or(Error::new("a class names a column that is none"))?;
            let (known, values) = shape.get_or_insert((*of, 0));
            if known != of {
                return Err(Error::new("classes disagree about a column"));
            }
            *values = values.saturating_add(rows);
        }
    }
    let unused = Error::new("a block has columns that nothing uses");
    shapes.into_iter().map(|shape| shape.ok_or(unused)).collect()
}

/// Reads the columns.
///
/// # Errors
/// When they are damaged, or there are too many values.
pub(super) fn get_columns(
    layout: &Layout<'_>,
    number: &[u8],
    text: &mut Text<'_>,
) -> Result<Vec<Column>> {
    let Layout { classes, shapes, sequence, .. } = layout;
    let classes = classes.iter().map(|class| &class.columns[..]).collect();
    let mut order = Order { classes, rows: sequence, walk: MAX_WALK };
    let total = shapes.iter().fold(0usize, |sum, (_, n)| sum.saturating_add(*n));
    if total > ints::MAX_VALUES {
        return Err(Error::new("a block has too many values"));
    }
    let mut input = Cursor::new(number);
    let mut columns = Vec::with_capacity(shapes.len());
    for (of, n) in shapes {
        let column = columns.len() as u32;
        let mut indexes = Vec::new();
        let values = match of {
            Of::Int => related::get(&mut input, *n, column, &columns, &mut order)?,
            Of::Single => floats::get(&mut input, *n, Width::Single)?,
            Of::Double => floats::get(&mut input, *n, Width::Double)?,
            Of::Str => {
                let mut get = |input: &mut Cursor<'_>, n| {
                    related::get(input, n, column, &columns, &mut order)
                };
                let values;
                (values, indexes) = strings::get_with(&mut input, text, *n, &mut get)?;
                values
            }
        };
        columns.push(Column { values, indexes, of: *of, next: 0 });
    }
    if !input.is_empty() {
        return Err(Error::new("a block has something left over"));
    }
    Ok(columns)
}

/// Follows the programs of the rows' classes; of rows that are not to be kept the payload is empty.
pub(super) fn put_together(
    classes: &[Class<'_>],
    sequence: &[u64],
    columns: &mut [Column],
    texts: &[u8],
    keep: Option<&[bool]>,
    rows: &mut RowBuffer,
) -> Result<()> {
    if classes.iter().any(|class| class.callsite as usize > rows.callsites.len()) {
        return Err(Error::new("a class has a callsite that is not there"));
    }
    let mut last = Second::default();
    for (row, class) in sequence.iter().enumerate() {
        let class = usize::try_from(*class).ok().and_then(|c| classes.get(c));
        let class = class.ok_or(Error::new("a row is of a class that is none"))?;
        rows.kind.push(class.kind);
        rows.callsite.push(class.callsite);
        if keep.is_none_or(|keep| keep.get(row) == Some(&true)) {
            put_row(class, columns, texts, &mut last, &mut rows.payload)?;
        } else {
            for column in &class.columns {
                if let Some(column) = columns.get_mut(*column as usize) {
                    column.next += 1;
                }
            }
        }
        if rows.payload.len() > MAX_PAYLOAD {
            return Err(Error::new("a block holds too much"));
        }
        rows.end.push(rows.payload.len());
    }
    Ok(())
}

fn put_row(
    class: &Class<'_>,
    columns: &mut [Column],
    texts: &[u8],
    last: &mut Second,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut numbers = class.columns.iter();
    let mut take = || {
        let column = columns.get_mut(*numbers.next()? as usize)?;
        let value = column.values.get(column.next).copied();
        column.next += 1;
        value
    };
    let mut open = 0;
    for op in &class.ops {
        match *op {
            Op::Literal(reference) => {
                strings::append(out, class.program, reference);
            }
            Op::Integer { width, .. } => {
                let bytes = take().unwrap_or_default().to_le_bytes();
                out.extend_from_slice(bytes.get(..usize::from(width)).unwrap_or_default());
            }
            Op::Float { double } => {
                let bytes = take().unwrap_or_default().to_le_bytes();
                let width = if double { 8 } else { 4 };
                out.extend_from_slice(bytes.get(..width).unwrap_or_default());
            }
            Op::Str | Op::Rest => {
                let reference = take().unwrap_or_default();
                let string = strings::slice(texts, reference);
                if string.len() > MAX_PAYLOAD.saturating_sub(out.len()) {
                    return Err(Error::new("a block holds too much"));
                }
                if *op == Op::Str {
                    out.extend_from_slice(&(string.len() as u32).to_le_bytes());
                }
                strings::append(out, texts, reference);
            }
            Op::Open => {
                open = out.len();
                out.extend_from_slice(&[0; 4]);
            }
            Op::Slot(slot) => {
                let value = take().unwrap_or_default();
                let second = if slot.columns().len() > 1 { take() } else { None };
                let len = match slot {
                    Slot::Str => strings::unpack(value).1,
                    _ => 0,
                };
                if out.len() + len > MAX_PAYLOAD {
                    return Err(Error::new("a block holds too much"));
                }
                match slot {
                    Slot::Stamp(stamp) => stamp.write_after(value, last, out),
                    _ => slot.write(value, second.unwrap_or_default(), texts, out)?,
                }
            }
            Op::Close => {
                let len = (out.len() - open - 4) as u32;
                let place = out.get_mut(open..).and_then(|o| o.first_chunk_mut::<4>());
                if let Some(place) = place {
                    *place = len.to_le_bytes();
                }
            }
        }
    }
    Ok(())
}
