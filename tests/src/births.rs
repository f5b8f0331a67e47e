//! Forks at every instruction of a birth: while one thread makes a channel, a relay, or a forked child's
//! channels, another one forks, and the child logs.
//!
//! The thread that makes it is stepped. At each place the other one is asked to fork; its fork may have to
//! wait for what the stopped thread is in the middle of (an allocation), and then happens a few
//! instructions later, as it would if nobody were stopped. After every instruction the stopped process could also
//! have been killed: what is in its channels then is judged too.

use crate::newborn::{Newborn, marks};
use crate::payload::{Random, make, seed};
use crate::recover::{Streams, recover};
use crate::report::Outcome;
use crate::step::STEPPED;
use crate::storm::text;
use crate::sys::{self, Shared, Waited};
use crate::verdict::judge;
use relay_log::channel::{ChannelReader, Config, RawChannel};
use relay_log::{ByteSize, ChannelOptions, Relay};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// What is born.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    /// A raw channel; the child makes one too.
    Channel,
    /// The program's relay, and its first records.
    Relay,
    /// The same, after early records; the child sets a relay up for itself.
    Early,
    /// A forked child's channels: what forks is a child, and what logs is its child.
    Child,
}

/// All of them, by name.
pub const BIRTHS: [(&str, Birth); 4] = [
    ("channel", Birth::Channel),
    ("relay", Birth::Relay),
    ("early", Birth::Early),
    ("child", Birth::Child),
];

/// Word of the shared page: 1 once the relay is the program's.
const SET_UP: usize = 2;
/// Word of the shared page: whom the other thread forked last.
const CHILD: usize = 3;
/// Word of the shared page: how many calls of the program have returned, those before its birth apart.
const SAID: usize = 4;
/// Records of whoever logs.
const RECORDS: u64 = 3;
/// A child that takes so long hangs.
const TOO_LONG: Duration = Duration::from_secs(60);
/// So long the other thread may take to fork before what it waits for is let go on.
const SOON: Duration = Duration::from_millis(2);
/// What the other thread answers: that it has forked, and how the child has ended.
const FORKED: u8 = 1;
const WELL: u8 = 2;
const BADLY: u8 = 3;

fn relay(home: &Path) -> bool {
    let relay = Relay::builder(home).channel("births").sub_buffer(ByteSize::kib(4));
    let relay = relay.buffer(ByteSize::kib(8)).buffer_max(ByteSize::mib(1)).keeper(false);
    relay.route("other", ChannelOptions::new("births-2")).init().is_ok()
}

fn config(home: &Path) -> Config {
    let mut config = Config::new(home.join("live"), "births");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
    config
}

/// Both channels in turn.
fn say(who: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        if n % 2 == 0 {
            log::info!("{who}{n} {}", "-".repeat(0));
        } else {
            log::info!(target: "other", "{who}{n} {}", "-".repeat(0));
        }
    }
}

/// Makes a channel and writes; `done` is told after each record how many there are.
fn write(home: &Path, done: impl Fn(u64)) {
    let channel = RawChannel::create(config(home)).unwrap();
    let mut writer = channel.writer();
    for n in 0..RECORDS {
        writer.write(&make(0, n, 200)).unwrap();
        done(n + 1);
    }
}

/// What a child does that is forked in the middle of a birth.
fn forked(home: &Path, birth: Birth) {
    match birth {
        Birth::Channel => write(home, |_| {}),
        Birth::Relay | Birth::Child => say("c", 0..RECORDS),
        Birth::Early => {
            say("c", 0..RECORDS);
            relay(home);
            say("c", RECORDS..2 * RECORDS);
        }
    }
}

/// The other thread.
fn fork_when_asked(home: &Path, birth: Birth, mut asked: UnixStream) {
    let shared = Shared::open(&home.join("shared"));
    while asked.read_exact(&mut [0]).is_ok() {
        let pid =
            sys::fork(|| i32::from(std::panic::catch_unwind(|| forked(home, birth)).is_err()));
        shared.word(CHILD).store(pid as u64, SeqCst);
        asked.write_all(&[FORKED]).unwrap();
        let well = sys::wait(pid) == Waited::Exited(0);
        asked.write_all(&[if well { WELL } else { BADLY }]).unwrap();
    }
}

