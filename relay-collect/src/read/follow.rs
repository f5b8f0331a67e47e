//! New rows as they come, each exactly once.
//!
//! Every look takes live channels first and archives afterwards, as a snapshot does. A record is
//! known by channel, writer and number: what was shown from a channel is not shown again when it
//! appears in an archive.

use super::context;
use super::drain::pass;
use super::files::{ArchiveFd, ArchiveName};
use super::joiner::Joiner;
use super::live::{SubBytes, Tail};
use super::merge::{Direct, Merge, Piece, Turn};
use super::queue::{Later, Queue};
use super::ranges::Ranges;
use super::shelves::Shelves;
use super::snapshot::{Sink, Snapshot, of_rows};
use super::split::{Place, split};
use super::store::{Archive, Depth, Store, Voids, archive, at};
use crate::query::Filter;
use crate::render::Event;
use relay_fmt::archive::{BlockEntry, Entry, ReadAt};
use relay_fmt::record::Kind;
use relay_fmt::rows::{ChannelId, Run, Source};
use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The numbers of the records that were shown.
#[derive(Debug, Default)]
struct Shown(HashMap<(ChannelId, u64), Ranges>);

impl Shown {
    fn of(&mut self, id: ChannelId, writer: u64) -> &mut Ranges {
        self.0.entry((id, writer)).or_default()
    }

    fn has(&self, id: ChannelId, writer: u64, number: u64) -> bool {
        self.0.get(&(id, writer)).is_some_and(|shown| shown.has(number))
    }

    fn add_runs(&mut self, sources: &[Source], runs: &[Run]) {
        for run in runs {
            if let Some(source) = sources.get(run.source as usize) {
                let end = run.first_number.saturating_add(u64::from(run.records));
                self.of(source.id, run.writer).add(run.first_number, end);
            }
        }
    }

    fn has_runs(&self, sources: &[Source], runs: &[Run]) -> bool {
        runs.iter().all(|run| {
            let source = sources.get(run.source as usize);
            let shown = source.and_then(|source| self.0.get(&(source.id, run.writer)));
            let end = run.first_number.saturating_add(u64::from(run.records));
            run.records == 0 || shown.is_some_and(|shown| shown.has_all(run.first_number, end))
        })
    }
}

/// An archive that is followed.
#[derive(Debug)]
struct Followed {
    archive: Archive,
    /// Its length when it was looked at last.
    len: u64,
}

/// Follows a store.
#[derive(Debug)]
pub struct Follow {
    store: Store,
    tails: HashMap<String, Tail>,
    refused: HashSet<String>,
    archives: HashMap<String, Followed>,
    /// Archives that are sealed and read.
    done: HashSet<String>,
    /// Open archives that could not be read, with their lengths then: that is said once.
    unreadable: HashMap<String, u64>,
    shown: Shown,
    joiner: Joiner,
    shelves: Shelves,
    /// What is damaged, a sentence each.
    pub problems: Vec<String>,
    /// What else is to be said, a sentence each.
    pub notes: Vec<String>,
}

