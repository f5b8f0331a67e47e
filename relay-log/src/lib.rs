//! The backend.

#[cfg(feature = "macros")]
mod deferred;
#[cfg(feature = "macros")]
pub use deferred::{__private, Argument};
#[cfg(feature = "macros")]
pub use relay_fmt::callsite::Level;
#[cfg(feature = "macros")]
pub use relay_log_macros::{Argument, debug, error, event, info, log, trace, warn};
// The macros name the crate, in its own tests too.
#[cfg(all(test, feature = "macros"))]
extern crate self as relay_log;
