//! A catalogue of sealed archives: enough of each to know that it need not be opened.
//!
//! It is a copy of what archives say themselves. Who reads one uses an entry only for a file that is
//! still the one it was made of ([`Identity`]), and does without where anything is odd.

use super::block_header::{BlockEntry, Brief};
use super::control::Entry;
use super::directory::Directory;
use crate::block::{Error, Filter, Target, Times, meta};
use crate::bytes::{Cursor, put_prefixed, put_varint, unzigzag, zigzag};
use crate::rows::Source;
use std::collections::BTreeMap;

type Result<T, E = Error> = std::result::Result<T, E>;

const MAGIC: &[u8; 8] = b"RELAYCAT";
const VERSION: u16 = 1;
/// The filter of an archive is not larger, in bytes.
const MAX_FILTER: usize = 16 << 10;

/// What tells a file from another one, and from itself before it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub file: String,
    /// Its length, in bytes.
    pub len: u64,
    /// Its inode number.
    pub inode: u64,
    /// When its content was changed last, UTC nanoseconds.
    pub modified_ns: i64,
}

/// What a catalogue says of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Of which file.
    pub identity: Identity,
    /// How many blocks there are.
    pub blocks: u64,
    /// How many rows.
    pub rows: u64,
    /// When rows happened, by their own clocks and by the order they sort in, from the smallest to
    /// the largest; `None` when there are no rows.
    pub times: Option<Times>,
    /// The levels of all blocks, as [`crate::block::Facts::level_mask`].
    pub level_mask: u8,
    /// Whether entries matter to other archives: such an archive is always opened.
    pub supersedes: bool,
    /// Whose channels, also those that only entries name.
    pub sources: Vec<Source>,
    /// The targets of all blocks.
    pub targets: Vec<Target>,
    /// What the texts can contain.
    pub filter: Filter,
}

