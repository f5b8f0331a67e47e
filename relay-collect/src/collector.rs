//! The collector: finds channels, passes over them, sleeps when there is nothing to do.

use crate::lane::{self, Lane, Passed};
use crate::live::Live;
use crate::lock::{Lock, LockError};
use crate::notes::Notes;
use crate::options::Options;
use crate::read::ArchiveName;
use crate::repack::Idle;
use crate::watch::Watch;
use relay_fmt::archive::{Entry, Quarantine};
use relay_fmt::callsite::Level;
use relay_log::channel::{ChannelReader, OpenError};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why a collector cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Another collector works on the directory.
    #[error("another collector (pid {holder}) works on {dir}; --standby waits for it")]
    Held {
        /// Its process id, as it wrote it down.
        holder: String,
        /// The directory.
        dir: String,
    },
    /// A directory or file could not be used.
    #[error("{what}: {error}")]
    Path {
        /// What was tried, with the path.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Something could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A block could not be encoded.
    #[error("a block cannot be encoded: {0}")]
    Block(String),
    /// It was told to stop while it waited for room on the disk.
    #[error(
        "stopped while waiting for room on the disk; what is not archived stays in its channels"
    )]
    StoppedFull,
    /// There was no room on the disk for as long as it was to wait.
    #[error(
        "the disk is full, and has been for {} s: what is not archived stays in its channels",
        .0.as_secs_f64()
    )]
    Full(Duration),
}

impl CollectError {
    pub(crate) fn block(error: relay_fmt::block::Error) -> Self {
        Self::Block(error.to_string())
    }
}

/// Tells a running collector what to do, from another thread or a signal handler's flag.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    rotate: AtomicBool,
}

impl Control {
    /// Nothing to do but run.
    #[must_use]
    pub const fn new() -> Self {
        Self { stop: AtomicBool::new(false), rotate: AtomicBool::new(false) }
    }

    /// Has it drain what is there, seal its archives and return. It hears of it within 50 ms while
    /// there is traffic, within 250 ms when it is idle.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Has it seal its archives and begin new ones.
    pub fn rotate(&self) {
        self.rotate.store(true, Ordering::Release);
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// What a pass needs besides its lane.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) notes: &'a mut Notes,
    pub(crate) host: String,
    /// Whether what is written should be made durable now.
    pub(crate) sync_due: bool,
    /// Whether archives stand on a file system that keeps nothing when the power goes.
    pub(crate) in_memory: bool,
    /// Whether retention should look at the archives.
    pub(crate) retain: bool,
    control: &'a Control,
    /// How long it has waited for room.
    waited: Cell<Duration>,
}

impl Context<'_> {
    /// Readers can do without the catalogue, and so can the collector.
    fn refresh_catalogue(&mut self) {
        let dir = self.options.archive_dir();
        if let Err(error) = crate::catalogue::refresh(&dir) {
            self.notes.say_once(Level::Warn, format!("the catalogue cannot be written: {error}"));
        }
    }

    /// Waits for room on the disk.
    pub(crate) fn wait_for_room(&self, time: Duration, _: &io::Error) -> Result<(), CollectError> {
        if self.control.is_stopping() {
            return Err(CollectError::StoppedFull);
        }
        if let Some(most) = self.options.full_wait.filter(|most| self.waited.get() >= *most) {
            return Err(CollectError::Full(most));
        }
        self.waited.set(self.waited.get() + time);
        std::thread::sleep(time);
        Ok(())
    }
}

/// A collector: drains the channels of a directory into archives. See the [crate](crate).
#[derive(Debug)]
pub struct Collector {
    options: Options,
    archive_lock: Lock,
    live_lock: Lock,
    /// Device and inode of the live directory that is watched.
    live_at: (u64, u64),
    watch: Watch,
    notes: Notes,
    lanes: Vec<Lane>,
    /// Files in `live/` that are known: channels, and what was refused.
    files: HashSet<String>,
    synced: Instant,
    looked: Option<Instant>,
    retained: Option<Instant>,
    in_memory: bool,
    /// Whether archives that were left open have been taken over.
    taken_over: bool,
    repacking: Idle,
    /// The levels that were said last.
    levels: Vec<(String, i32)>,
}

