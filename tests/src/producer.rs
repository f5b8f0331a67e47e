//! A program that logs as its arguments say: to be killed, starved, and vandalised.

use crate::drain::find;
use crate::payload::{Random, make};
use crate::sys::{self, Shared};
use relay_log::channel::{Config, OnFull, RawChannel, WriteError};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Word of the shared page: 1 once the channel is there.
pub const READY: usize = 0;
/// Word of the shared page: how many threads have written all that they should.
pub const DONE: usize = 1;
/// Word of the shared page: with `gate=1` nothing is written before it is 1.
pub const GATE: usize = 3;
/// Word of the shared page: calls that returned [`WriteError::Discarded`].
pub const DISCARDED: usize = 2;

/// The exit code where what should happen to the program is not allowed here.
pub const NOT_ALLOWED: i32 = 77;

/// The word that counts a thread's returned calls, each in a cache line of its own.
#[must_use]
pub const fn returned_word(thread: usize) -> usize {
    8 + 8 * thread
}

/// A producer that was started.
#[derive(Debug)]
pub struct Producer {
    /// The process.
    pub child: Child,
    /// What it tells.
    pub shared: Shared,
    /// How many threads it has.
    pub threads: usize,
    /// The live directory.
    pub live: PathBuf,
}

impl Producer {
    /// Starts `exe` in `home` with these options and waits until its channel is there.
    #[must_use]
    pub fn start(mut command: Command, home: &Path, options: &str) -> Self {
        let shared = Shared::open(&home.join("shared"));
        command.arg(home).args(options.split_whitespace());
        let child = command.spawn().unwrap();
        let threads = option(options, "threads").unwrap_or(1) as usize;
        let live = home.join("live");
        for _ in 0..10_000 {
            if shared.word(READY).load(SeqCst) == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        Self { child, shared, threads, live }
    }

    /// The name of its channel.
    #[must_use]
    pub fn channel(&self) -> String {
        find(&self.live).unwrap()
    }

    /// Calls that have returned, by thread.
    #[must_use]
    pub fn returned(&self) -> Vec<u64> {
        let count = |t| self.shared.word(returned_word(t)).load(SeqCst);
        (0..self.threads).map(count).collect()
    }
}

/// An option's value in `key=value …`.
fn option(options: &str, key: &str) -> Option<u64> {
    let mut pairs = options.split_whitespace().filter_map(|o| o.split_once('='));
    pairs.find(|(k, _)| *k == key).and_then(|(_, v)| v.parse().ok())
}

struct Options(HashMap<String, String>);

impl Options {
    fn number(&self, key: &str, default: u64) -> u64 {
        self.0.get(key).and_then(|v| v.parse().ok()).unwrap_or(default)
    }

    fn config(&self, dir: &Path) -> Config {
        let mut config = Config::new(dir, "producer");
        config.sub_buffer = self.number("sub", 4096) as u32;
        config.initial = self.number("initial", 8192);
        config.max = Some(self.number("max", 1 << 30)).filter(|max| *max > 0);
        config.keeper = self.number("keeper", 1) == 1;
        config.on_full = match self.0.get("full").map(String::as_str) {
            Some("overwrite") => OnFull::Overwrite,
            Some("discard") => OnFull::Discard,
            _ => OnFull::Block,
        };
        config
    }
}

fn limit(resource: Resource, most: u64) {
    let maximum = rustix::process::getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(most), maximum }).unwrap();
}

/// What happens to the program once its channel is open.
fn after_birth(options: &Options) {
    if let Some(victim) = options.0.get("daemon") {
        (3..64).for_each(sys::close_behind_the_back);
        let open = || std::fs::File::options().read(true).write(true).open(victim).unwrap();
        (0..32).for_each(|_| std::mem::forget(open()));
    }
    if let Some(root) = options.0.get("jail")
        && let Err(error) = sys::jail(Path::new(root))
    {
        eprintln!("{error}");
        std::process::exit(NOT_ALLOWED);
    }
    if options.number("fsize", 0) > 0 {
        limit(Resource::Fsize, options.number("fsize", 0));
    }
    if options.number("nofile", 1) == 0 {
        limit(Resource::Nofile, 0);
    }
}

/// Writes through `write` until `count` records are written, telling `returned` of each.
fn produce(
    options: &Options,
    thread: u64,
    told: (&AtomicU64, &AtomicU64),
    mut write: impl FnMut(&[u8]) -> Result<(), WriteError>,
) {
    let count = match options.number("count", 0) {
        0 => u64::MAX,
        count => count,
    };
    let (longest, big) = (options.number("len", 200), options.number("big", 0));
    let mut random = Random::new(thread + 1);
    let pause = options.number("pause", 0);
    for number in 0..count {
        let is_big = big > 0 && number % big == big - 1;
        let len = if is_big { 10_000 } else { random.below(longest) as usize };
        match write(&make(thread, number, len)) {
            Ok(()) => told.0.store(number + 1, SeqCst),
            Err(WriteError::Discarded) => {
                told.1.fetch_add(1, SeqCst);
            }
            Err(error) => panic!("{error}"),
        }
        if pause > 0 {
            std::thread::sleep(Duration::from_micros(pause));
        }
    }
}

/// The program: `HOME key=value …`.
pub fn main(args: &[String]) {
    let home = Path::new(&args[0]);
    let pairs = args[1..].iter().filter_map(|a| a.split_once('='));
    let options = Options(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
    let shared = Shared::open(&home.join("shared"));
    let threads = options.number("threads", 1);
    let through_file = options.number("file", 0) == 1;
    if options.number("memory", 0) > 0 {
        limit(Resource::As, options.number("memory", 0));
    }
    let channel = RawChannel::create(options.config(&home.join("live"))).unwrap();
    after_birth(&options);
    shared.word(READY).store(1, SeqCst);
    while options.number("gate", 0) == 1 && shared.word(GATE).load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    let durable = options.number("durable", 0) == 1;
    let churn = options.number("churn", u64::MAX);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (channel, options, shared) = (&channel, &options, &shared);
            scope.spawn(move || {
                let word = shared.word(returned_word(thread as usize));
                let told = (word, shared.word(DISCARDED));
                if through_file {
                    let path = home.join(format!("file{thread}"));
                    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
                    produce(options, thread, told, |bytes| {
                        let len = (bytes.len() as u32).to_le_bytes();
                        file.write_all(&len).and_then(|()| file.write_all(bytes)).unwrap();
                        Ok(())
                    });
                } else {
                    let (mut writer, mut written) = (channel.writer(), 0u64);
                    produce(options, thread, told, |bytes| {
                        written += 1;
                        if written.is_multiple_of(churn) {
                            writer = channel.writer();
                        }
                        writer.write(bytes)?;
                        if durable && channel.flush_durable(Duration::from_secs(20)).is_err() {
                            // The disk is gone: what was told is what counts.
                            std::process::exit(0);
                        }
                        Ok(())
                    });
                }
                shared.word(DONE).fetch_add(1, SeqCst);
            });
        }
    });
}
