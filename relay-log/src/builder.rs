//! How a relay is set up.

use crate::channel::thread::MAX_CHANNELS;
use crate::channel::{Config, MAX_NAME, OnFull, is_channel_name};
use crate::filter::Filter;
use crate::relay::Relay;
use crate::{ByteSize, InitError};
use relay_fmt::callsite::Level;
use std::path::PathBuf;
use std::time::Duration;

/// What sets a channel apart from the builder's own; what is not set is as there.
///
/// ```
/// use relay_log::{ByteSize, ChannelOptions, OnFull};
///
/// let audit = ChannelOptions::new("audit").buffer(ByteSize::mib(1)).on_full(OnFull::Block);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing until they are given to Builder::route"]
pub struct ChannelOptions {
    pub(crate) name: String,
    buffer: Option<ByteSize>,
    buffer_max: Option<ByteSize>,
    sub_buffer: Option<ByteSize>,
    on_full: Option<OnFull>,
}

impl ChannelOptions {
    /// A channel of this name: letters, digits, `-` and `_`, at most 63 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), buffer: None, buffer_max: None, sub_buffer: None, on_full: None }
    }

    /// See [`Builder::buffer`].
    pub fn buffer(mut self, size: ByteSize) -> Self {
        self.buffer = Some(size);
        self
    }

    /// See [`Builder::buffer_max`].
    pub fn buffer_max(mut self, size: ByteSize) -> Self {
        self.buffer_max = Some(size);
        self
    }

    /// See [`Builder::sub_buffer`].
    pub fn sub_buffer(mut self, size: ByteSize) -> Self {
        self.sub_buffer = Some(size);
        self
    }

    /// See [`Builder::on_full`].
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.on_full = Some(policy);
        self
    }

    fn apply(self, config: &mut Config) {
        config.name = self.name;
        if let Some(size) = self.buffer {
            config.initial = size.as_u64();
        }
        if let Some(size) = self.buffer_max {
            config.max = Some(size.as_u64());
        }
        if let Some(size) = self.sub_buffer {
            config.sub_buffer = sub_buffer(size);
        }
        if let Some(policy) = self.on_full {
            config.on_full = policy;
        }
    }
}

/// What is too large stays too large, and is refused with the channel.
fn sub_buffer(size: ByteSize) -> u32 {
    u32::try_from(size.as_u64()).unwrap_or(u32::MAX)
}

/// Sets up a [`Relay`].
///
/// | setting | default | environment, which wins |
/// |---|---|---|
/// | `dir` | | `RELAY_DIR` |
/// | [`channel`](Self::channel) | the executable's name | |
/// | [`buffer`](Self::buffer) | 4 MiB | `RELAY_BUFFER` |
/// | [`buffer_max`](Self::buffer_max) | a quarter of the free disk | `RELAY_BUFFER_MAX` |
/// | [`sub_buffer`](Self::sub_buffer) | 64 KiB | |
/// | [`on_full`](Self::on_full) | [`OnFull::Block`] | |
/// | [`live_dir`](Self::live_dir) | `<dir>/live` | `RELAY_LIVE_DIR` |
/// | [`mode`](Self::mode) | `0o600` | |
/// | [`filter`](Self::filter) | `info` | `RELAY_LOG` |
/// | [`route`](Self::route) | none | |
/// | [`keeper`](Self::keeper) | true | |
/// | [`sync_on`](Self::sync_on) | nothing waits | `RELAY_SYNC_ON` (`error` … `trace`, `off`) |
/// | [`sync_every`](Self::sync_every) | the collector's second | `RELAY_SYNC_EVERY` (`200ms`, `5s`, `off`) |
/// | [`panic_hook`](Self::panic_hook) | true | |
/// | clock | the processor's counter where the kernel trusts it | `RELAY_CLOCK=monotonic`: never |
///
/// A variable that is empty counts as not set; one that cannot be read is an error.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until init, init_tracing or build"]
pub struct Builder {
    dir: PathBuf,
    live_dir: Option<PathBuf>,
    config: Config,
    routes: Vec<(String, ChannelOptions)>,
    filter: Option<String>,
    sync_on: Option<Level>,
    pub(crate) panic_hook: bool,
}

/// Everything that is needed to open the channels.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The first is the default.
    pub(crate) channels: Vec<Config>,
    /// Target prefix and index of the channel, the longest prefix first.
    pub(crate) routes: Vec<(String, usize)>,
    pub(crate) filter: Filter,
    /// Records of this level and more urgent ones are durable when their call returns.
    pub(crate) sync_on: Option<Level>,
}

