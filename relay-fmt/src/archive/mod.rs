//! Archives: files of blocks that any zstd tool can open.
//!
//! ```text
//! [file header] ( [control]* [block header] [block body: zstd frames] )* [directory + trailer]
//!  skippable      skippable   skippable                                   skippable
//! ```
//!
//! Every skippable frame begins with a head that carries the archive's uuid and two checksums which
//! also cover the frame's place in the file, so that the bytes of one archive inside another are
//! never taken for frames of it, and so that a reader finds its way again behind damage. A file whose
//! writer died is readable to its last whole block; a damaged block costs that block alone.
//!
//! * [`ArchiveWriter`] makes the bytes to append;
//! * [`scan`] walks a file forward, whatever state it is in;
//! * [`open`] reads a sealed archive's directory with one read of its tail, or scans;
//! * [`read_block`], [`read_control`] read what those found;
//! * [`verify`] checks everything.
//!
//! Nothing here opens a file: what is read is a [`ReadAt`]. Byte tables: `docs/format/archive.md`.

mod block_header;
mod catalogue;
mod control;
mod control_codec;
mod directory;
mod error;
mod frame;
mod header;
mod read;
mod resync;
mod scan;
mod verify;
mod walk;
mod writer;

pub use block_header::{BlockEntry, BlockHeader, Brief};
pub use catalogue::{Identity, Summary, put_catalogue, take_catalogue};
pub use control::{
    Announce, ChannelPosition, Deleted, Entry, Final, Note, Positions, Quarantine,
    SubBufferPosition, Supersedes, Tombstone, Unproven, WriterPosition,
};
pub use directory::{ControlPlace, Directory};
pub use error::Error;
pub use header::{COMPATIBLE, FileHeader, INCOMPATIBLE, REPACKED, VERSION};
pub use read::{Opened, ReadAt, open, read_block, read_body, read_control, read_filter};
pub use scan::{Damage, DamageKind, Scan, ScanOptions, rescan, scan};
pub use verify::{Problem, Report, verify};
pub use writer::ArchiveWriter;
