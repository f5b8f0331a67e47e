//! What a callsite remembers: whether its records are wanted, and where they go.

use crate::channel::os;
use relay_fmt::record::MAX_CALLSITE;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The answer for one callsite, one relay and one era (`os::era`).
///
/// ```text
///   63           32   31    30    27 26  24 23             0
///   +--------------+--------+-------+------+---------------+
///   | era          | wanted | relay | slot | number        |
///   +--------------+--------+-------+------+---------------+
/// ```
///
/// Era 0 stands for no era: then only `wanted` and `slot` mean something.
#[derive(Debug, Clone, Copy)]
pub struct Pass(u64);

const ERA: u32 = 32;
const WANTED: u64 = 1 << 31;
const RELAY: u32 = 27;
const SLOT: u32 = 24;
const _: () = assert!(MAX_CALLSITE < 1 << SLOT);
const _: () = assert!(crate::channel::thread::MAX_CHANNELS <= 1 << (RELAY - SLOT));
/// A relay has at least one of the process's slots, and no number is given to one that has none.
const _: () = assert!(crate::channel::thread::MAX_CHANNELS < 1 << (31 - RELAY));

impl Pass {
    /// Records are not wanted in this era.
    pub(crate) const fn refused(era: u32, relay: u64) -> Self {
        Self((era as u64) << ERA | relay << RELAY)
    }

    /// Records are wanted, and the channel in `slot` knows the callsite by this number.
    pub(crate) const fn known(era: u32, relay: u64, slot: usize, number: u32) -> Self {
        Self(Self::refused(era, relay).0 | WANTED | (slot as u64) << SLOT | number as u64)
    }

    /// This record is wanted. What is needed for others is not known.
    pub(crate) const fn once(slot: usize) -> Self {
        Self::known(0, 0, slot, 0)
    }

    /// This record is not wanted.
    pub(crate) const NO: Self = Self(0);

    /// Whether the record is wanted.
    #[inline(always)]
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        self.0 & WANTED != 0
    }

    #[inline(always)]
    pub(crate) const fn era(self) -> u32 {
        (self.0 >> ERA) as u32
    }

    #[inline(always)]
    pub(crate) const fn slot(self) -> usize {
        (self.0 >> SLOT & 7) as usize
    }

    #[inline(always)]
    pub(crate) const fn number(self) -> u32 {
        self.0 as u32 & MAX_CALLSITE
    }

    /// Slot and number, if they hold now.
    pub(crate) fn place(self) -> Option<(usize, u32)> {
        let holds = self.era() != 0 && self.era() == os::era();
        holds.then_some((self.slot(), self.number()))
    }
}

/// Where a callsite keeps its [`Pass`].
#[derive(Debug)]
pub(crate) struct Remembered(AtomicU64);

impl Remembered {
    pub(crate) const fn new() -> Self {
        // An era that never comes; 0 does, in forked children.
        Self(AtomicU64::new(u64::MAX))
    }

    /// What holds in this era, whichever relay asked. For callsites that only ever ask one.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Pass> {
        // Who learns here that a channel has the description also comes after it.
        let pass = Pass(self.0.load(Acquire));
        (pass.era() == os::era()).then_some(pass)
    }

    /// What held when it was asked for last, for whoever has the era checked when it writes. What says
    /// that records are not wanted must be checked here.
    #[inline(always)]
    pub(crate) fn last(&self) -> Pass {
        Pass(self.0.load(Acquire))
    }

    /// What holds in this era for this relay.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    pub(crate) fn get_for(&self, relay: u64) -> Option<Pass> {
        self.get().filter(|pass| pass.0 >> RELAY & 15 == relay)
    }

    /// Remembers a pass of an era that is not 0.
    pub(crate) fn set(&self, pass: Pass) {
        self.0.store(pass.0, Release);
    }
}
