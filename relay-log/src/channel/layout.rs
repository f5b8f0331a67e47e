//! Where things stand in a channel file. Byte table: `docs/format/channel.md`.
//!
//! ```text
//! 0            4096                     4096 + size              4096 + 2·size
//! +-------------+------------------------+------------------------+---- …
//! | header page | sub-buffer 0           | sub-buffer 1           |
//! +-------------+------------------------+------------------------+---- …
//!               | 256 B header | records…|
//! ```

/// The first eight bytes of a channel file.
pub const MAGIC: [u8; 8] = *b"RELAYCHN";
/// The version that this code writes and the newest that it reads.
pub const VERSION: u16 = 1;
/// Bytes of the header page; sub-buffer 0 begins here.
pub const HEADER_BYTES: usize = 4096;
/// Bytes of the part of the header page that never changes and that its checksum covers.
pub const IDENTITY_BYTES: usize = 1024;

/// Bytes of a sub-buffer's header; its records begin here.
pub const SUB_HEADER_BYTES: usize = 256;
/// The smallest sub-buffer, in bytes.
pub const MIN_SUB_BUFFER: u32 = 4096;
/// The largest sub-buffer, in bytes: lengths in `committed` and in records have 24 bits.
pub const MAX_SUB_BUFFER: u32 = 8 << 20;

/// Offsets in the header page, beyond the identity.
pub(crate) mod header {
    /// `u64`, writer: bytes that may wait for the collector.
    pub(crate) const CAP: usize = 1024;
    /// `u64`, writer: nanoseconds a tick, times 2³².
    pub(crate) const RATE: usize = 1032;
    /// `u32`, both: the futex that blocked writers wait on; changes when something was handed back.
    pub(crate) const FREED: usize = 1040;
    /// `u32`, writer: how many wait.
    pub(crate) const WAITERS: usize = 1044;
    /// `u64`, writer: 1 once the process has said that it ends in order.
    pub(crate) const CLOSED: usize = 1048;
    /// `u64`, writer: until when the file itself was made durable, for want of a collector, UTC
    /// nanoseconds.
    pub(crate) const KEPT_NS: usize = 2032;
    /// `u64`, writer: counts requests that everything committed before be made durable.
    pub(crate) const SYNC_WANTED: usize = 2040;
    /// The first of the `u64` counters, writer; see [`super::Counter`].
    pub(crate) const COUNTERS: usize = 1056;
    /// `u32`, collector: nonzero while it sleeps and wants to be woken.
    pub(crate) const ASLEEP: usize = 2048;
    /// `u64`, collector's side: bytes that `relay-collect resize` asks for.
    pub(crate) const RESIZE: usize = 2056;
    /// `u64`, collector's side: counts the requests, so that the same size can be asked for twice.
    pub(crate) const RESIZE_COUNT: usize = 2064;
    /// `u64`, collector: the last of those requests that is fulfilled; all ones where the archives
    /// stand in memory and never will be.
    pub(crate) const SYNCED: usize = 2072;
    /// `u64`, collector: 1 while something is handed back whose archive is not synced yet.
    pub(crate) const UNSYNCED: usize = 2080;
    /// `u64`, collector: everything committed until then is durable in archives, UTC nanoseconds.
    pub(crate) const DURABLE_NS: usize = 2088;
}

/// What a channel counts, in its header page; all of them since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Sub-buffers allocated, those at birth not counted.
    Grown = 0,
    /// Sub-buffers given back to the file system.
    Shrunk = 1,
    /// Resize requests carried out.
    Resized = 2,
    /// Times that a thread waited.
    Waits = 3,
    /// Nanoseconds waited, all threads together.
    WaitNanos = 4,
    /// Records discarded because the channel was full ([`super::OnFull::Discard`]).
    DiscardedFull = 5,
    /// Records discarded because no sub-buffer could be allocated at all.
    DiscardedDisk = 6,
    /// Sub-buffers overwritten before they were archived ([`super::OnFull::Overwrite`]).
    Overwritten = 7,
    /// Leases taken by calls inside a call (signal handlers) and by ended threads.
    OneShot = 8,
    /// Writers that have ever had a lease: threads, and nested streams.
    Writers = 9,
    /// Allocations that failed (disk full, file size limit).
    AllocFailed = 10,
}

