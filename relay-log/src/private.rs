//! What the code written by Relay's macros calls. Not for anybody else: it changes without notice.

pub use crate::callsite::StaticCallsite;
pub use crate::channel::Payload as Sink;
pub use relay_fmt::callsite::{Facade, Level};
pub use relay_fmt::value::{Layout, Type};

/// Whether a statement is to be recorded now.
#[inline]
#[must_use]
pub fn enabled(callsite: &'static StaticCallsite) -> bool {
    crate::sink::enabled(callsite)
}

/// Records a statement's values, `size` bytes of them, laid out as the callsite says.
///
/// `fill` must put exactly `size` bytes, must not run anybody else's code, and gives the same bytes
/// each time that it is called. When this returns, the record is in the channel.
///
/// # Panics
/// When `fill` puts more than `size` bytes.
#[inline]
pub fn write(callsite: &'static StaticCallsite, size: usize, fill: impl Fn(&mut Sink<'_>)) {
    crate::sink::write(callsite, size, fill);
}
