//! From a payload to its program and values.

use super::program::{
    BARE_TEXT, END, FLOAT, LITERAL, MAX_SLOTS, Op, REST, SIGNED, STRING, TEXT, UNSIGNED,
};
use super::split::{self, Split};
use super::strings::pack;
use crate::bytes::Cursor;
use crate::callsite::Callsite;
use crate::record::Kind;
use crate::value::{Layout, MAX_DEPTH, NAMED, Type};

/// Programs of typed values are at most this long; what needs more is stored whole.
const MAX_SHAPE: usize = 2048;

/// Takes a payload apart, in bytes' terms only: what is not text or structure is not judged.
pub(super) struct Shaper<'a, 'b> {
    /// The payload's bytes that are left.
    input: Cursor<'a>,
    /// Where the payload ends in what strings refer to.
    end: usize,
    /// Where the current run of literal bytes has its length in the key.
    literal: Option<usize>,
    out: &'b mut Split,
    /// Where the values of this row begin.
    first: usize,
}

impl<'a, 'b> Shaper<'a, 'b> {
    /// Begins with a payload that ends at `end` of what strings refer to.
    pub(super) fn new(payload: &'a [u8], end: usize, out: &'b mut Split) -> Self {
        let first = out.values.len();
        Self { input: Cursor::new(payload), end, literal: None, out, first }
    }

    /// The payload as values of its callsite, `split_text` where the message may be split. `None`
    /// when it is not what the callsite says.
    pub(super) fn values(
        mut self,
        kind: Kind,
        callsite: &Callsite,
        split_text: bool,
    ) -> Option<()> {
        if kind == Kind::SpanNew {
            self.fixed(UNSIGNED, 8)?;
        }
        let text = split_text && callsite.template == "{0}";
        match callsite.layout {
            Layout::Packed => {
                for (n, field) in callsite.fields.iter().enumerate() {
                    self.value(field.of, 0, text && n == 0)?;
                }
            }
            Layout::Sparse => {
                while !self.input.is_empty() {
                    let index = self.input.u8().ok()?;
                    self.literal(&[index]);
                    if index == NAMED {
                        self.name()?;
                    }
                    self.value(Type::Tagged, 0, text && index == 0)?;
                }
            }
        }
        self.input.is_empty().then_some(())
    }

    /// The payload as numbers of eight bytes.
    pub(super) fn words(mut self) -> Option<()> {
        while !self.input.is_empty() {
            self.fixed(UNSIGNED, 8)?;
        }
        Some(())
    }

    /// The whole payload as text.
    pub(super) fn bare_text(self) -> Option<()> {
        let text = self.input.rest();
        self.out.key.push(BARE_TEXT);
        let base = self.end - text.len();
        if !split::split(text, base, self.out) {
            return None;
        }
        self.out.key.push(END);
        Some(())
    }

    /// The whole payload as one string.
    pub(super) fn rest(self) {
        let len = self.input.rest().len();
        self.out.key.push(REST);
        self.out.values.push(pack(self.end - len, len));
    }

