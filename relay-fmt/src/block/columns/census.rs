//! Counting a block's rows by what its first frame says, without putting any together.

use super::decode::{Class, Layout};
use super::fields;
use super::frames::{Frame, Packed};
use super::program::{self, BARE_TEXT, END, Op};
use super::split::{self, Split};
use super::strings::{self, Text};
use super::tables;
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Error, Result};
use crate::callsite::Callsite;
use crate::record::Kind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands in a template where a value was.
const VALUE: &str = "*";

/// Rows of one kind, callsite and template.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Their kind.
    pub kind: Kind,
    /// Their callsite.
    pub callsite: Option<Arc<Callsite>>,
    /// What their messages have in common: the callsite's template, or, where the message is text
    /// that came formatted, its constant words, with `*` for values.
    pub template: String,
    /// How many there are.
    pub rows: u64,
}

/// The rows of a block, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// The rows by group. No two have the same kind, callsite and program.
    pub groups: Vec<Group>,
    /// For each row, its group, its run and its time in UTC nanoseconds; empty unless asked for.
    pub rows: Vec<(u32, u32, i64)>,
}

/// Counts the rows of a block. Those of the single rows are read if `single` says so of the groups.
///
/// # Errors
/// When the body is damaged.
pub fn census(body: &[u8], single: impl FnOnce(&[Group]) -> bool) -> Result<Census> {
    let packed = Packed::split(body)?;
    let meta = packed.unpack(Frame::Meta)?;
    let mut table = RowBuffer::default();
    let mut input = Cursor::new(&meta);
    let extra = tables::get_meta(&mut input, &mut table)?;
    let layout = Layout::get(&mut input)?;
    let mut groups: Vec<Group> = layout.classes.iter().map(|c| group(c, &table)).collect();
    for class in &layout.sequence {
        if let Some(group) = usize::try_from(*class).ok().and_then(|class| groups.get_mut(class)) {
            group.rows += 1;
        }
    }
    if !single(&groups) {
        return Ok(Census { groups, rows: Vec::new() });
    }
    let (texts, order) = (packed.unpack(Frame::Text)?, packed.unpack(Frame::Order)?);
    let (mut input, mut text) = (Cursor::new(&order), Text::new(&texts));
    tables::get_order(&mut input, &texts, &mut text, &extra, &mut table)?;
    let (times, runs) = (&table.time_ns, &table.run);
    if times.len() != layout.sequence.len() || runs.len() != times.len() {
        return Err(Error::new("the frames of a block do not belong together"));
    }
    let rows = layout.sequence.iter().zip(runs).zip(times);
    let rows = rows.map(|((class, run), time)| (*class as u32, *run, *time)).collect();
    Ok(Census { groups, rows })
}

/// The names of the fields that rows have of their own, of those kinds and callsites that `of` is true of;
/// `None` where rows must be looked at for that.
///
/// # Errors
/// When the body is damaged.
pub fn field_names(
    body: &[u8],
    of: impl Fn(Kind, Option<&Callsite>) -> bool,
) -> Result<Option<BTreeSet<String>>> {
    let meta = Packed::split(body)?.unpack(Frame::Meta)?;
    let mut table = RowBuffer::default();
    let mut input = Cursor::new(&meta);
    tables::get_meta(&mut input, &mut table)?;
    let mut names = BTreeSet::new();
    for class in &Layout::get(&mut input)?.classes {
        let site = site(class, &table);
        if !of(class.kind, site.map(AsRef::as_ref)) {
            continue;
        }
        // Parts of larger records, and events that bring their callsites, tell nothing here.
        let hidden = matches!(class.kind, Kind::Fragment | Kind::InlineEvent);
        let told = site.is_none_or(|site| fields::names(class, site, &mut names).is_ok());
        if hidden || !told {
            return Ok(None);
        }
    }
    Ok(Some(names))
}

fn site<'t>(class: &Class<'_>, table: &'t RowBuffer) -> Option<&'t Arc<Callsite>> {
    (class.callsite as usize).checked_sub(1).and_then(|n| table.callsites.get(n))
}

fn group(class: &Class<'_>, table: &RowBuffer) -> Group {
    let site = site(class, table);
    let template = match site {
        Some(site) if site.template != "{0}" => site.template.clone(),
        _ => constants(&class.ops, class.program, class.program.first() == Some(&BARE_TEXT)),
    };
    Group { kind: class.kind, callsite: site.cloned(), template, rows: 0 }
}

/// The constant text of a program, with `*` for each value in it.
fn constants(ops: &[Op], program: &[u8], bare: bool) -> String {
    let mut text = String::new();
    let mut open = bare || !ops.contains(&Op::Open);
    let whole = !ops.iter().any(|op| matches!(op, Op::Slot(_) | Op::Open)) && !bare;
    for op in ops {
        match op {
            Op::Open => open = true,
            Op::Close => break,
            Op::Literal(reference) if open && !whole => {
                text.push_str(&String::from_utf8_lossy(strings::slice(program, *reference)));
            }
            Op::Slot(_) => text.push_str(VALUE),
            Op::Str | Op::Rest if whole && text.is_empty() => text.push_str(VALUE),
            _ => {}
        }
    }
    text
}

/// The template of a text that came formatted: its words, with `*` for each value. Blocks may find
/// more that varies, in the rows that they hold.
///
/// ```
/// # use relay_fmt::block::columns::template_of;
/// assert_eq!(template_of(b"took 12 ms"), "took * ms");
/// ```
#[must_use]
pub fn template_of(text: &[u8]) -> String {
    let mut out = Split { key: vec![BARE_TEXT], ..Split::default() };
    if !split::split(text, 0, &mut out) {
        return VALUE.to_owned();
    }
    out.key.push(END);
    match program::parse(&out.key) {
        Ok(ops) => constants(&ops, &out.key, true),
        Err(_) => VALUE.to_owned(),
    }
}
