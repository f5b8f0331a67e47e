//! A child run one instruction at a time: after each one it could have been killed.

use crate::drain::{Drain, find};
use crate::recover::recover;
use crate::report::Outcome;
use crate::script::{Judge, Script};
use crate::sys::{self, Shared, Waited};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Word of the shared page: 1 while the child is to be stepped.
pub const STEPPED: usize = 0;
/// Word of the shared page: steps of the script that are done.
pub const DONE: usize = 1;

/// What stepping through a script found.
#[derive(Debug, Default)]
pub struct Stepped {
    /// Instructions executed one by one.
    pub instructions: u64,
    /// Images of the channel that differed from the one before.
    pub images: u64,
    /// How often another reader read the stopped, living child's channel.
    pub alive: u64,
    /// What was found.
    pub outcome: Outcome,
}

/// Every so many images the stopped child's channel is read by the channel's own reader too.
const READ_EVERY: u64 = 200;

#[expect(clippy::zombie_processes, reason = "it is waited for by its id, as a tracer does")]
pub(crate) fn spawn(exe: &Path, dir: &Path, script: &str) -> i32 {
    let child = Command::new(exe).arg("child").arg(dir).arg(script).spawn().unwrap();
    let pid = child.id() as i32;
    assert_eq!(sys::wait(pid), Waited::Stopped(libc::SIGSTOP));
    pid
}

/// Runs `each` after every stepped instruction, until the child ends. Returns how many there were.
pub(crate) fn walk(pid: i32, shared: &Shared, mut each: impl FnMut()) -> Result<u64, String> {
    let mut instructions = 0;
    loop {
        match sys::go_on(pid) {
            Waited::Exited(0) => return Ok(instructions),
            Waited::Stopped(libc::SIGSTOP) => {}
            other => return Err(format!("the child: {other:?}")),
        }
        while shared.word(STEPPED).load(SeqCst) == 1 {
            match sys::step(pid) {
                Waited::Stopped(libc::SIGTRAP) => {}
                other => return Err(format!("the child, stepped: {other:?}")),
            }
            instructions += 1;
            each();
        }
    }
}

pub(crate) fn read_whole(file: &File, into: &mut Vec<u8>) {
    into.resize(file.metadata().unwrap().len() as usize, 0);
    file.read_exact_at(into, 0).unwrap();
}

/// Runs `asleep` whenever the child sleeps, beside `walk`: one that waits for somebody to collect is not
/// stopped, and the tracer waits for it.
pub(crate) fn beside<T>(pid: i32, asleep: impl Fn() + Sync, walk: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
                if sys::is_asleep(pid) {
                    asleep();
                }
            }
        });
        let walked = walk();
        over.store(true, SeqCst);
        walked
    })
}

/// Whoever looks at a child's channel.
struct Watcher<'a> {
    live: &'a Path,
    shared: &'a Shared,
    judge: Judge,
    channel: Option<(File, Drain)>,
    image: Vec<u8>,
    before: Vec<u8>,
    images: u64,
    alive: u64,
}

impl Watcher<'_> {
    /// Judges the image, if it is another one.
    fn look(&mut self) {
        let (file, drain) = self.channel.get_or_insert_with(|| {
            let name = find(self.live).unwrap();
            (File::open(self.live.join(&name)).unwrap(), Drain::open(self.live, &name))
        });
        read_whole(file, &mut self.image);
        self.judge.done(self.shared.word(DONE).load(SeqCst) as usize);
        if self.image == self.before {
            return;
        }
        self.judge.image(&self.image);
        self.images += 1;
        if self.images.is_multiple_of(READ_EVERY) {
            self.alive += 1;
            drain.hand_back = false;
            drain.drain();
            self.judge.outcome.torn += u64::from(!agree(self.live, &self.image));
        }
        std::mem::swap(&mut self.image, &mut self.before);
    }

    /// Archives everything, so that the child wakes up. It is in a system call meanwhile and changes nothing.
    fn collect(&mut self) {
        if let Some((_, drain)) = &mut self.channel {
            drain.hand_back = true;
            drain.drain();
            self.look();
        }
    }
}

/// Steps through a script.
#[must_use]
pub fn run(exe: &Path, script: &Script) -> Stepped {
    let home = tempfile::tempdir().unwrap();
    let live = home.path().join("live");
    let shared = Shared::open(&home.path().join("shared"));
    let pid = spawn(exe, home.path(), script.name);
    let watcher = Mutex::new(Watcher {
        live: &live,
        shared: &shared,
        judge: Judge::new(script.clone()),
        channel: None,
        image: Vec::new(),
        before: Vec::new(),
        images: 0,
        alive: 0,
    });
    let step = || walk(pid, &shared, || watcher.lock().unwrap().look());
    let walked = if script.waits() {
        beside(pid, || watcher.lock().unwrap().collect(), step)
    } else {
        step()
    };
    let watcher = watcher.into_inner().unwrap();
    let (images, alive, mut outcome) = (watcher.images, watcher.alive, watcher.judge.outcome);
    let instructions = walked.unwrap_or_else(|what| {
        outcome.crashes += 1;
        outcome.note += &what;
        sys::kill(pid, libc::SIGKILL);
        0
    });
    Stepped { instructions, images, alive, outcome }
}

/// Whether the channel's own reader finds what the oracle finds.
fn agree(live: &Path, image: &[u8]) -> bool {
    let mut drain = Drain::open(live, &find(live).unwrap());
    drain.hand_back = false;
    drain.drain();
    drain.reader.is_alive() == Ok(true) && drain.finish().writers == recover(image).writers
}

/// Steps through the making of a channel: from the moment that its name can be seen it must be whole
/// and alive.
#[must_use]
pub fn birth(exe: &Path) -> Stepped {
    let home = tempfile::tempdir().unwrap();
    let live = home.path().join("live");
    std::fs::create_dir(&live).unwrap();
    let shared = Shared::open(&home.path().join("shared"));
    let pid = spawn(exe, home.path(), "birth");
    let mut stepped = Stepped::default();
    let mut dead = 0;
    let walked = walk(pid, &shared, || {
        let mut names = std::fs::read_dir(&live).unwrap().flatten();
        if let Some(entry) = names.next() {
            let reader = relay_log::channel::ChannelReader::open(&live, &entry.file_name(), None);
            let alive = reader.is_ok_and(|r| r.is_alive() == Ok(true) && r.scan().is_ok());
            dead += u64::from(!alive);
            stepped.alive += 1;
        }
    });
    stepped.instructions = walked.unwrap();
    stepped.outcome = Outcome { cases: stepped.alive, torn: dead, ..Outcome::default() };
    stepped
}