    fn literal(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let open = self.literal.and_then(|at| self.out.key.get_mut(at));
            match open {
                Some(len) if *len < 255 => *len += 1,
                _ => {
                    self.out.key.push(LITERAL);
                    self.literal = Some(self.out.key.len());
                    self.out.key.push(1);
                }
            }
            self.out.key.push(*byte);
        }
    }

    fn step(&mut self, step: &[u8], value: u64) -> Option<()> {
        self.literal = None;
        self.out.key.extend_from_slice(step);
        self.out.values.push(value);
        let fits =
            self.out.key.len() < MAX_SHAPE && self.out.values.len() - self.first < MAX_SLOTS - 1;
        fits.then_some(())
    }

    /// A number of `width` bytes.
    fn fixed(&mut self, how: u8, width: u8) -> Option<()> {
        let value = read(&mut self.input, width, how == SIGNED)?;
        self.step(&[how, width], value)
    }

    /// A prefixed name, which is constant.
    fn name(&mut self) -> Option<()> {
        let before = self.input.rest();
        self.input.prefixed().ok()?;
        let len = before.len() - self.input.rest().len();
        self.literal(before.get(..len).filter(|_| len <= MAX_SHAPE)?);
        (self.out.key.len() < MAX_SHAPE).then_some(())
    }

    fn string(&mut self, split_text: bool) -> Option<()> {
        let len = self.input.u32().ok()? as usize;
        let bytes = self.input.bytes(len).ok()?;
        let base = self.end - self.input.rest().len() - len;
        if !split_text {
            return self.step(&[STRING], pack(base, len));
        }
        self.literal = None;
        self.out.key.push(TEXT);
        if !split::split(bytes, base, self.out) {
            return None;
        }
        self.out.key.push(END);
        Some(())
    }

    fn value(&mut self, of: Type, depth: u32, split_text: bool) -> Option<()> {
        match of {
            Type::Tagged => {
                let tag = self.input.u8().ok()?;
                self.literal(&[tag]);
                let of = Type::from_u8(tag).filter(|of| *of != Type::Tagged)?;
                self.value(of, depth, split_text)
            }
            Type::Bool | Type::U8 => self.fixed(UNSIGNED, 1),
            Type::I8 => self.fixed(SIGNED, 1),
            Type::U16 => self.fixed(UNSIGNED, 2),
            Type::I16 => self.fixed(SIGNED, 2),
            Type::Char | Type::U32 | Type::Ipv4 => self.fixed(UNSIGNED, 4),
            Type::I32 => self.fixed(SIGNED, 4),
            Type::U64 | Type::Usize => self.fixed(UNSIGNED, 8),
            Type::I64 | Type::Isize => self.fixed(SIGNED, 8),
            Type::F32 => self.fixed(FLOAT, 4),
            Type::F64 => self.fixed(FLOAT, 8),
            Type::Str | Type::Bytes | Type::Text => self.string(split_text),
            Type::I128 | Type::U128 | Type::Ipv6 => self.several(&[8, 8]),
            Type::Duration => self.several(&[8, 4]),
            Type::SocketV4 => self.several(&[4, 2]),
            Type::SocketV6 => self.several(&[8, 8, 2, 4, 4]),
            Type::Unit => {
                let flag = self.input.u8().ok()?;
                self.literal(&[flag]);
                Some(())
            }
            Type::Some | Type::List | Type::Tuple | Type::Struct => self.nested(of, depth),
        }
    }

    fn several(&mut self, widths: &[u8]) -> Option<()> {
        widths.iter().try_for_each(|w| self.fixed(UNSIGNED, *w))
    }

    fn nested(&mut self, of: Type, depth: u32) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if of == Type::Struct {
            self.name()?;
        }
        let mut count = 1;
        if of != Type::Some {
            let bytes = self.input.array::<4>().ok()?;
            count = u32::from_le_bytes(bytes);
            self.literal(&bytes);
        }
        for _ in 0..count {
            if of == Type::Struct {
                self.name()?;
            }
            self.value(Type::Tagged, depth + 1, false)?;
            if self.out.key.len() >= MAX_SHAPE {
                return None;
            }
        }
        Some(())
    }
}

#[inline]
fn read(input: &mut Cursor<'_>, width: u8, signed: bool) -> Option<u64> {
    Some(match (width, signed) {
        (1, false) => u64::from(input.u8().ok()?),
        (1, true) => i64::from(input.u8().ok()? as i8) as u64,
        (2, false) => u64::from(input.u16().ok()?),
        (2, true) => i64::from(input.u16().ok()? as i16) as u64,
        (4, false) => u64::from(input.u32().ok()?),
        (4, true) => i64::from(input.u32().ok()? as i32) as u64,
        _ => input.u64().ok()?,
    })
}

/// Reads a payload by the program of an earlier one; false when it has another.
///
/// This is the fast way: most rows of a callsite look like the one before. Programs with text are
/// never followed, because the text decides them.
#[inline]
pub(super) fn follow(
    ops: &[Op],
    program: &[u8],
    payload: &[u8],
    end: usize,
    values: &mut Vec<u64>,
) -> bool {
    let first = values.len();
    let followed = steps(ops, program, payload, end, values).is_some();
    if !followed {
        values.truncate(first);
    }
    followed
}

#[inline]
fn steps(
    ops: &[Op],
    program: &[u8],
    payload: &[u8],
    end: usize,
    values: &mut Vec<u64>,
) -> Option<()> {
    let mut input = Cursor::new(payload);
    for op in ops {
        match *op {
            Op::Literal(reference) => {
                let want = super::strings::slice(program, reference);
                let is = match want {
                    // The tag of a value, most often: without a call.
                    [tag] => input.u8().ok()? == *tag,
                    _ => input.bytes(want.len()).ok()? == want,
                };
                if !is {
                    return None;
                }
            }
            Op::Integer { width, signed } => values.push(read(&mut input, width, signed)?),
            Op::Float { double: true } => values.push(input.u64().ok()?),
            Op::Float { double: false } => values.push(u64::from(input.u32().ok()?)),
            Op::Str => {
                let len = input.u32().ok()? as usize;
                input.bytes(len).ok()?;
                values.push(pack(end - input.rest().len() - len, len));
            }
            Op::Rest | Op::Open | Op::Slot(_) | Op::Close => return None,
        }
    }
    input.is_empty().then_some(())
}
