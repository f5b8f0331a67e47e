//! The types whose values are stored as they are.

use super::Sink;
use relay_fmt::value::Type;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A type whose values a log call stores raw, to be printed when they are read.
///
/// Derive it for a type that also derives `Debug`: then `{:?}` of it costs a copy of its fields
/// instead of formatting. Its text is the one that the derived `Debug` gives; a type with a
/// `Debug` of its own should not derive it. `{}` prints at the call.
///
/// ```
/// #[derive(Debug, relay_log::Argument)]
/// struct Request { id: u64, path: &'static str }
///
/// relay_log::info!("got {:?}", Request { id: 7, path: "/" });
/// ```
///
/// The methods are the derive's business: they must agree with each other, must not log and must
/// not panic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a log record as it is",
    note = "`relay_log::Argument` can be derived for structs and enums of such types"
)]
pub trait Argument {
    /// How many composites lie in one another, this one included.
    #[doc(hidden)]
    #[inline]
    fn depth(&self) -> u32 {
        0
    }

    /// How many bytes it takes, its type in front included.
    #[doc(hidden)]
    fn size(&self) -> usize;

    /// Writes exactly as many.
    #[doc(hidden)]
    fn store(&self, out: &mut Sink<'_>);

    /// [`Argument::depth`] of a slice of these.
    #[doc(hidden)]
    #[inline]
    fn slice_depth(slice: &[Self]) -> u32
    where
        Self: Sized,
    {
        1 + slice.iter().map(Self::depth).max().unwrap_or(0)
    }

    /// [`Argument::size`] of a slice of these.
    #[doc(hidden)]
    #[inline]
    fn slice_size(slice: &[Self]) -> usize
    where
        Self: Sized,
    {
        let items = slice.iter().take(MOST);
        LONG + items.map(Self::size).sum::<usize>()
    }

    /// [`Argument::store`] of a slice of these.
    #[doc(hidden)]
    #[inline]
    fn store_slice(slice: &[Self], out: &mut Sink<'_>)
    where
        Self: Sized,
    {
        head(Type::List, slice.len(), out);
        slice.iter().take(MOST).for_each(|item| item.store(out));
    }
}

/// An [`Argument`] whose `{}` is what Relay prints for its value.
pub trait DisplayArgument: Argument {}

/// An [`Argument`] that is a number: where it has `{:x}`, `{:o}`, `{:b}` or `{:e}`, they are what
/// Relay prints for its value.
pub trait NumberArgument: Argument {}

/// Bytes in front of text, bytes and lists: the type and a `u32` length.
pub(super) const LONG: usize = 5;

/// Longer ones are cut here.
const MOST: usize = u32::MAX as usize;

/// Writes a type and a `u32` length or count.
#[inline]
fn head(of: Type, len: usize, out: &mut Sink<'_>) {
    out.put_tagged(of as u8, (len.min(MOST) as u32).to_le_bytes());
}

/// As much of a text as a record can say: 4 GiB.
#[inline]
pub(super) fn cut(text: &str) -> &str {
    if text.len() <= MOST { text } else { cut_off(text) }
}

#[cold]
#[inline(never)]
fn cut_off(text: &str) -> &str {
    let whole = (0..=MOST).rev().find_map(|end| text.get(..end));
    whole.unwrap_or_default()
}

#[inline]
pub(super) fn store_long(of: Type, text: &str, out: &mut Sink<'_>) {
    out.put_long(of as u8, cut(text).as_bytes());
}

/// Types of a fixed size: the type, then these bytes.
macro_rules! fixed {
    ($($rust:ty: $of:expr, $size:expr, |$x:ident| $bytes:expr;)*) => {$(
        impl Argument for $rust {
            #[inline]
            fn size(&self) -> usize {
                1 + $size
            }

            #[inline]
            fn store(&self, out: &mut Sink<'_>) {
                let $x = *self;
                let bytes: [u8; $size] = $bytes;
                out.put_tagged($of as u8, bytes);
            }
        }
    )*};
}

/// Numbers; and their non-zero twins, which print alike.
macro_rules! numbers {
    ($($rust:ty: $of:ident $(, $nonzero:ident)?;)*) => {$(
        fixed! { $rust: Type::$of, size_of::<$rust>(), |x| x.to_le_bytes(); }
        numbers!(@marks $rust $(, $nonzero)?);
    )*};
    (@marks $rust:ty $(, $nonzero:ident)?) => {
        impl DisplayArgument for $rust {}
        impl NumberArgument for $rust {}
        $(
            impl Argument for $nonzero<$rust> {
                #[inline]
                fn size(&self) -> usize {
                    self.get().size()
                }

                #[inline]
                fn store(&self, out: &mut Sink<'_>) {
                    self.get().store(out);
                }
            }
            impl DisplayArgument for $nonzero<$rust> {}
            impl NumberArgument for $nonzero<$rust> {}
        )?
    };
}

numbers! {
    i8: I8, NonZero;
    i16: I16, NonZero;
    i32: I32, NonZero;
    i64: I64, NonZero;
    i128: I128, NonZero;
    u16: U16, NonZero;
    u32: U32, NonZero;
    u64: U64, NonZero;
    u128: U128, NonZero;
    f32: F32;
    f64: F64;
}

// Hexadecimal digits of a negative number tell its width: where pointers are narrower than 64
// bits, these are stored as what they are there.
#[cfg(target_pointer_width = "64")]
numbers! {
    isize: Isize, NonZero;
    usize: Usize, NonZero;
}
#[cfg(target_pointer_width = "32")]
numbers! {
    isize: I32, NonZero;
    usize: U32, NonZero;
}

fixed! {
    bool: Type::Bool, 1, |x| [u8::from(x)];
    char: Type::Char, 4, |x| u32::from(x).to_le_bytes();
    (): Type::Unit, 1, |_x| [1];
    Ipv4Addr: Type::Ipv4, 4, |x| x.octets();
    Ipv6Addr: Type::Ipv6, 16, |x| x.octets();
    Duration: Type::Duration, 12, |x| {
        let [a, b, c, d, e, f, g, h] = x.as_secs().to_le_bytes();
        let [i, j, k, l] = x.subsec_nanos().to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    };
    SocketAddrV4: Type::SocketV4, 6, |x| {
        let ([a, b, c, d], [e, f]) = (x.ip().octets(), x.port().to_le_bytes());
        [a, b, c, d, e, f]
    };
}

numbers!(@marks u8, NonZero);

/// A slice of bytes is stored as bytes.
impl Argument for u8 {
    #[inline]
    fn size(&self) -> usize {
        2
    }

    #[inline]
    fn store(&self, out: &mut Sink<'_>) {
        out.put_tagged(Type::U8 as u8, [*self]);
    }

    #[inline]
    fn slice_depth(_: &[Self]) -> u32 {
        0
    }

    #[inline]
    fn slice_size(slice: &[Self]) -> usize {
        LONG + slice.len().min(MOST)
    }

    #[inline]
    fn store_slice(slice: &[Self], out: &mut Sink<'_>) {
        out.put_long(Type::Bytes as u8, slice.get(..MOST).unwrap_or(slice));
    }
}

impl Argument for SocketAddrV6 {
    #[inline]
    fn size(&self) -> usize {
        1 + 16 + 2 + 4 + 4
    }

    #[inline]
    fn store(&self, out: &mut Sink<'_>) {
        out.put_u8(Type::SocketV6 as u8);
        out.put(&self.ip().octets());
        out.put(&self.port().to_le_bytes());
        out.put_u32(self.flowinfo());
        out.put_u32(self.scope_id());
    }
}

macro_rules! either {
    ($($rust:ty: $four:path, $six:path;)*) => {$(
        impl Argument for $rust {
            #[inline]
            fn size(&self) -> usize {
                match self {
                    $four(x) => x.size(),
                    $six(x) => x.size(),
                }
            }

            #[inline]
            fn store(&self, out: &mut Sink<'_>) {
                match self {
                    $four(x) => x.store(out),
                    $six(x) => x.store(out),
                }
            }
        }
    )*};
}

either! {
    IpAddr: IpAddr::V4, IpAddr::V6;
    SocketAddr: SocketAddr::V4, SocketAddr::V6;
}

impl Argument for str {
    #[inline]
    fn size(&self) -> usize {
        LONG + cut(self).len()
    }

    #[inline]
    fn store(&self, out: &mut Sink<'_>) {
        store_long(Type::Str, self, out);
    }
}

macro_rules! display {
    ($($rust:ty),*) => {$(
        impl DisplayArgument for $rust {}
    )*};
}

display! {
    bool, char, str, Ipv4Addr, Ipv6Addr, IpAddr, SocketAddrV4, SocketAddrV6, SocketAddr, String
}

impl DisplayArgument for Cow<'_, str> {}

/// Types that print as what they hold or point to.
macro_rules! through {
    ($([$($of:tt)*] $rust:ty => $to:ty;)*) => {$(
        impl<$($of)*> Argument for $rust {
            #[inline]
            fn depth(&self) -> u32 {
                <$to as Argument>::depth(self)
            }

            #[inline]
            fn size(&self) -> usize {
                <$to as Argument>::size(self)
            }

            #[inline]
            fn store(&self, out: &mut Sink<'_>) {
                <$to as Argument>::store(self, out);
            }
        }
    )*};
}

through! {
    [] String => str;
    [] Cow<'_, str> => str;
    [T: Argument] Vec<T> => [T];
    [T: Argument, const N: usize] [T; N] => [T];
    [T: Argument + ?Sized] &T => T;
    [T: Argument + ?Sized] &mut T => T;
    [T: Argument + ?Sized] Box<T> => T;
    [T: Argument + ?Sized] Rc<T> => T;
    [T: Argument + ?Sized] Arc<T> => T;
}

macro_rules! pointers {
    ($($rust:ty),*) => {$(
        impl<T: DisplayArgument + ?Sized> DisplayArgument for $rust {}
        impl<T: NumberArgument + ?Sized> NumberArgument for $rust {}
    )*};
}

pointers!(&T, &mut T);

impl<T: DisplayArgument + ?Sized> DisplayArgument for Box<T> {}
impl<T: DisplayArgument + ?Sized> DisplayArgument for Rc<T> {}
impl<T: DisplayArgument + ?Sized> DisplayArgument for Arc<T> {}

impl<T: Argument> Argument for [T] {
    #[inline]
    fn depth(&self) -> u32 {
        T::slice_depth(self)
    }

    #[inline]
    fn size(&self) -> usize {
        T::slice_size(self)
    }

    #[inline]
    fn store(&self, out: &mut Sink<'_>) {
        T::store_slice(self, out);
    }
}

impl<T: Argument> Argument for Option<T> {
    #[inline]
    fn depth(&self) -> u32 {
        self.as_ref().map_or(0, |inner| 1 + inner.depth())
    }

    #[inline]
    fn size(&self) -> usize {
        self.as_ref().map_or(2, |inner| 1 + inner.size())
    }

    #[inline]
    fn store(&self, out: &mut Sink<'_>) {
        match self {
            None => out.put_tagged(Type::Unit as u8, [0]),
            Some(inner) => {
                out.put_u8(Type::Some as u8);
                inner.store(out);
            }
        }
    }
}

macro_rules! tuples {
    ($($of:ident $at:tt),*) => {
        impl<$($of: Argument),*> Argument for ($($of,)*) {
            #[inline]
            fn depth(&self) -> u32 {
                1 + [$(self.$at.depth()),*].into_iter().max().unwrap_or(0)
            }

            #[inline]
            fn size(&self) -> usize {
                LONG $(+ self.$at.size())*
            }

            #[inline]
            fn store(&self, out: &mut Sink<'_>) {
                const COUNT: usize = [$($at),*].len();
                head(Type::Tuple, COUNT, out);
                $(self.$at.store(out);)*
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
