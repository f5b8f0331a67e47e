//! Stores made by hand, and the real binary.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![allow(dead_code, reason = "not every test needs everything")]

use relay_fmt::archive::{
    Announce, ArchiveWriter, ChannelPosition, Entry, FileHeader, Final, Positions,
    SubBufferPosition, WriterPosition,
};
use relay_fmt::block::{BlockBuilder, BlockOptions, EncodedBlock};
use relay_fmt::record::{Kind, Lease, Record, Records};
use relay_fmt::rows::{Run, Source};
use relay_fmt::time::{Anchor, Rate};
use relay_log::channel::{ChannelReader, Config, RawChannel, Sub};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A part of an archive.
#[derive(Clone)]
pub(crate) enum Frame {
    Control(Vec<Entry>),
    Block(Box<EncodedBlock>),
}

/// A directory of archives and channels.
pub(crate) struct Dir(pub(crate) tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("archive")).unwrap();
        std::fs::create_dir_all(dir.path().join("live")).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn channel(&self, name: &str) -> RawChannel {
        let mut config = Config::new(self.path().join("live"), name);
        config.sub_buffer = 4096;
        config.initial = 64 << 10;
        RawChannel::create(config).unwrap()
    }

    pub(crate) fn archive_name(channel: &str, number: u64, sealed: bool) -> String {
        let part = if sealed { "" } else { ".part" };
        format!("{channel}-20261124T130000Z-{number}.relay.zst{part}")
    }

    /// Puts an archive there in one step: a collector only appends, so that no reader ever sees less of
    /// one than before. Its predecessor is the one of the number before.
    pub(crate) fn archive(
        &self,
        channel: &str,
        number: u64,
        frames: &[Frame],
        sealed: bool,
    ) -> PathBuf {
        let predecessor = match number {
            0 => String::new(),
            n => Self::archive_name(channel, n - 1, true),
        };
        let mut uuid = [number as u8; 16];
        uuid[..channel.len().min(15)].copy_from_slice(&channel.as_bytes()[..channel.len().min(15)]);
        let header = FileHeader {
            uuid,
            channel: channel.into(),
            number,
            predecessor,
            host: "box".into(),
            ..FileHeader::default()
        };
        let (mut writer, mut bytes) = ArchiveWriter::create(header).unwrap();
        for frame in frames {
            match frame {
                Frame::Control(entries) => bytes.extend(writer.control(entries).unwrap()),
                Frame::Block(block) => bytes.extend_from_slice(writer.block(block).unwrap()),
            }
        }
        if sealed {
            bytes.extend(writer.seal().unwrap());
        }
        let path = self.path().join("archive").join(Self::archive_name(channel, number, sealed));
        let hidden = self.path().join(".new");
        std::fs::write(&hidden, bytes).unwrap();
        std::fs::rename(&hidden, &path).unwrap();
        path
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, b"")
    }

    /// Runs the binary with `--dir` and an input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Output {
        use std::io::Write;
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-collect"));
        command.args(args).arg("--dir").arg(self.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What `cat` prints, raw lines.
    pub(crate) fn cat(&self, args: &[&str]) -> Vec<String> {
        let output = self.run(&[&["cat", "--format", "raw"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&output.stdout)
    }

    /// The same, whatever else is damaged.
    pub(crate) fn cat_only(&self, args: &[&str]) -> Vec<String> {
        lines(&self.run(&[&["cat", "--format", "raw"], args].concat()).stdout)
    }

    pub(crate) fn audit(&self) -> (i32, serde_json::Value) {
        let output = self.run(&["audit", "--format", "json"]);
        let audit = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        });
        (output.status.code().unwrap(), audit)
    }
}

/// What a command said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says why a test does nothing here, also where what tests print is not shown.
pub(crate) fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "{test} skipped: {why}");
}

pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

