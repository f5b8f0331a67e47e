//! Names of fields that are asked for and that nothing has: most likely misspelt.
//!
//! Only what is certain is said. What callsites have is known; of messages that are JSON, templates and
//! the filters of blocks tell that a key is in none of them.

use super::files::ArchiveName;
use super::plan::{self, Plan};
use super::snapshot::Snapshot;
use super::store::{Archive, Channels, Depth, Found, Store, When};
use crate::query::{Expr, Filter, nearest};
use crate::render::is_span;
use memchr::memmem;
use relay_fmt::archive::{BlockEntry, Summary, read_block, read_body, read_filter};
use relay_fmt::block::columns::{self, Group};
use relay_fmt::block::{BlockKind, RowBuffer};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::Kind;
use relay_fmt::rows::Source;
use relay_fmt::value::Layout;
use std::collections::BTreeSet;
use std::io;

impl Snapshot {
    /// Sees which fields the rows of live channels have, before they are shown and gone.
    pub(super) fn see_live_fields(&self, filter: &Filter) {
        let of_filter = |source: &Source| filter.may_match_source(&source.channel, source.pid);
        let meant = |rows: &&RowBuffer| rows.sources.iter().any(of_filter);
        for name in filter.unseen_fields() {
            let mut live = self.live().iter().filter(meant);
            // What was not copied out is not looked through.
            if !self.backlog().is_empty() || live.any(|rows| may_have(rows, &name)) {
                filter.see_field(&name);
            }
        }
    }
}

impl Store {
    /// Says which fields `filter` asks for that no record has which its other options let pass: a
    /// sentence each. It is to be asked once everything was shown.
    ///
    /// # Errors
    /// When the directory of archives cannot be read.
    pub fn unknown_fields(&self, filter: &Filter) -> io::Result<Vec<String>> {
        let mut names = filter.unseen_fields();
        if names.is_empty() {
            return Ok(names);
        }
        let others = filter.without_text();
        let (mut known, mut plan) = (BTreeSet::new(), Plan::default());
        let wanted = &mut |summary: &Summary| match plan.admits_archive(summary, &others) {
            true => When::Later,
            false => When::Never,
        };
        let Found { opened, closed, voids, .. } = self.find(Depth::Quick, wanted)?;
        // One after the other. What cannot be opened was said when it was to be shown.
        let closed = closed.iter().filter_map(|closed| closed.open(&voids).ok().flatten());
        for archive in opened.archives.into_iter().chain(closed) {
            for at in plan::admitted(&archive, &others, &mut plan) {
                let Some(block) = archive.directory.blocks.get(at) else { continue };
                match look(&archive, block, &others, &names, &mut known) {
                    Some(unknown) => names = unknown,
                    None => names.clear(),
                }
                if names.is_empty() {
                    return Ok(names);
                }
            }
        }
        let say = |name: &String| {
            let all = Expr::built_in().chain(known.iter().map(String::as_str));
            let meant = nearest(name, all).map_or(String::new(), |n| format!("; is it `{n}`?"));
            format!("note: no record of this selection has a field `{name}`{meant}")
        };
        Ok(names.iter().map(say).collect())
    }

    /// The names of all channels, of archives and of files in the live directory.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn channel_names(&self) -> io::Result<BTreeSet<String>> {
        let archived = ArchiveName::list(self.archive_dir())?.into_iter().map(|name| name.channel);
        let Channels { channels, refused } = self.channels()?;
        // Files are named for their channels, also those that nobody may read.
        let files = channels
            .into_iter()
            .map(|(file, _)| file)
            .chain(refused.into_iter().map(|(file, _)| file));
        let live = files.filter_map(|file| Some(file.split_once('.')?.0.to_owned()));
        Ok(archived.chain(live).collect())
    }
}

/// How a key of this name stands in JSON; of one with points, how it ends, whatever objects it is in.
fn key(name: &str) -> String {
    match name.rsplit_once('.') {
        None => format!("\"{name}\""),
        Some((_, last)) => format!("{last}\""),
    }
}

/// Whether records of a callsite have such a field, or such a key in what is constant of them.
fn site_has(site: &Callsite, name: &str) -> bool {
    let mut fields = (0u64..).zip(&site.fields);
    site.template.contains(&key(name))
        || fields.any(|(i, field)| match field.name.as_str() {
            "" => name.parse() == Ok(i),
            own => own == name,
        })
}

/// Whether some row may have such a field; what has a key somewhere in its bytes may.
fn may_have(rows: &RowBuffer, name: &str) -> bool {
    let sites = || rows.callsites.iter();
    let has = |text: &str| memmem::find(&rows.payload, text.as_bytes()).is_some();
    sites().any(|site| site_has(site, name))
        || has(&key(name))
        // Names of key-values stand in the record.
        || sites().any(|site| site.layout == Layout::Sparse) && has(name)
        // They bring their callsites with them; a name may lie in two parts.
        || rows.kind.iter().any(|kind| matches!(kind, Kind::InlineEvent | Kind::Fragment))
}

/// Those of the names that nothing in a block has; `None` where it cannot be read.
fn look(
    archive: &Archive,
    block: &BlockEntry,
    filter: &Filter,
    names: &[String],
    known: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    let mut unknown = names.to_vec();
    if block.header.kind == BlockKind::Columns as u8 {
        let body = read_body(&archive.bytes, block).ok()?;
        let groups = columns::census(&body, |_| false).ok()?.groups;
        let of_filter = |group: &&Group| match &group.callsite {
            Some(site) => filter.may_match_site(site),
            None => filter.may_match_raw(),
        };
        for group in groups.iter().filter(of_filter) {
            let sites = group.callsite.iter();
            let fields = sites.flat_map(|site| &site.fields).map(|field| field.name.clone());
            known.extend(fields.filter(|name| !name.is_empty()));
            known.extend(keys(&group.template).map(str::to_owned));
            let has = |name: &str| group.callsite.as_ref().is_some_and(|s| site_has(s, name));
            unknown.retain(|name| !has(name));
        }
        let meant = |kind, site: Option<&Callsite>| {
            !is_span(kind)
                && site.map_or(filter.may_match_raw(), |site| filter.may_match_site(site))
        };
        let named = columns::field_names(&body, meant).ok()?;
        let of_rows = named.iter().flatten().filter(|name| name.parse::<u64>().is_err());
        known.extend(of_rows.cloned());
        unknown.retain(|name| named.as_ref().is_none_or(|names| !names.contains(name)));
        let text = read_filter(&archive.bytes, block).ok()?;
        if named.is_some() && unknown.iter().all(|name| !text.can_contain(key(name).as_bytes())) {
            return Some(unknown);
        }
    }
    // Filters of small blocks say little.
    let rows = read_block(&archive.bytes, block).ok()?;
    unknown.retain(|name| !may_have(&rows, name));
    Some(unknown)
}

/// What stands in a template where JSON has keys.
fn keys(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split("\":").filter_map(|part| part.rsplit_once('"'));
    parts.map(|(_, key)| key).filter(|key| !key.is_empty() && !key.contains('*'))
}
