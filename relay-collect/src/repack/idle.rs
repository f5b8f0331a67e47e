//! Packing again in a thread of its own, while the collector has nothing to do.

use super::{Packed, Refused, candidates, pack, tidy};
use crate::notes::Notes;
use crate::options::{Options, Repack};
use relay_fmt::callsite::Level;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No backlog for so long: there is nothing else to do.
const CALM: Duration = Duration::from_secs(2);
/// The archives are looked through so often at most.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Room on the disk that stays free beside the new archive, in bytes: the channels come first.
const FREE: u64 = 64 << 20;

const GO: u8 = 0;
const PAUSE: u8 = 1;
const STOP: u8 = 2;

/// Packs archives again, one after the other.
#[derive(Debug)]
pub(crate) struct Idle {
    options: Repacking,
    /// What the thread is to do, see [`GO`].
    order: Arc<AtomicU8>,
    thread: Option<(String, JoinHandle<Result<Packed, Refused>>)>,
    queue: Vec<String>,
    /// Names that need no further look.
    done: HashSet<String>,
    /// Whether an archive was since [`Idle::tend`] said so.
    replaced: bool,
    busy: Instant,
    looked: Option<Instant>,
}

/// What of the options matters here.
#[derive(Debug)]
struct Repacking {
    wanted: bool,
    dir: PathBuf,
    level: i32,
}

impl Idle {
    pub(crate) fn new(options: &Options) -> Self {
        let wanted = options.repack == Repack::Idle;
        let options = Repacking { wanted, dir: options.archive_dir(), level: options.repack_level };
        Self {
            options,
            order: Arc::new(AtomicU8::new(GO)),
            thread: None,
            queue: Vec::new(),
            done: HashSet::new(),
            replaced: false,
            busy: Instant::now(),
            looked: None,
        }
    }

    /// Goes on, or begins, where there is no backlog; else pauses. Takes hardly any time. Returns
    /// whether all that can be packed again has been, since the last time.
    pub(crate) fn tend(&mut self, backlog: bool, notes: &mut Notes) -> bool {
        if !self.options.wanted {
            return false;
        }
        if backlog {
            self.busy = Instant::now();
        }
        let calm = self.busy.elapsed() >= CALM;
        self.order.store(if calm { GO } else { PAUSE }, Ordering::Release);
        if let Some((_, thread)) = &self.thread {
            if !thread.is_finished() {
                return false;
            }
            self.replaced |= self.end(notes);
        }
        match calm.then(|| self.next(notes)).flatten() {
            Some(file) => {
                self.begin(file, notes);
                false
            }
            None => std::mem::take(&mut self.replaced),
        }
    }

    /// The next archive to be packed again.
    fn next(&mut self, notes: &mut Notes) -> Option<String> {
        if self.queue.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            if self.looked.is_none() {
                // What is left is only room on the disk.
                let _ = tidy(&self.options.dir);
            }
            self.looked = Some(Instant::now());
            match candidates(&self.options.dir) {
                Ok(names) => {
                    self.done.retain(|done| names.contains(done));
                    self.queue = names.into_iter().filter(|n| !self.done.contains(n)).collect();
                    self.queue.reverse();
                }
                Err(error) => {
                    notes.say_once(Level::Warn, format!("archives are not packed again: {error}"));
                }
            }
        }
        self.queue.pop()
    }

    fn begin(&mut self, file: String, notes: &mut Notes) {
        let len = std::fs::metadata(self.options.dir.join(&file)).map_or(0, |m| m.len());
        let room = rustix::fs::statvfs(&self.options.dir);
        if room.is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < len + FREE) {
            // Looked at again when the archives are.
            return;
        }
        self.done.insert(file.clone());
        let (dir, level, name) = (self.options.dir.clone(), self.options.level, file.clone());
        let order = Arc::clone(&self.order);
        let thread = std::thread::Builder::new().name("relay-repack".into());
        let thread = thread.spawn(move || {
            // Of this thread alone, and no matter if it cannot be had.
            let _ = rustix::process::setpriority_process(None, 19);
            pack(&dir, &name, level, &|| go_on(&order))
        });
        match thread {
            Ok(thread) => self.thread = Some((file, thread)),
            Err(error) => {
                notes.say_once(Level::Warn, format!("archives are not packed again: {error}"));
            }
        }
    }

    /// Takes what the thread has made; whether an archive was replaced.
    fn end(&mut self, notes: &mut Notes) -> bool {
        let Some((file, thread)) = self.thread.take() else { return false };
        let done = match thread.join() {
            Ok(Ok(packed)) => {
                let (before, after) = (packed.before, packed.after);
                packed.replace().map(|replaced| (replaced, before, after)).map_err(Refused::from)
            }
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(Refused::Unfit("packing it again has panicked")),
        };
        match done {
            Ok((true, before, after)) => {
                let text = format!("{file}: packed again, {before} to {after} bytes");
                notes.say(Level::Info, text);
                return true;
            }
            // Retention was faster, or it was packed long ago, or the collector ends.
            Ok((false, ..)) | Err(Refused::Already | Refused::Stopped) => {}
            Err(error) => {
                notes.say_once(Level::Warn, format!("{file} is not packed again: {error}"));
            }
        }
        false
    }

    /// Has the thread end soon.
    pub(crate) fn hold(&self) {
        self.order.store(STOP, Ordering::Release);
    }

    /// Ends the thread. What it was at is done by the next collector.
    pub(crate) fn stop(&mut self, notes: &mut Notes) {
        self.hold();
        self.end(notes);
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.hold();
    }
}

/// Whether the thread is to go on; waits while there is a backlog.
fn go_on(order: &AtomicU8) -> bool {
    loop {
        match order.load(Ordering::Acquire) {
            GO => return true,
            STOP => return false,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