/// A collector that makes frames, one look at a time.
pub(crate) struct Mini {
    pub(crate) reader: ChannelReader,
    pub(crate) source: Source,
    file: String,
    /// A sub-buffer that is not looked at.
    pub(crate) skip: Option<u32>,
    /// What it holds for the rate of the ticks.
    pub(crate) rate: Rate,
    /// Times are rounded down to a multiple of so many nanoseconds.
    pub(crate) grain: i64,
    /// Generation, bytes, records.
    subs: HashMap<u32, (u64, u32, u32)>,
    prior: HashMap<u32, u64>,
    next: HashMap<u64, u64>,
    floors: HashMap<u64, i64>,
}

impl Mini {
    pub(crate) fn new(dir: &Dir, channel: &RawChannel) -> Self {
        let file = channel.file_name();
        let live = dir.path().join("live");
        let reader = ChannelReader::open(&live, file.as_ref(), None).unwrap();
        let identity = reader.identity().clone();
        let rate = reader.status().unwrap().rate;
        let source = Source {
            id: identity.id,
            channel: identity.name,
            pid: identity.pid,
            program: identity.program,
            host: identity.host,
            boot: identity.boot,
            opened_ns: 0,
        };
        Self {
            reader,
            source,
            file,
            skip: None,
            rate,
            grain: 1,
            subs: HashMap::new(),
            prior: HashMap::new(),
            next: HashMap::new(),
            floors: HashMap::new(),
        }
    }

    pub(crate) fn announce(&self) -> Frame {
        let (source, file) = (self.source.clone(), self.file.clone());
        Frame::Control(vec![Entry::Announce(Announce { source, file, seen_ns: 0 })])
    }

    pub(crate) fn positions(&self) -> Frame {
        let sub = |(index, at): (&u32, &(u64, u32, u32))| SubBufferPosition {
            index: *index,
            generation: at.0,
            archived_bytes: at.1,
            prior_generations: self.prior.get(index).copied().unwrap_or(0),
            records: at.2,
        };
        let writer = |(writer, next): (&u64, &u64)| WriterPosition {
            writer: *writer,
            next_number: *next,
            floor_ns: i64::MIN,
        };
        let position = ChannelPosition {
            source: self.source.clone(),
            sub_buffers: self.subs.iter().map(sub).collect(),
            writers: self.next.iter().map(writer).collect(),
            spans: Vec::new(),
        };
        Frame::Control(vec![Entry::Positions(Positions { channels: vec![position] })])
    }

    pub(crate) fn last_word(&self) -> Frame {
        let most = self.subs.keys().max().map_or(0, |most| *most as usize + 1);
        let mut per_sub_buffer = vec![0; most];
        for (index, at) in &self.subs {
            per_sub_buffer[*index as usize] =
                self.prior.get(index).copied().unwrap_or(0) + u64::from(at.2);
        }
        Frame::Control(vec![Entry::Final(Final {
            id: self.source.id,
            claimed: per_sub_buffer.iter().sum(),
            discarded: 0,
            per_sub_buffer,
            clean: true,
            overwrites: false,
            reason: "ended in order".into(),
        })])
    }

    /// All that is new, as a block; full sub-buffers are handed back when `hand_back` says so, which
    /// must be after the block is written: see [`Mini::hand_back`].
    pub(crate) fn look(&mut self, hand_back: bool) -> Frame {
        let mut builder = BlockBuilder::new();
        builder.source(&self.source);
        let mut rows: Vec<RowOf> = Vec::new();
        let subs: Vec<Sub> = self.reader.scan().unwrap();
        let skip = self.skip;
        for sub in subs.iter().filter(|sub| !sub.is_meta() && skip != Some(sub.index)) {
            self.sub(sub, &mut builder, &mut rows);
            if hand_back {
                self.hand_back(sub);
            }
        }
        // A writer's records keep their order, whatever the clock says.
        rows.sort_by_key(|row| (row.writer, row.number));
        for row in &mut rows {
            let floor = self.floors.entry(row.writer).or_insert(row.time);
            *floor = row.time.max(*floor);
            row.time = *floor;
        }
        rows.sort_by_key(|row| row.time);
        for row in rows {
            builder.push(row.run, row.kind, None, 0, row.time, &row.payload);
        }
        Frame::Block(Box::new(builder.finish(&BlockOptions::default()).unwrap()))
    }

