//! All channels of one name, and the archives they go into.
//!
//! Nothing that was read is kept: what is not in a block yet stays in the channel. So a pass either
//! leaves things alone, or takes what waits, writes it, and hands it back:
//!
//! 1. `look`: who lives, what waits;
//! 2. `gather`: what waits longest, up to a block's worth, no writer with a hole in its numbers;
//! 3. `merge`: rows in time order, encoded;
//! 4. `put`: into the archive;
//! 5. `account`: now it is archived: positions move, sub-buffers are handed back, writers woken.

use crate::archive_file::ArchiveFile;
use crate::collector::{CollectError, Context};
use crate::live::{Archived, Live, positions_entry};
use crate::merge::{Merge, MergedRun};
use crate::notes::now_ns;
use crate::take::Taken;
use relay_fmt::archive::{Entry, FileHeader, Final, Quarantine};
use relay_fmt::block::columns::Precision;
use relay_fmt::block::{BlockBuilder, BlockKind, BlockOptions, EncodedBlock};
use relay_fmt::callsite::Level;
use relay_fmt::rows::ChannelId;
use relay_log::channel::{Counter, Sub};
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// What a look at a channel showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Whether the channel could be read: nothing follows from a look that failed.
    seen: bool,
    subs: Vec<Sub>,
    waiting: u64,
    pressure: bool,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes that still wait.
    pub(crate) waiting: u64,
    /// Blocks written.
    pub(crate) blocks: u32,
}

/// Channels of one name, and their archives.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) channel: String,
    pub(crate) lives: Vec<Live>,
    pub(crate) archive: Option<ArchiveFile>,
    pub(crate) last: Option<(u64, String)>,
    /// Positions of channels that were not found in `live/` yet.
    known: HashMap<ChannelId, Archived>,
    announced: HashSet<ChannelId>,
    builder: BlockBuilder,
    /// Since when something waits that is not in a block.
    since: Option<Instant>,
    /// Bytes in the archive when positions were written last.
    positions_at: u64,
}

/// Positions are repeated after so many bytes of archive, so that a restart has little to read.
const POSITIONS_EVERY: u64 = 8 << 20;
/// A full disk is tried again so often.
pub(crate) const FULL_RETRY: Duration = Duration::from_millis(100);

impl Lane {
    /// A lane that goes on where the archives of its channel stand.
    pub(crate) fn open(ctx: &mut Context<'_>, channel: &str) -> Result<Self, CollectError> {
        let dir = ctx.options.archive_dir();
        let names = crate::read::ArchiveName::list(&dir)?;
        let recovered = crate::recover::recover(&dir, &names, channel)?;
        for said in recovered.said {
            ctx.notes.say(Level::Warn, said);
        }
        let mut lane = Self {
            channel: channel.to_owned(),
            lives: Vec::new(),
            positions_at: 0,
            archive: recovered.open,
            last: recovered.last,
            known: recovered.channels,
            announced: recovered.announced.into_iter().collect(),
            builder: BlockBuilder::new(),
            since: None,
        };
        if let Some(error) = recovered.suspect {
            lane.supersede(ctx, &error)?;
        }
        Ok(lane)
    }

    /// Takes a channel in. `false` when it is finished already, and only its file is left.
    pub(crate) fn adopt(
        &mut self,
        ctx: &mut Context<'_>,
        mut live: Live,
    ) -> Result<bool, CollectError> {
        let id = live.id();
        if let Some(known) = self.known.remove(&id) {
            if known.finished {
                self.known.insert(id, known);
                return Ok(false);
            }
            live.archived = known;
        }
        if self.announced.insert(id) {
            self.put_control(ctx, vec![live.announce(now_ns())])?;
        }
        self.lives.push(live);
        Ok(true)
    }

