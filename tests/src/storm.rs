//! Signal handlers that log, come at every instruction of a log call.

use crate::drain::find;
use crate::recover::{Streams, Violation, recover};
use crate::report::Outcome;
use crate::step::{DONE, STEPPED, read_whole, spawn};
use crate::sys::{self, Shared, Waited};
use relay_log::{ByteSize, Relay};
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

/// The words that count what each handler has logged.
const HANDLED: [usize; 2] = [2, 3];
/// The signals; the second comes while the handler of the first is at work.
const SIGNALS: [i32; 2] = [libc::SIGALRM, libc::SIGUSR1];

static SHARED: OnceLock<Shared> = OnceLock::new();

fn handled(which: usize) {
    if let Some(shared) = SHARED.get() {
        let count = shared.word(HANDLED[which]);
        let n = count.load(SeqCst);
        if which == 0 {
            log::info!("a{n} {}", "-".repeat(0));
        } else {
            log::info!("b{n} {}", "-".repeat(0));
        }
        count.store(n + 1, SeqCst);
    }
}

extern "C" fn on_first(_: i32) {
    handled(0);
}

extern "C" fn on_second(_: i32) {
    handled(1);
}

/// Whether the channel is read after each instruction of the handlers that interrupt a call.
const fn is_looked_at(call: u64) -> bool {
    call.is_multiple_of(10)
}

/// What is stepped: `calls` log calls, each of them in a stepped part of its own.
pub fn child(home: &Path, calls: u64) {
    let shared = SHARED.get_or_init(|| Shared::open(&home.join("shared")));
    sys::trace_me();
    sys::stop_here();
    let relay = Relay::builder(home).channel("storm").sub_buffer(ByteSize::kib(4));
    let relay = relay.buffer(ByteSize::kib(8)).buffer_max(ByteSize::gib(1)).keeper(false);
    let _relay = relay.init().unwrap();
    sys::on_signal(SIGNALS[0], on_first);
    sys::on_signal(SIGNALS[1], on_second);
    for number in 0..calls + 1 {
        // Those that are looked at closely are long: most of their instructions are the channel's.
        let len = if is_looked_at(number) { 5_000 } else { number as usize * 37 % 400 };
        let padding = "-".repeat(len);
        let stepped = number > 0;
        shared.word(STEPPED).store(u64::from(stepped), SeqCst);
        if stepped {
            sys::stop_here();
        }
        log::info!("m{number} {padding}");
        shared.word(DONE).store(number + 1, SeqCst);
        shared.word(STEPPED).store(0, SeqCst);
        if !stepped {
            // The first record of a statement describes it, and that needs memory.
            on_first(SIGNALS[0]);
            on_second(SIGNALS[1]);
        }
    }
}

/// The text of a record: its only value.
pub(crate) fn text(payload: &[u8]) -> Option<&str> {
    let len = u32::from_le_bytes(payload.get(2..6)?.try_into().ok()?) as usize;
    std::str::from_utf8(payload.get(6..6 + len)?).ok()
}

/// Compares what is there with what has returned: `sure` says that nothing is in flight. Numbers of a
/// writer have no gap even where it is: an audit would call that lost.
fn judge(streams: &Streams, returned: [u64; 3], sure: bool, outcome: &mut Outcome) {
    let mut found = [const { Vec::new() }; 3];
    for records in streams.writers.values() {
        let before = found.clone();
        for (_, payload) in records {
            let number = text(payload).and_then(|text| {
                let which = b"mab".iter().position(|b| text.as_bytes().first() == Some(b))?;
                let number: u64 = text[1..].split(' ').next()?.parse().ok()?;
                Some((which, number))
            });
            match number {
                Some((which, number)) => found[which].push(number),
                None => outcome.torn += 1,
            }
        }
        // A handler that comes outside of a call writes through the thread's own stream.
        let in_order = found.iter().zip(before).all(|(all, b)| all[b.len()..].is_sorted());
        outcome.torn += u64::from(!in_order);
    }
    for (numbers, returned) in found.iter_mut().zip(returned) {
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        outcome.doubled += (all - numbers.len()) as u64;
        outcome.lost += returned - numbers.iter().filter(|n| **n < returned).count() as u64;
        let most = returned + u64::from(!sure);
        outcome.torn += numbers.iter().filter(|n| **n >= most).count() as u64;
    }
    let is_gap = |violation: &&Violation| matches!(violation, Violation::Gap(..));
    let gaps = streams.violations.iter().filter(is_gap).count() as u64;
    outcome.torn += streams.violations.len() as u64 - gaps;
    outcome.lost += gaps;
}

