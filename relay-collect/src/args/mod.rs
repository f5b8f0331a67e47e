//! Values of command-line options and environment variables: sizes, durations, times, zones.
//!
//! Each type implements `FromStr`, so that `clap` derives work with it as it is:
//!
//! ```
//! use clap::Parser;
//! use relay_collect::args::{ByteSize, HumanDuration, When, Zone};
//!
//! #[derive(Parser)]
//! struct Args {
//!     #[arg(long, default_value = "64MiB")]
//!     rotate_size: ByteSize,
//!     #[arg(long, default_value = "1h")]
//!     rotate_age: HumanDuration,
//!     #[arg(long, allow_hyphen_values = true)]
//!     since: Option<When>,
//!     #[arg(long, default_value = "local", allow_hyphen_values = true)]
//!     tz: Zone,
//! }
//!
//! let args = Args::parse_from(["x", "--since", "-15min", "--tz", "UTC"]);
//! assert_eq!(args.rotate_size.bytes(), 64 << 20);
//! assert_eq!(args.rotate_age.duration().as_secs(), 3600);
//! assert!(args.since.unwrap().resolve(jiff::Timestamp::now(), &args.tz.into()).is_ok());
//! ```

mod decimal;
mod duration;
mod level;
mod size;
mod when;
mod zone;

pub use duration::HumanDuration;
pub use level::level;
pub use size::ByteSize;
pub use when::When;
pub use zone::Zone;

/// A value that is not what its option wants. The text is a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgError(String);

impl ArgError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}
