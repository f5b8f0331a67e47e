//! Messages that are formatted when they are read.
//!
//! What `info!("request {id} took {latency:.2} ms")` does, in order:
//!
//! 1. a disabled level costs one relaxed load and evaluates nothing; whether the statement is let
//!    through, and where its records go, it remembers in one word ([`Pass`](crate::pass::Pass));
//! 2. every argument is evaluated once, in the order of the call ([`Arg`](argument) borrows it);
//! 3. [`field`]: each hole is matched with its argument. Where the raw value can be printed later
//!    exactly as now, it is kept; otherwise it is printed now, into the thread's scratch text
//!    ([`scratch`]). This is the only step that runs code of the program;
//! 4. [`callsite::write`], one function for all statements with fields of the same types: the sizes
//!    are summed, the space is reserved, the values are copied
//!    ([`Payload`](crate::channel::Payload)), the record is committed.
//!
//! Values are stored with their type in front ([`relay_fmt::value`]): one callsite in a generic
//! function sees arguments of many types.

mod argument;
mod callsite;
mod field;
mod scratch;
#[cfg(test)]
mod tests;

pub(crate) use crate::channel::Payload as Sink;
pub use argument::Argument;

/// What the expansions of the macros name. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use super::argument::{Argument, DisplayArgument, NumberArgument};
    pub use super::callsite::{STATIC_MAX_LEVEL, at, pass, wanted, write};
    pub use super::field::{
        Arg, Either, Field, Fields, Raw, RawDebug, RawDisplay, RawNumber, RawValue, TextDebug,
        TextDisplay, TextNumber, TextValue, TextValueDebug,
    };
    pub use super::scratch::Scratch;
    pub use crate::callsite::StaticCallsite;
    pub use crate::channel::Payload as Sink;
    pub use crate::pass::Pass;
    pub use relay_fmt::callsite::Level;
    pub use relay_fmt::value::Type;
}