/// The process in which something is born.
fn bear(home: &Path, birth: Birth, asked: UnixStream) {
    let shared = Shared::open(&home.join("shared"));
    if birth == Birth::Early {
        relay_log::early();
        say("early", 0..1);
    }
    let at = home.to_owned();
    std::thread::spawn(move || fork_when_asked(&at, birth, asked));
    sys::trace_me();
    shared.word(STEPPED).store(1, SeqCst);
    sys::stop_here();
    let done = |said| shared.word(SAID).store(said, SeqCst);
    if birth == Birth::Channel {
        write(home, done);
    } else {
        if birth != Birth::Child {
            assert!(relay(home), "it cannot be set up");
            shared.word(SET_UP).store(1, SeqCst);
        }
        for n in 0..RECORDS {
            say("p", n..n + 1);
            done(n + 1);
        }
    }
    shared.word(STEPPED).store(0, SeqCst);
    sys::stop_here();
}

/// The stopped thread, the other one, and what their children leave behind.
struct Nursery<'a> {
    pid: i32,
    home: &'a Path,
    birth: Birth,
    shared: &'a Shared,
    asks: UnixStream,
    instructions: u64,
    newborn: Newborn,
    outcome: Outcome,
}

impl Nursery<'_> {
    fn is_stepped(&self) -> bool {
        self.shared.word(STEPPED).load(SeqCst) == 1
    }

    fn step(&mut self) {
        assert_eq!(sys::step(self.pid), Waited::Stopped(libc::SIGTRAP));
        self.instructions += 1;
        let word = |word| self.shared.word(word).load(SeqCst);
        self.newborn.look(word(SAID), word(SET_UP) == 1);
    }

    /// What the other thread answers, if it does so within that time.
    fn answer(&mut self, within: Duration) -> Option<u8> {
        let mut fds = [PollFd::new(&self.asks, PollFlags::IN)];
        let within = rustix::time::Timespec::try_from(within).unwrap();
        let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&within))).unwrap();
        let mut byte = [0];
        (ready > 0).then(|| self.asks.read_exact(&mut byte).map_or(BADLY, |()| byte[0]))
    }

    /// Has the other thread fork. Returns whether it makes sense to go on.
    fn fork_here(&mut self) -> bool {
        let must = self.birth != Birth::Relay || self.shared.word(SET_UP).load(SeqCst) == 1;
        self.outcome.cases += 1;
        self.asks.write_all(&[0]).unwrap();
        let since = Instant::now();
        let mut answer = self.answer(SOON);
        while answer.is_none() && since.elapsed() < TOO_LONG {
            if self.is_stepped() {
                self.step();
            }
            answer = self.answer(if self.is_stepped() { Duration::ZERO } else { SOON });
        }
        let ended = answer.and_then(|_| self.answer(TOO_LONG));
        match ended {
            None => {
                self.outcome.hangs += 1;
                self.outcome.note += &format!("[instruction {}: it hangs] ", self.instructions);
                sys::kill(self.shared.word(CHILD).load(SeqCst) as i32, libc::SIGKILL);
                return false;
            }
            Some(WELL) => {}
            Some(_) => self.outcome.crashes += 1,
        }
        let before = (self.outcome.lost, self.outcome.doubled, self.outcome.torn);
        self.judge_child(must);
        if before != (self.outcome.lost, self.outcome.doubled, self.outcome.torn) {
            self.outcome.note += &format!("[instruction {}] ", self.instructions);
        }
        self.outcome.is_clean()
    }

    /// Takes away what a process has left; whether all of it looks dead, as it is.
    fn left_by(&mut self, pid: i32) -> Vec<Streams> {
        let live = self.home.join("live");
        let Ok(entries) = std::fs::read_dir(&live) else {
            return Vec::new();
        };
        let marks = marks(pid);
        let mut left = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_its = |mark: &String| name.to_string_lossy().starts_with(mark);
            if marks.iter().any(is_its) {
                let reader = ChannelReader::open(&live, &name, None).unwrap();
                self.outcome.torn += u64::from(reader.is_alive() != Ok(false));
                left.push(recover(&std::fs::read(entry.path()).unwrap()));
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        left
    }

    fn judge_child(&mut self, must: bool) {
        let left = self.left_by(self.shared.word(CHILD).load(SeqCst) as i32);
        match self.birth {
            Birth::Channel => self.judge_raw(&left),
            Birth::Early => self.judge_texts(&left, "c", 2 * RECORDS, true),
            Birth::Relay | Birth::Child => self.judge_texts(&left, "c", RECORDS, must),
        }
    }

    fn judge_parent(&mut self) {
        let left = self.left_by(self.pid);
        match self.birth {
            Birth::Channel => self.judge_raw(&left),
            Birth::Early => self.judge_texts(&left, "p", RECORDS + 1, true),
            Birth::Relay | Birth::Child => self.judge_texts(&left, "p", RECORDS, true),
        }
    }

    fn judge_raw(&mut self, left: &[Streams]) {
        let outcome = &mut self.outcome;
        outcome.torn += (left.len() as u64).saturating_sub(1);
        let none = Streams::default();
        let found = judge(left.first().unwrap_or(&none), &[RECORDS]);
        (outcome.lost, outcome.doubled) =
            (outcome.lost + found.lost, outcome.doubled + found.doubled);
        outcome.torn += found.torn;
    }

    /// There must be so many records, each once, all by `who`; or, where nothing had to be recorded yet,
    /// none.
    fn judge_texts(&mut self, left: &[Streams], who: &str, count: u64, must: bool) {
        let outcome = &mut self.outcome;
        let mut found = Vec::new();
        for streams in left {
            outcome.torn += streams.violations.len() as u64;
            for (_, payload) in streams.writers.values().flatten() {
                match text(payload).and_then(|text| text.split_once(' ')) {
                    Some((said, _)) => found.push(said.to_owned()),
                    None => outcome.torn += 1,
                }
            }
        }
        let all = found.len();
        found.sort_unstable();
        found.dedup();
        outcome.doubled += (all - found.len()) as u64;
        let own = |said: &&String| said.starts_with(who) || who == "p" && said.starts_with("early");
        let there = found.iter().filter(own).count() as u64;
        outcome.torn += found.len() as u64 - there + there.saturating_sub(count);
        if must || there > 0 {
            outcome.lost += count.saturating_sub(there);
        }
    }
}