impl Builder {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            live_dir: None,
            config: Config::new("", ""),
            routes: Vec::new(),
            filter: None,
            sync_on: None,
            panic_hook: true,
        }
    }

    /// The name of the channel: letters, digits, `-` and `_`, at most 63 bytes. Default: the
    /// executable's name, with `_` for every other character.
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Bytes that are allocated at the start and kept; at least two sub-buffers. Default: 4 MiB. The
    /// channel grows beyond it when it has to, and gives back what is idle.
    pub fn buffer(mut self, size: ByteSize) -> Self {
        self.config.initial = size.as_u64();
        self
    }

    /// Bytes that may wait for the collector before [`on_full`](Self::on_full) decides. Default: a
    /// quarter of what is free in the file system.
    pub fn buffer_max(mut self, size: ByteSize) -> Self {
        self.config.max = Some(size.as_u64());
        self
    }

    /// Bytes of a sub-buffer, of which each thread that logs has one: a power of two from 4 KiB to
    /// 8 MiB. Default: 64 KiB.
    pub fn sub_buffer(mut self, size: ByteSize) -> Self {
        self.config.sub_buffer = sub_buffer(size);
        self
    }

    /// What a call does when `buffer_max` is reached. Default: [`OnFull::Block`], which never loses.
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.config.on_full = policy;
        self
    }

    /// The directory of the channel files. Default: `live` in the relay's directory. The flattest
    /// times come from a tmpfs; the collector must be told then too (`--live-dir`, `RELAY_LIVE_DIR`).
    pub fn live_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.live_dir = Some(dir.into());
        self
    }

    /// Permission bits of the channel files; directories that have to be made get the matching ones.
    /// Default: `0o600`.
    pub fn mode(mut self, mode: u32) -> Self {
        self.config.mode = mode;
        self
    }

    /// What is recorded, as in `info,hyper=warn`. Default: `info`. `RELAY_LOG` wins, and
    /// [`Relay::set_filter`] changes it at run time.
    pub fn filter(mut self, directives: &str) -> Self {
        self.filter = Some(directives.to_owned());
        self
    }

    /// Sends what has this target, or one below it, to a channel of its own; the longest prefix
    /// decides, and it ends where the target or a `::` does. Several prefixes may share a channel:
    /// give the same options. Default: everything goes to one channel.
    ///
    /// ```standalone_crate
    /// use relay_log::{ChannelOptions, Relay};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let relay = Relay::builder(dir.path())
    ///     .channel("app")
    ///     .route("shop::payments", ChannelOptions::new("audit"))
    ///     .init()?;
    /// log::info!(target: "shop::payments::card", "charged"); // into audit
    /// log::info!("something else"); // into app
    /// assert_eq!(relay.channels(), ["app", "audit"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route(mut self, target_prefix: impl Into<String>, options: ChannelOptions) -> Self {
        self.routes.push((target_prefix.into(), options));
        self
    }

    /// Whether a helper thread for each channel allocates ahead and gives back what is idle.
    /// Default: true. Without it log calls do what cannot wait themselves, and nothing is given back.
    pub fn keeper(mut self, keeper: bool) -> Self {
        self.config.keeper = keeper;
        self
    }

    /// Has every call of this level, or a more urgent one, return only when its record is durable: it
    /// survives the loss of power. Default: no call waits for that.
    ///
    /// With a collector the record is archived and synced then; without one the channel's file and its
    /// directory are. When neither happens within 5 seconds, or the logs stand in memory, one line on
    /// stderr says so, and another one when that is over; meanwhile calls return without. The calls
    /// of a collector that runs inside of the program do not wait for it. Nothing is said or waited
    /// for before `init`, and what [`early`](crate::early()) kept counts as any other record then: it is
    /// durable with the next call that waits.
    ///
    /// ```
    /// use relay_log::{Level, Relay};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let relay = Relay::builder(dir.path()).channel("app").sync_on(Level::Error).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sync_on(mut self, level: Level) -> Self {
        self.sync_on = Some(level);
        self
    }

    /// Has everything made durable so often, without any call waiting for it. Default: never; a
    /// collector syncs every second by itself.
    ///
    /// The keeper sees to it: it asks the collector, or without one syncs the channel's file. What
    /// survives a loss of power is then at most this old, plus the time that syncing takes; where nobody
    /// syncs, that is said as with [`sync_on`](Self::sync_on). A forked child has no keeper.
    pub fn sync_every(mut self, time: Duration) -> Self {
        self.config.sync_every = Some(time);
        self
    }

    /// Whether panics are logged, at level error with target `panic`, before the hook that was there
    /// runs. Default: true. In a full channel they get room past the cap, so that a panic without a
    /// collector is printed and unwinds; only where the disk is full too do they wait as others do.
    pub fn panic_hook(mut self, wanted: bool) -> Self {
        self.panic_hook = wanted;
        self
    }

    /// Makes it the program's logger for `log` and for Relay's own macros. The handle need not be
    /// kept. What [`early`](crate::early()) kept is in the channel when this returns.
    ///
    /// # Errors
    /// When an environment variable or the filter cannot be read, a channel cannot be created, or
    /// another logger is installed.
    ///
    /// ```standalone_crate
    /// relay_log::Relay::builder(tempfile::tempdir()?.path()).channel("app").init()?;
    /// log::info!(answer = 42; "kept, with its type");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn init(self) -> Result<Relay, InitError> {
        Relay::init(self, Relay::no_more)
    }

    /// As [`init`](Self::init), and makes it the subscriber of `tracing` too. To combine it with
    /// other layers use [`Relay::layer`].
    ///
    /// # Errors
    /// As [`init`](Self::init), and when `tracing` has a subscriber: that shows only once the
    /// channels are open, and they stay so, empty.
    #[cfg(feature = "tracing")]
    pub fn init_tracing(self) -> Result<Relay, InitError> {
        Relay::init(self, Relay::subscribe)
    }

    /// Opens the channels and nothing else: no logger, no panic hook. For [`Relay::layer`].
    ///
    /// # Errors
    /// When an environment variable or the filter cannot be read, or a channel cannot be created.
    pub fn build(self) -> Result<Relay, InitError> {
        Relay::build(self)
    }

    pub(crate) fn plan(self) -> Result<Plan, InitError> {
        if !cfg!(target_os = "linux") {
            return Err(InitError::Unsupported);
        }
        let mut config = self.config;
        let dir = variable("RELAY_DIR")?.map_or(self.dir, PathBuf::from);
        if let Some(size) = value_of("RELAY_BUFFER", size)? {
            config.initial = size.as_u64();
        }
        if let Some(size) = value_of("RELAY_BUFFER_MAX", size)? {
            config.max = Some(size.as_u64());
        }
        match variable("RELAY_CLOCK")?.as_deref() {
            None => {}
            Some("monotonic") => config.counter = false,
            Some(other) => {
                let why = format!("{other:?} is no clock: the only one to name is monotonic");
                return Err(InitError::Environment { name: "RELAY_CLOCK", why });
            }
        }
        // The collector goes by it too: they must not look in different places.
        let live_dir = variable("RELAY_LIVE_DIR")?.map(PathBuf::from).or(self.live_dir);
        config.dir = live_dir.unwrap_or_else(|| dir.join("live"));
        if config.name.is_empty() {
            config.name = default_name();
        }
        let filter = variable("RELAY_LOG")?.or(self.filter).unwrap_or_else(|| "info".into());
        let sync_on = value_of("RELAY_SYNC_ON", level)?.unwrap_or(self.sync_on);
        if let Some(every) = value_of("RELAY_SYNC_EVERY", time)? {
            config.sync_every = every;
        }
        let (channels, routes) = with_routes(config, self.routes)?;
        Ok(Plan { channels, routes, filter: Filter::parse(&filter)?, sync_on })
    }
}

