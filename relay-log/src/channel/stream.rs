//! A writer's stream of records: reserve, copy, commit.
//!
//! The hot path is [`Stream::append`]: no lock, no read-modify-write, no system call. Everything
//! that happens once a sub-buffer or more rarely is in cold functions below it.

use super::error::WriteError;
use super::handover::Who;
use super::identity::TickSource;
use super::layout::{Counter, SUB_HEADER_BYTES, header, sub, word};
use super::lease::{Opened, Patience};
use super::shared::Channel;
use super::sync::Ordering::{Relaxed, Release};
use super::{thread, tick};
use relay_fmt::record::{self, Fragment, HEADER_LEN, Header, Kind, Lease, padded};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Space for one record's payload, reserved and not yet committed.
///
/// What is not written stays as it was: whoever reserves must fill all of it.
#[derive(Debug)]
pub struct Payload<'a> {
    at: *mut u8,
    /// Bytes that are left. The checks against it cost nothing where the compiler sees what was
    /// reserved and what is put.
    left: usize,
    of: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Payload<'a> {
    /// A payload in ordinary memory.
    pub(crate) fn over(bytes: &'a mut [u8]) -> Self {
        Self { at: bytes.as_mut_ptr(), left: bytes.len(), of: std::marker::PhantomData }
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When they do not fit what was reserved.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        let at = self.take(bytes.len());
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { copy_to(bytes.as_ptr(), at, bytes.len()) };
    }

    /// The next `len` bytes, to be filled.
    #[inline(always)]
    fn take(&mut self, len: usize) -> *mut u8 {
        assert!(len <= self.left, "more bytes than were reserved");
        let at = self.at;
        self.left -= len;
        self.at = at.wrapping_add(len);
        at
    }

    /// Appends bytes whose number is known, from registers: put together in memory first, they
    /// would be loaded again wider than they were stored, which the processor does slowly.
    #[inline(always)]
    fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        let at = self.take(N);
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.cast::<[u8; N]>().write(bytes) };
    }

    /// Appends one byte, and bytes whose number is known.
    #[cfg(feature = "macros")]
    #[inline(always)]
    pub(crate) fn put_tagged<const N: usize>(&mut self, tag: u8, bytes: [u8; N]) {
        let at = self.take(1 + N);
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.write(tag) };
        // SAFETY: as above.
        unsafe { at.wrapping_add(1).cast::<[u8; N]>().write(bytes) };
    }

    /// Appends one byte, a `u32` length, and that many bytes.
    #[cfg(feature = "macros")]
    #[inline(always)]
    pub(crate) fn put_long(&mut self, tag: u8, bytes: &[u8]) {
        let at = self.take(5 + bytes.len());
        let len = (bytes.len() as u32).to_le_bytes();
        // SAFETY: what was taken is this record's alone and mapped, and that long.
        unsafe { at.write(tag) };
        // SAFETY: as above.
        unsafe { at.wrapping_add(1).cast::<[u8; 4]>().write(len) };
        // SAFETY: as above.
        unsafe { copy_to(bytes.as_ptr(), at.wrapping_add(5), bytes.len()) };
    }

    /// Appends one byte.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u8(&mut self, byte: u8) {
        self.put_array([byte]);
    }

    /// Appends a `u32`, little-endian.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u32(&mut self, value: u32) {
        self.put_array(value.to_le_bytes());
    }

    /// Appends a `u64`, little-endian.
    ///
    /// # Panics
    /// When there is no room.
    #[inline(always)]
    pub fn put_u64(&mut self, value: u64) {
        self.put_array(value.to_le_bytes());
    }

    /// Bytes that are left.
    #[inline(always)]
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Copies bytes between slices of one length, as [`copy_to`].
///
/// # Panics
/// When they are not of one length.
#[cfg(feature = "log")]
#[inline(always)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "slices of different lengths");
    // SAFETY: both are that long, and a slice that may be written overlaps no other.
    unsafe { copy_to(from.as_ptr(), to.as_mut_ptr(), from.len()) };
}

