//! The handle of a relay that has been set up.

use crate::builder::{Builder, Plan};
use crate::callsite::StaticCallsite;
use crate::channel::thread::{self, MAX_CHANNELS, append, own_channel};
use crate::channel::{Channel, Counter, NotDurable, keeper, os};
use crate::filter::{Filter, FilterCell, FilterError};
use crate::sink::{self, ACTIVE, Relays, set_max};
use crate::{ByteSize, InitError, early, logger, panic};
use relay_fmt::callsite::{Facade, Level};
use relay_fmt::record::Kind;
use relay_fmt::value::{Layout, Type};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// A relay: channels that records go into, and the filter in front of them.
///
/// Nothing depends on this handle: dropping it changes nothing, and it is cheap to clone. Its
/// channels stay open for the life of the process.
#[derive(Debug, Clone)]
pub struct Relay {
    pub(crate) relays: &'static Relays,
}

/// What a channel has done since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// The channel's name.
    pub channel: String,
    /// The name of its file in the live directory.
    pub file_name: String,
    /// Bytes allocated now.
    pub allocated: ByteSize,
    counters: [u64; Counter::COUNT],
}

impl ChannelStats {
    /// What a counter says.
    ///
    /// ```
    /// use relay_log::{Relay, channel::Counter};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let relay = Relay::builder(dir.path()).channel("app").build()?;
    /// assert_eq!(relay.stats()[0].counter(Counter::DiscardedFull), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    fn of(channel: &Channel) -> Self {
        use Counter as C;
        let mut counters = [0; Counter::COUNT];
        let all = [
            C::Grown,
            C::Shrunk,
            C::Resized,
            C::Waits,
            C::WaitNanos,
            C::DiscardedFull,
            C::DiscardedDisk,
            C::Overwritten,
            C::OneShot,
            C::Writers,
            C::AllocFailed,
        ];
        for counter in all {
            counters[counter as usize] = channel.counter(counter);
        }
        Self {
            channel: channel.identity().name.clone(),
            file_name: channel.identity().file_name(),
            allocated: ByteSize::bytes(channel.allocated_bytes()),
            counters,
        }
    }
}

/// Slots given away; they are never taken back.
static SLOTS: AtomicU64 = AtomicU64::new(0);

/// Channels that are open and that nothing writes to yet. Dropped, they have ended, empty.
struct Opened {
    channels: Vec<(String, Arc<Channel>)>,
    routes: Vec<(String, usize)>,
    filter: Filter,
    sync_on: Option<Level>,
}

impl Opened {
    fn by(plan: Plan) -> Result<Self, InitError> {
        let Plan { channels: configs, routes, filter, sync_on } = plan;
        let mut channels = Vec::new();
        for config in configs {
            let name = config.name.clone();
            let channel = Channel::create(config)
                .map_err(|source| InitError::Channel { channel: name.clone(), source })?;
            channels.push((name, Arc::new(channel)));
        }
        Ok(Self { channels, routes, filter, sync_on })
    }

    /// Gives them slots and keepers, for the life of the process.
    fn into_relay(self) -> Result<Relay, InitError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let wanted = self.channels.len() as u64;
        let take = |taken: u64| Some(taken + wanted).filter(|n| *n <= MAX_CHANNELS as u64);
        let first = SLOTS
            .fetch_update(Relaxed, Relaxed, take)
            .map_err(|_| InitError::TooManyChannels { most: MAX_CHANNELS })?
            as usize;
        let mut channels = Vec::new();
        for (slot, (name, channel)) in (first..).zip(self.channels) {
            thread::install(slot, Arc::clone(&channel));
            keeper::start(&channel, Some(resized));
            channels.push((name, slot));
        }
        static ASKED: AtomicBool = AtomicBool::new(false);
        os::at_exit(&ASKED, at_exit);
        let routes = self.routes.into_iter().map(|(prefix, i)| (prefix, first + i)).collect();
        let number = NUMBERS.fetch_add(1, Relaxed);
        let cell = FilterCell::new();
        cell.set(self.filter);
        let sync_on = self.sync_on.map_or(0, |level| level as u8);
        let relays = Relays { number, filter: cell, channels, routes, sync_on };
        Ok(Relay { relays: Box::leak(Box::new(relays)) })
    }
}

