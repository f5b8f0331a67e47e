//! What a stepped child does, and what must be found in its channel after each instruction.

use crate::drain::Drain;
use crate::payload;
use crate::recover::{Oracle, Violation, subs};
use crate::report::Outcome;
use relay_log::channel::{Config, OnFull, RawChannel, Writer};
use std::collections::HashMap;
use std::path::Path;

/// One thing that a child does. Writers are numbered in the order of their first record.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// This writer writes a record of so many bytes.
    Write(usize, usize),
    /// This writer reserves so many bytes, fills them in two parts, commits.
    Reserve(usize, usize),
    /// This writer hands over what it has.
    Flush(usize),
    /// This writer ends.
    Drop(usize),
    /// The channel is resized to so many bytes.
    Resize(u64),
    /// Somebody archives everything that waits; this is not stepped.
    Collect,
}

/// A child's life.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub ops: Vec<Op>,
    /// Bytes that may wait for the collector.
    pub max: u64,
    /// What happens when they do.
    pub on_full: OnFull,
}

fn writes(writer: usize, lens: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Op> {
    lens.into_iter().map(move |len| Op::Write(writer, len))
}

impl Script {
    /// Whether calls wait for a collector: who steps through it must be one.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.on_full == OnFull::Block && self.max < 1 << 20
    }
}

/// All scripts.
#[must_use]
pub fn scripts() -> Vec<Script> {
    use Op::{Collect, Drop, Flush, Reserve, Resize, Write};
    let script = |name, ops| Script { name, ops, max: 1 << 30, on_full: OnFull::Block };
    let plain = writes(0, [16, 17, 100, 23, 1000]).chain([Reserve(0, 64), Reserve(0, 9)]);
    let switch = writes(0, (0..24).map(|i| 700 + i)).collect();
    let grow = writes(0, [3000; 9]).collect();
    let fragments = vec![Write(0, 20), Write(0, 9_000), Write(0, 21), Write(0, 4_000)];
    let park = writes(0, [50, 900])
        .chain([Drop(0)])
        .chain(writes(1, [60, 2_000, 61]))
        .chain([Drop(1)])
        .chain(writes(2, [2_500, 3_000, 30]))
        .chain([Flush(2), Write(2, 40), Drop(2), Write(3, 16)]);
    let resize = vec![Write(0, 30), Resize(8 * 4096), Write(0, 3_000), Write(0, 3_000)];
    let round = [Write(0, 2_000), Write(0, 2_000), Write(0, 900), Flush(0), Collect];
    let again = round.into_iter().cycle().take(30).chain([Write(0, 16)]).collect();
    let over: Vec<Op> = writes(0, (0..30).map(|i| 900 + i)).collect();
    let (max, on_full) = (8192, OnFull::Overwrite);
    let wait = Script { max, ..script("wait", over.clone()) };
    vec![
        script("plain", plain.collect()),
        script("switch", switch),
        script("grow", grow),
        script("fragments", fragments),
        script("park", park.collect()),
        script("resize", resize),
        script("lease again", again),
        Script { max, on_full, ..script("overwrite", over) },
        wait,
    ]
}

/// The configuration of a stepped child: nothing runs beside it.
#[must_use]
pub fn config(dir: &Path, script: &Script) -> Config {
    let mut config = Config::new(dir, "stepped");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
    (config.max, config.on_full) = (Some(script.max), script.on_full);
    config
}

/// The payload of a writer's record.
fn record(writer: usize, number: u64, len: usize) -> Vec<u8> {
    payload::make(writer as u64, number, len)
}

/// What each step of a script writes.
fn payloads(script: &Script) -> Vec<Vec<u8>> {
    let mut numbers = [0u64; 4];
    let payload = |op: &Op| match *op {
        Op::Write(w, len) | Op::Reserve(w, len) => {
            numbers[w] += 1;
            record(w, numbers[w] - 1, len)
        }
        _ => Vec::new(),
    };
    script.ops.iter().map(payload).collect()
}

/// Makes a channel and carries a script out in it. `done` is told after each step how many are done,
/// `stepped` is called around what is to be stepped.
pub fn act(dir: &Path, script: &Script, done: &dyn Fn(usize), stepped: &dyn Fn(bool)) {
    let channel = RawChannel::create(config(dir, script)).unwrap();
    play(&channel, dir, script, done, stepped);
}

/// Carries a script out in a channel of the directory.
pub fn play(
    channel: &RawChannel,
    dir: &Path,
    script: &Script,
    done: &dyn Fn(usize),
    stepped: &dyn Fn(bool),
) {
    let name = channel.file_name();
    let mut writers: Vec<Option<Writer>> = (0..4).map(|_| Some(channel.writer())).collect();
    // Made before, so that only the channel's own instructions are stepped through.
    let payloads = payloads(script);
    stepped(true);
    for (i, op) in script.ops.iter().enumerate() {
        match *op {
            Op::Write(w, _) | Op::Reserve(w, _) => {
                let bytes = &payloads[i];
                let writer = writers[w].as_mut().unwrap();
                if matches!(op, Op::Write(..)) {
                    writer.write(bytes).unwrap();
                } else {
                    let mut reserved = writer.reserve(bytes.len()).unwrap();
                    let (a, b) = bytes.split_at(bytes.len() / 2);
                    reserved.put(a);
                    reserved.put(b);
                    reserved.commit();
                }
            }
            Op::Flush(w) => writers[w].as_mut().unwrap().flush(),
            Op::Drop(w) => drop(writers[w].take()),
            Op::Resize(bytes) => channel.resize(bytes),
            Op::Collect => {
                stepped(false);
                Drain::open(dir, &name).drain();
                done(i + 1);
                stepped(true);
            }
        }
        done(i + 1);
    }
    stepped(false);
}