    /// Looks at every channel, and archives what is due. `force` makes everything due.
    pub(crate) fn pass(
        &mut self,
        ctx: &mut Context<'_>,
        force: bool,
    ) -> Result<Passed, CollectError> {
        let looks = self.look(ctx)?;
        let waiting: u64 = looks.iter().map(|look| look.waiting).sum();
        let pressure = looks.iter().any(|look| look.pressure);
        let ended = self.lives.iter().zip(&looks).any(|(l, k)| !l.alive && k.waiting > 0);
        let since = (waiting > 0).then(|| *self.since.get_or_insert_with(Instant::now));
        self.since = since;
        let old = since.is_some_and(|since| since.elapsed() >= ctx.options.block_age);
        let mut passed = Passed { waiting, blocks: 0 };
        if waiting > 0 && (force || pressure || ended || old || waiting >= ctx.options.block_bytes)
        {
            passed.blocks = self.archive_all(ctx, &looks)?;
            passed.waiting = 0;
            self.since = None;
        }
        self.finish_ended(ctx, &looks)?;
        self.keep_house(ctx)?;
        Ok(passed)
    }

    fn look(&mut self, ctx: &mut Context<'_>) -> Result<Vec<Look>, CollectError> {
        let mut looks = Vec::with_capacity(self.lives.len());
        for live in &mut self.lives {
            // First whether it lives, then what it has: what a dead one has is all there will be.
            if live.alive {
                live.alive = live.reader.is_alive().unwrap_or(true);
            }
            match live.look() {
                Ok(look) => looks.push(look),
                Err(errno) => {
                    let text = format!("{} cannot be read: {errno}", live.file);
                    ctx.notes.say_once(Level::Error, text);
                    looks.push(Look::default());
                }
            }
        }
        Ok(looks)
    }

    /// Archives what the looks showed, block by block. Returns how many blocks.
    fn archive_all(&mut self, ctx: &mut Context<'_>, looks: &[Look]) -> Result<u32, CollectError> {
        let mut order: Vec<(i64, usize, Sub)> = Vec::new();
        for (i, (live, look)) in self.lives.iter().zip(looks).enumerate() {
            let (opened, rate) = (live.reader.identity().opened, live.rate.rate());
            let there = look.subs.iter().filter(|sub| !sub.is_meta() && live.waiting(sub) > 0);
            order.extend(there.map(|sub| (opened.real_of(sub.opened, rate), i, *sub)));
        }
        order.sort_unstable_by_key(|(at, live, sub)| (*at, *live, sub.index));
        let mut rest = order.into_iter().map(|(_, live, sub)| (live, sub)).peekable();
        let mut blocks = 0;
        while rest.peek().is_some() {
            let taken = self.gather(ctx, &mut rest)?;
            if taken.is_empty() {
                continue;
            }
            let runs = Merge::new(&mut self.lives, &taken, &mut self.builder).run();
            let precision = if ctx.options.micros { Precision::Micros } else { Precision::Nanos };
            let level = ctx.options.level;
            let options = BlockOptions { level, precision, ..BlockOptions::default() };
            // What the columns' limits refuse goes in as rows: nothing is too odd to be kept.
            let block = self.builder.finish(&options).or_else(|_| {
                self.builder.finish(&BlockOptions { kind: BlockKind::Rows, ..options })
            });
            let block = block.map_err(CollectError::block)?;
            // Without runs there is only something to set aside.
            if !runs.is_empty() {
                self.put_block(ctx, block)?;
            }
            self.account(ctx, &taken, &runs)?;
            blocks += 1;
        }
        Ok(blocks)
    }

    /// Takes what waits longest, up to a block's worth.
    fn gather(
        &mut self,
        ctx: &mut Context<'_>,
        rest: &mut dyn Iterator<Item = (usize, Sub)>,
    ) -> Result<Vec<(usize, Taken)>, CollectError> {
        let mut taken: Vec<(usize, Taken)> = Vec::new();
        let (mut bytes, mut holes) = (0, false);
        loop {
            // A hole in a writer's numbers may be filled by what comes later in the order.
            if bytes >= ctx.options.block_bytes && !holes {
                break;
            }
            let Some((index, sub)) = rest.next() else { break };
            let Some(live) = self.lives.get_mut(index) else { continue };
            match live.take(&sub) {
                Ok(Some(new)) => {
                    bytes += new.bytes.len() as u64;
                    taken.push((index, new));
                }
                Ok(None) => {}
                Err(errno) => {
                    let text = format!("{} cannot be read: {errno}", live.file);
                    ctx.notes.say_once(Level::Error, text);
                }
            }
            holes = bytes >= ctx.options.block_bytes
                && !crate::holes::find(&self.lives, &taken).is_empty();
        }
        crate::holes::leave_out(&mut self.lives, &mut taken);
        for live in self.lives.iter_mut().filter(|live| live.missing) {
            // Descriptions are committed before the records that need them: a fresh look has them.
            if let Ok(subs) = live.reader.scan() {
                let _ = live.read_descriptions(&subs);
            }
            live.missing = false;
        }
        taken.retain(|(_, taken)| !taken.parts.is_empty() || taken.bad.is_some());
        Ok(taken)
    }

