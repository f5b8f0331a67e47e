//! A writer that is stopped between two instructions and goes on later. Death is one thing, this is another:
//! what a dead writer left is final, what a stopped one goes on with may be out of date by then.
//!
//! The child carries out a script, one instruction at a time. At images of its channel it is held, another
//! thread of it writes what fills sub-buffers, takes parked ones over or makes the channel grow, everything
//! is collected and handed back, and the child goes on.

use crate::drain::{Drain, find};
use crate::payload::{self, Random};
use crate::report::Outcome;
use crate::script::{Op, Script, config, play, scripts};
use crate::step::{DONE, STEPPED, beside, read_whole, spawn, walk};
use crate::sys::{self, Shared};
use crate::verdict;
use relay_log::channel::{OnFull, RawChannel};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The other writer's thread in its payloads; the script's are those before.
const BESIDE: usize = 4;

/// The other writer may be asked for a record,
const SMALL: u8 = 0;
/// for one that needs a sub-buffer of its own,
const LARGE: u8 = 1;
/// to hand over what there is, after a record,
const FLUSH: u8 = 2;
/// to end after a record, so that its sub-buffer is parked, and another begins,
const END: u8 = 3;
/// to resize the channel before a record,
const RESIZE: u8 = 4;
/// for a record that needs several sub-buffers. A channel that overwrites may keep parts of it.
const FRAGMENTS: u8 = 5;

/// The script; whoever holds the child collects.
fn script(name: &str) -> Script {
    let mut script = scripts().into_iter().find(|s| s.name == name).unwrap();
    script.ops.retain(|op| !matches!(op, Op::Collect));
    script
}

/// The other writer: does what it is asked for, and says so.
fn other(channel: &RawChannel, mut line: UnixStream) {
    let mut writer = channel.writer();
    let mut asked = [0];
    for number in 0.. {
        if line.read_exact(&mut asked).is_err() {
            return;
        }
        let len = match asked[0] {
            LARGE => 3_000,
            FRAGMENTS => 9_000,
            _ => 16 + number % 300,
        };
        if asked[0] == RESIZE {
            channel.resize((2 + number as u64 % 8) * 4096);
        }
        writer.write(&payload::make(BESIDE as u64, number as u64, len)).unwrap();
        match asked[0] {
            FLUSH => writer.flush(),
            END => writer = channel.writer(),
            _ => {}
        }
        line.write_all(&asked).unwrap();
    }
}

/// What is stepped.
pub fn child(home: &Path, name: &str) {
    let (script, live) = (script(name), home.join("live"));
    let shared = Shared::open(&home.join("shared"));
    sys::trace_me();
    sys::stop_here();
    let channel = RawChannel::create(config(&live, &script)).unwrap();
    let line = UnixStream::connect(home.join("beside")).unwrap();
    std::thread::scope(|scope| {
        let end = line.try_clone().unwrap();
        let other = scope.spawn(|| self::other(&channel, line));
        let stepped = |on: bool| {
            shared.word(STEPPED).store(u64::from(on), SeqCst);
            if on {
                sys::stop_here();
            }
        };
        let done = |steps: usize| shared.word(DONE).store(steps as u64, SeqCst);
        play(&channel, &live, &script, &done, &stepped);
        // What it is at now comes to its end: nobody holds anything that it may wait for.
        end.shutdown(std::net::Shutdown::Read).unwrap();
        other.join().unwrap();
    });
}

/// Whoever holds the child: asks, collects, and judges.
struct Holder {
    script: Script,
    line: UnixStream,
    file: File,
    drain: Drain,
    random: Random,
    asked: u64,
    answered: u64,
}

impl Holder {
    /// Waits for an answer, if one is due. It may not come before the child goes on: a lock that the child
    /// holds, for growth, is waited for.
    fn listen(&mut self, patience: Duration) -> bool {
        self.line.set_read_timeout(Some(patience)).unwrap();
        let mut answer = [0];
        while self.answered < self.asked {
            match self.line.read(&mut answer) {
                Ok(1) => self.answered += 1,
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {
                    return false;
                }
                other => panic!("the other writer: {other:?}"),
            }
        }
        true
    }

    fn ask(&mut self) {
        let last = if self.script.on_full == OnFull::Overwrite { RESIZE } else { FRAGMENTS };
        let ask = SMALL + self.random.below(u64::from(last) + 1) as u8;
        self.line.write_all(&[ask]).unwrap();
        self.asked += 1;
    }

    /// Judges what was collected, `done` steps of the script being done.
    fn judge(&self, done: u64) -> Outcome {
        let mut returned = [0; BESIDE + 1];
        for op in self.script.ops.iter().take(done as usize) {
            if let Op::Write(writer, _) | Op::Reserve(writer, _) = *op {
                returned[writer] += 1;
            }
        }
        returned[BESIDE] = self.answered;
        let mut outcome = verdict::judge(&self.drain.so_far(), &returned);
        if self.script.on_full == OnFull::Overwrite {
            outcome.lost = 0;
        }
        outcome
    }
}

/// Steps through a script and holds the child at each `every`th image of its channel, from the one numbered
/// `from` on. An image is looked for after each instruction; what others change is none.
#[must_use]
pub fn run(exe: &Path, name: &str, every: u64, from: u64, seed: u64) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let live = home.path().join("live");
    let shared = Shared::open(&home.path().join("shared"));
    let listener = UnixListener::bind(home.path().join("beside")).unwrap();
    let pid = spawn(exe, home.path(), &format!("preempt={name}"));
    let done = || shared.word(DONE).load(SeqCst);
    let (mut images, mut held, mut waited) = (0, 0, 0);
    let (mut image, mut before) = (Vec::new(), Vec::new());
    let mut outcome = Outcome::default();
    let holder: Mutex<Option<Holder>> = Mutex::new(None);
    let asleep = || {
        if let Some(holder) = holder.lock().unwrap().as_mut() {
            holder.drain.drain();
        }
    };
    let each = || {
        let mut holder = holder.lock().unwrap();
        let holder = holder.get_or_insert_with(|| {
            let channel = find(&live).unwrap();
            Holder {
                script: script(name),
                line: listener.accept().unwrap().0,
                file: File::open(live.join(&channel)).unwrap(),
                drain: Drain::open(&live, &channel),
                random: Random::new(seed),
                asked: 0,
                answered: 0,
            }
        });
        read_whole(&holder.file, &mut image);
        if image == before {
            return;
        }
        std::mem::swap(&mut image, &mut before);
        images += 1;
        if images % every != from % every || !holder.listen(Duration::from_millis(1)) {
            return;
        }
        held += 1;
        holder.ask();
        while !holder.listen(Duration::from_millis(20)) && holder.drain.drain() > 0 {
            waited += 1;
        }
        holder.drain.drain();
        // All that was collected, again and again: not so often that it takes longer than everything else.
        if u64::is_power_of_two(held) {
            outcome.add(&holder.judge(done()));
        }
        read_whole(&holder.file, &mut before);
    };
    let walked = beside(pid, asleep, || walk(pid, &shared, each));
    let mut holder = holder.into_inner().unwrap().unwrap();
    if let Err(what) = walked {
        outcome.crashes += 1;
        outcome.note += &what;
        sys::kill(pid, libc::SIGKILL);
    } else {
        outcome.hangs += u64::from(!holder.listen(Duration::from_secs(1)));
    }
    holder.drain.drain();
    let last = holder.judge(done());
    outcome.note += &last.note;
    outcome.add(&last);
    outcome.cases = held;
    outcome.note +=
        &format!("{name}: held at {held} of {images} images, {waited} times waited for; ");
    outcome
}
