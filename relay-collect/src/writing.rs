//! How a lane writes its archive: a full disk is waited for, a broken file is left, and a new archive
//! begins with what is still needed.

use crate::archive_file::ArchiveFile;
use crate::collector::{CollectError, Context};
use crate::deleted::OfChannel;
use crate::lane::Lane;
use crate::live::{Live, positions_entry};
use crate::notes::now_ns;
use relay_fmt::archive::{Entry, FileHeader, Final};
use relay_fmt::block::EncodedBlock;
use relay_fmt::callsite::Level;
use std::io;
use std::time::Duration;

/// A full disk is tried again so often.
pub(crate) const FULL_RETRY: Duration = Duration::from_millis(100);

impl Lane {
    /// Where everything stands, with what is known of channels that were not found yet: an archive
    /// may be begun before all of them are.
    pub(crate) fn positions(&self) -> Entry {
        let found = self.lives.iter().map(|live| (&live.source, &live.archived));
        let known = self.known.values().filter(|known| known.end.is_none());
        let known = known.filter_map(|known| Some((known.source.as_ref()?, known)));
        positions_entry(found.chain(known))
    }

    /// The last words about channels whose files could not be deleted: the newest archive alone is
    /// asked what is finished.
    pub(crate) fn last_words(&self, ctx: &Context<'_>) -> Vec<Entry> {
        let ended = self.known.values().filter_map(|known| known.end.as_ref());
        let mut ended = ended.peekable();
        let dir = &ctx.options.live_dir;
        if ended.peek().is_some() || self.has_deleted() {
            // What was deleted must not come back after a loss of power.
            let _ = crate::archive_file::sync_dir(dir);
        }
        if ended.peek().is_none() {
            return Vec::new();
        }
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        let is_there = |end: &Final| {
            let tail = format!("-{}.relay", end.id);
            names.iter().any(|name| name.to_string_lossy().ends_with(&tail))
        };
        ended.filter(|end| is_there(end)).cloned().map(Entry::Final).collect()
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
        let synced = archive.sync();
        synced.or_else(|error| self.supersede(ctx, &error))?;
        if !ctx.in_memory {
            self.lives.iter_mut().for_each(Live::synced);
        }
        Ok(())
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

    pub(crate) fn put_block(
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

    /// Begins an archive where none is open, with what is needed from those before it.
    pub(crate) fn ensure_archive(&mut self, ctx: &mut Context<'_>) -> Result<(), CollectError> {
        while self.archive.is_none() {
            let mut entries = vec![self.positions()];
            entries.extend(self.last_words(ctx));
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
                Err(error) => {
                    let dir = ctx.options.archive_dir();
                    let what = format!("cannot begin an archive in {}", dir.display());
                    return Err(CollectError::Path { what, error });
                }
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
        let all = [&[OfChannel::entry(&self.deleted)], entries].concat();
        ArchiveFile::create(&ctx.options.archive_dir(), header, &all, ctx.options.mode, hidden)
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
