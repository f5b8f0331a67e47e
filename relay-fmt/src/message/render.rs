//! Prints a value as `core::fmt` prints the Rust value it came from.
//!
//! Whatever `core::fmt` can be told at run time it is told: sign, `#`, `0`, width, precision and
//! type are dispatched to a `format_args!` of just that shape, and the printing is its own. What
//! it cannot be told is the fill, any `char`, so alignment is done here: the value is printed
//! without a width and then padded. A fill never comes without an alignment.
//!
//! Composites print with the builders of `core::fmt` and pass the spec on to what they hold, as the
//! composites of std do; so the padding happens wherever a type of std pads.

use crate::bytes::{Error, Result};
use crate::value::{Nested, Value};
use std::fmt::{self, Write};

/// Where the padding is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

impl Align {
    pub(super) const fn from_char(c: char) -> Option<Self> {
        Some(match c {
            '<' => Self::Left,
            '^' => Self::Center,
            '>' => Self::Right,
            _ => return None,
        })
    }
}

/// The trait of `core::fmt` that prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Display,
    Debug,
    DebugLowerHex,
    DebugUpperHex,
    LowerHex,
    UpperHex,
    Octal,
    Binary,
    LowerExp,
    UpperExp,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) fill: char,
    pub(super) align: Option<Align>,
    pub(super) plus: bool,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    /// No type of std tells a width of 0 from none.
    pub(super) width: u16,
    pub(super) precision: Option<u16>,
    pub(super) kind: Kind,
}

impl Spec {
    /// `{}`.
    pub(super) const PLAIN: Self = Self {
        fill: ' ',
        align: None,
        plus: false,
        alternate: false,
        zero: false,
        width: 0,
        precision: None,
        kind: Kind::Display,
    };

    fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }

    /// What to print before [`pad`] does the rest; `None` where `core::fmt` does it all.
    fn unpadded(&self, value: &Value<'_>) -> Option<Self> {
        // Zeros go between sign and digits, whatever the alignment and the fill.
        if self.align.is_none() || self.width == 0 || self.zero && is_number(value) {
            return None;
        }
        let none = Self { width: 0, ..*self };
        Some(none)
    }
}

const fn is_number(value: &Value<'_>) -> bool {
    use Value::{F32, F64, I8, I16, I32, I64, I128, Isize, U8, U16, U32, U64, U128, Usize};
    matches!(value, I8(_) | I16(_) | I32(_) | I64(_) | I128(_) | Isize(_) | F32(_) | F64(_))
        || matches!(value, U8(_) | U16(_) | U32(_) | U64(_) | U128(_) | Usize(_))
}

/// Whether the `Debug` of the Rust type obeys a width itself, rather than ignoring it or passing
/// it on.
const fn debug_pads(value: &Value<'_>) -> bool {
    use Value::{Bool, Duration, Ip, Socket, Unit};
    is_number(value) || matches!(value, Bool(_) | Unit | Duration(_) | Ip(_) | Socket(_))
}

const fn has_display(value: &Value<'_>) -> bool {
    use Value::{Bool, Bytes, Char, Ip, Socket, Str, Text};
    is_number(value)
        || matches!(value, Bool(_) | Char(_) | Str(_) | Text(_) | Bytes(_) | Ip(_) | Socket(_))
}

/// Appends a value.
pub(super) fn render(value: Value<'_>, spec: &Spec, out: &mut Vec<u8>) -> Result<()> {
    let from = out.len();
    match value {
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) if spec.kind == Kind::Display => {
            out.extend_from_slice(bytes);
            pad(out, from, spec);
        }
        _ if spec.is_plain() => return render_plain(value, out),
        _ => match spec.unpadded(&value) {
            Some(core) if pads(&value, spec.kind) => {
                print(Hole { value, spec: &core }, out)?;
                pad(out, from, spec);
            }
            _ => print(Hole { value, spec }, out)?,
        },
    }
    Ok(())
}

/// Whether this value, printed by this trait, is what is padded.
const fn pads(value: &Value<'_>, kind: Kind) -> bool {
    match kind {
        Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex => debug_pads(value),
        _ => has_display(value) || debug_pads(value),
    }
}

