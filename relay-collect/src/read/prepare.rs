//! From a piece to rows in memory, with what was made of those that are meant.

use super::loaded::Loaded;
use super::merge::{From, Piece, unreadable};
use super::plan::times_ns;
use super::store::Archive;
use super::work::Work;
use crate::query::Filter;
use crate::render::{is_span, level};
use relay_fmt::archive::{BlockEntry, read_block, read_body, read_filter};
use relay_fmt::block::columns::{self, Counted, Group, MAX_ROWS, Wanted};
use relay_fmt::block::{BlockKind, NO_LEVEL, RowBuffer};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;

/// A piece that was read: its rows, `None` where its columns cannot contain what is meant.
pub(crate) type Read = Result<Option<Loaded>, String>;

/// Reads a piece; of a block of columns only the rows that `filter` may mean.
///
/// With `count`, rows that are certainly meant may be only counted.
pub(crate) fn read(piece: Piece, filter: &Filter, count: bool) -> Read {
    match piece.from {
        From::Rows(rows) => Ok(Some(Loaded::new(*rows))),
        From::Backlog(piece) => {
            let (rows, problem) = piece.rows()?;
            let mut loaded = Loaded::new(rows);
            loaded.problem = problem;
            Ok(Some(loaded))
        }
        From::Block(archive, at) => {
            let Some(block) = archive.directory.blocks.get(at) else { return Ok(None) };
            let selects = block.header.kind == BlockKind::Columns as u8 && filter.can_select();
            if !selects {
                let rows = read_block(&archive.bytes, block);
                let rows = rows.map_err(|e| unreadable(&archive.name.file, block, &e))?;
                return Ok(Some(Loaded::new(rows)));
            }
            let body = read_body(&archive.bytes, block);
            let body = body.map_err(|e| unreadable(&archive.name.file, block, &e))?;
            select(&body, block, filter, count)
                .map_err(|e| unreadable(&archive.name.file, block, &e))
        }
    }
}

/// Counts a block's rows by its header, where all of them are meant. `None` where that is not known.
fn count<W: Work>(block: &BlockEntry, filter: &Filter, work: &mut W) -> Option<Read> {
    let facts = &block.header.facts;
    let (min_ns, max_ns) = times_ns(facts);
    let all = W::COUNTS
        && BlockKind::from_u8(block.header.kind).is_ok()
        && facts.events_only
        // A block of more is not one: whoever reads it says so.
        && facts.rows <= MAX_ROWS as u64
        && filter.means_all()
        && (filter.any_time() || filter.all_may_match_time(min_ns, max_ns));
    all.then(|| {
        work.count(facts.rows);
        let mut loaded = Loaded::new(RowBuffer::default());
        loaded.by_header = true;
        Ok(Some(loaded))
    })
}

/// Gives a block to `work` without putting its rows together, where nothing is wanted of them but
/// what they have in common. `None` where that is not so.
pub(crate) fn tally<W: Work>(piece: &Piece, filter: &Filter, work: &mut W) -> Option<Read> {
    let From::Block(archive, at) = &piece.from else { return None };
    let block = archive.directory.blocks.get(*at)?;
    if let Some(counted) = count(block, filter, work) {
        return Some(counted);
    }
    if !W::TALLIES || block.header.kind != BlockKind::Columns as u8 || !filter.tells_by_class() {
        return None;
    }
    let facts = match block.facts() {
        Ok(facts) => facts,
        Err(error) => return Some(Err(unreadable(&archive.name.file, block, &error))),
    };
    let mut sources = facts.sources.iter();
    if !sources.all(|source| filter.may_match_source(&source.channel, source.pid)) {
        return None;
    }
    let of_class = |group: &Group| {
        !is_span(group.kind)
            && group
                .callsite
                .as_ref()
                .map_or_else(|| filter.any_site(), |site| filter.may_match_site(site))
    };
    let (min_ns, max_ns) = times_ns(&block.header.facts);
    let one = filter.all_may_match_time(min_ns, max_ns) && work.is_one(min_ns, max_ns);
    let mut parts = false;
    let body = match read_body(&archive.bytes, block) {
        Ok(body) => body,
        Err(error) => return Some(Err(unreadable(&archive.name.file, block, &error))),
    };
    if messages_say_levels(archive, block, filter) && columns_say_levels(&body) {
        return None;
    }
    let taken = columns::census(&body, |groups| {
        // Parts of larger records, and events that bring their callsites, must be looked at.
        parts = groups.iter().any(|group| {
            group.kind == Kind::Fragment
                || group.kind == Kind::InlineEvent && group.callsite.is_none()
        });
        !(parts || one && groups.iter().all(of_class))
    });
    match taken {
        Ok(_) if parts => None,
        Ok(census) => {
            let meant = |group: &Group, time_ns| of_class(group) && filter.may_match_time(time_ns);
            work.tally(&facts, &census, &meant);
            Some(Ok(Some(Loaded::new(RowBuffer::default()))))
        }
        Err(error) => Some(Err(unreadable(&archive.name.file, block, &error))),
    }
}

