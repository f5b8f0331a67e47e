//! Raw channels: any data flow, bytes in and bytes out.

use super::config::Config;
use super::error::{CreateError, WriteError};
use super::layout::Counter;
use super::lease::Patience;
use super::payload::Payload;
use super::shared::Channel;
use super::stream::{Pending, Stream};
use super::{keeper, os, thread, tick};
use relay_fmt::record::Kind;
use std::sync::Arc;

/// A channel for any data flow. Cheap to clone; writers keep it open.
///
/// When the last of its clones is dropped after all writers, the channel has ended: a collector that
/// looks from then on drains it to its end and removes its file. (Where a disk hangs, so that the helper
/// thread of the channel does not let go of it within a second, that comes later.)
///
/// See the [module](super) for an example.
#[derive(Debug, Clone)]
pub struct RawChannel {
    channel: Arc<Channel>,
    /// Behind the channel, so that it is dropped after it.
    _settle: keeper::Settle,
}

impl RawChannel {
    /// Opens a new channel.
    ///
    /// # Errors
    /// When the configuration cannot be, the directory cannot be written, or there is no room for
    /// the initial size.
    pub fn create(config: Config) -> Result<Self, CreateError> {
        let channel = Arc::new(Channel::create(config)?);
        keeper::start(&channel, None);
        Ok(Self { _settle: keeper::Settle::new(&channel), channel })
    }

    /// A new writer. Each has a stream of its own, whose records are numbered.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer { channel: Arc::clone(&self.channel), stream: Stream::new(0) }
    }

    /// The name of its file in the live directory.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.channel.identity().file_name()
    }

    /// What one of its counters says, since it was opened.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.channel.counter(counter)
    }

    /// Bytes that are allocated now.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.channel.allocated_bytes()
    }

    /// Makes everything durable that all writers have written before the call: it survives the loss of
    /// power.
    ///
    /// # Errors
    /// When that cannot be had, or not within `timeout`; the records survive everything else all the
    /// same.
    pub fn flush_durable(&self, timeout: std::time::Duration) -> Result<(), super::NotDurable> {
        self.channel.flush_durable(timeout)
    }

    /// Says that the program ends in order: the audit tells it from one that was killed. What is
    /// written is there either way.
    pub fn announce_end(&self) {
        self.channel.announce_end();
    }

    /// Sets the size that is kept allocated, in bytes, and raises the cap to it where it is lower.
    pub fn resize(&self, bytes: u64) {
        self.channel.resize(bytes);
    }
}

/// A writer of a raw channel. What it leaves behind when it is dropped stays in the channel.
#[derive(Debug)]
pub struct Writer {
    channel: Arc<Channel>,
    stream: Stream,
}

impl Writer {
    /// The longest payload of one record; longer ones are written as fragments.
    #[must_use]
    pub fn longest(&self) -> usize {
        super::stream::longest(self.channel.room())
    }

    /// How many leases it has had.
    #[cfg(feature = "bench")]
    #[doc(hidden)]
    #[must_use]
    pub fn leases(&self) -> u64 {
        self.stream.sequence()
    }

    /// Writes one record. When this returns, it survives the end of the process, whatever its kind.
    ///
    /// # Errors
    /// [`WriteError::Discarded`] when the channel is full and discards.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let fill = |payload: &mut Payload<'_>| payload.put(bytes);
        if self.stream.epoch() == os::epoch() && self.stream.append(Kind::Raw, 0, bytes.len(), fill)
        {
            return Ok(());
        }
        self.write_slow(bytes.len(), &fill)
    }

    #[cold]
    fn write_slow(
        &mut self,
        len: usize,
        fill: &dyn Fn(&mut Payload<'_>),
    ) -> Result<(), WriteError> {
        self.own_process()?;
        let tick = tick::now(self.channel.ticks());
        let record = Pending { tick, kind: Kind::Raw, callsite: 0, len, fill };
        self.stream.append_slow(&self.channel, Patience::Policy, &record)
    }

    /// A forked child gets a channel of its own: its parent's is not mapped there.
    fn own_process(&mut self) -> Result<(), WriteError> {
        if os::epoch() == 0 {
            thread::after_fork();
        }
        if self.channel.epoch != os::epoch() {
            let config = self.channel.config.of_child();
            let channel = Channel::create(config).map_err(|_| WriteError::NoChannel)?;
            self.stream = Stream::new(0);
            self.channel = Arc::new(channel);
        }
        Ok(())
    }

    /// Reserves `len` bytes for one record, to be filled in place.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] when it would not fit one sub-buffer, and as [`Writer::write`].
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>, WriteError> {
        if len > self.longest() {
            return Err(WriteError::TooLarge { most: self.longest() });
        }
        self.own_process()?;
        let tick = tick::now(self.channel.ticks());
        self.stream.make_room(&self.channel, Patience::Policy, tick, len)?;
        let payload = self.stream.reserved(len);
        Ok(Reservation { writer: self, payload, tick, len })
    }

    /// Hands what was written over to the collector now, without waiting until a sub-buffer is full.
    pub fn flush(&mut self) {
        if self.stream.epoch() == os::epoch() {
            self.stream.close(&self.channel);
            self.channel.wake_collector();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.stream.epoch() == os::epoch() {
            self.stream.park(&self.channel);
        }
    }
}

/// Space for one record. Committing makes the record; dropping the guard leaves nothing.
#[derive(Debug)]
#[must_use = "a reservation that is dropped writes nothing"]
pub struct Reservation<'a> {
    writer: &'a mut Writer,
    payload: Payload<'a>,
    tick: u64,
    len: usize,
}

impl Reservation<'_> {
    /// Appends bytes to the record.
    ///
    /// # Panics
    /// When more than was reserved is put.
    pub fn put(&mut self, bytes: &[u8]) {
        self.payload.put(bytes);
    }

    /// Makes the record: from here on it survives. What was reserved and not put is zero.
    pub fn commit(mut self) {
        while self.payload.left() > 0 {
            self.payload.put_u8(0);
        }
        self.writer.stream.commit_reserved(self.tick, self.len);
    }
}