impl Summary {
    /// The summary of an archive, with the filters of its blocks; `None` when its blocks do not say
    /// when their rows happened, or cannot be read.
    #[must_use]
    pub fn of(
        identity: Identity,
        directory: &Directory,
        entries: &[Entry],
        filters: &[Filter],
    ) -> Option<Self> {
        let facts: Vec<&Brief> = directory.blocks.iter().map(|b| &b.header.facts).collect();
        let names: Result<Vec<_>> = directory.blocks.iter().map(BlockEntry::names).collect();
        let names = names.ok()?;
        let (mut sources, mut targets) = (BTreeMap::new(), BTreeMap::<&str, u8>::new());
        let mut times: Option<Times> = None;
        for (of_block, with) in &names {
            sources.extend(of_block.iter().map(|source| (source.id, source)));
            for target in with {
                *targets.entry(&target.name).or_default() |= target.level_mask;
            }
        }
        for facts in &facts {
            if facts.rows > 0 {
                let own = facts.times?;
                let so_far = times.get_or_insert(own);
                so_far.min_ns = so_far.min_ns.min(own.min_ns).min(facts.min_order_ns);
                so_far.max_ns = so_far.max_ns.max(own.max_ns).max(facts.max_order_ns);
            }
        }
        for entry in entries {
            match entry {
                Entry::Positions(positions) => {
                    let named = positions.channels.iter().map(|channel| &channel.source);
                    sources.extend(named.map(|source| (source.id, source)));
                }
                Entry::Announce(announce) => {
                    sources.insert(announce.source.id, &announce.source);
                }
                _ => {}
            }
        }
        let target = |(name, level_mask): (&str, u8)| Target { name: name.to_owned(), level_mask };
        Some(Self {
            identity,
            blocks: facts.len() as u64,
            rows: facts.iter().fold(0, |rows, facts| rows.saturating_add(facts.rows)),
            times,
            level_mask: facts.iter().fold(0, |mask, facts| mask | facts.level_mask),
            supersedes: entries.iter().any(|entry| matches!(entry, Entry::Supersedes(_))),
            sources: sources.into_values().cloned().collect(),
            targets: targets.into_iter().map(target).collect(),
            filter: Filter::union(filters.iter(), MAX_FILTER),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let Identity { file, len, inode, modified_ns } = &self.identity;
        put_prefixed(out, file.as_bytes());
        for number in [*len, *inode, zigzag(*modified_ns), self.blocks, self.rows] {
            put_varint(out, number);
        }
        out.extend([self.level_mask, u8::from(self.supersedes), u8::from(self.times.is_some())]);
        let Times { min_ns, max_ns } = self.times.unwrap_or(Times { min_ns: 0, max_ns: 0 });
        put_varint(out, zigzag(min_ns));
        put_varint(out, zigzag(max_ns));
        meta::put_sources(out, &self.sources);
        meta::put_targets(out, &self.targets);
        out.push(self.filter.kind);
        put_prefixed(out, &self.filter.bytes);
    }

    fn take(input: &mut Cursor<'_>) -> Result<Self> {
        let file = input.text()?.to_owned();
        let (len, inode) = (input.varint()?, input.varint()?);
        let modified_ns = unzigzag(input.varint()?);
        let (blocks, rows) = (input.varint()?, input.varint()?);
        let (level_mask, supersedes, timed) = (input.u8()?, input.u8()? != 0, input.u8()? != 0);
        let (min_ns, max_ns) = (unzigzag(input.varint()?), unzigzag(input.varint()?));
        Ok(Self {
            identity: Identity { file, len, inode, modified_ns },
            blocks,
            rows,
            times: timed.then_some(Times { min_ns, max_ns }),
            level_mask,
            supersedes,
            sources: meta::take_sources(input)?,
            targets: meta::take_targets(input)?,
            filter: Filter { kind: input.u8()?, bytes: input.prefixed()?.to_vec() },
        })
    }
}

/// The bytes of a catalogue.
#[must_use]
pub fn put_catalogue(summaries: &[Summary]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    put_varint(&mut out, summaries.len() as u64);
    let mut one = Vec::new();
    for summary in summaries {
        one.clear();
        summary.put(&mut one);
        put_prefixed(&mut out, &one);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a catalogue.
///
/// # Errors
/// When these are not the bytes of one, of this version.
pub fn take_catalogue(bytes: &[u8]) -> Result<Vec<Summary>> {
    let odd = || crate::Error::new("this is no catalogue of archives");
    let (content, crc) = bytes.split_last_chunk().ok_or_else(odd)?;
    let mut input = Cursor::new(content);
    if input.array::<8>().ok().as_ref() != Some(MAGIC)
        || input.u16()? != VERSION
        || crc32fast::hash(content) != u32::from_le_bytes(*crc)
    {
        return Err(odd().into());
    }
    let count = meta::count(&mut input, 16)?;
    // Fields that a later version adds stand behind those of this one.
    let one = |_| Summary::take(&mut Cursor::new(input.prefixed()?));
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(n: u64) -> Summary {
        let identity = Identity {
            file: format!("app-20261124T130000Z-{n}.relay.zst"),
            len: 1 << 26,
            inode: n,
            modified_ns: -5,
        };
        Summary {
            identity,
            blocks: n,
            rows: 9,
            times: (n > 0).then_some(Times { min_ns: -7, max_ns: i64::MAX }),
            level_mask: 0x3f,
            supersedes: n > 1,
            sources: Vec::new(),
            targets: vec![Target { name: "a::b".into(), level_mask: 8 }],
            filter: Filter { kind: 1, bytes: vec![n as u8; 64] },
        }
    }

    #[test]
    fn catalogues_come_back() {
        for n in 0..3 {
            let all: Vec<Summary> = (0..n).map(summary).collect();
            assert_eq!(take_catalogue(&put_catalogue(&all)).unwrap(), all);
        }
    }

    #[test]
    fn a_bit_that_is_wrong_is_an_error() {
        let bytes = put_catalogue(&[summary(0), summary(1)]);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(take_catalogue(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(take_catalogue(&bytes[..len]).is_err());
        }
    }
}
