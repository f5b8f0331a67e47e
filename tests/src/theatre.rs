//! Producers and collectors as processes, in one directory.

use crate::archived::streams;
use crate::producer::Producer;
use crate::report::Outcome;
use crate::verdict::judge;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A directory, and the processes that work in it. They are killed when it goes.
#[derive(Debug)]
pub struct Theatre {
    /// The directory.
    pub dir: PathBuf,
    /// All producers, dead ones too.
    pub producers: Vec<Producer>,
    /// Collectors that were started.
    pub collectors: Vec<Child>,
    producer_exe: &'static str,
    collector_exe: &'static str,
}

impl Theatre {
    /// An empty one.
    #[must_use]
    pub fn new(dir: &Path, producer_exe: &'static str, collector_exe: &'static str) -> Self {
        std::fs::create_dir_all(dir.join("live")).unwrap();
        let (producers, collectors) = (Vec::new(), Vec::new());
        Self { dir: dir.to_owned(), producers, collectors, producer_exe, collector_exe }
    }

    /// Starts a producer. Returns its index.
    pub fn produce(&mut self, options: &str) -> usize {
        let home = self.dir.join(format!("home{}", self.producers.len()));
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(self.dir.join("live"), home.join("live")).unwrap();
        self.producers.push(Producer::start(Command::new(self.producer_exe), &home, options));
        self.producers.len() - 1
    }

    /// What collectors have said.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.join("said")).unwrap_or_default()
    }

    fn collector(&self, options: &str) -> Command {
        let said = File::options().create(true).append(true).open(self.dir.join("said"));
        let mut command = Command::new(self.collector_exe);
        command.arg(&self.dir).args(options.split_whitespace()).stderr(said.unwrap());
        command
    }

    /// Starts a collector. Returns its index.
    pub fn collect(&mut self, options: &str) -> usize {
        self.collectors.push(self.collector(options).spawn().unwrap());
        self.collectors.len() - 1
    }

    /// Waits until producers that write a number of records are through. How many are not in time.
    pub fn wait(&mut self, time: Duration) -> u64 {
        let until = Instant::now() + time;
        let mut running = self.producers.len();
        while running > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            let alive = |p: &mut Producer| p.child.try_wait().unwrap().is_none();
            running = self.producers.iter_mut().map(alive).filter(|alive| *alive).count();
        }
        running as u64
    }

    /// Kills whoever is left, archives what is there, and judges.
    #[must_use]
    pub fn finish(&mut self) -> Outcome {
        self.end();
        let returned: Vec<_> = self.producers.iter().map(Producer::returned).collect();
        self.finish_against(&returned)
    }

    /// As [`Theatre::finish`], when of each producer's threads only so many records must be there.
    #[must_use]
    pub fn finish_against(&mut self, must: &[Vec<u64>]) -> Outcome {
        self.end();
        let mut once = self.collector("once").spawn().unwrap();
        let done = once.wait().unwrap();
        let mut all = self.judge();
        all.lost = 0;
        let mut of = streams(&self.dir);
        for (producer, must) in self.producers.iter().zip(must) {
            all.lost += judge(&of.remove(&producer.child.id()).unwrap_or_default(), must).lost;
        }
        all.crashes += u64::from(!done.success()) + u64::from(self.said().contains("panicked"));
        for problem in crate::archived::unsound(&self.dir, true) {
            all.torn += 1;
            all.note += &problem;
        }
        all
    }

    /// Judges what readers are shown now.
    #[must_use]
    pub fn judge(&self) -> Outcome {
        let mut of = streams(&self.dir);
        let mut all = Outcome::default();
        for producer in &self.producers {
            let own = of.remove(&producer.child.id()).unwrap_or_default();
            let one = judge(&own, &producer.returned());
            all.note += &one.note;
            all.add(&one);
        }
        all.torn += of.len() as u64;
        all
    }

    /// Kills whoever is left.
    pub fn end(&mut self) {
        let producers = self.producers.iter_mut().map(|p| &mut p.child);
        for child in producers.chain(&mut self.collectors) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Theatre {
    fn drop(&mut self) {
        self.end();
    }
}
