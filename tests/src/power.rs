//! A program and a collector whose disk goes after each of their system calls.
//!
//! Both are run to their n-th system call and stopped there by ptrace; then the ext4 that they work on is
//! shut down, as a power cut would, and what is left of it is judged.

use crate::disk::{mount_ext4, unmount};
use crate::report::Outcome;
use crate::sys::{self, Shared, Waited};
use relay_collect::query::Filter;
use relay_collect::read::{Audit, Snapshot, Store, Verdict};
use relay_collect::{Collector, Control, Options, Repack};
use relay_log::channel::{IDENTITY_BYTES, Identity};
use relay_log::{ByteSize, Level, Relay};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Word of the shared page: how many calls have returned.
const RETURNED: usize = 0;
/// Word of the shared page: so many records, the first ones, are to survive.
const DURABLE: usize = 1;
/// Word of the shared page: 1 once the collector looks at its directory.
const COLLECTS: usize = 2;

/// MiB of the file system.
const SIZE: u64 = 64;
/// Records of the program.
const COUNT: u64 = 24;

/// The message of a record.
fn text(number: u64) -> String {
    format!("{number} {}", "-".repeat(number as usize * 397 % 900))
}

/// What is started: `producer` and `collector` stop at once, to be traced; `free` is a program that runs
/// by itself.
pub fn child(home: &Path, part: &str) {
    if part != "free" {
        sys::trace_me();
        sys::stop_here();
    }
    if part == "collector" { collect(home) } else { produce(home) }
}

/// Every third call waits until its record is durable, and every eleventh is followed by a flush.
fn produce(home: &Path) {
    let shared = Shared::open(&home.join("shared"));
    let relay = Relay::builder(home.join("disk")).channel("app").keeper(false);
    let relay = relay.sub_buffer(ByteSize::kib(4)).buffer(ByteSize::kib(8));
    let relay = relay.sync_on(Level::Error).init().unwrap();
    for number in 0..COUNT {
        let text = text(number);
        let waits = number % 3 == 2;
        if waits {
            log::error!("{text}");
        } else {
            log::info!("{text}");
        }
        shared.word(RETURNED).store(number + 1, SeqCst);
        // Where the disk is gone this is not so, and nobody asks any more.
        if waits || (number % 11 == 10 && relay.flush_durable(Duration::from_secs(5)).is_ok()) {
            shared.word(DURABLE).store(number + 1, SeqCst);
        }
    }
}

/// Small blocks and small archives, until it is killed.
fn collect(home: &Path) {
    let shared = Shared::open(&home.join("shared"));
    let mut options = Options::new(home.join("disk"));
    (options.rotate_size, options.block_bytes) = (4_000, 3_000);
    (options.block_age, options.repack) = (Duration::from_millis(10), Repack::Never);
    let mut collector = Collector::open(options).unwrap();
    shared.word(COLLECTS).store(1, SeqCst);
    // A disk that is gone ends it: the test has what it wants by then.
    let _ = collector.run(&Control::new());
}

/// Who is stopped at a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The program, which is alone.
    Producer,
    /// The collector of a program that waits for it.
    Collector,
}

/// What one cut came to.
#[derive(Debug, Default)]
pub struct Cut {
    /// Records that had to be there.
    pub durable: u64,
    /// Returned records that did not have to be there, and were not.
    pub tail: u64,
    /// Whether the audit said that it cannot tell, or what is lost.
    pub told: bool,
    /// What must not be.
    pub outcome: Outcome,
}

/// A disk that is made once and copied for each cut.
#[derive(Debug)]
pub struct Stage {
    home: tempfile::TempDir,
    exe: PathBuf,
}

impl Stage {
    /// Makes the disk. `None` where that cannot be done.
    #[must_use]
    pub fn new(exe: &Path) -> Option<Self> {
        let stage = Self { home: crate::arena::scratch(), exe: exe.to_owned() };
        let (image, disk) = (stage.home.path().join("template"), stage.disk());
        if !mount_ext4(&image, SIZE, &disk) {
            return None;
        }
        for name in ["live", "archive"] {
            std::fs::create_dir(disk.join(name)).unwrap();
        }
        unmount(&disk);
        Some(stage)
    }

