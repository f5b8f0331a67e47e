//! The one mapping of a channel, reserved far past the end of its file.
//!
//! Nothing ever moves: sub-buffer i is always at base + header + i · size, and growing is
//! `fallocate` further into what is reserved already.

use memmap2::{Advice, MmapOptions, MmapRaw};
use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What is reserved when address space allows, in bytes.
pub(super) const RESERVE: usize = 64 << 30;

#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapRaw,
}

impl Mapping {
    /// Reserves as much as there is, at least `least` bytes.
    pub(crate) fn reserve(file: &File, least: usize) -> std::io::Result<Self> {
        let mut len = RESERVE.max(least);
        loop {
            match MmapOptions::new().len(len).no_reserve_swap().map_raw(file) {
                Ok(map) => return Ok(Self { map }),
                // RLIMIT_AS, or a 32-bit address space.
                Err(_) if len / 2 >= least => len /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps forked children from inheriting it: they would write into the parent's channel and
    /// hold its lock.
    pub(crate) fn dont_fork(&self) -> std::io::Result<()> {
        self.map.advise(Advice::DontFork)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Faults a range in for writing, or says that it cannot be written: a signal that never comes.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> std::io::Result<()> {
        self.map.advise_range(Advice::PopulateWrite, offset, len)
    }

    /// The address of the first byte.
    #[cfg(feature = "bench")]
    #[inline(always)]
    pub(crate) fn base(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// The address of a byte.
    ///
    /// Panics when the offset is outside of what is reserved.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.map.len(), "an offset outside of the mapping");
        self.map.as_mut_ptr().wrapping_add(offset)
    }

    /// The word at `offset`, which must be a multiple of 8 in the header page or in a sub-buffer
    /// that is allocated.
    #[inline]
    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.map.len(), "a word is out of place");
        // SAFETY: in bounds and aligned (checked), mapped for the life of `self`; every access of
        // ours to these words is atomic, and other processes write them with pwrite only.
        unsafe { AtomicU64::from_ptr(self.at(offset).cast()) }
    }

    /// The half word at `offset`; as [`Mapping::u64`], a multiple of 4.
    #[inline]
    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.map.len(), "a word is out of place");
        // SAFETY: as in `u64`.
        unsafe { AtomicU32::from_ptr(self.at(offset).cast()) }
    }

    /// Copies bytes in. Only for bytes that no `committed` covers yet, and the header at birth.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.map.len(), "bytes reach out of the mapping");
        // SAFETY: in bounds (checked); nobody else writes there, and what reads it does so through
        // the kernel.
        unsafe { self.at(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

/// Zeroed private memory that costs nothing until it is touched, as an array of `T`.
#[derive(Debug)]
pub(crate) struct ZeroedArray<T> {
    map: MmapRaw,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl ZeroedArray<super::slots::Slot> {
    /// An array of `len` slots that are all absent.
    pub(crate) fn slots(len: usize) -> std::io::Result<Self> {
        let bytes = (len * size_of::<super::slots::Slot>()).max(1);
        let map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        Ok(Self { map: map.into(), len, of: std::marker::PhantomData })
    }
}

impl AsRef<[super::slots::Slot]> for ZeroedArray<super::slots::Slot> {
    #[inline]
    fn as_ref(&self) -> &[super::slots::Slot] {
        // SAFETY: `len` slots were mapped, page-aligned; zero is a valid slot (three atomics), and
        // they are only ever reached through shared references.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}
