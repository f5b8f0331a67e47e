//! When a file fails: what it may have lost is written again, elsewhere.
//!
//! An fsync that failed once is never believed again, so the file is never written again either. A
//! new archive gets everything that was not synced, and says from where on the old one is void.

use crate::archive_file::{ArchiveFile, Piece, Sealing};
use crate::collector::{CollectError, Context};
use crate::lane::Lane;
use crate::writing::{FULL_RETRY, is_full};
use relay_fmt::archive::{Entry, Supersedes};
use relay_fmt::callsite::Level;
use std::io;

impl Lane {
    /// The archive's file may have lost what was written since it was synced. Everything of that is
    /// in memory and goes into a new archive, which says so; the file is never written again.
    pub(crate) fn supersede(
        &mut self,
        ctx: &mut Context<'_>,
        error: &io::Error,
    ) -> Result<(), CollectError> {
        let Some(mut broken) = self.archive.take() else { return Ok(()) };
        let text = format!(
            "{} is suspect after an error ({error}): going on in a new archive",
            broken.name
        );
        ctx.notes.say(Level::Error, text);
        self.last = Some((broken.number(), broken.name.clone()));
        let pieces = broken.take_unsynced();
        let mut void = vec![Supersedes { file: broken.name.clone(), offset: broken.synced_to }];
        // There is nowhere else to have them from, so this is tried for as long as it takes.
        loop {
            match self.write_again(ctx, &void, &pieces) {
                Ok(archive) => {
                    self.archive = Some(archive);
                    return Ok(());
                }
                Err((error, seen)) => {
                    void.extend(seen.map(|file| Supersedes { file, offset: 0 }));
                    let text =
                        format!("no new archive for channel {}: {error}; waiting", self.channel);
                    ctx.notes.say_once(Level::Error, text);
                    ctx.wait_for_room(FULL_RETRY, &error)?;
                }
            }
        }
    }

    /// A new archive with `pieces`; with the error comes the name of one that may have been seen.
    fn write_again(
        &self,
        ctx: &Context<'_>,
        void: &[Supersedes],
        pieces: &[Piece],
    ) -> Result<ArchiveFile, (io::Error, Option<String>)> {
        let mut entries: Vec<Entry> = void.iter().cloned().map(Entry::Supersedes).collect();
        entries.push(self.positions());
        entries.extend(self.last_words(ctx));
        // Nobody sees the new archive before all of it is durable.
        let mut archive = self.create(ctx, &entries, true).map_err(|error| (error, None))?;
        for piece in pieces {
            let done = match piece {
                Piece::Block(block) => archive.append((**block).clone()),
                Piece::Control(entries) => archive.control(entries),
            };
            if let Err(error) = done {
                return Err((error, archive.give_up()));
            }
        }
        match archive.show() {
            Ok(()) => Ok(archive),
            Err(error) => Err((error, archive.give_up())),
        }
    }

    /// Seals, or leaves a file as it is that cannot be written: the next start seals it.
    pub(crate) fn finish_sealing(
        &self,
        ctx: &mut Context<'_>,
        sealing: &Sealing,
    ) -> Result<String, CollectError> {
        loop {
            match sealing.finish() {
                Ok(sealed) => return Ok(sealed),
                Err(error) if is_full(&error) => {
                    let text = format!("{} cannot be sealed: {error}; waiting", sealing.name);
                    ctx.notes.say_once(Level::Error, text);
                    ctx.wait_for_room(FULL_RETRY, &error)?;
                }
                Err(error) => {
                    let text = format!("{} is left unsealed: {error}", sealing.name);
                    ctx.notes.say(Level::Error, text);
                    return Ok(sealing.name.clone());
                }
            }
        }
    }
}
