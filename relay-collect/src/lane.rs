//! All channels of one name, and the archives they go into.
//!
//! Nothing that was read is kept: what is not in a block yet stays in the channel. So a pass either
//! leaves things alone, or takes what waits, writes it, and hands it back:
//!
//! 1. `look`: who lives, what waits;
//! 2. `gather`: what waits longest, up to a block's worth; no writer with a hole in its numbers
//!    (`holes.rs`: what lies behind one goes round again);
//! 3. `merge`: rows in time order, encoded (`ahead.rs`: what can be done meanwhile);
//! 4. `put`: into the archive;
//! 5. `account`: now it is archived: positions move, sub-buffers are handed back, writers woken.

use crate::ahead::{self, Ahead};
use crate::archive_file::ArchiveFile;
use crate::collector::{CollectError, Context};
use crate::holes::Behind;
use crate::live::{Archived, Live};
use crate::looking::Look;
use crate::merge::{Merge, MergedRun};
use crate::notes::now_ns;
use crate::pace::Pace;
use crate::read::Ranges;
use crate::render::Contents;
use crate::take::Taken;
use crate::unproven;
use relay_fmt::archive::{Entry, Quarantine};
use relay_fmt::block::columns::Precision;
use relay_fmt::block::{BlockBuilder, BlockKind, BlockOptions};
use relay_fmt::callsite::Level;
use relay_fmt::rows::ChannelId;
use relay_log::channel::Sub;
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes that waited.
    pub(crate) found: u64,
    /// Bytes that still wait, and are not due yet.
    pub(crate) waiting: u64,
}

/// Channels of one name, and their archives.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) channel: String,
    pub(crate) lives: Vec<Live>,
    pub(crate) archive: Option<ArchiveFile>,
    pub(crate) last: Option<(u64, String)>,
    /// Positions of channels that were not found in `live/` yet.
    pub(crate) known: HashMap<ChannelId, Archived>,
    announced: HashSet<ChannelId>,
    /// Channels that are finished and whose files are deleted.
    ended: HashSet<ChannelId>,
    /// Numbers of the archives that retention has deleted.
    pub(crate) deleted: Ranges,
    builder: BlockBuilder,
    /// Memory of what was taken for earlier blocks.
    spare: Vec<Vec<u8>>,
    pub(crate) pace: Pace,
    contents: Contents,
    /// Since when something waits that is not in a block.
    since: Option<Instant>,
    /// Bytes in the archive when positions were written last.
    pub(crate) positions_at: u64,
}

/// An archive is sealed when its blocks list so many runs, some 40 MB of memory: a million threads that
/// log once each are a million runs, in few bytes of archive.
const MOST_RUNS: usize = 200_000;
/// Positions are repeated after so many bytes of archive, so that a restart has little to read.
const POSITIONS_EVERY: u64 = 8 << 20;
/// Channels that have vanished are remembered so long.
const MISSED: Duration = Duration::from_secs(600);
/// Of so many sub-buffers the memory is used again: those of two blocks of the usual sizes.
const SPARE: usize = 256;
/// A block may grow by one in so many bytes to say what its text contains.
pub(crate) const FILTER_PART: usize = 16;