    /// The block is in the archive: so are its runs.
    fn account(
        &mut self,
        ctx: &mut Context<'_>,
        taken: &[(usize, Taken)],
        runs: &[MergedRun],
    ) -> Result<(), CollectError> {
        for merged in runs {
            if let Some(live) = self.lives.get_mut(merged.live) {
                live.archived.add_run(&merged.run, merged.max_ns);
            }
        }
        for (index, taken) in taken {
            let Some(live) = self.lives.get_mut(*index) else { continue };
            if let Some(at) = live.archived.subs.get_mut(&taken.sub.index)
                && at.generation == taken.sub.generation
                && taken.to() == Some(at.bytes)
            {
                at.hand = taken.hand.clone();
            }
            if let Some((from, error)) = &taken.bad
                && let Err(failed) = set_aside(ctx, live, taken, *from, *error)
            {
                // It waits in its channel, and the next pass tries again.
                let text = format!("{}: quarantine cannot be written: {failed}", live.file);
                ctx.notes.say_once(Level::Error, text);
            }
            live.hand_back_if_done(&taken.sub);
        }
        let mut woken = HashSet::new();
        for (index, _) in taken {
            if woken.insert(*index)
                && let Some(live) = self.lives.get_mut(*index)
            {
                live.archived.end_block();
                // A waiter that this does not reach looks by itself within 100 ms.
                let _ = live.reader.wake_writers();
            }
        }
        Ok(())
    }

    /// Drops channels whose process is gone and whose last byte is archived.
    fn finish_ended(&mut self, ctx: &mut Context<'_>, looks: &[Look]) -> Result<(), CollectError> {
        let mut ended = Vec::new();
        for (i, (live, look)) in self.lives.iter().zip(looks).enumerate() {
            // A fresh look: what this pass has archived no longer waits.
            let left = look.subs.iter().any(|sub| !sub.is_meta() && live.waiting(sub) > 0);
            if !live.alive && look.seen && !left {
                ended.push((i, live.end(&look.subs)));
            }
        }
        for (i, end) in ended.into_iter().rev() {
            self.put_control(ctx, vec![Entry::Final(end)])?;
            self.sync(ctx)?;
            let live = self.lives.remove(i);
            if live.reader.status().map_or(1, |status| status.links) > 0 {
                remove_live(ctx, &live.file);
            }
            let finished = Archived { finished: true, ..Archived::default() };
            self.known.insert(live.id(), finished);
        }
        Ok(())
    }

    /// Notes, positions, sync and rotation.
    fn keep_house(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let (len, age) = (archive.len(), archive.since.elapsed());
        // The positions of many writers can be longer than a small archive: they do not count.
        if archive.grown() >= ctx.options.rotate_size
            || (age >= ctx.options.rotate_age && archive.blocks() > 0)
        {
            return self.seal(ctx);
        }
        if archive.must_sync() || (archive.is_dirty() && ctx.sync_due) {
            self.sync(ctx)?;
        }
        if len.saturating_sub(self.positions_at) >= POSITIONS_EVERY {
            self.positions_at = len;
            let positions = self.positions();
            self.put_control(ctx, vec![positions])?;
        }
        Ok(())
    }

    /// Where everything stands, with what is known of channels that were not found yet: an archive
    /// may be begun before all of them are.
    pub(crate) fn positions(&self) -> Entry {
        let found = self.lives.iter().map(|live| (&live.source, &live.archived));
        let known = self.known.values().filter(|known| !known.finished);
        let known = known.filter_map(|known| Some((known.source.as_ref()?, known)));
        positions_entry(found.chain(known))
    }

