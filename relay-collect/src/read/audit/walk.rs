//! Walks over everything that a store holds, and keeps the accounts.

use super::account::Account;
use super::{Audit, find, live};
use crate::catalogue;
use crate::deleted::OfChannel;
use crate::read::files::{ArchiveName, stem};
use crate::read::merge::held;
use crate::read::store::{Archive, Archives, Depth, Store};
use relay_fmt::archive::{BlockEntry, Damage, DamageKind, Entry, Opened, ReadAt, Summary};
use relay_fmt::rows::ChannelId;
use relay_fmt::rows::Run;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

/// So many missing archives in a row are looked at one by one.
const MOST_MISSING: u64 = 1 << 16;

/// What is gathered on the way.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) accounts: BTreeMap<ChannelId, Account>,
    pub(super) damaged: Vec<String>,
    pub(super) doubts: Vec<String>,
    /// Names of channels of whose archives not everything is there that was written.
    pub(super) harmed: HashSet<String>,
    /// What was set aside, as the archives say, and why.
    pub(super) quarantined: BTreeMap<String, String>,
    /// What retention deleted, by channel.
    deleted: HashMap<String, OfChannel>,
    /// Archives that were found missing between others.
    told: HashSet<(String, u64)>,
    pub(super) archives: u64,
    pub(super) bytes: u64,
}

/// What a walk found.
pub(super) struct Walked {
    pub(super) audit: Audit,
    /// Whether there are channels that began while it walked: what waits in them is not counted.
    pub(super) late: bool,
}

pub(super) fn run(store: &Store) -> io::Result<Walked> {
    let mut books = Books::default();
    let mut notes = Vec::new();
    // Before the archives: what is listed and deleted meanwhile has a tombstone in one of them.
    let listed = catalogue::read(store.archive_dir());
    // Live first: what the collector moves meanwhile is in the archives.
    let mut seen = live::look(store, &mut notes)?;
    let Archives { archives, unreadable, .. } = store.archives(Depth::Whole)?;
    let mut there: HashSet<String> =
        archives.iter().map(|archive| archive.name.stem().to_owned()).collect();
    there.extend(unreadable.iter().map(|(name, _)| name.stem().to_owned()));
    let nothing = there.is_empty() && listed.is_empty() && seen.is_empty() && notes.is_empty();
    if nothing {
        let (archives, live) = (store.archive_dir().display(), store.live_dir().display());
        books.doubts.push(format!(
            "there is no archive in {archives} and no channel in {live}: nothing was ever recorded, or all of it is gone"
        ));
    }
    for (name, why) in unreadable {
        books.damaged.push(format!("{}: {why}", name.file));
        books.doubts.push(format!("{} cannot be read: {why}", name.file));
        books.harmed.insert(name.channel);
    }
    books.archives = archives.len() as u64;
    books.deleted(&archives);
    let mut before: Option<&Archive> = None;
    for archive in &archives {
        let same = before.filter(|before| before.name.channel == archive.name.channel);
        let believed = books.sequence(same, archive);
        books.blocks_in_sequence(archive);
        books.archive(archive, believed);
        before = Some(archive);
    }
    books.listed(listed, &there);
    let known: HashSet<ChannelId> = seen.iter().map(|s| s.grabbed.tail.source.id).collect();
    let late = books.late(store, &known)?;
    for seen in &mut seen {
        books.live(seen, &mut notes);
    }
    books.doubts.append(&mut notes);
    Ok(Walked { audit: find::audit(books), late })
}

impl Books {
    /// Whether `archive` follows the one before it. Returns whether what lies between was deleted by
    /// retention, so that its positions are to be believed.
    fn sequence(&mut self, before: Option<&Archive>, archive: &Archive) -> bool {
        let (name, header) = (&archive.name, &archive.directory.header);
        let (file, predecessor) = (&name.file, stem(&header.predecessor));
        if predecessor == before.map_or("", |before| before.name.stem()) {
            return false;
        }
        if predecessor.is_empty() {
            let before = before.map_or("", |before| before.name.file.as_str());
            self.doubt_about(name, format!("{file} does not say that it follows {before}"));
            return false;
        }
        let from = before.map_or(0, |before| before.name.number.saturating_add(1));
        let of = self.deleted.get(&name.channel);
        let deleted = |number| of.is_some_and(|of| of.numbers.has(number));
        let to = name.number.min(from.saturating_add(MOST_MISSING));
        let missing: Vec<u64> = (from..to).filter(|number| !deleted(*number)).collect();
        let previous = ArchiveName::parse(predecessor).map_or(u64::MAX, |name| name.number);
        if missing.is_empty() && deleted(previous) {
            return true;
        }
        let others = missing.iter().filter(|number| **number != previous).count();
        let others =
            if others > 0 { format!(", nor are {others} before it") } else { String::new() };
        self.told.extend(missing.iter().map(|number| (name.channel.clone(), *number)));
        let nothing = "nothing says that retention deleted that";
        let doubt = match before {
            None => format!("{predecessor} came before {file} and is not there{others}; {nothing}"),
            Some(before) => format!(
                "{predecessor} stands between {} and {file} and is not there{others}; {nothing}",
                before.name.file
            ),
        };
        // Where some of it was deleted on purpose, what the rest held cannot be told by counting.
        let some = (missing.len() as u64) < name.number.saturating_sub(from);
        self.doubt_about(name, doubt);
        some
    }