    /// Hands back all that is full and was looked at.
    pub(crate) fn hand_back_all(&self) {
        self.reader.scan().unwrap().iter().for_each(|sub| self.hand_back(sub));
    }

    /// Hands a sub-buffer back if it is full and all of it was looked at.
    pub(crate) fn hand_back(&self, sub: &Sub) {
        let at = self.subs.get(&sub.index);
        if sub.is_ready() && at.is_some_and(|at| (at.0, at.1) == (sub.generation, sub.committed)) {
            self.reader.hand_back(sub).unwrap();
        }
    }

    fn sub(&mut self, sub: &Sub, builder: &mut BlockBuilder, rows: &mut Vec<RowOf>) {
        let (rate, grain) = (self.rate, self.grain);
        let at = self.subs.get(&sub.index).copied().filter(|at| at.0 == sub.generation);
        let (_, done, mut before) = at.unwrap_or((0, 0, 0));
        let Some(data) = self.reader.read(sub, 0).unwrap().filter(|_| done < sub.committed) else {
            return;
        };
        let mut hand: Option<(Run, Anchor, u64)> = None;
        let mut run = None;
        for record in Records::new(&data.bytes, sub.generation) {
            let record = record.unwrap();
            let (from, to) = (record.offset as u32, record.end as u32);
            if record.kind == Kind::Lease {
                run = None;
                hand = Some(leased(sub, &record));
            }
            let (of, anchor, number) = hand.as_mut().unwrap();
            if record.kind == Kind::Anchor {
                *anchor = Anchor::parse(record.header.tick, record.payload).unwrap();
            }
            let numbered = record.kind.is_numbered();
            if from >= done {
                let (prior_records, first_number) = (before, *number);
                let index = *run.get_or_insert_with(|| {
                    builder.run(Run { from, to, prior_records, first_number, ..of.clone() })
                });
                let run = builder.run_mut(index).unwrap();
                run.to = to;
                run.records += u32::from(numbered);
                before += u32::from(numbered);
                rows.extend(numbered.then(|| RowOf {
                    time: anchor.real_of(record.header.tick, rate) / grain * grain,
                    writer: of.writer,
                    number: *number,
                    run: index,
                    kind: record.kind,
                    payload: record.payload.to_vec(),
                }));
            }
            *number += u64::from(numbered);
            let next = self.next.entry(of.writer).or_default();
            *next = (*number).max(*next);
        }
        self.subs.insert(sub.index, (sub.generation, sub.committed, before));
        self.prior.insert(sub.index, sub.prior);
    }
}

struct RowOf {
    time: i64,
    writer: u64,
    number: u64,
    run: u32,
    kind: Kind,
    payload: Vec<u8>,
}

fn leased(sub: &Sub, record: &Record<'_>) -> (Run, Anchor, u64) {
    let lease = Lease::parse(record.payload).unwrap();
    let (mono_ns, real_ns) = (lease.mono_ns, lease.real_ns);
    let anchor = Anchor { tick: record.header.tick, mono_ns, real_ns };
    let run = Run {
        source: 0,
        sub_buffer: sub.index,
        generation: sub.generation,
        from: 0,
        to: 0,
        prior_generations: sub.prior,
        prior_records: 0,
        records: 0,
        writer: lease.writer,
        first_number: lease.first_number,
        tid: lease.tid,
        nesting: lease.nesting,
        thread: lease.name.to_vec(),
        floor_ns: i64::MIN,
    };
    (run, anchor, lease.first_number)
}