    /// Every channel that is there has been found: what is still only known, and has no file among
    /// `there`, has vanished.
    pub(crate) fn all_found(&mut self, ctx: &mut Context<'_>, there: &HashSet<String>) {
        self.known.retain(|id, known| {
            let file =
                known.source.as_ref().map(|s| format!("{}.{}-{}.relay", s.channel, s.pid, s.id));
            if file.is_some_and(|file| there.contains(&file)) {
                return true;
            }
            if !known.finished {
                let text =
                    format!("channel {} ({id}) has vanished; it was not finished", self.channel);
                ctx.notes.say_once(Level::Error, text);
            }
            known.finished
        });
    }

    /// Seals the archive, if there is one with anything in it.
    pub(crate) fn seal(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        let notes = ctx.notes.take();
        if !notes.is_empty() && self.archive.is_some() {
            self.put_control(ctx, notes)?;
        }
        // After this only the directory is at stake, and readers can do without one.
        self.sync(ctx)?;
        if let Some(archive) = self.archive.take() {
            let number = archive.number();
            let sealing = archive.into_sealing()?;
            self.last = Some((number, sealing.name.clone()));
            let name = self.finish_sealing(ctx, &sealing)?;
            self.last = Some((number, name));
            ctx.retain = true;
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        let Some(archive) = &mut self.archive else { return Ok(()) };
        match archive.sync() {
            Ok(()) => Ok(()),
            Err(error) => self.supersede(ctx, &error),
        }
    }

    /// Writes entries into the archive.
    pub(crate) fn put_control(
        &mut self,
        ctx: &mut Context<'_>,
        entries: Vec<Entry>,
    ) -> Result<(), CollectError> {
        self.ensure_archive(ctx)?;
        let Some(archive) = &mut self.archive else { return Ok(()) };
        let done = archive.control(&entries);
        self.insist(ctx, done)
    }

    fn put_block(
        &mut self,
        ctx: &mut Context<'_>,
        block: EncodedBlock,
    ) -> Result<(), CollectError> {
        let notes = ctx.notes.take();
        if !notes.is_empty() {
            self.put_control(ctx, notes)?;
        }
        self.ensure_archive(ctx)?;
        let Some(archive) = &mut self.archive else { return Ok(()) };
        let done = archive.append(block);
        self.insist(ctx, done)
    }

    /// Sees to it that something gets written: a full disk is waited for, a broken file left.
    fn insist(
        &mut self,
        ctx: &mut Context<'_>,
        mut done: io::Result<()>,
    ) -> Result<(), CollectError> {
        let text = format!(
            "the archive of channel {} cannot grow: the disk is full; waiting",
            self.channel
        );
        loop {
            match done {
                Ok(()) => break,
                Err(error) if is_full(&error) => {
                    ctx.notes.say_once(Level::Error, text.clone());
                    ctx.wait_for_room(FULL_RETRY, &error)?;
                    let Some(archive) = &mut self.archive else { break };
                    done = archive.retry();
                }
                // What no archive can hold is still in its channel.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.supersede(ctx, &error)?;
                    break;
                }
            }
        }
        if ctx.notes.forget(&text) {
            ctx.notes
                .say(Level::Warn, format!("the archive of channel {} grows again", self.channel));
        }
        Ok(())
    }