    /// What the archives say of those that retention deleted.
    fn deleted(&mut self, archives: &[Archive]) {
        for archive in archives {
            let channel = &archive.name.channel;
            let of = self.deleted.entry(channel.clone()).or_default();
            archive.entries.iter().for_each(|(_, entry)| of.add(channel, entry));
        }
        for (channel, of) in &mut self.deleted {
            let mut own = archives.iter().filter(|archive| archive.name.channel == *channel);
            of.complete(own.next().map_or(0, |oldest| oldest.name.number));
        }
    }

    /// What the catalogue lists is there, or retention deleted it, or it is missing: all archives of a
    /// channel may be, and the newest, that no other one follows.
    fn listed(&mut self, listed: HashMap<String, Summary>, there: &HashSet<String>) {
        let mut listed: Vec<_> = listed.into_values().collect();
        listed.sort_by(|a, b| a.identity.file.cmp(&b.identity.file));
        for summary in listed {
            let file = &summary.identity.file;
            let Some(name) = ArchiveName::parse(file).filter(|_| !there.contains(stem(file)))
            else {
                continue;
            };
            let deleted = self.deleted.get(&name.channel);
            if deleted.is_some_and(|of| of.numbers.has(name.number))
                || self.told.contains(&(name.channel.clone(), name.number))
            {
                continue;
            }
            let rows = summary.rows;
            self.doubt_about(&name, format!(
                "{file} is not there; by the catalogue it held {rows} records, and nothing says that retention deleted it"
            ));
        }
    }

    /// How many archives retention deleted.
    pub(super) fn count_deleted(&self) -> u64 {
        let all = self.deleted.values().flat_map(|of| of.numbers.iter());
        all.fold(0, |sum, (from, to)| sum.saturating_add(to - from))
    }

    /// Something of a channel's archives is not there.
    fn doubt_about(&mut self, name: &ArchiveName, doubt: String) {
        self.doubts.push(doubt);
        self.harmed.insert(name.channel.clone());
    }

    /// Whether the blocks of an archive are those that were written: they are numbered from 0.
    fn blocks_in_sequence(&mut self, archive: &Archive) {
        let mut expected = 0;
        for block in archive.blocks() {
            let (is, at) = (block.header.sequence, block.offset);
            if is != expected {
                let file = &archive.name.file;
                self.doubt_about(
                    &archive.name,
                    format!("{file}: at byte {at} stands block {is}; block {expected} should"),
                );
            }
            expected = is.saturating_add(1);
        }
    }

    fn account(&mut self, id: ChannelId) -> &mut Account {
        self.accounts.entry(id).or_default()
    }

    /// Control frames and blocks in the order they stand in.
    fn archive(&mut self, archive: &Archive, believed: bool) {
        self.bytes += archive.bytes.len().unwrap_or(0);
        self.damages(archive);
        let file = &archive.name.file;
        let bad: HashSet<u64> = archive.damages.iter().map(|damage| damage.offset).collect();
        let mut entries = archive.entries.iter().peekable();
        let mut first = true;
        for (n, block) in archive.blocks().enumerate() {
            while let Some((_, entry)) = entries.next_if(|(at, _)| *at < block.offset) {
                first &= !self.entry(entry, believed && first, file);
            }
            if bad.contains(&block.body_offset()) || bad.contains(&block.offset) {
                self.lost_block(block);
                continue;
            }
            let place = format!("block {n} of {file}");
            let facts = match block.facts() {
                Ok(facts) => facts,
                Err(error) => {
                    self.doubt_about(&archive.name, format!("{place}: {error}"));
                    continue;
                }
            };
            // Runs stand in the order of their writers; the accounts go by sub-buffers.
            let mut runs: Vec<&Run> = facts.runs.iter().collect();
            runs.sort_by_key(|run| (run.source, run.sub_buffer, run.generation, run.from));
            for run in runs {
                if let Some(source) = facts.sources.get(run.source as usize) {
                    let account = self.account(source.id);
                    account.source.get_or_insert_with(|| source.clone());
                    account.run(run, &place);
                }
            }
        }
        for (_, entry) in entries {
            first &= !self.entry(entry, believed && first, file);
        }
    }

