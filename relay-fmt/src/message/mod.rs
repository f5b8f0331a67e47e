//! The text that a person reads.
//!
//! A callsite's template is in the syntax of `format!`, its holes naming fields by index:
//! `request {0} took {1:.2} ms`. The text that comes out is the one that `format!` gives for the
//! Rust values that were stored: `core::fmt` itself prints each of them. Two things are our own:
//! padding with an alignment or a fill (see `render`), and the value that is already text
//! ([`Value::Text`]): its spec was obeyed where it was printed, so it stands as it is.

mod json;
mod render;
mod template;
#[cfg(test)]
mod tests;

pub use template::Template;
#[cfg(feature = "archive")]
pub(crate) use template::plain_texts;

use crate::bytes::{Error, Result};
use crate::callsite::Callsite;
use crate::value::Value;
use template::{Count, Piece, Pieces};

/// Appends the message of a record: its callsite's template with the values in its holes.
///
/// The message is bytes: a record may carry text that is not UTF-8. A field that a sparse record
/// leaves out leaves nothing. Who renders many records of a callsite keeps its [`Template`] and
/// calls [`Template::write_record`].
///
/// # Errors
/// When the template or a value does not parse; what was appended until then stays.
pub fn write_message(callsite: &Callsite, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    with_values(callsite, payload, |values| {
        let pieces = Pieces::new(&callsite.template);
        pieces.into_iter().try_for_each(|piece| match piece? {
            Piece::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Piece::Hole(hole) => fill(&hole, values, out),
        })
    })
}

/// Appends a value as `{}` prints it, or as `{:?}` does where its Rust type has no `Display`.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    // Printing into memory cannot fail: see `render`.
    let _ = render::render(*value, &render::Spec::PLAIN, out);
}

/// The values of a record by the index of their field.
type Slots<'a> = [Option<Value<'a>>];

/// Callsites with up to this many fields are rendered without allocating for their values.
const ON_STACK: usize = 16;

fn with_values(
    callsite: &Callsite,
    payload: &[u8],
    then: impl FnOnce(&Slots<'_>) -> Result<()>,
) -> Result<()> {
    let mut stack = [None; ON_STACK];
    let mut heap = Vec::new();
    let count = callsite.fields.len();
    let slots = match stack.get_mut(..count) {
        Some(slots) => slots,
        None => {
            heap.resize(count, None);
            &mut heap
        }
    };
    let mut failed = None;
    for field in callsite.values(payload) {
        match field {
            Ok(field) => {
                if let Some(slot) = field.index.and_then(|index| slots.get_mut(index)) {
                    *slot = Some(field.value);
                }
            }
            // What stands in front of it is shown all the same.
            Err(error) => failed = Some(error),
        }
    }
    then(slots)?;
    failed.map_or(Ok(()), Err)
}

/// Prints one hole.
fn fill(hole: &template::Hole, values: &Slots<'_>, out: &mut Vec<u8>) -> Result<()> {
    let value =
        *values.get(hole.field).ok_or(Error::new("a template names a field that is none"))?;
    let Some(value) = value else { return Ok(()) };
    match (hole.width, hole.precision) {
        (None, None) => return render::render(value, &hole.spec, out),
        // Its spec was obeyed where it was printed, whatever it was.
        _ if matches!(value, Value::Text(_)) => return render::render(value, &hole.spec, out),
        _ => {}
    }
    let mut spec = hole.spec;
    if let Some(width) = hole.width {
        spec.width = count(width, values)?;
    }
    if let Some(precision) = hole.precision {
        spec.precision = Some(count(precision, values)?);
    }
    render::render(value, &spec, out)
}

/// A width or precision that a field holds. `format!` panics beyond 65535.
fn count(Count(field): Count, values: &Slots<'_>) -> Result<u16> {
    let count = match values.get(field).copied().flatten() {
        Some(Value::Usize(n) | Value::U64(n)) => u16::try_from(n).ok(),
        Some(Value::U32(n)) => u16::try_from(n).ok(),
        _ => None,
    };
    count.ok_or(Error::new("a width or precision is none"))
}