/// A stopped child and its channel.
struct Storm<'a> {
    pid: i32,
    shared: &'a Shared,
    file: File,
    image: Vec<u8>,
    before: Vec<u8>,
    images: u64,
    outcome: Outcome,
}

impl Storm<'_> {
    fn word(&self, word: usize) -> u64 {
        self.shared.word(word).load(SeqCst)
    }

    fn step(&mut self, signal: i32) {
        let waited = sys::step_into(self.pid, signal);
        assert_eq!(waited, Waited::Stopped(libc::SIGTRAP));
    }

    /// Runs up to `most` instructions, while there is something to step through.
    fn walk(&mut self, most: u64, until: impl Fn(&Self) -> bool, look: bool) -> u64 {
        for i in 0..most {
            if self.word(STEPPED) == 0 || until(self) {
                return i;
            }
            self.step(0);
            if look {
                self.look(false);
            }
        }
        most
    }

    fn look(&mut self, sure: bool) {
        read_whole(&self.file, &mut self.image);
        if self.image != self.before || sure {
            let returned = [self.word(DONE), self.word(HANDLED[0]), self.word(HANDLED[1])];
            judge(&recover(&self.image), returned, sure, &mut self.outcome);
            self.images += 1;
            std::mem::swap(&mut self.image, &mut self.before);
        }
    }
}

/// Interrupts call after call, each at another instruction; the second handler interrupts the first.
/// Every tenth call is read, as if killed, after each instruction of its handlers.
#[must_use]
pub fn run(exe: &Path, calls: u64) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let shared = Shared::open(&home.path().join("shared"));
    let pid = spawn(exe, home.path(), &format!("storm={calls}"));
    let mut storm: Option<Storm<'_>> = None;
    let mut points = 0;
    loop {
        match sys::go_on(pid) {
            Waited::Exited(0) => break,
            Waited::Stopped(libc::SIGSTOP) => {}
            other => panic!("the child: {other:?}"),
        }
        let storm = storm.get_or_insert_with(|| {
            let live = home.path().join("live");
            let file = File::open(live.join(find(&live).unwrap())).unwrap();
            let (image, before) = (Vec::new(), Vec::new());
            let outcome = Outcome::default();
            Storm { pid, shared: &shared, file, image, before, images: 0, outcome }
        });
        let call = storm.word(DONE);
        // Every instruction in turn, and the long way of a new sub-buffer as often as the short one.
        let most = if is_looked_at(call) { call * 113 % 8_000 } else { call * 7 % 1_500 };
        storm.walk(most, |_| false, false);
        if storm.word(STEPPED) == 1 {
            points += 1;
            let (first, second) = (storm.word(HANDLED[0]), storm.word(HANDLED[1]));
            let look = is_looked_at(call);
            storm.step(SIGNALS[0]);
            let most = if look { call * 31 % 2_500 } else { call * 13 % 1_000 };
            storm.walk(most, |s| s.word(HANDLED[0]) > first, look);
            if storm.word(HANDLED[0]) == first {
                storm.step(SIGNALS[1]);
                if look {
                    storm.walk(u64::MAX, |s| s.word(HANDLED[1]) > second, look);
                }
            }
        }
    }
    let mut storm = storm.unwrap();
    storm.look(true);
    let mut outcome = storm.outcome;
    outcome.cases = points;
    outcome.note = format!("{points} points in {calls} calls, {} images", storm.images);
    outcome
}
