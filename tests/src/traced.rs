//! What a program did to its files, as the system call tracer saw it, and what a disk that loses what
//! was not synced makes of that.
//!
//! POSIX promises: a file's bytes are on the disk once it was synced, names once their directory was.
//! Of everything else any part may be there: each page of a file by itself, and of what happened to
//! names any beginning.

use crate::payload::Random;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: usize = 4096;

/// One thing that was done.
#[derive(Debug, Clone)]
pub enum Step {
    /// A file came to be.
    Create(PathBuf),
    /// Bytes were written.
    Write(PathBuf, usize, Vec<u8>),
    /// Bytes were written behind all others.
    Append(PathBuf, Vec<u8>),
    /// A file, or a directory's names, were made durable.
    Sync(PathBuf),
    /// A file got another name.
    Rename(PathBuf, PathBuf),
    /// A file's name was removed.
    Unlink(PathBuf),
    /// A file was cut or made longer.
    Length(PathBuf, usize),
}

/// The tracer's command, for a program that is started with it; what it saw goes into `log`.
#[must_use]
pub fn tracer(log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-xx", "-s", "10000000"]);
    command.args([
        "-e",
        "trace=openat,pwrite64,write,fsync,fdatasync,rename,unlink,ftruncate",
        "-o",
    ]);
    command.arg(log);
    command
}

/// `\x41b` is `Ab`.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn path_of(text: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes_of(text)).unwrap())
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

/// What a line of the tracer's says was done; `None` for what failed or does not matter.
fn step(line: &str) -> Option<Step> {
    let (call, result) = line.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let call = call.split_once(' ').map_or(call, |(_, call)| call.trim_start());
    let (name, arguments) = call.split_once('(')?;
    let of_descriptor = || between(arguments, "<", ">").map(path_of);
    let mut quoted = arguments.split('"').skip(1).step_by(2).map(bytes_of);
    let number = || {
        let last = arguments.trim_end_matches(')').rsplit_once(", ")?.1;
        last.parse::<usize>().ok()
    };
    Some(match name {
        "openat" if arguments.contains("O_CREAT") => {
            Step::Create(between(result, "<", ">").map(path_of)?)
        }
        // Who writes without saying where writes files from their beginning to their end.
        "write" => Step::Append(of_descriptor()?, quoted.next()?),
        "pwrite64" => Step::Write(of_descriptor()?, number()?, quoted.next()?),
        "fsync" | "fdatasync" => Step::Sync(of_descriptor()?),
        "ftruncate" => Step::Length(of_descriptor()?, number()?),
        "rename" | "unlink" => {
            let mut paths = quoted.map(|path| PathBuf::from(String::from_utf8(path).unwrap()));
            let first = paths.next()?;
            if name == "unlink" { Step::Unlink(first) } else { Step::Rename(first, paths.next()?) }
        }
        _ => return None,
    })
}

/// What a program did, in order.
#[must_use]
pub fn steps(log: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(log).unwrap();
    // What is unfinished and never goes on was being done when the program was killed.
    assert!(!text.contains("resumed>"), "several threads: the order is not known");
    text.lines().filter_map(step).collect()
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    now: Vec<u8>,
}

/// A directory on such a disk.
#[derive(Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// Names as they are now, and as they are on the disk for sure.
    now: BTreeMap<PathBuf, usize>,
    synced: BTreeMap<PathBuf, usize>,
    /// What happened to names since: each makes one state of all names.
    since: Vec<BTreeMap<PathBuf, usize>>,
}

impl Disk {
    /// A disk that has the files of a directory for sure.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let now = std::fs::read(&path).unwrap();
            disk.now.insert(path, disk.files.len());
            disk.files.push(File { synced: now.clone(), now });
        }
        disk.synced = disk.now.clone();
        disk
    }

    /// Does a step.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Create(path) => {
                if !self.now.contains_key(path) {
                    self.files.push(File::default());
                    self.now.insert(path.clone(), self.files.len() - 1);
                    self.since.push(self.now.clone());
                }
            }
            Step::Write(path, at, bytes) => {
                if let Some(file) = self.file(path) {
                    let end = file.now.len().max(at + bytes.len());
                    file.now.resize(end, 0);
                    file.now[*at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
            Step::Append(path, bytes) => {
                if let Some(file) = self.file(path) {
                    file.now.extend_from_slice(bytes);
                }
            }
            Step::Length(path, len) => {
                if let Some(file) = self.file(path) {
                    file.now.resize(*len, 0);
                }
            }
            Step::Sync(path) => {
                if let Some(file) = self.file(path) {
                    file.synced = file.now.clone();
                } else if self.now.keys().any(|name| name.parent() == Some(path)) {
                    self.synced = self.now.clone();
                    self.since.clear();
                }
            }
            Step::Rename(from, to) => {
                if let Some(index) = self.now.remove(from) {
                    self.now.insert(to.clone(), index);
                    self.since.push(self.now.clone());
                }
            }
            Step::Unlink(path) => {
                if self.now.remove(path).is_some() {
                    self.since.push(self.now.clone());
                }
            }
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        let index = *self.now.get(path)?;
        self.files.get_mut(index)
    }

    /// What the disk may have when the power goes now, as files in `dir`.
    pub fn lose_power(&self, random: &mut Random, dir: &Path) {
        let states = self.since.len() as u64 + 1;
        let names = match random.below(states) as usize {
            0 => &self.synced,
            n => &self.since[n - 1],
        };
        for (path, index) in names {
            let File { synced, now } = &self.files[*index];
            let mut image = synced.clone();
            let lengths = [synced.len(), now.len()];
            image.resize(lengths[random.below(2) as usize], 0);
            for from in (0..image.len().min(now.len())).step_by(PAGE) {
                if random.below(2) == 0 {
                    let to = (from + PAGE).min(image.len()).min(now.len());
                    image[from..to].copy_from_slice(&now[from..to]);
                }
            }
            std::fs::write(dir.join(path.file_name().unwrap()), image).unwrap();
        }
    }
}
