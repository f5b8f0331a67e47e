//! Looking at all live channels, before archives are opened.

use super::backlog::Backlog;
use super::live::{SubBytes, Tail};
use super::store::{Channels, Store, at};
use crate::unproven;
use relay_fmt::rows::ChannelId;
use relay_log::channel::Sub;
use rustix::io::Errno;
use std::io;

/// Live channels as they were grabbed.
#[derive(Debug)]
pub(crate) struct Grabbed {
    pub(crate) tail: Tail,
    pub(crate) subs: Vec<SubBytes>,
    pub(crate) alive: bool,
}

/// Opens all live channels, each with whether its process is there. What could not be read goes to
/// `problems`.
fn open_all(
    store: &Store,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> io::Result<Vec<(Tail, bool)>> {
    let Channels { channels, refused } = store.channels()?;
    let path = |file: &str| store.live_dir().join(file).display().to_string();
    problems.extend(refused.iter().map(|(file, why)| format!("{}: {why}", path(file))));
    let mut all = Vec::new();
    for (file, reader) in channels {
        let alive = reader.is_alive().unwrap_or(true);
        let waiting = |sub: &Sub| if sub.archived == sub.generation { 0 } else { sub.committed };
        if let Some(unproven) = unproven::of(&reader, waiting) {
            notes.push(format!("{file}: {}", unproven::text(&unproven)));
        }
        all.push((Tail::new(file, reader), alive));
    }
    Ok(all)
}

/// Opens and grabs all live channels.
pub(crate) fn grab_all(store: &Store, notes: &mut Vec<String>) -> io::Result<Vec<Grabbed>> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for (mut tail, alive) in open_all(store, notes, &mut problems)? {
        let grab = |tail: &mut Tail| {
            let seen = tail.look(false)?;
            tail.grab(seen)
        };
        let subs = grab(&mut tail).map_err(|errno| tail.unreadable(store, errno))?;
        notes.extend(tail.unseen());
        all.push(Grabbed { tail, subs, alive });
    }
    notes.append(&mut problems);
    Ok(all)
}

/// A channel, copied out or, where too much waits in it, only looked through.
pub(crate) enum Found {
    Copied(Box<Grabbed>),
    Left(Box<Left>),
}

impl Found {
    /// Which channel it is.
    pub(crate) fn id(&self) -> ChannelId {
        match self {
            Self::Copied(grabbed) => grabbed.tail.source.id,
            Self::Left(left) => left.tail.source.id,
        }
    }
}

/// A channel of which nothing was copied.
pub(crate) struct Left {
    pub(crate) tail: Tail,
    pub(crate) backlog: Backlog,
    pub(crate) alive: bool,
}

/// Opens all live channels, and copies out what is not too much. What could not be read goes to
/// `problems`.
pub(crate) fn find_all(
    store: &Store,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> io::Result<Vec<Found>> {
    let (mut all, mut copied) = (Vec::new(), 0);
    for (tail, alive) in open_all(store, notes, problems)? {
        let file = store.live_dir().join(&tail.file);
        match find(store, tail, alive, &mut copied, (&mut *notes, &mut *problems)) {
            Ok(found) => all.push(found),
            // The others are shown all the same.
            Err(errno) => problems.push(at(&file, &errno.into()).to_string()),
        }
    }
    Ok(all)
}

fn find(
    store: &Store,
    mut tail: Tail,
    alive: bool,
    copied: &mut u64,
    (notes, problems): (&mut Vec<String>, &mut Vec<String>),
) -> Result<Found, Errno> {
    let seen = tail.look(false)?;
    let bytes: u64 = seen.iter().map(|seen| u64::from(seen.sub.committed)).sum();
    let found = if *copied + bytes > store.copied_at_once() {
        let backlog = tail.backlog(&seen, problems)?;
        notes.extend(tail.unseen());
        Found::Left(Box::new(Left { tail, backlog, alive }))
    } else {
        let subs = tail.grab(seen)?;
        *copied += bytes;
        notes.extend(tail.unseen());
        Found::Copied(Box::new(Grabbed { tail, subs, alive }))
    };
    Ok(found)
}