type Routes = Vec<(String, usize)>;

/// All channels, and which index each prefix leads to.
fn with_routes(
    default: Config,
    routes: Vec<(String, ChannelOptions)>,
) -> Result<(Vec<Config>, Routes), InitError> {
    let mut named = vec![(default.clone(), ChannelOptions::new(default.name.clone()))];
    let mut indexes = Vec::new();
    for (prefix, options) in routes {
        let index = named.iter().position(|(config, _)| config.name == options.name);
        let index = match index {
            Some(index) if named.get(index).is_some_and(|(_, o)| *o == options) => index,
            Some(_) => return Err(InitError::ChannelTwice(options.name)),
            None => {
                let mut config = default.clone();
                options.clone().apply(&mut config);
                named.push((config, options));
                named.len() - 1
            }
        };
        indexes.push((prefix, index));
    }
    if named.len() > MAX_CHANNELS {
        return Err(InitError::TooManyChannels { most: MAX_CHANNELS });
    }
    indexes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    Ok((named.into_iter().map(|(config, _)| config).collect(), indexes))
}

fn variable(name: &'static str) -> Result<Option<String>, InitError> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(InitError::Environment { name, why: error.to_string() }),
    }
}

/// A variable's value, as `read` understands it.
fn value_of<T>(
    name: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, InitError> {
    let value = variable(name)?.map(|value| read(value.trim()));
    value.transpose().map_err(|why| InitError::Environment { name, why })
}

fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|error: crate::ParseSizeError| error.to_string())
}

/// A level, or none.
fn level(text: &str) -> Result<Option<Level>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("{text:?} is no level; write error, warn … or off"))
}

/// A number of milliseconds, seconds or minutes, or none.
fn time(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let units = [("ms", 1), ("min", 60_000), ("m", 60_000), ("s", 1_000)];
    let number = |unit| text.strip_suffix(unit)?.trim_end().parse::<u64>().ok();
    let milliseconds = units.iter().find_map(|(unit, times)| number(*unit)?.checked_mul(*times));
    let found = milliseconds.filter(|n| *n > 0).map(|n| Some(Duration::from_millis(n)));
    found.ok_or_else(|| format!("{text:?} is no time; write 200ms, 5s, 1min or off"))
}

/// The executable's name as a channel's.
fn default_name() -> String {
    let exe = std::env::current_exe().ok();
    let name = exe.as_deref().and_then(|p| p.file_stem()).unwrap_or_default().to_string_lossy();
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.trim_start_matches('-').chars().take(MAX_NAME).map(fits).collect();
    if is_channel_name(&name) { name } else { "app".into() }
}
