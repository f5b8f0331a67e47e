//! Walks over everything that a store holds, and keeps the accounts.

use super::account::Account;
use super::{Audit, find, live};
use crate::read::files::{ArchiveName, stem};
use crate::read::merge::held;
use crate::read::store::{Archive, Archives, Depth, Store};
use relay_fmt::archive::{BlockEntry, Damage, DamageKind, Entry, Opened, ReadAt, Tombstone};
use relay_fmt::rows::ChannelId;
use relay_fmt::rows::Run;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

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
    pub(super) tombstones: HashMap<String, Tombstone>,
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
    // Live first: what the collector moves meanwhile is in the archives.
    let mut seen = live::look(store, &mut notes)?;
    let Archives { archives, unreadable, .. } = store.archives(Depth::Whole)?;
    for (name, why) in unreadable {
        books.damaged.push(format!("{}: {why}", name.file));
        books.doubts.push(format!("{} cannot be read: {why}", name.file));
        books.harmed.insert(name.channel);
    }
    books.archives = archives.len() as u64;
    for (_, entry) in archives.iter().flat_map(|archive| &archive.entries) {
        if let Entry::Tombstone(stone) = entry {
            books.tombstones.insert(stem(&stone.file).to_owned(), stone.clone());
        }
    }
    let mut before: Option<&Archive> = None;
    for archive in &archives {
        let same = before.filter(|before| before.name.channel == archive.name.channel);
        let believed = books.sequence(same, archive);
        books.blocks_in_sequence(archive);
        books.archive(archive, believed);
        before = Some(archive);
    }
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
        let predecessor = stem(&header.predecessor);
        let deleted = self.tombstones.contains_key(predecessor);
        let file = &name.file;
        let Some(before) = before else {
            if predecessor.is_empty() {
                return false;
            }
            // What the oldest tombstone says may have been deleted with the archive it was in.
            if !deleted && !self.any_tombstone(&name.channel) {
                self.doubt_about(name, format!(
                    "{} came before {file} and is not there; no tombstone says that retention deleted it",
                    header.predecessor
                ));
                return false;
            }
            return true;
        };
        if predecessor == before.name.stem() {
            return false;
        }
        if predecessor.is_empty() {
            self.doubt_about(
                name,
                format!("{file} does not say that it follows {}", before.name.file),
            );
        } else if !deleted {
            self.doubt_about(
                name,
                format!(
                    "{} stands between {} and {file} and is not there",
                    header.predecessor, before.name.file
                ),
            );
        }
        deleted
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

    fn any_tombstone(&self, channel: &str) -> bool {
        self.tombstones.keys().any(|file| {
            crate::read::ArchiveName::parse(file).is_some_and(|name| name.channel == channel)
        })
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
            let facts = &block.header.facts;
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
        let facts = &block.header.facts;
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