/// The common cases, without the machinery.
fn render_plain(value: Value<'_>, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Str(text) | Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Value::U8(n) => decimal(out, false, n.into()),
        Value::U16(n) => decimal(out, false, n.into()),
        Value::U32(n) => decimal(out, false, n.into()),
        Value::U64(n) | Value::Usize(n) => decimal(out, false, n),
        Value::I8(n) => decimal(out, n < 0, n.unsigned_abs().into()),
        Value::I16(n) => decimal(out, n < 0, n.unsigned_abs().into()),
        Value::I32(n) => decimal(out, n < 0, n.unsigned_abs().into()),
        Value::I64(n) | Value::Isize(n) => decimal(out, n < 0, n.unsigned_abs()),
        _ => {
            let spec = &Spec::PLAIN;
            return print(Hole { value, spec }, out);
        }
    }
    Ok(())
}

fn decimal(out: &mut Vec<u8>, negative: bool, mut n: u64) {
    const MOST: usize = 20;
    let mut digits = [0; MOST];
    let mut from = MOST;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
        from -= 1;
        if n == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// Pads what `out` holds from `from` on.
fn pad(out: &mut Vec<u8>, from: usize, spec: &Spec) {
    let printed = out.get(from..).unwrap_or_default();
    let chars = match std::str::from_utf8(printed) {
        Ok(text) => text.chars().count(),
        Err(_) => String::from_utf8_lossy(printed).chars().count(),
    };
    let missing = usize::from(spec.width).saturating_sub(chars);
    let before = match spec.align {
        None | Some(Align::Left) => 0,
        Some(Align::Center) => missing / 2,
        Some(Align::Right) => missing,
    };
    let mut fill = [0; 4];
    let fill = spec.fill.encode_utf8(&mut fill).as_bytes();
    for _ in 0..missing {
        out.extend_from_slice(fill);
    }
    // All the padding is behind now; what belongs in front goes there.
    if let Some(printed) = out.get_mut(from..) {
        printed.rotate_right(before * fill.len());
    }
}

/// `out` as a writer of text.
struct Out<'a>(&'a mut Vec<u8>);

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A value with the spec that it is printed by, for the padding at the leaves.
#[derive(Clone, Copy)]
struct Hole<'a> {
    value: Value<'a>,
    spec: &'a Spec,
}

/// Hands a hole to the `write!` of its shape. A width of 0 is no width; the rest must be spelt out.
macro_rules! shapes {
    ($hole:ident, $out:ident, $kind:literal) => {
        shapes!($hole, $out, $kind,
            (false, false, false) "", (false, false, true) "0",
            (false, true, false) "#", (false, true, true) "#0",
            (true, false, false) "+", (true, false, true) "+0",
            (true, true, false) "+#", (true, true, true) "+#0")
    };
    ($hole:ident, $out:ident, $kind:literal, $($when:tt $flags:literal),*) => {{
        let (spec, w) = ($hole.spec, usize::from($hole.spec.width));
        match (spec.plus, spec.alternate, spec.zero) {
            $($when => match spec.precision {
                None => write!($out, concat!("{:", $flags, "w$", $kind, "}"), $hole, w = w),
                Some(p) => write!(
                    $out, concat!("{:", $flags, "w$.p$", $kind, "}"), $hole, w = w, p = usize::from(p)
                ),
            },)*
        }
    }};
}

fn print(hole: Hole<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut out = Out(out);
    let printed = match hole.spec.kind {
        Kind::Display => shapes!(hole, out, ""),
        Kind::Debug => shapes!(hole, out, "?"),
        Kind::DebugLowerHex => shapes!(hole, out, "x?"),
        Kind::DebugUpperHex => shapes!(hole, out, "X?"),
        Kind::LowerHex => shapes!(hole, out, "x"),
        Kind::UpperHex => shapes!(hole, out, "X"),
        Kind::Octal => shapes!(hole, out, "o"),
        Kind::Binary => shapes!(hole, out, "b"),
        Kind::LowerExp => shapes!(hole, out, "e"),
        Kind::UpperExp => shapes!(hole, out, "E"),
    };
    printed.map_err(|_| Error::new("a value cannot be printed"))
}

impl Hole<'_> {
    /// Pads a leaf inside a composite; `None` where it is printed straight.
    fn padded(&self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        let spec = &self.spec.unpadded(&self.value)?;
        if !pads(&self.value, spec.kind) {
            return None;
        }
        let mut leaf = Vec::new();
        let value = self.value;
        if print(Hole { value, spec }, &mut leaf).is_err() {
            return Some(Err(fmt::Error));
        }
        pad(&mut leaf, 0, self.spec);
        Some(f.write_str(std::str::from_utf8(&leaf).unwrap_or_default()))
    }
}