impl Counter {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// Where it stands in the header page.
    #[must_use]
    pub const fn offset(self) -> usize {
        header::COUNTERS + 8 * self as usize
    }
}

/// Offsets in a sub-buffer's header.
pub(crate) mod sub {
    /// `u64`, writer: generation and [`super::State`].
    pub(crate) const STATE: usize = 0;
    /// `u64`, writer: generation and length; the only word that makes records exist.
    pub(crate) const COMMITTED: usize = 8;
    /// `u64`, collector: the generation whose every byte is in an archive.
    pub(crate) const ARCHIVED: usize = 64;
    /// Two lease slots of 64 bytes, generation g in slot g mod 2: `u64` generation, `u64` numbered
    /// records in all earlier generations of this sub-buffer, `u64` tick when it was opened.
    pub(crate) const SLOTS: usize = 128;
    /// Bytes of a lease slot.
    pub(crate) const SLOT_BYTES: usize = 64;

    /// Where generation `generation` keeps its lease slot.
    #[must_use]
    pub(crate) const fn slot(generation: u64) -> usize {
        SLOTS + SLOT_BYTES * (generation & 1) as usize
    }
}

/// What a sub-buffer's state word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Allocated, never leased since.
    Free = 1,
    /// A thread writes into it.
    Owned = 2,
    /// Full or closed: waits for the collector.
    Ready = 3,
    /// Left by an ended thread, continued by the next lease.
    Parked = 4,
    /// Holds descriptions of callsites and is never handed back.
    Meta = 5,
}

impl State {
    /// The state of this number.
    #[must_use]
    pub const fn from_u8(state: u8) -> Option<Self> {
        Some(match state {
            1 => Self::Free,
            2 => Self::Owned,
            3 => Self::Ready,
            4 => Self::Parked,
            5 => Self::Meta,
            _ => return None,
        })
    }
}

/// Bits of a length in `committed`; the generation stands above them.
pub(crate) const LENGTH_BITS: u32 = 24;
/// Bits of a generation.
pub(crate) const GENERATION_BITS: u32 = 40;

/// A generation with a length (in `committed`) or a state (in the state word) below it.
#[inline]
pub(crate) const fn word(generation: u64, low: u32) -> u64 {
    generation << LENGTH_BITS | low as u64
}

/// The generation of such a word.
#[inline]
pub(crate) const fn generation(word: u64) -> u64 {
    word >> LENGTH_BITS
}

/// The length or state of such a word.
#[inline]
pub(crate) const fn low(word: u64) -> u32 {
    (word & ((1 << LENGTH_BITS) - 1)) as u32
}

/// Where sub-buffer `index` begins in the file, in bytes.
#[inline]
pub(crate) const fn sub_buffer_offset(index: u32, size: u32) -> u64 {
    HEADER_BYTES as u64 + index as u64 * size as u64
}

const _: () = {
    assert!(IDENTITY_BYTES <= header::CAP);
    assert!(
        header::COUNTERS + 8 * Counter::COUNT <= header::SYNC_WANTED,
        "writer and collector apart"
    );
    assert!(header::SYNC_WANTED + 8 <= header::ASLEEP);
    assert!(header::DURABLE_NS + 8 <= HEADER_BYTES);
    assert!(header::COUNTERS + 8 * Counter::COUNT <= header::KEPT_NS);
    assert!(header::FREED.is_multiple_of(4) && header::COUNTERS.is_multiple_of(8));
    assert!(sub::ARCHIVED / 64 != sub::COMMITTED / 64, "the two sides write different cache lines");
    assert!(sub::slot(0) != sub::slot(1) && sub::slot(1) + sub::SLOT_BYTES <= SUB_HEADER_BYTES);
    assert!(LENGTH_BITS + GENERATION_BITS == 64);
    assert!(
        MAX_SUB_BUFFER < 1 << LENGTH_BITS && MAX_SUB_BUFFER as usize <= relay_fmt::record::MAX_LEN
    );
    assert!(SUB_HEADER_BYTES.is_multiple_of(64) && HEADER_BYTES.is_multiple_of(4096));
};