    /// What is damaged, and what it held: by its header, or by the archive's directory.
    fn damages(&mut self, archive: &Archive) {
        let file = &archive.name.file;
        let gone = gone(archive);
        for block in &gone {
            let (at, held) = (block.offset, held(block));
            self.damaged.push(format!(
                "{file}: the block at byte {at} is not there; by the directory it held {held}"
            ));
            self.harmed.insert(archive.name.channel.clone());
            self.lost_block(block);
        }
        for damage in archive.damages.iter().filter(|d| d.offset < archive.void_from) {
            self.harmed.insert(archive.name.channel.clone());
            let lost = damage.block.as_deref();
            let held = lost.map_or(String::new(), |block| format!("; it held {}", held(block)));
            let (at, error) = (damage.offset, &damage.error);
            self.damaged.push(format!("{file}: damaged at byte {at}: {error}{held}"));
            if let Some(block) = lost {
                self.lost_block(block);
            } else if damage.kind != DamageKind::Body && !is_only(damage, &gone) {
                self.doubts.push(format!("{file}: what stood at byte {at} is not known"));
            }
        }
    }

    fn lost_block(&mut self, block: &BlockEntry) {
        let Ok(facts) = block.facts() else {
            let (at, rows) = (block.offset, block.header.facts.rows);
            self.doubts.push(format!("whose the {rows} records at byte {at} were is not known"));
            return;
        };
        for run in &facts.runs {
            if let Some(source) = facts.sources.get(run.source as usize) {
                let account = self.account(source.id);
                account.source.get_or_insert_with(|| source.clone());
                account.given(run);
            }
        }
    }

    /// Takes an entry into account; whether it said positions.
    fn entry(&mut self, entry: &Entry, believed: bool, file: &str) -> bool {
        match entry {
            Entry::Announce(announce) => {
                let account = self.account(announce.source.id);
                account.source.get_or_insert_with(|| announce.source.clone());
                account.file = Some(announce.file.clone());
            }
            Entry::Quarantine(aside) => {
                self.quarantined.insert(aside.what.clone(), aside.why.clone());
            }
            Entry::Unproven(unproven) => {
                let account = self.account(unproven.id);
                account.unproven_bytes = account.unproven_bytes.max(unproven.bytes);
                account.doubts.push(crate::unproven::text(unproven));
            }
            Entry::Final(last) => self.account(last.id).last_word = Some(last.clone()),
            Entry::Positions(positions) => {
                let place = format!("the beginning of {file}");
                for position in &positions.channels {
                    let account = self.account(position.source.id);
                    account.source.get_or_insert_with(|| position.source.clone());
                    account.positions(position, believed, &place);
                }
                return true;
            }
            _ => {}
        }
        false
    }

    /// Finds channels in the archives that were not there at the first look, but are now. What they
    /// hold is newer than the archives: it is compared with nothing.
    fn late(&mut self, store: &Store, known: &HashSet<ChannelId>) -> io::Result<bool> {
        let is_late =
            |id: &ChannelId, account: &Account| account.last_word.is_none() && !known.contains(id);
        if !self.accounts.iter().any(|(id, account)| is_late(id, account)) {
            return Ok(false);
        }
        let mut late = false;
        for (_, reader) in store.channels()?.channels {
            let id = reader.identity().id;
            let account = self.accounts.get_mut(&id).filter(|account| is_late(&id, account));
            if let Some(account) = account {
                account.is_live(&reader);
                late = true;
            }
        }
        Ok(late)
    }
}

/// Blocks that a sealed archive's directory lists and that are not where it says.
fn gone(archive: &Archive) -> Vec<BlockEntry> {
    if !archive.name.sealed {
        return Vec::new();
    }
    let there: HashSet<(u64, u32)> =
        archive.directory.blocks.iter().map(|block| (block.offset, block.crc)).collect();
    match relay_fmt::archive::open(&archive.bytes) {
        Ok(Opened::Sealed(listed)) if listed.header.uuid == archive.directory.header.uuid => {
            let blocks = listed.blocks.into_iter().filter(|b| b.offset < archive.void_from);
            blocks.filter(|block| !there.contains(&(block.offset, block.crc))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether nothing but these blocks stood where the damage is.
fn is_only(damage: &Damage, blocks: &[BlockEntry]) -> bool {
    let mut at = damage.offset;
    for block in blocks {
        if block.offset == at {
            at = block.end();
        }
    }
    at == damage.offset.saturating_add(damage.len)
}