impl Follow {
    /// Takes a snapshot, to be shown as far as is wished, and follows from there.
    ///
    /// # Errors
    /// When a directory or a channel cannot be read.
    pub fn start(store: &Store) -> io::Result<(Snapshot, Self)> {
        let (snapshot, tails) = Snapshot::take_with_tails(store)?;
        let mut shown = Shown::default();
        let mut done = HashSet::new();
        for archive in snapshot.archives() {
            for (_, entry) in &archive.entries {
                let Entry::Positions(positions) = entry else { continue };
                for channel in &positions.channels {
                    for writer in &channel.writers {
                        shown.of(channel.source.id, writer.writer).add(0, writer.next_number);
                    }
                }
            }
            for block in archive.blocks() {
                // What is not known to be shown may be shown again, if ever it comes again.
                if let Ok(facts) = block.facts() {
                    shown.add_runs(&facts.sources, &facts.runs);
                }
            }
            if archive.name.sealed {
                done.insert(archive.name.stem().to_owned());
            }
        }
        for piece in snapshot.backlog() {
            let id = piece.source().id;
            for (writer, first, records) in piece.records() {
                shown.of(id, writer).add(first, first + records);
            }
        }
        for rows in snapshot.live() {
            shown.add_runs(&rows.sources, &rows.runs);
        }
        let follow = Self {
            store: store.clone(),
            tails: tails.into_iter().map(|tail| (tail.file.clone(), tail)).collect(),
            refused: HashSet::new(),
            archives: HashMap::new(),
            done,
            unreadable: HashMap::new(),
            shown,
            joiner: Joiner::new(false),
            shelves: store.shelves(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        Ok((snapshot, follow))
    }

    /// Goes on where a snapshot that was shown has ended: with records of which parts came.
    pub fn resume(&mut self, snapshot: Snapshot) {
        self.joiner = snapshot.into_joiner();
    }

    /// Gives the events that came since the last time and that `filter` means to `sink`. A channel or an
    /// archive that cannot be read is added to [`Follow::problems`], once, and followed no more.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn poll(
        &mut self,
        filter: &mut Filter,
        sink: &mut Sink<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let gone = self.find_channels()?;
        let mut grabbed = HashMap::new();
        for (file, tail) in &mut self.tails {
            let seen = tail.look(true).and_then(|seen| tail.grab(seen));
            match seen {
                Ok(subs) => drop(grabbed.insert(file.clone(), subs)),
                Err(errno) => {
                    self.problems.push(tail.unreadable(&self.store, errno).to_string());
                    self.refused.insert(file.clone());
                }
            }
        }
        // Said once; what the collector can read of it still comes through the archives.
        self.tails.retain(|file, _| !self.refused.contains(file));
        let changed = self.read_archives()?;
        let flow = self.show(&changed, &grabbed, filter, sink);
        // Drained, and what it held is in the archives that were just read.
        self.tails.retain(|file, _| !gone.contains(file));
        Ok(flow)
    }

    /// Opens new channels. Returns those that are gone.
    fn find_channels(&mut self) -> io::Result<HashSet<String>> {
        let mut there = HashSet::new();
        let entries = match std::fs::read_dir(self.store.live_dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries.map_err(|error| at(self.store.live_dir(), &error))?),
        };
        for entry in entries.into_iter().flatten() {
            let name = entry?.file_name();
            let Some(file) = name.to_str().filter(|name| name.ends_with(".relay")) else {
                continue;
            };
            there.insert(file.to_owned());
            if self.tails.contains_key(file) || self.refused.contains(file) {
                continue;
            }
            match self.store.channel(file) {
                Ok(Some(reader)) => {
                    self.tails.insert(file.to_owned(), Tail::new(file.to_owned(), reader));
                }
                Ok(None) => {}
                Err(error) => {
                    self.refused.insert(file.to_owned());
                    let path = self.store.live_dir().join(file);
                    self.problems.push(format!("{}: {error}", path.display()));
                }
            }
        }
        Ok(self.tails.keys().filter(|file| !there.contains(*file)).cloned().collect())
    }

    /// Reads what was appended to archives. Returns those that have changed, in their order.
    ///
    /// An archive that got another name since it was listed is looked for again: what it holds comes
    /// before what the channels hold.
    fn read_archives(&mut self) -> io::Result<Vec<String>> {
        let mut changed = Vec::new();
        while self.read_listed(&mut changed)? {}
        Ok(changed)
    }

