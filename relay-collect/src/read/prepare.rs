//! From a piece to rows in memory, with what was made of those that are meant.

use super::loaded::Loaded;
use super::merge::{From, Piece, unreadable};
use super::work::Work;
use crate::query::Filter;
use crate::render::is_span;
use relay_fmt::archive::{BlockEntry, read_block, read_body};
use relay_fmt::block::BlockKind;
use relay_fmt::block::columns::{self, Wanted};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;

/// A piece that was read: its rows, `None` where its columns cannot contain what is meant.
pub(crate) type Read = Result<Option<Loaded>, String>;

/// Reads a piece; of a block of columns only the rows that `filter` may mean.
///
/// With `count`, rows that are certainly meant may be only counted.
pub(crate) fn read(piece: Piece<'_>, filter: &Filter, count: bool) -> Read {
    match piece.from {
        From::Rows(rows) => Ok(Some(Loaded::new(*rows))),
        From::Ahead => Err("a block was to be read elsewhere".into()),
        From::Block(archive, block) => {
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
    let count = count && filter.is_simple();
    let wanted = Wanted {
        needles: &filter.needles(),
        class: &class,
        time: &time,
        any_time: filter.any_time(),
        count,
    };
    let Some(selected) = columns::select(body, &wanted)? else { return Ok(None) };
    let only_counted = count && selected.keep.is_empty();
    if !only_counted && selected.rows.len() as u64 != block.header.facts.rows {
        return Err(relay_fmt::Error::new("a block has not the rows that its header says"));
    }
    let mut loaded = Loaded::of_kept(selected.rows, &selected.keep);
    loaded.sure = selected.sure;
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
