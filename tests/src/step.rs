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
use std::sync::atomic::Ordering::SeqCst;

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

/// Steps through a script.
#[must_use]
pub fn run(exe: &Path, script: &Script) -> Stepped {
    let home = tempfile::tempdir().unwrap();
    let live = home.path().join("live");
    let shared = Shared::open(&home.path().join("shared"));
    let pid = spawn(exe, home.path(), script.name);
    let mut judge = Judge::new(script.clone());
    let mut stepped = Stepped::default();
    let mut channel: Option<(File, Drain)> = None;
    let (mut image, mut before) = (Vec::new(), Vec::new());
    let walked = walk(pid, &shared, || {
        let (file, drain) = channel.get_or_insert_with(|| {
            let name = find(&live).unwrap();
            let mut drain = Drain::open(&live, &name);
            drain.hand_back = false;
            (File::open(live.join(&name)).unwrap(), drain)
        });
        read_whole(file, &mut image);
        judge.done(shared.word(DONE).load(SeqCst) as usize);
        if image == before {
            return;
        }
        judge.image(&image);
        stepped.images += 1;
        if stepped.images.is_multiple_of(READ_EVERY) {
            stepped.alive += 1;
            drain.drain();
            judge.outcome.torn += u64::from(!agree(&live, &image));
        }
        std::mem::swap(&mut image, &mut before);
    });
    let outcome = &mut judge.outcome;
    match walked {
        Ok(instructions) => stepped.instructions = instructions,
        Err(what) => {
            outcome.crashes += 1;
            outcome.note += &what;
            sys::kill(pid, libc::SIGKILL);
        }
    }
    stepped.outcome = judge.outcome;
    stepped
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
