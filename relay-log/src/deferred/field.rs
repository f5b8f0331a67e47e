//! Matches each hole of a template with its argument: kept raw, or printed at the call.
//!
//! The macro cannot know an argument's type; method resolution does. For `{}` the expansion calls
//! `(&&Arg(x)).relay_display(…)`: if the type implements [`DisplayArgument`], [`RawDisplay`] for
//! `&Arg` is found first; otherwise [`TextDisplay`] for `Arg`, one dereference further on. In a
//! generic function the bounds decide, so a `T: Display` is printed at the call.

use super::Sink;
use super::argument::{Argument, DisplayArgument, NumberArgument};
use super::scratch::Scratch;
use relay_fmt::value::{MAX_DEPTH, Type};
use std::fmt::{Arguments, Debug, Display};
use std::ops::Range;

/// What is stored for a hole or a key.
pub trait Field {
    /// How many bytes it takes.
    fn size(&self) -> usize;
    /// Writes exactly as many. `text` is what the call has printed.
    fn store(&self, text: &str, out: &mut Sink<'_>);
}

/// The fields of a statement: `(first, (second, (third, ())))`.
///
/// Copies and does nothing else: no code of the program runs while space is reserved. It gives the
/// same bytes each time.
pub trait Fields {
    /// How many bytes they take.
    fn size(&self) -> usize;
    /// Writes exactly as many.
    fn store(&self, text: &str, out: &mut Sink<'_>);
}

impl Fields for () {
    #[inline(always)]
    fn size(&self) -> usize {
        0
    }

    #[inline(always)]
    fn store(&self, _: &str, _: &mut Sink<'_>) {}
}

impl<A: Field, B: Fields> Fields for (A, B) {
    #[inline(always)]
    fn size(&self) -> usize {
        self.0.size() + self.1.size()
    }

    #[inline(always)]
    fn store(&self, text: &str, out: &mut Sink<'_>) {
        self.0.store(text, out);
        self.1.store(text, out);
    }
}

/// The value itself.
#[derive(Debug)]
pub struct Raw<'a, T: ?Sized>(pub &'a T);

impl<T: Argument + ?Sized> Field for Raw<'_, T> {
    #[inline]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[inline]
    fn store(&self, _: &str, out: &mut Sink<'_>) {
        self.0.store(out);
    }
}

impl<'a> Raw<'a, usize> {
    /// A width or a precision, which `format!` too takes as a `usize` only.
    #[inline]
    #[must_use]
    pub const fn count(count: &'a usize) -> Self {
        Self(count)
    }
}

/// Where what it printed stands in the call's text.
#[derive(Debug)]
pub struct Text(Range<usize>);

impl Field for Text {
    #[inline]
    fn size(&self) -> usize {
        super::argument::LONG + self.0.len()
    }

    #[inline]
    fn store(&self, text: &str, out: &mut Sink<'_>) {
        let printed = text.get(self.0.clone()).unwrap_or_default();
        super::argument::store_long(Type::Text, printed, out);
    }
}

impl Scratch {
    /// Prints an argument that is never kept raw.
    #[inline]
    pub fn print(&mut self, printed: Arguments<'_>) -> Text {
        Text(self.render(printed))
    }
}

/// The value, or what it printed: composites may nest deeper than a record can say.
#[derive(Debug)]
pub enum Either<'a, T: ?Sized> {
    /// The value.
    Raw(Raw<'a, T>),
    /// What it printed.
    Text(Text),
}

impl<'a, T: Argument + ?Sized> Either<'a, T> {
    #[inline]
    fn of(value: &'a T, scratch: &mut Scratch, printed: Arguments<'_>) -> Self {
        if value.depth() > MAX_DEPTH {
            Self::Text(scratch.print(printed))
        } else {
            Self::Raw(Raw(value))
        }
    }
}

impl<T: Argument + ?Sized> Field for Either<'_, T> {
    #[inline]
    fn size(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.size(),
            Self::Text(text) => text.size(),
        }
    }

    #[inline]
    fn store(&self, text: &str, out: &mut Sink<'_>) {
        match self {
            Self::Raw(raw) => raw.store(text, out),
            Self::Text(printed) => printed.store(text, out),
        }
    }
}

/// An argument that waits to be matched.
#[derive(Debug)]
pub struct Arg<'a, T: ?Sized>(pub &'a T);

/// A pair of traits: the first is found where the type allows to keep the value raw.
macro_rules! choice {
    ($raw:ident $text:ident $method:ident($bound:ident) -> $out:ident, $of:expr; $doc:literal) => {
        #[doc = $doc]
        #[doc = ": the value is kept."]
        pub trait $raw {
            /// What is kept.
            type Kept;
            /// Keeps the value.
            fn $method(&self, scratch: &mut Scratch, printed: Arguments<'_>) -> Self::Kept;
        }

        impl<'a, T: $bound + ?Sized> $raw for &Arg<'a, T> {
            type Kept = $out<'a, T>;

            #[inline]
            fn $method(&self, scratch: &mut Scratch, printed: Arguments<'_>) -> Self::Kept {
                let of: fn(&'a T, &mut Scratch, Arguments<'_>) -> Self::Kept = $of;
                of(self.0, scratch, printed)
            }
        }

        #[doc = $doc]
        #[doc = ": the value is printed."]
        pub trait $text {
            /// Prints the value.
            fn $method(&self, scratch: &mut Scratch, printed: Arguments<'_>) -> Text;
        }

        impl<T: ?Sized> $text for Arg<'_, T> {
            #[inline]
            fn $method(&self, scratch: &mut Scratch, printed: Arguments<'_>) -> Text {
                scratch.print(printed)
            }
        }
    };
}

choice! { RawDisplay TextDisplay relay_display(DisplayArgument) -> Raw, |x, _, _| Raw(x); "`{}`" }
choice! { RawNumber TextNumber relay_number(NumberArgument) -> Raw, |x, _, _| Raw(x); "`{:x}`, `{:e}`, …" }
choice! { RawDebug TextDebug relay_debug(Argument) -> Either, Either::of; "`{:?}`" }

/// A key's value: kept.
pub trait RawValue {
    /// What is kept.
    type Kept;
    /// Keeps the value.
    fn relay_value(&self, scratch: &mut Scratch) -> Self::Kept;
}

impl<'a, T: Argument + Debug + ?Sized> RawValue for &&Arg<'a, T> {
    type Kept = Either<'a, T>;

    #[inline]
    fn relay_value(&self, scratch: &mut Scratch) -> Self::Kept {
        Either::of(self.0, scratch, format_args!("{:?}", self.0))
    }
}

/// A key's value: printed by its `Display`.
pub trait TextValue {
    /// Prints the value.
    fn relay_value(&self, scratch: &mut Scratch) -> Text;
}

impl<T: Display + ?Sized> TextValue for &Arg<'_, T> {
    #[inline]
    fn relay_value(&self, scratch: &mut Scratch) -> Text {
        scratch.print(format_args!("{}", self.0))
    }
}

/// A key's value: printed by its `Debug`.
pub trait TextValueDebug {
    /// Prints the value.
    fn relay_value(&self, scratch: &mut Scratch) -> Text;
}

impl<T: Debug + ?Sized> TextValueDebug for Arg<'_, T> {
    #[inline]
    fn relay_value(&self, scratch: &mut Scratch) -> Text {
        scratch.print(format_args!("{:?}", self.0))
    }
}