/// Copies bytes. Short ones are two loads and two stores that may overlap: a call of `memcpy` costs
/// as much as the rest of a record.
///
/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and they must not overlap.
#[inline(always)]
unsafe fn copy_to(from: *const u8, to: *mut u8, len: usize) {
    // The lengths of most strings and values come first.
    if !(2..=32).contains(&len) {
        // SAFETY: the caller's.
        unsafe { to.copy_from_nonoverlapping(from, len) }
    } else if len >= 16 {
        // SAFETY: the caller's; there are 16 bytes to 32.
        unsafe { ends::<u128>(from, to, len) }
    } else if len >= 8 {
        // SAFETY: the caller's; there are 8 bytes to 15.
        unsafe { ends::<u64>(from, to, len) }
    } else if len >= 4 {
        // SAFETY: the caller's; there are 4 bytes to 7.
        unsafe { ends::<u32>(from, to, len) }
    } else {
        // SAFETY: the caller's; there are 2 bytes or 3.
        unsafe { ends::<u16>(from, to, len) }
    }
}

/// Copies the first and the last `T` of `len` bytes.
///
/// # Safety
/// As [`copy_to`], and `len` must be at least the size of a `T` and at most twice that.
#[inline(always)]
unsafe fn ends<T: Copy>(from: *const u8, to: *mut u8, len: usize) {
    let last = len - size_of::<T>();
    // SAFETY: the caller's: a `T` of plain bytes fits there.
    let head = unsafe { from.cast::<T>().read_unaligned() };
    // SAFETY: as above.
    let tail = unsafe { from.wrapping_add(last).cast::<T>().read_unaligned() };
    // SAFETY: as above.
    unsafe { to.cast::<T>().write_unaligned(head) };
    // SAFETY: as above.
    unsafe { to.wrapping_add(last).cast::<T>().write_unaligned(tail) };
}

/// A record that the hot path could not take.
#[derive(Clone, Copy)]
pub(crate) struct Pending<'a> {
    pub(crate) tick: u64,
    pub(crate) kind: Kind,
    pub(crate) callsite: u32,
    pub(crate) len: usize,
    pub(crate) fill: &'a dyn Fn(&mut Payload<'_>),
}

impl Pending<'_> {
    /// How many numbers it takes in a channel with `room` bytes for records in a sub-buffer.
    pub(crate) fn numbers(&self, room: u32) -> u64 {
        let most = longest(room);
        if self.len <= most { 1 } else { self.len.div_ceil(most - Fragment::PREFIX) as u64 }
    }
}

/// A writer: its place in a sub-buffer, and who it is.
#[derive(Debug)]
#[repr(C, align(64))] // what every call needs stands together
pub(crate) struct Stream {
    /// Where the sub-buffer's records begin; null without a lease.
    data: *mut u8,
    /// Bytes committed.
    at: u32,
    /// Up to where the short way may write: `room`, or 0 without a lease or where the time of day
    /// is asked of the kernel. One comparison says all of that.
    limit: u32,
    /// The generation where `committed` has it.
    generation: u64,
    /// The tick after which the next record wants an anchor in front of it.
    anchor_due: u64,
    /// The collector's word in the header page: nonzero while it sleeps.
    asleep: *const AtomicU32,
    /// Numbered records since the lease was opened or continued.
    records: u64,
    /// In which era it was known to be this process's: see [`super::os::era`].
    pub(super) era: u32,
    /// Bytes that hold records; 0 without a lease.
    room: u32,
    anchor_every: u64,
    channel: *const Channel,
    ticks: TickSource,
    index: u32,
    /// Which process of a line of forks this stream belongs to.
    epoch: u32,
    /// 0 until the first lease.
    writer: u64,
    sequence: u64,
    /// The number of the first record of this lease.
    first_number: u64,
    /// Whose records these are, when they are not the calling thread's.
    who: Option<&'static Who>,
    nesting: u8,
}

// SAFETY: the pointers lead into the channel's mapping, which is shared and outlives every stream
// (see `thread` and `raw`); whoever has the stream alone may use it, on any thread.
unsafe impl Send for Stream {}