impl Lane {
    /// A lane that goes on where the archives of its channel stand.
    pub(crate) fn open(ctx: &mut Context<'_>, channel: &str) -> Result<Self, CollectError> {
        let dir = ctx.options.archive_dir();
        let names = crate::read::ArchiveName::list(&dir)?;
        let recovered = crate::recover::recover(&dir, &names, channel)?;
        let deleted = crate::deleted::of_channel(&dir, &names, channel);
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
            ended: HashSet::new(),
            deleted,
            builder: BlockBuilder::new(),
            spare: Vec::new(),
            pace: Pace::new(ctx.options.level),
            contents: Contents::default(),
            since: None,
        };
        if let Some(error) = recovered.suspect {
            lane.supersede(ctx, &error)?;
        }
        Ok(lane)
    }

    /// Whether it has deleted files of channels that are finished.
    pub(crate) fn has_deleted(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Takes a channel in. `false` when it is finished already, and only its file is left.
    pub(crate) fn adopt(
        &mut self,
        ctx: &mut Context<'_>,
        mut live: Live,
    ) -> Result<bool, CollectError> {
        let id = live.id();
        if self.ended.contains(&id) {
            return Ok(false);
        }
        if let Some(known) = self.known.remove(&id) {
            if known.end.is_some() {
                self.known.insert(id, known);
                return Ok(false);
            }
            live.archived = known;
        }
        // A collector that was killed may have said so; this one has synced what it took over.
        live.unsynced = live.reader.status().is_ok_and(|status| status.unsynced);
        if !ctx.in_memory {
            live.synced();
        }
        if self.announced.insert(id) {
            self.put_control(ctx, vec![live.announce(now_ns())])?;
        }
        if let Some(unproven) = unproven::of(&live.reader, |sub| live.waiting(sub)) {
            let text = format!("live/{}: {}", live.file, unproven::text(&unproven));
            ctx.notes.say(Level::Warn, text);
            self.put_control(ctx, vec![Entry::Unproven(unproven)])?;
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
        let looks = self.look(ctx, force)?;
        let waiting: u64 = looks.iter().map(|look| look.waiting).sum();
        let pressure = looks.iter().any(|look| look.pressure);
        let durable = looks.iter().any(|look| look.sync_wanted.is_some());
        let ended = self.lives.iter().zip(&looks).any(|(l, k)| !l.alive && k.waiting > 0);
        let since = (waiting > 0).then(|| *self.since.get_or_insert_with(Instant::now));
        self.since = since;
        let old = since.is_some_and(|since| since.elapsed() >= ctx.options.block_age);
        let mut passed = Passed { found: waiting, waiting };
        // Who drains has the time that it takes.
        if !force {
            self.pace.see(waiting, ctx.options.block_bytes, Instant::now());
        }
        if waiting > 0
            && (force || durable || pressure || ended || old || waiting >= ctx.options.block_bytes)
        {
            self.archive_all(ctx, &looks)?;
            passed.waiting = 0;
            self.since = None;
        }
        for (live, look) in self.lives.iter_mut().zip(&looks).filter(|(_, look)| look.seen) {
            // A hole kept something back: the next pass has it.
            if !live.is_left(look) {
                live.archived_ns = look.at_ns;
            }
        }
        if durable {
            self.make_durable(ctx, &looks)?;
        }
        self.finish_ended(ctx, &looks)?;
        self.keep_house(ctx)?;
        Ok(passed)
    }

    fn look(&mut self, ctx: &mut Context<'_>, last: bool) -> Result<Vec<Look>, CollectError> {
        let mut looks = Vec::with_capacity(self.lives.len());
        for live in &mut self.lives {
            // First whether it lives, then what it has: what a dead one has is all there will be.
            if live.alive {
                live.alive = live.reader.is_alive().unwrap_or(true);
            }
            match live.look(ctx.in_memory) {
                Ok(look) => {
                    live.unread = !look.busy.is_empty();
                    if let Some(text) = live.complain(&look, last) {
                        ctx.notes.leave(text);
                    }
                    looks.push(look);
                }
                Err(errno) => {
                    live.unread = true;
                    let path = ctx.options.live_dir.join(&live.file);
                    ctx.notes.leave(format!("{} cannot be read: {errno}", path.display()));
                    looks.push(Look::default());
                }
            }
        }
        self.hand_back(ctx, &looks)?;
        Ok(looks)
    }

    /// Hands back what was archived before and is full by now, or was archived by a collector that was
    /// killed before it could.
    fn hand_back(&mut self, ctx: &mut Context<'_>, looks: &[Look]) -> Result<(), CollectError> {
        let all = || self.lives.iter().zip(looks);
        if all().any(|(live, look)| live.durable && look.subs.iter().any(|sub| live.is_done(sub))) {
            self.sync_if_dirty(ctx)?;
        }
        let dirty = self.is_dirty();
        for (live, look) in self.lives.iter_mut().zip(looks) {
            look.subs.iter().for_each(|sub| live.hand_back_if_done(sub, dirty));
        }
        Ok(())
    }

    fn sync_if_dirty(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        if self.is_dirty() { self.sync(ctx) } else { Ok(()) }
    }

    fn is_dirty(&self) -> bool {
        self.archive.as_ref().is_some_and(ArchiveFile::is_dirty)
    }

    /// Archives what the looks showed, block by block.
    fn archive_all(&mut self, ctx: &mut Context<'_>, looks: &[Look]) -> Result<(), CollectError> {
        let mut order: Vec<(i64, usize, Sub)> = Vec::new();
        for (i, (live, look)) in self.lives.iter().zip(looks).enumerate() {
            let (opened, rate) = (live.reader.identity().opened, live.rate.rate());
            let there = look.subs.iter().filter(|sub| !sub.is_meta() && live.waiting(sub) > 0);
            order.extend(there.map(|sub| (opened.real_of(sub.opened, rate), i, *sub)));
        }
        order.sort_unstable_by_key(|(at, live, sub)| (*at, *live, sub.index));
        let mut rest: Vec<(usize, Sub)> = order.into_iter().map(|(_, i, sub)| (i, sub)).collect();
        let mut before = Behind::default();
        loop {
            let (mut behind, mut any) = (Behind::default(), false);
            let (mut next, mut ahead) = (rest.into_iter(), Ahead::default());
            while !ahead.is_empty() || next.len() > 0 {
                if ahead.is_empty() {
                    let most = ctx.options.block_bytes;
                    ahead.fill(&mut self.lives, &mut next, &mut self.spare, most);
                }
                let taken = self.gather(ctx, std::mem::take(&mut ahead), (&before, &mut behind));
                if !taken.is_empty() {
                    any = true;
                    ahead = self.archive_block(ctx, &taken, &mut next)?;
                    self.spare.extend(taken.into_iter().map(|(_, taken)| taken.bytes));
                    self.spare.truncate(SPARE);
                }
            }
            rest = behind.take_subs();
            // The first time round nothing was known of what is behind holes.
            let first = std::mem::replace(&mut before, behind).is_empty();
            if rest.is_empty() || !(any || first) {
                break;
            }
        }
        before.remember(&mut self.lives);
        Ok(())
    }

    /// Writes what was taken as one block. While a backlog grows, what is `next` is taken meanwhile.
    fn archive_block(
        &mut self,
        ctx: &mut Context<'_>,
        taken: &[(usize, Taken)],
        next: &mut std::vec::IntoIter<(usize, Sub)>,
    ) -> Result<Ahead, CollectError> {
        if taken.iter().any(|(_, taken)| !taken.parts.is_empty()) {
            // Merging opens and closes spans. The positions that an archive begins with must not say
            // so before the block is in it.
            self.ensure_archive(ctx)?;
        }
        let runs = Merge::new(&mut self.lives, taken, &mut self.builder).run();
        let precision = if ctx.options.micros { Precision::Micros } else { Precision::Nanos };
        let level = self.pace.level();
        let options = BlockOptions { level, precision, ..BlockOptions::default() };
        let (hurries, most) = (self.pace.hurries(), ctx.options.block_bytes);
        let (lives, spare, contents) = (&mut self.lives, &mut self.spare, &mut self.contents);
        contents.hurry(hurries);
        let mut ahead = Ahead::default();
        let (rows, encoding) = self.builder.ready(&options);
        let (mut contents, mut filter) = contents.or_encoder(rows);
        let (payloads, mut order) = encoding.halves().map_err(CollectError::block)?;
        let beside = || {
            order.encode();
            if let Some(contents) = &mut contents {
                contents.see(rows);
            }
            if hurries {
                ahead.fill(lives, next, spare, most);
            }
        };
        let block = ahead::both(hurries, beside, || payloads.encode(filter.as_deref_mut()));
        let block = block.and_then(|block| block.with(order));
        // What the columns' limits refuse goes in as rows: nothing is too odd to be kept.
        let as_rows = BlockOptions { kind: BlockKind::Rows, ..options };
        let block = block.or_else(|_| self.builder.ready(&as_rows).1.encode_sifted(filter));
        let mut block = block.map_err(CollectError::block)?;
        self.builder.clear();
        block.filter = self.contents.finish(block.body.len() / FILTER_PART);
        // Without runs there is only something to set aside.
        if !runs.is_empty() {
            self.put_block(ctx, block)?;
        }
        if taken.iter().any(|(i, _)| self.lives.get(*i).is_some_and(|live| live.durable)) {
            self.sync_if_dirty(ctx)?;
        }
        self.account(ctx, taken, &runs)?;
        Ok(ahead)
    }

    /// Leaves out of what was taken for a block what lies behind holes. The block before is accounted for.
    fn gather(
        &mut self,
        ctx: &mut Context<'_>,
        Ahead { mut taken, failed }: Ahead,
        (before, behind): (&Behind, &mut Behind),
    ) -> Vec<(usize, Taken)> {
        for (index, errno) in failed {
            let Some(live) = self.lives.get_mut(index) else { continue };
            live.unread = true;
            let path = ctx.options.live_dir.join(&live.file);
            ctx.notes.leave(format!("{} cannot be read: {errno}", path.display()));
        }
        crate::holes::leave_out(&self.lives, &mut taken, before, behind);
        for live in self.lives.iter_mut().filter(|live| live.missing) {
            // Descriptions are committed before the records that need them: a fresh look has them.
            if let Ok(subs) = live.reader.scan() {
                let _ = live.read_descriptions(&subs);
            }
            live.missing = false;
        }
        taken.retain(|(_, taken)| !taken.parts.is_empty() || taken.bad.is_some());
        taken
    }

    /// The block is in the archive: so are its runs.
    fn account(
        &mut self,
        ctx: &mut Context<'_>,
        taken: &[(usize, Taken)],
        runs: &[MergedRun],
    ) -> Result<(), CollectError> {
        let dirty = self.is_dirty();
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
            live.hand_back_if_done(&taken.sub, dirty);
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

    /// Answers those who wait for durability, if all that they have committed is archived.
    fn make_durable(&mut self, ctx: &mut Context<'_>, looks: &[Look]) -> Result<(), CollectError> {
        self.sync(ctx)?;
        for (live, look) in self.lives.iter().zip(looks) {
            if let (Some(wanted), false) = (look.sync_wanted, live.is_owed(look)) {
                let answer = if ctx.in_memory { u64::MAX } else { wanted };
                // Who is not reached asks again, or gives up.
                let _ = live.reader.acknowledge_sync(answer);
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
            if !live.alive && look.seen && !live.is_left(look) {
                ended.push((i, live.end(&look.subs)));
            }
        }
        for (i, end) in ended.into_iter().rev() {
            self.put_control(ctx, vec![Entry::Final(end.clone())])?;
            self.sync(ctx)?;
            let live = self.lives.remove(i);
            let has_name = live.reader.status().map_or(1, |status| status.links) > 0;
            if has_name && !remove_live(ctx, &live.file) {
                let finished = Archived { end: Some(end), ..Archived::default() };
                self.known.insert(live.id(), finished);
            } else {
                // There are as many as processes come and go: nothing more is kept of them.
                self.ended.insert(live.id());
            }
        }
        Ok(())
    }

    /// Notes, positions, sync and rotation.
    fn keep_house(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let (len, age) = (archive.len(), archive.since.elapsed());
        // The positions of many writers can be longer than a small archive: they do not count.
        if archive.grown() >= ctx.options.rotate_size
            || archive.runs() >= MOST_RUNS
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

    /// Every channel that is there has been found: what is still only known, and has no file among
    /// `there`, has vanished. It may be in a directory that is mounted a little later: it is remembered
    /// for a while.
    pub(crate) fn all_found(&mut self, ctx: &mut Context<'_>, there: &HashSet<String>) {
        for (id, known) in &mut self.known {
            let source = known.source.as_ref().filter(|_| known.end.is_none());
            let file = source.map(|s| format!("{}.{}-{}.relay", s.channel, s.pid, s.id));
            if file.is_none_or(|file| there.contains(&file)) {
                known.missed = None;
            } else if known.missed.is_none() {
                known.missed = Some(Instant::now());
                let text =
                    format!("channel {} ({id}) has vanished; it was not finished", self.channel);
                ctx.notes.say_once(Level::Error, text);
            }
        }
        self.known.retain(|_, known| known.missed.is_none_or(|at| at.elapsed() < MISSED));
    }
}

/// Deletes the file of a channel that is finished. What cannot be deleted is left to the next start. Returns
/// whether it was there and is deleted.
pub(crate) fn remove_live(ctx: &mut Context<'_>, file: &str) -> bool {
    match std::fs::remove_file(ctx.options.live_dir.join(file)) {
        Ok(()) => return true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let text = format!("live/{file} is archived and cannot be deleted: {error}");
            ctx.notes.say_once(Level::Error, text);
        }
    }
    false
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
    ctx.notes.leave(format!("{}: {why}; kept as quarantine/{what}", live.file));
    ctx.notes.push(Entry::Quarantine(Quarantine { what, why }));
    live.poisoned.insert(index, generation);
    Ok(())
}