/// Judges images of a child's channel, in the order in which they came to be.
#[derive(Debug)]
pub struct Judge {
    script: Script,
    done: usize,
    /// By writer: what has returned, and how many of it.
    returned: Vec<Vec<Vec<u8>>>,
    flying: Option<(usize, Vec<u8>)>,
    /// By sub-buffer: generation, archived, bytes, as last seen.
    last: HashMap<u32, (u64, u64, Vec<u8>)>,
    /// Generations that were archived and then leased again.
    archived: Vec<(u32, u64, Vec<u8>)>,
    /// What was found.
    pub outcome: Outcome,
}

impl Judge {
    /// For a script of which nothing is done yet.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let mut judge = Self {
            script,
            done: 0,
            returned: vec![Vec::new(); 4],
            flying: None,
            last: HashMap::new(),
            archived: Vec::new(),
            outcome: Outcome::default(),
        };
        judge.look_ahead();
        judge
    }

    fn look_ahead(&mut self) {
        self.flying = match self.script.ops.get(self.done) {
            Some(Op::Write(w, len) | Op::Reserve(w, len)) => {
                Some((*w, record(*w, self.returned[*w].len() as u64, *len)))
            }
            _ => None,
        };
    }

    /// So many steps are done.
    pub fn done(&mut self, steps: usize) {
        while self.done < steps {
            if let Some((w, bytes)) = self.flying.take() {
                self.returned[w].push(bytes);
            }
            self.done += 1;
            self.look_ahead();
        }
    }

    fn say(&mut self, what: &str) {
        if self.outcome.note.len() < 1000 {
            self.outcome.note += &format!("[{}: step {}: {what}] ", self.script.name, self.done);
        }
    }

    /// Judges an image.
    pub fn image(&mut self, image: &[u8]) {
        self.outcome.cases += 1;
        let (subs, wrong) = subs(image);
        for violation in &wrong {
            self.outcome.torn += 1;
            self.say(&format!("{violation:?}"));
        }
        let mut prior = 0;
        for sub in &subs {
            prior += sub.prior;
            let (generation, archived, bytes) = self.last.entry(sub.index).or_default();
            let old = std::mem::take(bytes);
            let (was, was_archived) = (*generation, *archived);
            (*generation, *archived, *bytes) = (sub.generation, sub.archived, sub.bytes.to_vec());
            if was == sub.generation && !sub.bytes.starts_with(&old) {
                self.outcome.torn += 1;
                self.say("committed bytes have changed");
            } else if was != sub.generation && was != 0 && was_archived == was {
                self.archived.push((sub.index, was, old));
            }
        }
        let mut oracle = Oracle::default();
        for (index, generation, bytes) in &self.archived {
            oracle.feed(*index, *generation, 0, bytes);
        }
        for sub in &subs {
            oracle.feed(sub.index, sub.generation, 0, sub.bytes);
        }
        let streams = oracle.finish();
        let lossy = self.script.on_full == OnFull::Overwrite;
        for violation in &streams.violations {
            match violation {
                Violation::Gap(..) if lossy => continue,
                Violation::Gap(..) => self.outcome.lost += 1,
                Violation::Double(..) => self.outcome.doubled += 1,
                Violation::Torn(_) => self.outcome.torn += 1,
            }
            self.say(&format!("{violation:?}"));
        }
        for writer in 0..4 {
            let found = streams.writers.get(&(writer as u64 + 1)).map_or(&[][..], |w| w);
            if lossy {
                self.newest(writer, found, prior);
            } else {
                self.exactly(writer, found);
            }
        }
    }

    /// Everything that has returned is there, in order, and at most what is in flight follows.
    fn exactly(&mut self, writer: usize, found: &[(u64, Vec<u8>)]) {
        let returned = &self.returned[writer];
        let lost = returned.len().saturating_sub(found.len());
        let same = returned.iter().zip(found).all(|(a, (_, b))| a == b);
        let more = found.get(returned.len()..).unwrap_or_default();
        let flying = self.flying.as_ref().filter(|(w, _)| *w == writer).map(|(_, bytes)| bytes);
        let right = more.len() <= 1 && more.iter().all(|(_, b)| Some(b) == flying);
        self.outcome.lost += lost as u64;
        self.outcome.torn += u64::from(!same || !right);
        if lost > 0 || !same || !right {
            self.say(&format!("writer {writer}: {lost} lost, same: {same}, more: {right}"));
        }
    }

    /// The newest that returned is there, what is there is right, and the loss is known exactly.
    fn newest(&mut self, writer: usize, found: &[(u64, Vec<u8>)], prior: u64) {
        if writer > 0 {
            return;
        }
        let returned = &self.returned[writer];
        let known = returned.iter().chain(self.flying.iter().map(|(_, b)| b)).collect::<Vec<_>>();
        let right = found.iter().all(|(n, b)| known.get(*n as usize) == Some(&b));
        let last = found.last().map_or(0, |(n, _)| n + 1);
        if !right || last < returned.len() as u64 || prior + (found.len() as u64) != last {
            self.outcome.torn += 1;
            let found = found.len();
            self.say(&format!("{found} found, {prior} said to be lost, {last} the newest"));
        }
    }
}