    fn ensure_archive(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        while self.archive.is_none() {
            let entries = [self.positions()];
            match self.create(ctx, &entries, false) {
                Ok(archive) => {
                    self.positions_at = archive.len();
                    self.archive = Some(archive);
                }
                Err(error) if is_full(&error) => {
                    let text = format!(
                        "no archive for channel {}: the disk is full; waiting",
                        self.channel
                    );
                    ctx.notes.say_once(Level::Error, text);
                    ctx.wait_for_room(FULL_RETRY, &error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) fn create(
        &self,
        ctx: &Context<'_>,
        entries: &[Entry],
        hidden: bool,
    ) -> io::Result<ArchiveFile> {
        ctx.options.make_dir(&ctx.options.archive_dir())?;
        let mut uuid = [0; 16];
        rustix::rand::getrandom(&mut uuid[..], rustix::rand::GetRandomFlags::empty())?;
        let header = FileHeader {
            uuid,
            channel: self.channel.clone(),
            number: self.last.as_ref().map_or(0, |(number, _)| number + 1),
            predecessor: self.last.as_ref().map(|(_, name)| name.clone()).unwrap_or_default(),
            host: ctx.host.clone(),
            created_ns: now_ns(),
            ..FileHeader::default()
        };
        ArchiveFile::create(&ctx.options.archive_dir(), header, entries, ctx.options.mode, hidden)
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Deletes the file of a channel that is finished. What cannot be deleted is left to the next start.
pub(crate) fn remove_live(ctx: &mut Context<'_>, file: &str) {
    match std::fs::remove_file(ctx.options.live_dir.join(file)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let text = format!("live/{file} is archived and cannot be deleted: {error}");
            ctx.notes.say_once(Level::Error, text);
        }
    }
}

/// Keeps what does not parse, and says so.
fn set_aside(
    ctx: &mut Context<'_>,
    live: &mut Live,
    taken: &Taken,
    from: u32,
    error: relay_fmt::Error,
) -> io::Result<()> {
    let dir = ctx.options.quarantine_dir();
    ctx.options.make_dir(&dir)?;
    let (index, generation) = (taken.sub.index, taken.sub.generation);
    let what = format!("{}.{index}.{generation}.{from}.bin", live.file);
    let start = from.saturating_sub(taken.start) as usize;
    std::fs::write(dir.join(&what), taken.bytes.get(start..).unwrap_or_default())?;
    let why =
        format!("{error}, in sub-buffer {index}, generation {generation}, from byte {from} on");
    ctx.notes.say(Level::Error, format!("{}: {why}; kept as quarantine/{what}", live.file));
    ctx.notes.push(Entry::Quarantine(Quarantine { what, why }));
    live.poisoned.insert(index, generation);
    Ok(())
}

impl Live {
    fn look(&mut self) -> Result<Look, rustix::io::Errno> {
        let subs = self.reader.scan()?;
        let status = self.reader.status()?;
        let mut waiting = 0;
        for sub in &subs {
            if sub.is_meta() {
                continue;
            }
            waiting += u64::from(self.waiting(sub));
            // Archived before, but not handed back: the collector was killed in between.
            self.hand_back_if_done(sub);
        }
        let pressure = status.waiters > 0 || waiting >= status.cap / 2;
        Ok(Look { seen: true, subs, waiting, pressure })
    }

    /// Hands a sub-buffer back if nothing will be added to it and all of it is archived.
    fn hand_back_if_done(&self, sub: &Sub) {
        if sub.is_ready() && sub.archived != sub.generation && self.waiting(sub) == 0 {
            // What cannot be handed back now is handed back by the next look.
            let _ = self.reader.hand_back(sub);
        }
    }

    /// The last word about a channel.
    fn end(&self, subs: &[Sub]) -> Final {
        let status = self.reader.status().ok();
        let highest =
            subs.iter().map(|sub| sub.index).chain(self.archived.subs.keys().copied()).max();
        let mut claimed = vec![0u64; highest.map_or(0, |highest| highest as usize + 1)];
        let here = self.archived.subs.iter().map(|(i, at)| (*i, at.prior + u64::from(at.records)));
        // A generation that was overwritten unseen is claimed all the same.
        for (index, count) in here.chain(subs.iter().map(|sub| (sub.index, sub.prior))) {
            if let Some(claimed) = claimed.get_mut(index as usize) {
                *claimed = count.max(*claimed);
            }
        }
        let counter = |counter: Counter| {
            status.and_then(|status| status.counters.get(counter as usize).copied()).unwrap_or(0)
        };
        let discarded = counter(Counter::DiscardedFull) + counter(Counter::DiscardedDisk);
        let clean = status.is_some_and(|status| status.closed);
        Final {
            id: self.id(),
            claimed: claimed.iter().sum::<u64>() + discarded,
            discarded,
            per_sub_buffer: claimed,
            clean,
            reason: if clean { "ended in order".into() } else { "its process is gone".into() },
        }
    }
}