impl fmt::Display for Hole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::Bool(b) => b.fmt(f),
            Value::Char(c) => c.fmt(f),
            Value::I8(n) => n.fmt(f),
            Value::I16(n) => n.fmt(f),
            Value::I32(n) => n.fmt(f),
            Value::I64(n) | Value::Isize(n) => n.fmt(f),
            Value::I128(n) => n.fmt(f),
            Value::U8(n) => n.fmt(f),
            Value::U16(n) => n.fmt(f),
            Value::U32(n) => n.fmt(f),
            Value::U64(n) | Value::Usize(n) => n.fmt(f),
            Value::U128(n) => n.fmt(f),
            Value::F32(x) => x.fmt(f),
            Value::F64(x) => x.fmt(f),
            Value::Str(text) => text.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).fmt(f),
            Value::Ip(ip) => ip.fmt(f),
            Value::Socket(socket) => socket.fmt(f),
            _ => fmt::Debug::fmt(self, f),
        }
    }
}

impl fmt::Debug for Hole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(done) = self.padded(f) {
            return done;
        }
        match self.value {
            Value::Bool(b) => b.fmt(f),
            Value::Char(c) => c.fmt(f),
            Value::I8(n) => n.fmt(f),
            Value::I16(n) => n.fmt(f),
            Value::I32(n) => n.fmt(f),
            Value::I64(n) | Value::Isize(n) => n.fmt(f),
            Value::I128(n) => n.fmt(f),
            Value::U8(n) => n.fmt(f),
            Value::U16(n) => n.fmt(f),
            Value::U32(n) => n.fmt(f),
            Value::U64(n) | Value::Usize(n) => n.fmt(f),
            Value::U128(n) => n.fmt(f),
            Value::F32(x) => x.fmt(f),
            Value::F64(x) => x.fmt(f),
            Value::Str(text) => text.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Bytes(bytes) => {
                let bytes = bytes.iter().map(|byte| self.with(Value::U8(*byte)));
                f.debug_list().entries(bytes).finish()
            }
            Value::None => f.write_str("None"),
            Value::Unit => ().fmt(f),
            Value::Duration(duration) => duration.fmt(f),
            Value::Ip(ip) => ip.fmt(f),
            Value::Socket(socket) => socket.fmt(f),
            Value::Some(inner) => self.tuple("Some", &inner, f),
            Value::List(inner) => {
                let items = inner.iter().map(|(_, value)| self.with(value));
                f.debug_list().entries(items).finish()
            }
            Value::Tuple(inner) if inner.is_empty() => ().fmt(f),
            Value::Tuple(inner) => self.tuple("", &inner, f),
            Value::Struct(name, inner) => self.structure(name, &inner, f),
        }
    }
}

impl<'a> Hole<'a> {
    const fn with<'b>(&self, value: Value<'b>) -> Hole<'b>
    where
        'a: 'b,
    {
        let spec = self.spec;
        Hole { value, spec }
    }

    fn tuple(&self, name: &str, inner: &Nested<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple(name);
        for (_, value) in inner.iter() {
            tuple.field(&self.with(value));
        }
        tuple.finish()
    }

    fn structure(&self, name: &str, inner: &Nested<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if inner.iter().any(|(name, _)| name.is_empty()) {
            return self.tuple(name, inner, f);
        }
        let mut structure = f.debug_struct(name);
        for (name, value) in inner.iter() {
            structure.field(name, &self.with(value));
        }
        structure.finish()
    }
}

/// The traits that only numbers have. What has none of them prints as `{}`.
macro_rules! numbers {
    ($($of:ident: $($more:ident),*;)*) => {$(
        impl fmt::$of for Hole<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.value {
                    Value::I8(n) => fmt::$of::fmt(&n, f),
                    Value::I16(n) => fmt::$of::fmt(&n, f),
                    Value::I32(n) => fmt::$of::fmt(&n, f),
                    Value::I64(n) | Value::Isize(n) => fmt::$of::fmt(&n, f),
                    Value::I128(n) => fmt::$of::fmt(&n, f),
                    Value::U8(n) => fmt::$of::fmt(&n, f),
                    Value::U16(n) => fmt::$of::fmt(&n, f),
                    Value::U32(n) => fmt::$of::fmt(&n, f),
                    Value::U64(n) | Value::Usize(n) => fmt::$of::fmt(&n, f),
                    Value::U128(n) => fmt::$of::fmt(&n, f),
                    $(Value::$more(x) => fmt::$of::fmt(&x, f),)*
                    _ => fmt::Display::fmt(self, f),
                }
            }
        }
    )*};
}

numbers! {
    LowerHex:;
    UpperHex:;
    Octal:;
    Binary:;
    LowerExp: F32, F64;
    UpperExp: F32, F64;
}