    /// Whether an archive was not there any more under the name that it was listed by.
    fn read_listed(&mut self, changed: &mut Vec<String>) -> io::Result<bool> {
        let names = ArchiveName::list(self.store.archive_dir())?;
        let listed: HashSet<String> = names.iter().map(|name| name.stem().to_owned()).collect();
        let mut went = false;
        for name in names {
            let stem = name.stem().to_owned();
            if self.done.contains(&stem) {
                continue;
            }
            let path = self.store.archive_dir().join(&name.file);
            let bytes = match ArchiveFd::open(&path) {
                Ok(bytes) => bytes,
                // It has another name by now, or is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    went = true;
                    continue;
                }
                Err(error) => {
                    self.problems.push(at(&path, &error).to_string());
                    self.done.insert(stem);
                    continue;
                }
            };
            let (sealed, len) = (name.sealed, bytes.len()?);
            let known = self.archives.get(&stem).map(|known| known.len);
            if !sealed && (known == Some(len) || self.unreadable.get(&stem) == Some(&len)) {
                continue;
            }
            match archive(name, bytes, Depth::Quick) {
                Ok(Some(archive)) => {
                    self.archives.insert(stem.clone(), Followed { archive, len });
                    if !changed.contains(&stem) {
                        changed.push(stem.clone());
                    }
                }
                Ok(None) => {}
                Err((name, error)) => {
                    if self.unreadable.insert(stem.clone(), len).is_none() {
                        self.problems.push(format!("{}: {error}", name.file));
                    }
                }
            }
            if sealed {
                self.done.insert(stem);
            }
        }
        self.done.retain(|stem| listed.contains(stem));
        self.unreadable.retain(|stem, _| listed.contains(stem));
        Ok(went)
    }

    fn show(
        &mut self,
        changed: &[String],
        grabbed: &HashMap<String, Vec<SubBytes>>,
        filter: &mut Filter,
        sink: &mut Sink<'_>,
    ) -> ControlFlow<()> {
        let mut archives: Vec<Archive> = Vec::new();
        for stem in changed {
            if let Some(followed) = self.archives.remove(stem) {
                archives.push(followed.archive);
            }
        }
        let voids = Voids::of(&archives);
        archives.iter_mut().for_each(|archive| voids.apply(archive));
        let archives: Vec<Arc<Archive>> = archives.into_iter().map(Arc::new).collect();
        let pieces = self.pieces(&archives, grabbed);
        // What was shown is known by every record, meant or not.
        let everything = Filter::new().spans(true);
        let (dir, known) = (self.store.archive_dir(), self.shelves.blocks());
        let later = Later { filter: &everything, voids: &voids, dir, known };
        let mut queue = Queue::new(pieces, &[], later, Turn::Forward);
        let mut feed = Direct { queue: &mut queue, filter: everything.clone() };
        let mut merge = Merge::new(&mut feed, Turn::Forward, &self.shelves);
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue()
            && let Some((loaded, row)) = merge.next()
        {
            let mut spans = Vec::new();
            let Some(event) = loaded.event(row, &mut spans) else { continue };
            let (id, number) = (event.source.id, event.row.number);
            if self.shown.of(id, event.run.writer).add(number, number + 1) == 0 {
                learn_span(&mut self.tails, &event);
                flow = pass(loaded, row, &mut self.joiner, filter, &mut self.notes, sink);
            }
        }
        self.problems.append(&mut merge.problems);
        drop(merge);
        drop(queue);
        self.notes.extend(self.shelves.note());
        // Nobody else has them any more.
        for archive in archives.into_iter().filter_map(Arc::into_inner) {
            let stem = archive.name.stem().to_owned();
            if !self.done.contains(&stem) {
                let len = archive.bytes.len().unwrap_or(0).min(archive_end(&archive));
                self.archives.insert(stem, Followed { archive, len });
            }
        }
        flow
    }

    /// What has rows that were not shown, of archives and of what was copied out of channels.
    fn pieces(
        &mut self,
        archives: &[Arc<Archive>],
        grabbed: &HashMap<String, Vec<SubBytes>>,
    ) -> Vec<Piece> {
        let of_archive = |archive| Archive::blocks(archive).enumerate();
        let blocks = archives.iter().flat_map(|a| of_archive(a).map(move |(at, b)| (a, at, b)));
        let shown = &self.shown;
        let news = blocks.filter(|(_, _, block)| {
            let has = || block.facts().is_ok_and(|f| shown.has_runs(&f.sources, &f.runs));
            block.header.facts.rows > 0 && !has()
        });
        let blocks: Vec<_> = news.collect();
        let mut pieces: Vec<_> = (0..)
            .zip(&blocks)
            .filter_map(|(number, (archive, at, _))| Piece::of(archive, *at, number))
            .collect();
        let blocks: Vec<(&Archive, &BlockEntry)> =
            blocks.iter().map(|(archive, _, block)| (archive.as_ref(), *block)).collect();
        for (file, tail) in &mut self.tails {
            let Some(grabbed) = grabbed.get(file) else { continue };
            let id = tail.source.id;
            let skip = |place: &Place| shown.has(id, place.writer, place.number);
            let split = split(tail, grabbed, &mut self.notes, skip);
            context::raise(tail, &split, &blocks);
            pieces.extend(of_rows(super::rows::build(tail, split), pieces.len() as u64));
        }
        pieces
    }
}

/// Where the last thing in an archive ends that was seen.
fn archive_end(archive: &Archive) -> u64 {
    let block = archive.directory.blocks.last().map_or(0, BlockEntry::end);
    let control = archive.directory.controls.last().map_or(0, |at| at.offset + at.len);
    block.max(control)
}

/// A span that came through an archive is known to later rows of its channel.
fn learn_span(tails: &mut HashMap<String, Tail>, event: &Event<'_>) {
    if event.row.kind != Kind::SpanNew {
        return;
    }
    if let Some(view) = event.spans.last()
        && let Some(tail) = tails.values_mut().find(|tail| tail.source.id == event.source.id)
    {
        tail.spans.entry(event.row.span).or_insert_with(|| view.span.clone());
    }
}
