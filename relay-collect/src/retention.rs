//! Old archives go; what they held is remembered in a tombstone before they do, and that they went in
//! every archive after that (`deleted.rs`).

use crate::collector::{CollectError, Context};
use crate::lane::Lane;
use crate::notes::now_ns;
use crate::read::{ArchiveFd, ArchiveName};
use relay_fmt::archive::{Entry, Tombstone, open};
use relay_fmt::callsite::Level;
use std::collections::BTreeMap;
use std::path::Path;

struct Old {
    name: ArchiveName,
    bytes: u64,
    tombstone: Tombstone,
}

/// Deletes what is beyond what is to be kept, the oldest first. Never an unsealed archive, never the
/// newest of a channel, nor the newest with records, never one that cannot be read; nor one without
/// records, which only tells of others.
pub(crate) fn run(lanes: &mut Vec<Lane>, ctx: &mut Context<'_>) -> Result<(), CollectError> {
    let options = ctx.options;
    if options.keep_size.is_none() && options.keep_age.is_none() && options.keep_count.is_none() {
        return Ok(());
    }
    let dir = options.archive_dir();
    let (old, mut total) = sealed(&dir)?;
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for old in &old {
        let number = newest.entry(old.name.channel.clone()).or_default();
        *number = old.name.number.max(*number);
        *count.entry(old.name.channel.clone()).or_default() += 1;
    }
    for lane in &*lanes {
        if lane.archive.as_ref().is_some_and(|archive| archive.blocks() > 0) {
            newest.remove(&lane.channel);
            *count.entry(lane.channel.clone()).or_default() += 1;
        }
    }
    let age = options.keep_age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let now = now_ns();
    for old in old {
        let of_channel = count.entry(old.name.channel.clone()).or_default();
        let too_large = options.keep_size.is_some_and(|most| total > most);
        let too_old = age.is_some_and(|age| now.saturating_sub(old.tombstone.max_order_ns) > age);
        let too_many = options.keep_count.is_some_and(|most| *of_channel > most);
        let is_newest = newest.get(&old.name.channel) == Some(&old.name.number);
        if is_newest || !(too_large || too_old || too_many) {
            continue;
        }
        let path = dir.join(&old.name.file);
        let text = format!("{} cannot be deleted", path.display());
        if ctx.notes.is_said(&text) {
            continue;
        }
        // Channels that have not logged since this collector began have no lane yet.
        if !lanes.iter().any(|lane| lane.channel == old.name.channel) {
            match Lane::open(ctx, &old.name.channel) {
                Ok(lane) => lanes.push(lane),
                Err(CollectError::Io(error)) => {
                    // Its newest archive is damaged: no reason to end.
                    ctx.notes.leave(format!("{text}: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        let Some(lane) = lanes.iter_mut().find(|lane| lane.channel == old.name.channel) else {
            continue;
        };
        let number = old.tombstone.number;
        lane.put_control(ctx, vec![Entry::Tombstone(old.tombstone)])?;
        lane.deleted.add(number, number.saturating_add(1));
        lane.sync(ctx)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                // Somebody protects it: no reason to end.
                ctx.notes.say_once(Level::Warn, text);
                continue;
            }
            _ => {}
        }
        *of_channel -= 1;
        total -= old.bytes;
    }
    Ok(())
}

/// The sealed archives with records, the oldest first, and the bytes of all archives.
fn sealed(dir: &Path) -> Result<(Vec<Old>, u64), CollectError> {
    let (mut old, mut total) = (Vec::new(), 0);
    for name in ArchiveName::list(dir)? {
        let bytes = std::fs::metadata(dir.join(&name.file)).map_or(0, |m| m.len());
        total += bytes;
        if name.sealed
            && let Some(tombstone) = tombstone(dir, &name).filter(|stone| stone.rows > 0)
        {
            old.push(Old { name, bytes, tombstone });
        }
    }
    old.sort_by_key(|old| old.tombstone.max_order_ns);
    Ok((old, total))
}

fn tombstone(dir: &Path, name: &ArchiveName) -> Option<Tombstone> {
    let bytes = ArchiveFd::open(&dir.join(&name.file)).ok()?;
    let opened = open(&bytes).ok()?;
    let mut stone = Tombstone {
        file: name.file.clone(),
        number: name.number,
        rows: 0,
        min_order_ns: i64::MAX,
        max_order_ns: i64::MIN,
        channels: Vec::new(),
    };
    let mut channels = BTreeMap::new();
    for block in &opened.directory().blocks {
        let facts = &block.header.facts;
        stone.rows += facts.rows;
        if facts.rows > 0 {
            stone.min_order_ns = stone.min_order_ns.min(facts.min_order_ns);
            stone.max_order_ns = stone.max_order_ns.max(facts.max_order_ns);
        }
        let facts = block.facts().ok()?;
        for run in &facts.runs {
            if let Some(source) = facts.sources.get(run.source as usize) {
                *channels.entry(source.id).or_insert(0) += u64::from(run.records);
            }
        }
    }
    stone.channels = channels.into_iter().collect();
    Some(stone)
}