/// Polling while there is traffic.
const BUSY: Duration = Duration::from_millis(20);
/// The first sleep after it was idle, doubled up to [`BUSY`]: a burst fills a block in a few milliseconds.
const ALERT: Duration = Duration::from_millis(2);
/// So long after the last traffic it polls as if there were some.
const LINGER: Duration = Duration::from_millis(500);
/// The longest sleep: then it looks for ended processes and for channels that nothing announced.
const IDLE: Duration = Duration::from_millis(250);
/// New files are looked for so often even if nothing was announced.
const SCAN_EVERY: Duration = Duration::from_secs(1);
/// Retention looks at the archives so often, and when one was sealed.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// What is written is made durable so often.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Collector {
    /// Takes the directory over. Nothing is drained yet.
    ///
    /// # Errors
    /// When another collector has it, or a directory cannot be made or read.
    pub fn open(options: Options) -> Result<Self, CollectError> {
        Self::with(options, Notes::default())
    }

    pub(crate) fn with(options: Options, notes: Notes) -> Result<Self, CollectError> {
        let archive = options.archive_dir();
        for dir in [&options.dir, &options.live_dir, &archive] {
            let what = || format!("cannot make {}", dir.display());
            options.make_dir(dir).map_err(|error| CollectError::Path { what: what(), error })?;
        }
        Ok(Self {
            archive_lock: lock(&archive)?,
            live_lock: lock(&options.live_dir)?,
            live_at: place(&options.live_dir)?,
            watch: Watch::new(&options.live_dir),
            notes,
            lanes: Vec::new(),
            files: HashSet::new(),
            synced: Instant::now(),
            looked: None,
            retained: None,
            in_memory: std::fs::File::open(&archive).is_ok_and(relay_log::channel::is_in_memory),
            taken_over: false,
            repacking: Idle::new(&options),
            levels: Vec::new(),
            options,
        })
    }

    /// Runs until told to stop: then everything that is there is archived and the archives sealed.
    ///
    /// # Errors
    /// When something cannot be read or written and waiting does not help.
    pub fn run(&mut self, control: &Control) -> Result<(), CollectError> {
        let (mut busy, mut nap) = (Instant::now(), ALERT);
        while !control.is_stopping() {
            let Passed { found, waiting } = self.pass(control, false)?;
            if control.rotate.swap(false, Ordering::AcqRel) {
                self.rotate(control)?;
            }
            if waiting > 0 {
                busy = Instant::now();
            }
            let backlog = found >= self.options.block_bytes / 2;
            self.say_levels();
            if self.repacking.tend(backlog, &mut self.notes) {
                context(&self.options, &mut self.notes, control).refresh_catalogue();
            }
            if waiting >= self.options.block_bytes {
                continue;
            }
            if busy.elapsed() < LINGER {
                self.watch.sleep(nap);
                nap = BUSY.min(nap * 2);
            } else {
                self.sleep_until_woken(control)?;
                nap = ALERT;
            }
        }
        self.repacking.hold();
        let drained = self.drain(control);
        self.repacking.stop(&mut self.notes);
        drained
    }

    /// Says which channels' blocks are compressed less than was asked for, when that has changed.
    fn say_levels(&mut self) {
        let levels = self.lanes.iter().map(|lane| (lane.channel.clone(), lane.pace.level()));
        let levels: Vec<_> = levels.filter(|(_, level)| *level < self.options.level).collect();
        if levels != self.levels {
            crate::lock::say(&self.options.archive_dir(), &levels);
            self.levels = levels;
        }
    }

    /// Archives everything that is there and seals the archives.
    ///
    /// # Errors
    /// As [`Collector::run`].
    pub fn drain(&mut self, control: &Control) -> Result<(), CollectError> {
        self.looked = None;
        // A second pass has what a hole kept back in the first one.
        for _ in 0..3 {
            self.pass(control, true)?;
        }
        self.rotate(control)?;
        // What retention has said about what it deleted is sealed as well.
        self.each(control, true, |lane, ctx| {
            lane.seal(ctx)?;
            ctx.retain = false;
            Ok(())
        })
    }

    /// What it could not read, or left where it is, so far: a sentence each, with the path. Each was said
    /// on standard error.
    #[must_use]
    pub fn left(&self) -> &[String] {
        self.notes.left()
    }

    /// Takes archives over that a killed collector has left open, also of channels that never come
    /// back: nobody else would seal them.
    fn take_over(&mut self, control: &Control) -> Result<(), CollectError> {
        let names = ArchiveName::list(&self.options.archive_dir())?;
        for name in names.iter().filter(|name| !name.sealed) {
            if let Err(error) = self.lane(control, &name.channel) {
                self.notes.leave(format!("{} is left as it is: {error}", name.file));
            }
        }
        Ok(())
    }

    /// One look at everything.
    fn pass(&mut self, control: &Control, force: bool) -> Result<Passed, CollectError> {
        let first = !std::mem::replace(&mut self.taken_over, true);
        if first {
            self.take_over(control)?;
        }
        if self.looked.is_none_or(|at| at.elapsed() >= SCAN_EVERY) || self.watch.take_changed() {
            self.find(control)?;
            self.looked = Some(Instant::now());
        }
        let sync_due = force || self.synced.elapsed() >= SYNC_EVERY;
        let mut all = Passed::default();
        self.each(control, sync_due, |lane, ctx| {
            let passed = lane.pass(ctx, force)?;
            all.found += passed.found;
            all.waiting += passed.waiting;
            Ok(())
        })?;
        if sync_due {
            self.synced = Instant::now();
        }
        if self.retained.is_none_or(|at| at.elapsed() >= RETAIN_EVERY) {
            self.retained = Some(Instant::now());
            let mut ctx = context(&self.options, &mut self.notes, control);
            ctx.in_memory = self.in_memory;
            crate::retention::run(&mut self.lanes, &mut ctx)?;
        }
        if first {
            // After what waits: it may take a moment to make one where there is none.
            context(&self.options, &mut self.notes, control).refresh_catalogue();
        }
        Ok(all)
    }

    /// Runs `f` for every lane, and retention when an archive was sealed.
    fn each(
        &mut self,
        control: &Control,
        sync_due: bool,
        mut f: impl FnMut(&mut Lane, &mut Context<'_>) -> Result<(), CollectError>,
    ) -> Result<(), CollectError> {
        let mut ctx = context(&self.options, &mut self.notes, control);
        ctx.sync_due = sync_due;
        ctx.in_memory = self.in_memory;
        for lane in &mut self.lanes {
            f(lane, &mut ctx)?;
        }
        if ctx.retain {
            crate::retention::run(&mut self.lanes, &mut ctx)?;
            ctx.refresh_catalogue();
        }
        Ok(())
    }

    fn rotate(&mut self, control: &Control) -> Result<(), CollectError> {
        self.each(control, true, |lane, ctx| lane.seal(ctx))
    }

    /// Sees to it that the live directory is there and is the one that is watched. Channels that went
    /// with an old one are open, and are drained to their ends.
    fn keep_live_dir(&mut self) -> Result<(), CollectError> {
        let dir = &self.options.live_dir;
        if place(dir).is_ok_and(|at| at == self.live_at) {
            return Ok(());
        }
        let text = format!("{} was deleted: going on in a new one", dir.display());
        self.notes.say(Level::Error, text);
        let what = || format!("cannot make {}", dir.display());
        self.options.make_dir(dir).map_err(|error| CollectError::Path { what: what(), error })?;
        self.live_lock = lock(dir)?;
        self.live_at = place(dir)?;
        self.watch.also(dir);
        self.files.clear();
        Ok(())
    }

    /// Takes locks again whose files somebody has removed; where another collector was faster, this one
    /// ends.
    fn keep_locks(&mut self) -> Result<(), CollectError> {
        let archive = self.options.archive_dir();
        let held =
            [(&mut self.archive_lock, &archive), (&mut self.live_lock, &self.options.live_dir)];
        for (held, dir) in held.into_iter().filter(|(held, dir)| held.is_gone(dir)) {
            match lock(dir) {
                Ok(again) => *held = again,
                Err(error @ CollectError::Held { .. }) => return Err(error),
                // Without the directory there is nothing to be locked.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Takes channels in that are new in `live/`.
    fn find(&mut self, control: &Control) -> Result<(), CollectError> {
        self.keep_live_dir()?;
        self.keep_locks()?;
        let dir = self.options.live_dir.clone();
        let mut there = HashSet::new();
        let entries = std::fs::read_dir(&dir).map_err(|error| CollectError::Path {
            what: format!("cannot read {}", dir.display()),
            error,
        })?;
        for entry in entries {
            let name = entry?.file_name();
            let text = name.to_string_lossy().into_owned();
            if text.starts_with('.') || !text.ends_with(".relay") {
                continue;
            }
            there.insert(text.clone());
            if !self.files.insert(text.clone()) {
                continue;
            }
            match ChannelReader::open(&dir, &name, self.options.uid) {
                Ok(reader) => self.take_in(control, reader, text)?,
                Err(error) => {
                    let left = format!("{} is left alone: {error}", dir.join(&name).display());
                    if let OpenError::System { errno, .. } = error {
                        // The file may be sound: it is tried again.
                        self.files.remove(&text);
                        if self.notes.is_said(&left) || is_short(errno) {
                            self.notes.leave(left);
                            continue;
                        }
                    }
                    self.notes.leave(left);
                    let what = format!("live/{text}");
                    self.notes.push(Entry::Quarantine(Quarantine { what, why: error.to_string() }));
                }
            }
        }
        self.files.retain(|file| there.contains(file));
        self.each(control, false, |lane, ctx| {
            lane.all_found(ctx, &there);
            Ok(())
        })
    }

    fn take_in(
        &mut self,
        control: &Control,
        reader: ChannelReader,
        file: String,
    ) -> Result<(), CollectError> {
        let channel = reader.identity().name.clone();
        let at = match self.lane(control, &channel) {
            Err(CollectError::Io(error)) => {
                // Other channels have nothing to do with it, and it is tried again: somebody may mend it.
                self.notes.leave(format!(
                    "{} is left alone: where its archives end is not known: {error}; what is lost is to be moved away",
                    self.options.live_dir.join(&file).display()
                ));
                self.files.remove(&file);
                return Ok(());
            }
            at => at?,
        };
        let mut ctx = context(&self.options, &mut self.notes, control);
        ctx.in_memory = self.in_memory;
        let Some(lane) = self.lanes.get_mut(at) else { return Ok(()) };
        // A directory that was moved away and back shows channels that are open already.
        if lane.lives.iter().any(|live| live.id() == reader.identity().id) {
            return Ok(());
        }
        let live = Live::new(reader, file.clone(), crate::live::Archived::default());
        if !lane.adopt(&mut ctx, live)? {
            // Whoever wrote that it is finished may have been killed before the disk had it.
            lane.sync(&mut ctx)?;
            let _ = lane::remove_live(&mut ctx, &file);
        }
        Ok(())
    }

    /// The index of a channel's lane, which is opened where it is new.
    fn lane(&mut self, control: &Control, channel: &str) -> Result<usize, CollectError> {
        if let Some(at) = self.lanes.iter().position(|lane| lane.channel == channel) {
            return Ok(at);
        }
        let mut ctx = context(&self.options, &mut self.notes, control);
        self.lanes.push(Lane::open(&mut ctx, channel)?);
        Ok(self.lanes.len() - 1)
    }

    /// Sleeps until a record comes, a channel comes, or it is time to look for ended processes.
    fn sleep_until_woken(&mut self, control: &Control) -> Result<(), CollectError> {
        for lane in &mut self.lanes {
            lane.lives.iter_mut().filter(|live| live.alive).for_each(Live::doze);
        }
        // What came before the word was set has woken nobody.
        let passed = self.pass(control, false)?;
        if passed.waiting == 0 && !control.is_stopping() {
            self.watch.sleep(IDLE);
        }
        Ok(())
    }
}

fn context<'a>(options: &'a Options, notes: &'a mut Notes, control: &'a Control) -> Context<'a> {
    let (sync_due, in_memory, retain) = (false, false, false);
    let waited = Cell::default();
    Context { options, notes, host: host(), sync_due, in_memory, retain, control, waited }
}

pub(crate) fn lock(dir: &Path) -> Result<Lock, CollectError> {
    Lock::take(dir).map_err(|error| match error {
        LockError::Held(holder) => CollectError::Held { holder, dir: dir.display().to_string() },
        LockError::Io(error) => {
            CollectError::Path { what: format!("cannot lock {}", dir.display()), error }
        }
    })
}

/// Which directory it is, whatever its name.
fn place(dir: &Path) -> Result<(u64, u64), CollectError> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(dir) {
        Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
        Err(error) => {
            Err(CollectError::Path { what: format!("cannot look at {}", dir.display()), error })
        }
    }
}