/// Whether rows without a callsite, which may be meant, may have levels of their own.
fn messages_say_levels(archive: &Archive, block: &BlockEntry, filter: &Filter) -> bool {
    if block.header.facts.level_mask & NO_LEVEL == 0 || !filter.may_match_raw() {
        return false;
    }
    // Where it cannot be read, whoever reads the rows says so.
    let Ok(text) = read_filter(&archive.bytes, block) else { return true };
    level::ENDS.iter().any(|end| text.can_contain(end))
}

/// The same by its columns: a small block's filter is small, and often lets pass what is not there.
fn columns_say_levels(body: &[u8]) -> bool {
    let class = |kind: Kind, site: Option<&Callsite>| site.is_none() && !is_span(kind);
    level::ENDS.iter().any(|end| {
        let wanted = Wanted {
            needles: &[end],
            class: &class,
            time: &|_| true,
            any_time: true,
            condition: None,
            // Where they are constant text, nothing else is decoded.
            count: Counted::All,
        };
        // Damage is said by whoever reads the rows.
        !matches!(columns::select(body, &wanted), Ok(None))
    })
}

fn select(
    body: &[u8],
    block: &BlockEntry,
    filter: &Filter,
    count: bool,
) -> Result<Option<Loaded>, relay_fmt::Error> {
    let class = |kind: Kind, site: Option<&Callsite>| {
        !is_span(kind) && site.is_none_or(|site| filter.may_match_site(site))
    };
    let time = |time_ns: i64| filter.may_match_time(time_ns);
    // Levels that messages say are told from rows.
    let simple = count && filter.is_simple();
    let count = if simple && filter.any_site() {
        Counted::All
    } else if simple {
        Counted::Sites
    } else {
        Counted::None
    };
    let condition = filter.condition();
    let wanted = Wanted {
        needles: &filter.needles(),
        class: &class,
        time: &time,
        any_time: filter.any_time(),
        condition: condition.as_ref(),
        count,
    };
    let Some(selected) = columns::select(body, &wanted)? else { return Ok(None) };
    let only_counted = count != Counted::None && selected.keep.is_empty();
    if !only_counted && selected.rows.len() as u64 != block.header.facts.rows {
        return Err(relay_fmt::Error::new("a block has not the rows that its header says"));
    }
    let mut loaded = Loaded::of_kept(selected.rows, &selected.keep);
    loaded.sure = selected.sure;
    loaded.excluded = loaded.excluded.saturating_sub(selected.sure);
    Ok(Some(loaded))
}

/// Works on all rows but parts of larger records, and leaves only those parts and the rows that
/// something is to be written of.
pub(crate) fn work<W: Work>(loaded: &mut Loaded, filter: &mut Filter, work: &mut W) {
    work.count(loaded.sure);
    let (mut text, mut ends, mut keep) = (Vec::new(), Vec::new(), Vec::new());
    let mut parts = false;
    for i in 0..loaded.len() {
        let mut spans = Vec::new();
        let Some(event) = loaded.event(i, &mut spans) else {
            keep.push(false);
            continue;
        };
        let part = event.row.kind == Kind::Fragment;
        parts |= part;
        let kept = part || (filter.matches(&event) && work.event(&event, &mut text));
        keep.push(kept);
        if kept {
            ends.push(text.len());
        }
    }
    loaded.set_lines(text, ends, &keep, parts);
}