/// Longest payload that is one record in a sub-buffer with `room` bytes for records.
pub(crate) fn longest(room: u32) -> usize {
    // A lease record with the longest name and an anchor may stand in front of it.
    room as usize - HEADER_LEN - padded(HEADER_LEN + 46 + Lease::MAX_NAME) - HEADER_LEN - 16
}

impl Stream {
    /// A stream without a writer and without a lease.
    pub(crate) const fn new(nesting: u8) -> Self {
        Self {
            data: std::ptr::null_mut(),
            at: 0,
            limit: 0,
            generation: 0,
            anchor_due: 0,
            asleep: std::ptr::null(),
            records: 0,
            era: 0,
            room: 0,
            anchor_every: 0,
            channel: std::ptr::null(),
            ticks: TickSource::Monotonic,
            index: 0,
            epoch: 0,
            writer: 0,
            sequence: 0,
            first_number: 0,
            who: None,
            nesting,
        }
    }

    /// A stream that one thread writes in the name of another.
    pub(crate) const fn on_behalf(who: &'static Who) -> Self {
        let mut stream = Self::new(0);
        stream.who = Some(who);
        stream
    }

    /// A stream that continues one: its writer, from record `first_number` on.
    pub(crate) const fn resume(nesting: u8, writer: u64, sequence: u64, first_number: u64) -> Self {
        let mut stream = Self::new(nesting);
        stream.writer = writer;
        stream.sequence = sequence;
        stream.first_number = first_number;
        stream
    }

    /// The number of the next record.
    pub(crate) const fn next_number(&self) -> u64 {
        self.first_number + self.records
    }