/// Whether it is this process that has too little of something, and nothing is said of the file.
const fn is_short(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::*;
    use relay_log::channel::{Config, RawChannel};

    /// Processes come and go for as long as it runs; and a file that somebody puts back is not archived
    /// a second time.
    #[test]
    fn of_channels_that_are_finished_little_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::new();
        let mut collector = Collector::open(Options::new(dir.path())).unwrap();
        let live = dir.path().join("live");
        let files = || -> Vec<_> {
            let names = std::fs::read_dir(&live).unwrap().map(|entry| entry.unwrap().path());
            names.filter(|path| path.extension().is_some_and(|of| of == "relay")).collect()
        };
        let (kept, mut back) = (dir.path().join("kept"), std::path::PathBuf::new());
        for n in 0..20 {
            let channel = RawChannel::create(Config::new(&live, "app")).unwrap();
            channel.writer().write(format!("record {n}").as_bytes()).unwrap();
            drop(channel);
            if n == 7 {
                back = files().remove(0);
                std::fs::copy(&back, &kept).unwrap();
            }
            while !files().is_empty() {
                collector.pass(&control, true).unwrap();
                collector.looked = None;
            }
        }
        std::fs::copy(&kept, &back).unwrap();
        while !files().is_empty() {
            collector.looked = None;
            collector.pass(&control, true).unwrap();
        }
        assert_eq!(collector.lanes.len(), 1);
        assert!(collector.lanes.iter().all(|lane| lane.known.is_empty() && lane.lives.is_empty()));
        collector.drain(&control).unwrap();
        let store = crate::read::Store::open(dir.path(), None).unwrap();
        let audit = crate::read::Audit::of(&store).unwrap();
        assert_eq!((audit.records, audit.lost), (20, 0));
        assert_eq!(audit.channels.iter().map(|channel| channel.doubled).sum::<u64>(), 0);
    }
}