/// Has something born, and forks at about every `every`-th instruction of it. Only for a process that has
/// done nothing else yet.
#[must_use]
pub fn run(birth: Birth, every: u64) -> Outcome {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let home = home.path();
    let shared = Shared::open(&home.join("shared"));
    if birth == Birth::Child {
        assert!(relay(home), "it cannot be set up");
        say("g", 0..RECORDS);
    }
    let (asks, asked) = UnixStream::pair().unwrap();
    let pid = sys::fork({
        let asks = asks.try_clone().unwrap();
        move || {
            drop(asks);
            i32::from(std::panic::catch_unwind(|| bear(home, birth, asked)).is_err())
        }
    });
    assert_eq!(sys::wait(pid), Waited::Stopped(libc::SIGSTOP));
    let (seed, outcome) = (seed(), Outcome::default());
    let mut random = Random::new(seed);
    let newborn = Newborn::new(&home.join("live"), birth, pid);
    let mut nursery =
        Nursery { pid, home, birth, shared: &shared, asks, instructions: 0, newborn, outcome };
    let mut next = random.below(every);
    let mut goes_on = true;
    while goes_on && nursery.is_stepped() {
        nursery.step();
        if nursery.instructions > next {
            // On average; never the same places in each run.
            next = nursery.instructions + random.below(2 * every - 1);
            goes_on = nursery.fork_here();
        }
    }
    if goes_on {
        // It has stopped by itself, behind the last instruction.
        let stopped = sys::go_on(pid);
        let ended = sys::go_on(pid);
        let ends = (stopped, ended) == (Waited::Stopped(libc::SIGSTOP), Waited::Exited(0));
        nursery.outcome.crashes += u64::from(!ends);
        nursery.judge_parent();
    } else {
        sys::kill(pid, libc::SIGKILL);
        let _ = sys::wait(pid);
    }
    let mut outcome = nursery.outcome;
    outcome.add(&nursery.newborn.outcome);
    let (instructions, images) = (nursery.instructions, nursery.newborn.images);
    outcome.note += &format!("{instructions} instructions, {images} images, seed {seed}");
    outcome
}
