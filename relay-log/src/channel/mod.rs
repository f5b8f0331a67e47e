//! The channel: one data flow, one file.
//!
//! ```text
//!  one process                                        the file            another process
//!  ───────────                                        ────────            ───────────────
//!  thread ── Stream ── reserve, copy, commit ──────> sub-buffer 0 <────── ChannelReader (pread)
//!  thread ── Stream ───────────────────────────────> sub-buffer 1             │
//!             │ lease, close, park                   …                        │
//!          Channel ── Slots (who may use what) ────> header page <─── archived (pwrite)
//!             │ grow, shrink                           ^   ^
//!          keeper ─────────────────────────────────────┘   └── asleep, freed: who wakes whom
//! ```
//!
//! # States of a sub-buffer, in its state word
//!
//! | from | to | who | when |
//! |---|---|---|---|
//! | `Free`, or `Ready(g)` with `archived = g` | `Owned(g+1)` | a writer | it leases |
//! | `Owned(g)` | `Ready(g)` | its owner | it is full |
//! | `Owned(g)` | `Parked(g)` | its owner | the thread ends |
//! | `Parked(g)` | `Owned(g)` | a writer | it continues it |
//! | `Free` | `Meta(g)` | a writer | callsites are described; it stays so |
//! | anything free at the tail | a hole, all zero | the keeper | it has been idle |
//!
//! Which of two threads moves a sub-buffer is decided in private memory (`slots`); the file says
//! what was decided.
//!
//! # Valid if and only if
//!
//! A record exists if and only if (1) `committed` says generation g and covers its end, (2) the lease
//! slot of g says g, and (3) its header repeats the low bits of g. A byte before `committed` never
//! changes until `committed` says g+1; whoever reads checks `committed` again afterwards, and if it
//! moved to another generation, what was read is void. The state word plays no part in validity: a
//! writer killed between state `Owned(g+1)` and `committed(g+1, 0)` leaves generation g readable.
//!
//! # Ordering pairs
//!
//! | writer | reader | what |
//! |---|---|---|
//! | `commit:A` store release of `committed` | `read:A` pread of `committed`, twice until equal, then the bytes | bytes are there before they count |
//! | `open:A` state, fence, lease slot, `commit:B` release | `read:B` `committed`, then slot, then `committed` again | a slot is whole when its generation shows |
//! | `commit:B`, fence, the bytes of g+1 | the bytes of g, fence, `committed` again | bytes of g+1 are never taken for bytes of g |
//! | `read:C` load acquire of `archived` | `archive:A` pwrite after the block is written | a sub-buffer is leased again only when its bytes are in the archive |
//! | `freed` loaded, then `archived` looked at, then wait | `archived` written, then `freed` bumped, then wake | no wake is lost for longer than the bounded wait |
//!
//! # Use
//!
//! A raw channel carries any bytes:
//!
//! ```
//! use relay_log::channel::{ChannelReader, Config, RawChannel, Sub};
//!
//! let dir = tempfile::tempdir()?;
//! let channel = RawChannel::create(Config::new(dir.path(), "measurements"))?;
//! let mut writer = channel.writer();
//! writer.write(b"42")?; // from here on it survives SIGKILL
//!
//! let mut reader = ChannelReader::open(dir.path(), channel.file_name().as_ref(), None)?;
//! let subs: Vec<Sub> = reader.scan()?;
//! let data = reader.read(&subs[0], 0)?.expect("nobody has overwritten it");
//! let mut records = relay_fmt::record::Records::new(&data.bytes, subs[0].generation);
//! let last = records.by_ref().last().expect("a lease and a record")?;
//! assert_eq!(last.payload, b"42");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Known limits
//!
//! * A vfork child shares its parent's memory: it must not log unless the parent waits for it.
//! * A handler that leaves by `siglongjmp` in the middle of a call leaves its thread's stream marked
//!   as in use: the thread's later records take the slower way of nested calls. None is lost.
//! * Somebody who cuts the file short or punches holes into it takes what is there. Sub-buffers that
//!   are not in use are allocated again when they are leased; a store into one that is in use or will
//!   be within 20 ms, or into the header page, is a SIGBUS where its blocks are gone and cannot be had
//!   again.
//! * A record larger than a sub-buffer needs memory for a copy, also in a signal handler.
//! * A forked child makes a channel of its own with its first record, and that takes file descriptors. One
//!   that can open none (`RLIMIT_NOFILE`, all in use), or may not write the live directory any more, has no
//!   channel: it says so on stderr, and its records are nowhere; a raw writer returns
//!   [`WriteError::NoChannel`]. Its parent goes on.
//! * A fork by another thread at the moment in which a logger is set up for the first time may leave the
//!   child with locks of the C and standard libraries that nobody opens: its `exit`, and its panics, may
//!   hang, as with every program that forks with threads; its log calls do not.
//! * A fork by another thread in the middle of a channel's birth may leave the child with a part in the
//!   channel's lock: the channel looks alive until the child ends, too. Nothing is lost.

mod birth;
mod config;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers describe callsites"))]
mod describe;
mod durable;
mod error;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod floor;
mod growth;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers hand over"))]
pub(crate) mod handover;
mod hint;
mod identity;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers are told of changes"))]
pub(crate) mod keeper;
mod layout;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers describe callsites"))]
mod lease;
mod map;
mod memory;
#[cfg(all(test, loom))]
mod models;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers end with the process"))]
pub(crate) mod os;
mod payload;
mod prefetch;
mod raw;
mod reader;
#[cfg(feature = "log")]
pub(crate) mod row;
mod scan;
#[cfg(all(test, shuttle))]
mod schedules;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers describe callsites"))]
pub(crate) mod shared;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers keep things"))]
pub(crate) mod shelf;
mod slots;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers resume streams"))]
mod stream;
mod sync;
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers have thread streams"))]
pub(crate) mod thread;
pub(crate) mod tick;
mod waiting;
mod warm;

pub use config::Config;
pub use durable::{NotDurable, is_in_memory};
pub use error::{CreateError, OpenError, WriteError};
pub use identity::{Identity, MAX_NAME, OnFull, TickSource, is_channel_name};
pub use layout::{
    Counter, HEADER_BYTES, IDENTITY_BYTES, MAGIC, MAX_SUB_BUFFER, MIN_SUB_BUFFER, SUB_HEADER_BYTES,
    State, VERSION,
};
pub use payload::Payload;
pub use raw::{RawChannel, Reservation, Writer};
pub use reader::{ChannelReader, Data, Status, Sub};
pub use scan::Scan;
pub use shared::{Channel, boot_id};
pub use thread::never_wait;
