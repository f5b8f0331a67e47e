//! Key-values of `log` records, with their types.

use crate::scratch::Scratch;
use log::kv::{Error, Key, Source, Value, VisitSource, VisitValue};
use relay_fmt::value::Type;

/// Puts each pair as a named field.
#[inline]
pub(crate) fn put(source: &dyn Source, out: &mut Scratch<'_>) {
    // The visitor never fails; a source that does has put what it has.
    let _ = source.visit(&mut Pairs(out));
}

/// Whether there are no pairs. The source is asked for their number, which `log` has it answer as a visit
/// would: to visit it instead costs as much as the rest of a short record.
#[inline(always)]
pub(crate) fn is_empty(source: &dyn Source) -> bool {
    source.count() == 0
}

struct Pairs<'s, 'b>(&'s mut Scratch<'b>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.put_name(key.as_str());
        let mut typed = Typed { out: self.0, done: false };
        let _ = value.visit(&mut typed);
        if !typed.done {
            // A name must have a value.
            self.0.put_fixed(Type::Unit, [0]);
        }
        Ok(())
    }
}

/// Puts one value. What has no type of its own is put as the text that it displays as.
struct Typed<'s, 'b> {
    out: &'s mut Scratch<'b>,
    /// One value was put: a second one would not belong to anything.
    done: bool,
}

impl Typed<'_, '_> {
    fn fixed<const N: usize>(&mut self, of: Type, bytes: [u8; N]) -> Result<(), Error> {
        if !std::mem::replace(&mut self.done, true) {
            self.out.put_fixed(of, bytes);
        }
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Typed<'_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        if !std::mem::replace(&mut self.done, true) {
            self.out.put_text(Type::Text, format_args!("{value}"));
        }
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.fixed(Type::Unit, [0])
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.fixed(Type::U64, value.to_le_bytes())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.fixed(Type::I64, value.to_le_bytes())
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), Error> {
        self.fixed(Type::U128, value.to_le_bytes())
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), Error> {
        self.fixed(Type::I128, value.to_le_bytes())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.fixed(Type::F64, value.to_le_bytes())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.fixed(Type::Bool, [u8::from(value)])
    }

    fn visit_char(&mut self, value: char) -> Result<(), Error> {
        self.fixed(Type::Char, u32::from(value).to_le_bytes())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        if !std::mem::replace(&mut self.done, true) {
            self.out.put_str(Type::Str, value.as_bytes());
        }
        Ok(())
    }
}