    fn disk(&self) -> PathBuf {
        self.home.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn start(&self, part: &str) -> Child {
        let mut command = Command::new(&self.exe);
        command.arg("child").arg(self.home.path()).arg(format!("power-{part}")).spawn().unwrap()
    }

    /// Runs the cast on a fresh disk while `until` allows: it is asked before and after each system
    /// call, with the number of times that it was. Then everything is stopped by `cut`, and killed.
    fn run(&self, who: Who, mut until: impl FnMut(u64) -> bool, cut: impl FnOnce(&Shared)) {
        let home = self.home.path();
        // Most of it are holes, which this keeps.
        let copied = Command::new("cp").arg(home.join("template")).arg(self.image()).status();
        assert!(copied.unwrap().success());
        let _ = std::fs::remove_file(home.join("shared"));
        let shared = Shared::open(&home.join("shared"));
        assert!(mount_ext4(&self.image(), SIZE, &self.disk()), "it could be mounted before");
        let part = if who == Who::Producer { "producer" } else { "collector" };
        let mut children = vec![self.start(part)];
        let pid = children[0].id().cast_signed();
        assert_eq!(sys::wait(pid), Waited::Stopped(libc::SIGSTOP));
        let mut asked = 0;
        while until(asked) && sys::to_next_call(pid) == Waited::Stopped(libc::SIGTRAP) {
            asked += 1;
            if shared.word(COLLECTS).load(SeqCst) == 1 && children.len() == 1 {
                children.push(self.start("free"));
            }
        }
        cut(&shared);
        for child in &mut children {
            let _ = child.kill();
            let _ = child.wait();
        }
        unmount(&self.disk());
    }

    /// How often the power can be cut: before and after each system call that `who` makes until all is
    /// done.
    #[must_use]
    pub fn cuts(&self, who: Who) -> u64 {
        let live = self.disk().join("live");
        let is_channel = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            !name.as_encoded_bytes().starts_with(b".")
        };
        let (mut cuts, mut began) = (0, false);
        let until = |asked| {
            cuts = asked;
            assert!(asked < 100_000, "it does not come to an end");
            let there = std::fs::read_dir(&live).unwrap().flatten().any(is_channel);
            began |= there;
            // A collector is done when it has removed the channel of the program that has ended.
            who == Who::Producer || there || !began
        };
        self.run(who, until, |_| {});
        cuts
    }

    /// Runs the cast up to `at`, takes the power away, and judges what is there when it is back.
    #[must_use]
    pub fn cut(&self, who: Who, at: u64) -> Cut {
        let (mut durable, mut returned) = (0, 0);
        self.run(
            who,
            |asked| asked < at,
            |shared| {
                // What is said to be durable now is so before the power goes.
                durable = shared.word(DURABLE).load(SeqCst);
                returned = shared.word(RETURNED).load(SeqCst);
                sys::shut_down(&self.disk()).unwrap();
            },
        );
        assert!(mount_ext4(&self.image(), SIZE, &self.disk()), "what is left can be mounted");
        let cut = judge(&self.disk(), returned, durable);
        unmount(&self.disk());
        cut
    }
}

/// Has channels say that they were written before the machine was started anew.
fn of_an_older_boot(live: &Path) {
    for entry in std::fs::read_dir(live).unwrap().flatten() {
        let mut file = std::fs::read(entry.path()).unwrap();
        let Some(Ok(mut identity)) = file.get(..IDENTITY_BYTES).map(Identity::decode) else {
            continue;
        };
        identity.boot = [9; 16];
        file[..IDENTITY_BYTES].copy_from_slice(&identity.encode());
        std::fs::write(entry.path(), file).unwrap();
    }
}

/// The numbers of the records that a directory has, in order; and how many are not what was written.
fn found(dir: &Path) -> (Vec<u64>, u64) {
    let store = Store::open(dir, None).unwrap();
    let (mut numbers, mut torn) = (Vec::new(), 0);
    let mut snapshot = Snapshot::take(&store).unwrap();
    snapshot.events(&mut Filter::new(), false, &mut |event| {
        let len = event
            .values
            .get(2..6)
            .and_then(|len| len.try_into().ok())
            .map_or(0, u32::from_le_bytes);
        let is = event.values.get(6..6 + len as usize).and_then(|is| std::str::from_utf8(is).ok());
        let number = is.and_then(|is| is.split(' ').next()?.parse().ok());
        match number.filter(|number| is == Some(text(*number).as_str())) {
            Some(number) => numbers.push(number),
            None => torn += 1,
        }
        ControlFlow::Continue(())
    });
    numbers.sort_unstable();
    (numbers, torn)
}

/// Judges what the disk has: before a collector comes, and after.
fn judge(dir: &Path, returned: u64, durable: u64) -> Cut {
    of_an_older_boot(&dir.join("live"));
    let (before, torn_before) = found(dir);
    let mut collector = Collector::open(Options::new(dir)).unwrap();
    let drained = collector.drain(&Control::new());
    drop(collector);
    let (mut numbers, torn) = found(dir);
    let mut outcome = Outcome { cases: 1, ..Outcome::default() };
    outcome.crashes += u64::from(drained.is_err());
    outcome.torn += torn + torn_before + u64::from(before != numbers);
    let all = numbers.len();
    numbers.dedup();
    outcome.doubled += (all - numbers.len()) as u64;
    let there = |below: u64| numbers.iter().filter(|n| **n < below).count() as u64;
    outcome.lost += durable - there(durable);
    // A program that is not stopped may have written more by the time that the power goes.
    outcome.torn += numbers.len() as u64 - there(COUNT);
    let tail = returned - there(returned);
    let audit = Audit::of(&Store::open(dir, None).unwrap()).unwrap();
    let told = audit.verdict != Verdict::Whole;
    let has_hole = numbers.last().is_some_and(|last| *last >= numbers.len() as u64);
    // Of a channel that has left no trace nothing can be said.
    let silent = !told && (has_hole || (tail > 0 && all > 0));
    outcome.lost += u64::from(silent);
    if !outcome.is_clean() {
        outcome.note =
            format!("{returned} returned, {durable} durable, {numbers:?}, {drained:?}, {audit:?}");
    }
    Cut { durable, tail, told, outcome }
}