    pub(crate) const fn writer(&self) -> u64 {
        self.writer
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes left in the sub-buffer at hand.
    pub(crate) const fn left(&self) -> usize {
        (self.room - self.at) as usize
    }

    pub(crate) const fn has_lease(&self) -> bool {
        !self.data.is_null()
    }

    /// Which process the stream belongs to; 0 before its first lease.
    #[inline(always)]
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Writes one record if the sub-buffer at hand has room, its anchor is young and the processor's
    /// counter is its clock; `false` and nothing written otherwise.
    ///
    /// `fill` gets exactly `len` bytes, must fill them, and must not run anybody else's code.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        callsite: u32,
        len: usize,
        fill: impl Fn(&mut Payload<'_>),
    ) -> bool {
        if len > record::MAX_LEN
            || self.at as usize + padded(HEADER_LEN + len) > self.limit as usize
        {
            return false;
        }
        let tick = tick::tsc();
        if self.anchor_is_old(tick) {
            return false;
        }
        self.put(tick, kind, callsite, len, fill);
        self.records += 1;
        // SAFETY: with room there is a lease, and with a lease the pointer leads into the mapping.
        if unsafe { &*self.asleep }.load(Relaxed) != 0 {
            self.wake_collector();
        }
        true
    }

    /// A tick before the anchor is fine: another processor's counter, or a call that waited.
    #[inline(always)]
    const fn anchor_is_old(&self, tick: u64) -> bool {
        tick.wrapping_sub(self.anchor_due).cast_signed() > 0
    }

    /// Copies a record in and commits it. The caller has checked that there is room.
    #[inline(always)]
    pub(crate) fn put(
        &mut self,
        tick: u64,
        kind: Kind,
        callsite: u32,
        len: usize,
        fill: impl Fn(&mut Payload<'_>),
    ) {
        self.head(tick, kind, callsite, len);
        let mut payload = self.reserved(len);
        fill(&mut payload);
        debug_assert_eq!(payload.left(), 0, "a record must fill what it reserved");
        self.publish(len);
    }

    #[inline(always)]
    fn head(&mut self, tick: u64, kind: Kind, callsite: u32, len: usize) {
        let at = self.data.wrapping_add(self.at as usize).cast::<u64>();
        let low = (self.generation >> super::layout::LENGTH_BITS) as u8;
        let head = Header::word((HEADER_LEN + len) as u32, low, kind, callsite);
        // SAFETY: `at` has room for the record (the caller's check), nobody else writes there (the
        // sub-buffer is leased to this stream), and no `committed` covers it yet.
        unsafe { at.write(head.to_le()) };
        // SAFETY: as above; records begin at multiples of eight.
        unsafe { at.wrapping_add(1).write(tick.to_le()) };
    }

    #[inline(always)]
    fn publish(&mut self, len: usize) {
        self.at += padded(HEADER_LEN + len) as u32;
        // commit:A, pairs with read:A: bytes stored, then published. This store makes the record.
        self.committed().store(self.generation | u64::from(self.at), Release);
    }

    #[inline(always)]
    fn committed(&self) -> &AtomicU64 {
        let at = self.data.wrapping_sub(SUB_HEADER_BYTES - sub::COMMITTED);
        // SAFETY: with a lease, `data` stands behind the sub-buffer's header in the mapping.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }

    #[cold]
    fn wake_collector(&self) {
        // SAFETY: with a lease the pointer leads to the channel, which outlives its streams.
        unsafe { &*self.channel }.wake_collector();
    }

    /// Writes one record, whatever it takes: another anchor, another sub-buffer, several fragments.
    ///
    /// # Errors
    /// When the channel discards; the record's number is used up, so that the gap is seen.
    #[cold]
    pub(crate) fn append_slow(
        &mut self,
        channel: &Channel,
        patience: Patience,
        record: &Pending<'_>,
    ) -> Result<(), WriteError> {
        let Pending { tick, kind, callsite, len, fill } = *record;
        let most = longest(channel.room());
        if len <= most {
            return self.one(channel, patience, tick, kind, callsite, len, fill);
        }
        let mut whole = vec![0u8; len];
        fill(&mut Payload::over(&mut whole));
        let part = most - Fragment::PREFIX;
        for (i, bytes) in whole.chunks(part).enumerate() {
            let prefix = Fragment::prefix(len as u64, (i * part) as u64, kind);
            let len = prefix.len() + bytes.len();
            self.one(channel, patience, tick, Kind::Fragment, callsite, len, |p| {
                p.put(&prefix);
                p.put(bytes);
            })?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a record has this many parts")]
    fn one(
        &mut self,
        channel: &Channel,
        patience: Patience,
        tick: u64,
        kind: Kind,
        callsite: u32,
        len: usize,
        fill: impl Fn(&mut Payload<'_>),
    ) -> Result<(), WriteError> {
        self.make_room(channel, patience, tick, len)?;
        self.put(tick, kind, callsite, len, fill);
        self.records += 1;
        channel.wake_collector();
        Ok(())
    }

    /// Sees to it that a payload of `len` bytes can be put: a lease, a young anchor.
    pub(crate) fn make_room(
        &mut self,
        channel: &Channel,
        patience: Patience,
        tick: u64,
        len: usize,
    ) -> Result<(), WriteError> {
        let need = padded(HEADER_LEN + len) + HEADER_LEN + 16;
        if !self.has_lease() || need > self.left() {
            self.close(channel);
            if let Err(error) = self.lease(channel, patience, need as u32) {
                self.first_number += 1;
                let disk = channel.may_grow();
                let why = if disk { Counter::DiscardedDisk } else { Counter::DiscardedFull };
                channel.count(why, 1);
                return Err(error);
            }
        }
        if self.anchor_is_old(tick) {
            self.put_anchor();
        }
        Ok(())
    }

    /// The space that [`Stream::make_room`] has seen to, to be filled and then committed.
    #[inline(always)]
    pub(crate) fn reserved<'a>(&self, len: usize) -> Payload<'a> {
        let at = self.data.wrapping_add(self.at as usize + HEADER_LEN);
        Payload { at, left: len, of: std::marker::PhantomData }
    }

    /// Commits what was filled into [`Stream::reserved`].
    pub(crate) fn commit_reserved(&mut self, tick: u64, len: usize) {
        self.head(tick, Kind::Raw, 0, len);
        self.publish(len);
        self.records += 1;
        // SAFETY: with a lease the pointer leads into the mapping.
        if unsafe { &*self.asleep }.load(Relaxed) != 0 {
            self.wake_collector();
        }
    }

    fn put_anchor(&mut self) {
        let anchor = tick::anchor(self.ticks);
        self.put(anchor.tick, Kind::Anchor, 0, 16, |p| {
            p.put_u64(anchor.mono_ns);
            p.put_u64(anchor.real_ns);
        });
        self.anchored(anchor.tick);
    }

    /// Notes an anchor. The first ones of a channel stand nearer: until there are two that are far
    /// from each other, the rate of the ticks is only roughly known.
    fn anchored(&mut self, tick: u64) {
        // SAFETY: with a lease the pointer leads to the channel, which outlives its streams.
        let channel = unsafe { &*self.channel };
        let age = tick.wrapping_sub(channel.identity.opened.tick);
        let least = self.anchor_every / 100;
        self.anchor_due = tick.wrapping_add(age.clamp(least, self.anchor_every.max(least)));
    }

    /// Takes a lease and says in it who writes.
    #[cold]
    fn lease(
        &mut self,
        channel: &Channel,
        patience: Patience,
        need: u32,
    ) -> Result<(), WriteError> {
        if self.writer == 0 {
            self.writer = channel.new_writer();
        }
        let opened = channel.open(need + 64 + 128, patience)?;
        self.install(channel, opened);
        self.say_who();
        Ok(())
    }

    pub(crate) fn install(&mut self, channel: &Channel, opened: Opened) {
        let at = channel.offset(opened.index) + SUB_HEADER_BYTES;
        self.data = channel.map.at(at);
        self.at = opened.committed;
        self.room = channel.room();
        self.limit = if tick::is_counter(channel.ticks()) { self.room } else { 0 };
        self.generation = word(opened.generation, 0);
        self.anchor_every = channel.rate().ticks(tick::ANCHOR_EVERY_NS);
        self.asleep = channel.map.u32(header::ASLEEP);
        self.channel = std::ptr::from_ref(channel);
        self.ticks = channel.ticks();
        self.records = 0;
        self.index = opened.index;
        self.epoch = channel.epoch;
    }

    fn say_who(&mut self) {
        let anchor = tick::anchor(self.ticks);
        let Who { tid, name } = self.who.copied().unwrap_or_else(|| thread::who(anchor.mono_ns));
        let n = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        let (writer, sequence, first) = (self.writer, self.sequence, self.first_number);
        let nesting = self.nesting;
        self.put(anchor.tick, Kind::Lease, 0, 46 + n, |p| {
            for value in [writer, sequence, first, anchor.mono_ns, anchor.real_ns] {
                p.put_u64(value);
            }
            p.put_u32(tid);
            p.put(&[nesting, n as u8]);
            p.put(&name[..n]);
        });
        self.anchored(anchor.tick);
        self.sequence += 1;
    }

    fn end_lease(&mut self) -> Option<(Opened, u64)> {
        if !self.has_lease() {
            return None;
        }
        let generation = super::layout::generation(self.generation);
        let opened = Opened { index: self.index, generation, committed: self.at };
        let records = self.records;
        self.first_number += records;
        self.records = 0;
        self.data = std::ptr::null_mut();
        (self.at, self.limit, self.room) = (0, 0, 0);
        Some((opened, records))
    }

    /// Ends the lease: the sub-buffer waits for the collector.
    pub(crate) fn close(&mut self, channel: &Channel) {
        if let Some((opened, records)) = self.end_lease() {
            channel.close(opened, records);
        }
    }

    /// Ends the lease: the sub-buffer waits for another writer.
    pub(crate) fn park(&mut self, channel: &Channel) {
        if let Some((opened, records)) = self.end_lease() {
            channel.park(opened, records);
        }
    }
}

const _: () = assert!(record::MAX_LEN >= super::layout::MAX_SUB_BUFFER as usize);

#[cfg(test)]
mod copies {
    use super::Payload;

    #[test]
    fn every_length_is_copied_and_nothing_beside_it() {
        let from: Vec<u8> = (1..=100).collect();
        for len in 0..=70 {
            let mut to = [0u8; 80];
            let mut payload = Payload::over(&mut to[3..3 + len]);
            payload.put(&from[..len]);
            assert_eq!(payload.left(), 0);
            assert_eq!(&to[3..3 + len], &from[..len]);
            assert!(to[..3].iter().chain(&to[3 + len..]).all(|b| *b == 0), "{len}");
        }
    }
}
