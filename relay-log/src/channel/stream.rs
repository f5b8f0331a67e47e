//! A writer's stream of records: reserve, copy, commit.
//!
//! The hot path is [`Stream::append`]: no lock, no read-modify-write, no system call. Everything
//! that happens once a sub-buffer or more rarely is in cold functions below it.

use super::error::WriteError;
use super::handover::Who;
use super::identity::TickSource;
use super::layout::{Counter, SUB_HEADER_BYTES, header, sub, word};
use super::lease::{Opened, Patience};
use super::payload::Payload;
use super::shared::Channel;
use super::sync::Ordering::{Relaxed, Release};
use super::{thread, tick};
use relay_fmt::record::{self, Fragment, HEADER_LEN, Header, Kind, Lease, padded};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64, compiler_fence};

/// A record that the hot path could not take.
#[derive(Clone, Copy)]
pub(crate) struct Pending<'a> {
    pub(crate) tick: u64,
    pub(crate) kind: Kind,
    pub(crate) callsite: u32,
    pub(crate) len: usize,
    pub(crate) fill: &'a dyn Fn(&mut Payload<'_>),
}

/// A writer: its place in a sub-buffer, and who it is.
#[derive(Debug)]
#[repr(C, align(64))] // what every call needs stands together
pub(crate) struct Stream {
    /// Where the sub-buffer's records begin; null without a lease.
    data: *mut u8,
    /// Bytes committed.
    at: u32,
    /// Up to where the short way may write: `room`, or some less until the end is near, or 0 without a
    /// lease or where the time of day is asked of the kernel. One comparison says all of that.
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

/// So many bytes before its sub-buffer is full a stream makes ready what comes then.
const NEAR: u32 = 2048;

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
        if 0 < self.limit && self.limit < self.at {
            self.approach(channel);
        }
        Ok(())
    }

    /// Makes ready what going to the next sub-buffer needs, a little ahead and in another call: the kernel
    /// is asked for the thread's name, if it has to be, and the processor for the memory.
    fn approach(&mut self, channel: &Channel) {
        if self.limit < self.room {
            self.limit = self.room;
            if self.who.is_none() {
                thread::who(tick::mono_ns());
            }
            channel.approach(self.index);
        }
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
        // SAFETY: the caller has seen that there are `len` bytes of room behind the header. No `committed`
        // covers them, and the sub-buffer is leased to this stream: they are nobody else's.
        unsafe { Payload::at(at, len) }
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
        self.at = opened.committed;
        self.room = channel.room();
        let short = self.room - NEAR.min(self.room / 8);
        self.limit = if tick::is_counter(channel.ticks()) { short } else { 0 };
        self.generation = word(opened.generation, 0);
        self.anchor_every = channel.rate().ticks(tick::ANCHOR_EVERY_NS);
        self.asleep = channel.map.u32(header::ASLEEP);
        self.channel = std::ptr::from_ref(channel);
        self.ticks = channel.ticks();
        self.records = 0;
        self.index = opened.index;
        self.epoch = channel.epoch;
        // Last, for it says that there is a lease: a handler may leave this call for good (siglongjmp), and what
        // stands here is given back when the thread ends. A lease that is not said is lost, no worse.
        compiler_fence(SeqCst);
        self.data = channel.map.at(at);
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
        self.data = std::ptr::null_mut();
        // First: what follows gives it away. See `install`.
        compiler_fence(SeqCst);
        self.first_number += records;
        self.records = 0;
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
