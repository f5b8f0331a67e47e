//! Live channels: what waits in them, and what they say of the archives.
//!
//! MUST: they are looked at before the archives are read. Then whatever they say is archived is in
//! an archive that is read afterwards, or it is lost.

use super::account::{Account, Sub as Known};
use super::walk::Books;
use crate::read::live::Tail;
use crate::read::looks::{Grabbed, grab_all};
use crate::read::split::{Place, split};
use crate::read::store::Store;
use relay_fmt::record::Records;
use relay_log::channel::{ChannelReader, Sub};
use std::io;

/// A live channel as it was before the archives were read.
pub(super) struct Seen {
    pub(super) grabbed: Grabbed,
    /// All that was leased: also what was handed back, which is not grabbed.
    subs: Vec<Sub>,
}

/// Looks at all live channels.
pub(super) fn look(store: &Store, notes: &mut Vec<String>) -> io::Result<Vec<Seen>> {
    let look = |grabbed: Grabbed| {
        let mut subs = grabbed.tail.reader.scan()?;
        subs.retain(|sub| !sub.is_meta());
        Ok(Seen { grabbed, subs })
    };
    grab_all(store, notes)?.into_iter().map(look).collect()
}

impl Books {
    /// What a live channel holds beyond the archives waits; it is not lost. What it had handed back
    /// is in the archives, or it is.
    pub(super) fn live(&mut self, seen: &mut Seen, notes: &mut Vec<String>) {
        let Grabbed { tail, subs, .. } = &mut seen.grabbed;
        let account = self.accounts.entry(tail.source.id).or_default();
        account.is_live(&tail.reader);
        if tail.unseen().is_some() {
            account.unseen = true;
            account
                .doubts
                .push("what is in sub-buffers that do not hold still is not known".into());
        }
        for sub in &seen.subs {
            if account.handed_back(&tail.reader, sub) {
                self.harmed.insert(tail.source.channel.clone());
            }
        }
        for of in subs.iter().map(|bytes| bytes.sub) {
            let at = account.known(of.index);
            let from = if of.generation == at.generation { at.bytes } else { 0 };
            if of.generation >= at.generation {
                account.waiting_bytes += u64::from(of.committed.saturating_sub(from));
            }
        }
        account.waits(tail, subs, notes);
    }
}

impl Account {
    fn known(&self, index: u32) -> Known {
        self.subs.get(&index).copied().unwrap_or_default()
    }

    fn waits(
        &mut self,
        tail: &mut Tail,
        grabbed: &[crate::read::live::SubBytes],
        notes: &mut Vec<String>,
    ) {
        let subs = &self.subs;
        let skip = |place: &Place| {
            let at = subs.get(&place.sub_buffer);
            at.is_some_and(|at| (place.generation, place.end) <= (at.generation, at.bytes))
        };
        let split = split(tail, grabbed, notes, skip);
        self.waiting += split.len() as u64;
        for s in &split {
            let writer = self.writers.entry(s.place.writer).or_default();
            writer.thread.clone_from(&s.hand.thread);
            writer.add(s.place.number, 1, "the live channel");
        }
    }

    /// Takes into account what a sub-buffer says of its earlier generations, and of this one when it
    /// was handed back. Returns whether it was archived and is in no archive.
    fn handed_back(&mut self, reader: &ChannelReader, sub: &Sub) -> bool {
        let at = self.known(sub.index);
        let (index, generation) = (sub.index, sub.generation);
        let back = sub.is_ready() && sub.archived == generation;
        let place = (at.generation, at.bytes);
        if back && place < (generation, sub.committed) {
            return self.not_there(reader, sub, at);
        }
        if back || generation <= at.generation {
            return false;
        }
        let lacks = sub.prior.saturating_sub(at.total);
        if lacks > 0 {
            let what = format!(
                "{lacks} records of sub-buffer {index} before generation {generation}, which is live"
            );
            self.lacks.push((lacks, what));
            let total = sub.prior;
            self.subs.insert(index, Known { generation, bytes: 0, total });
        }
        lacks > 0 && sub.archived > at.generation
    }

    /// A generation was handed back, so it was archived; no archive has all of it.
    fn not_there(&mut self, reader: &ChannelReader, sub: &Sub, at: Known) -> bool {
        let Sub { index, generation, committed: bytes, .. } = *sub;
        let end = end_of(reader, sub);
        let given = self.given.get(&index).copied().unwrap_or(0);
        let total = end.unwrap_or(0).max(given).max(at.total);
        let lacks = total - at.total;
        let archived =
            format!("up to generation {generation}, were archived and are in no archive");
        if lacks > 0 {
            let what = format!("{lacks} records of sub-buffer {index}, {archived}");
            self.lacks.push((lacks, what));
        } else if end.is_none() {
            // How many it had is not known any more.
            let what = format!("at least one generation of sub-buffer {index}, {archived}");
            self.lacks.push((1, what));
        } else if bytes > 0 {
            self.doubts.push(format!(
                "bytes of sub-buffer {index}, {archived}; no record is known to have been in them"
            ));
        }
        self.subs.insert(index, Known { generation, bytes, total });
        bytes > 0
    }
}

/// How many numbered records a sub-buffer had up to the end of a generation: counted, as long as
/// nobody has leased it again, else by what the next lease says.
fn end_of(reader: &ChannelReader, sub: &Sub) -> Option<u64> {
    if let Ok(Some(data)) = reader.read(sub, 0) {
        let records = Records::new(&data.bytes, sub.generation).map_while(Result::ok);
        let numbered = records.filter(|record| record.kind.is_numbered()).count() as u64;
        return Some(sub.prior.saturating_add(numbered));
    }
    let now = reader.look(sub.index).ok().flatten()?;
    (now.generation == sub.generation + 1).then_some(now.prior)
}