impl Relay {
    /// Begins to set up a relay in the directory that it shares with its collector.
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder::new(dir.into())
    }

    pub(crate) fn build(builder: Builder) -> Result<Self, InitError> {
        Opened::by(builder.plan()?)?.into_relay()
    }

    pub(crate) fn no_more(&self) -> Result<(), InitError> {
        Ok(())
    }

    /// Builds it and makes it the program's; `also` has the last chance to say no.
    pub(crate) fn init(
        builder: Builder,
        also: fn(&Self) -> Result<(), InitError>,
    ) -> Result<Self, InitError> {
        let _one = os::lock(os::Lock::SettingUp);
        if ACTIVE.get().is_some() {
            return Err(InitError::AlreadySet);
        }
        let install = || logger::install().map_err(|_| InitError::LoggerSet);
        // Where another logger is, most likely: that is known before a file is made.
        if log::max_level() != log::LevelFilter::Off {
            install()?;
        }
        let hook = builder.panic_hook;
        let opened = Opened::by(builder.plan()?)?;
        // A logger cannot be taken back. Where there are no channels the program may want another one.
        install()?;
        let relay = opened.into_relay()?;
        also(&relay)?;
        early::hand_over(relay.relays);
        set_max(relay.relays.filter.max());
        panic::set_wanted(hook);
        if hook {
            panic::install();
        }
        Ok(relay)
    }

    /// Changes what is recorded, for all threads, from the next call on. For `tracing` the answers
    /// that it remembers are asked again.
    ///
    /// # Errors
    /// When the directives cannot be read; then nothing has changed.
    ///
    /// ```standalone_crate
    /// let dir = tempfile::tempdir()?;
    /// let relay = relay_log::Relay::builder(dir.path()).channel("app").init()?;
    /// relay.set_filter("warn,hyper=off")?;
    /// assert!(!log::log_enabled!(log::Level::Info));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        self.relays.filter.set(Filter::parse(directives)?);
        if ACTIVE.get().is_some_and(|active| active.number == self.relays.number) {
            set_max(self.relays.filter.max());
        }
        #[cfg(feature = "tracing")]
        tracing_core::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Sets the size that a channel keeps allocated, and raises what may wait to it where that is
    /// lower. Returns whether there is such a channel. A larger size is allocated now, as far as the
    /// disk allows; what is beyond a smaller one is given back when it is idle.
    pub fn resize(&self, channel: &str, size: ByteSize) -> bool {
        let slot = self.relays.channels.iter().find(|(name, _)| name == channel);
        let channel = slot.and_then(|(_, slot)| own_channel(*slot));
        channel.map(|channel| channel.resize(size.as_u64())).is_some()
    }

    /// Makes everything durable that was recorded before the call, in all channels: it survives the loss
    /// of power. Waits for the collector to archive and sync; without one, the channels themselves are
    /// synced.
    ///
    /// # Errors
    /// When that cannot be had, or not within `timeout` for each channel: the records survive
    /// everything else all the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR"))?;
    /// # let logs = dir.path();
    /// let relay = relay_log::Relay::builder(logs).channel("app").build()?;
    /// match relay.flush_durable(Duration::from_secs(5)) {
    ///     Ok(()) => {}
    ///     Err(why) => eprintln!("the log is not durable: {why}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_durable(&self, timeout: Duration) -> Result<(), NotDurable> {
        let slots = self.relays.channels.iter();
        let mut channels = slots.filter_map(|(_, slot)| own_channel(*slot));
        channels.try_for_each(|channel| channel.flush_durable(timeout))
    }

    /// The names of its channels, that of everything without a route first.
    #[must_use]
    pub fn channels(&self) -> Vec<&str> {
        self.relays.channels.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// What each of its channels has done, in the order of [`channels`](Self::channels).
    #[must_use]
    pub fn stats(&self) -> Vec<ChannelStats> {
        let channels = self.relays.channels.iter().filter_map(|(_, slot)| own_channel(*slot));
        channels.map(ChannelStats::of).collect()
    }
}

static RESIZED: StaticCallsite = StaticCallsite::new(
    Level::Info,
    Facade::Internal,
    line!(),
    "relay::channel",
    module_path!(),
    file!(),
    "",
    "channel resized from {0} to {1} bytes",
    &[("from", Type::U64, false), ("to", Type::U64, false)],
    Layout::Packed,
);

/// A change of size is a record of the channel itself, whatever the filter says.
fn resized(channel: &Channel, from: u64, to: u64) {
    let is_it = |slot: &usize| thread::channel(*slot).is_some_and(|c| std::ptr::eq(c, channel));
    let Some(slot) = (0..MAX_CHANNELS).find(is_it) else {
        return;
    };
    let mut values = [0; 16];
    let (first, second) = values.split_at_mut(8);
    first.copy_from_slice(&from.to_le_bytes());
    second.copy_from_slice(&to.to_le_bytes());
    match RESIZED.ensure_described(slot) {
        Some(id) => {
            append(slot, Kind::Event, id, values.len(), |p| p.put(&values));
        }
        None => sink::inline(slot, &RESIZED.description(), &values),
    }
}

extern "C" fn at_exit() {
    // A forked child that has not logged has no channels: its parent's are not mapped there.
    if os::epoch() == 0 {
        return;
    }
    for channel in (0..MAX_CHANNELS).filter_map(thread::channel) {
        if channel.epoch == os::epoch() {
            channel.announce_end();
        }
    }
}
