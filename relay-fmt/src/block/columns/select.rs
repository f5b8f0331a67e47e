//! Decoding only the rows that a search wants.
//!
//! What a row is shown as is its message: the formatted text of its payload, or its callsite's
//! template with the values in the holes. For each class of rows the text is known as a
//! [`Pattern`]; a class whose pattern cannot hold a needle is not put together, and a block without
//! any other is not decoded at all. A class whose text is not known in this way always stays.

use super::condition::{Condition, Judge};
use super::decode::{self, Class, Layout};
use super::frames::{Frame, Packed};
use super::lazy::Columns;
use super::program::{BARE_TEXT, Op};
use super::search::{Chars, Pattern, Piece, Search};
use super::strings::{self, Text};
use super::tables;
use super::template::Slot;
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Error, Result};
use crate::callsite::Callsite;
use crate::message::Template;
use crate::record::Kind;
use crate::value::{self, Type};
use std::sync::Arc;

/// What a search looks for. Every part of it lets pass what it cannot judge.
pub struct Wanted<'a> {
    /// Texts that the message must contain, all of them.
    pub needles: &'a [&'a [u8]],
    /// Whether rows of this kind and callsite may be meant.
    pub class: &'a dyn Fn(Kind, Option<&Callsite>) -> bool,
    /// Whether rows of this time may be meant.
    pub time: &'a dyn Fn(i64) -> bool,
    /// Whether `time` lets everything pass.
    pub any_time: bool,
    /// What must hold of the fields of a row. Where a block is decoded, only rows that this does not
    /// exclude are put together.
    pub condition: Option<&'a Condition<'a>>,
    /// Which rows are only counted ([`Selected::sure`]), not kept, where all of this is certain for them. A
    /// row counts where the text that it is shown as holds the needles: of a row whose values do not parse
    /// that is what its template says.
    pub count: Counted,
}

/// Rows that may be counted without being put together. To be said only of rows for which `class` is exact,
/// of which nothing else is wanted, and that no condition excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// None.
    None,
    /// Those with a callsite.
    Sites,
    /// Those without one, too, but for parts of larger records.
    All,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("needles", &self.needles).finish_non_exhaustive()
    }
}

/// Rows, and which of them may be meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// All rows of the block, because numbers and sort times follow from those before; the
    /// payloads of those that are not meant are empty.
    pub rows: RowBuffer,
    /// For each row, whether it may be meant.
    pub keep: Vec<bool>,
    /// How many rows are certainly meant and are not kept.
    pub sure: u64,
}

/// Reads the rows of a block that may be meant; `None` when there are none.
///
/// Parts of larger records ([`Kind::Fragment`]) are always kept, whatever is wanted. Rows about
/// spans are not asked for needles.
///
/// # Errors
/// When the body is damaged.
pub fn select(body: &[u8], wanted: &Wanted<'_>) -> Result<Option<Selected>> {
    let packed = Packed::split(body)?;
    let meta = packed.unpack(Frame::Meta)?;
    let mut rows = RowBuffer::default();
    let mut input = Cursor::new(&meta);
    let extra = tables::get_meta(&mut input, &mut rows)?;
    let layout = Layout::get(&mut input)?;
    let Layout { classes, sequence, .. } = &layout;
    let sites = rows.callsites.clone();
    let mut choice = Choice::new(classes, &sites, wanted);
    let mut judge = wanted.condition.map(|asked| Judge::new(classes, &sites, asked));
    if let Some(judge) = &judge {
        choice.leave_out(classes, judge);
    }
    if !choice.narrow(wanted.needles, None, None) {
        return Ok(None);
    }
    if let Some(sure) = choice.all_sure(sequence, wanted) {
        return Ok(Some(Selected { rows: RowBuffer::default(), keep: Vec::new(), sure }));
    }
    let texts = packed.unpack(Frame::Text)?;
    if !choice.narrow(wanted.needles, Some(&texts), None) {
        return Ok(None);
    }
    choice.settle(|_| texts.is_ascii());
    if let Some(sure) = choice.all_sure(sequence, wanted) {
        return Ok(Some(Selected { rows: RowBuffer::default(), keep: Vec::new(), sure }));
    }
    // Where times leave no row of a class that is open, no column is asked.
    let order = if wanted.any_time { None } else { Some(packed.unpack(Frame::Order)?) };
    if let Some(order) = &order {
        get_order(order, &layout, &texts, &extra, &mut rows)?;
        let (keep, sure) = choice.rows(classes, sequence, &rows.time_ns, wanted);
        if sure == 0 && !keep.contains(&true) {
            return Ok(None);
        }
    }
    let number = packed.unpack(Frame::Number)?;
    let mut columns = Columns::find(&layout, &number, &texts)?;
    if !choice.narrow(wanted.needles, Some(&texts), Some(&mut columns)) {
        return Ok(None);
    }
    choice.settle(|column| columns.values(column).is_some_and(|values| are_utf8(values, &texts)));
    let judged = judge
        .as_mut()
        .and_then(|judge| judge.rows(sequence, &mut columns, &|class| choice.is_open(class)));
    if judged.as_ref().is_some_and(|may| !choice.any_row(sequence, may)) {
        return Ok(None);
    }
    if order.is_none() {
        get_order(&packed.unpack(Frame::Order)?, &layout, &texts, &extra, &mut rows)?;
    }
    let (mut keep, sure) = choice.rows(classes, sequence, &rows.time_ns, wanted);
    for (keep, may) in keep.iter_mut().zip(judged.iter().flatten()) {
        *keep &= may;
    }
    if sure == 0 && !keep.contains(&true) {
        return Ok(None);
    }
    let mut used = vec![false; classes.len()];
    for (class, _) in sequence.iter().zip(&keep).filter(|(_, keep)| **keep) {
        let class = usize::try_from(*class).ok().and_then(|class| used.get_mut(class));
        class.into_iter().for_each(|used| *used = true);
    }
    let mut columns = columns.of(&used)?;
    decode::put_together(classes, sequence, &mut columns, &texts, Some(&keep), &mut rows)?;
    Ok(Some(Selected { rows, keep, sure }))
}

/// Reads times, runs and spans of all rows.
fn get_order(
    order: &[u8],
    layout: &Layout<'_>,
    texts: &[u8],
    extra: &[Arc<Callsite>],
    rows: &mut RowBuffer,
) -> Result<()> {
    let (mut input, mut text) = (Cursor::new(order), Text::new(texts));
    tables::get_order(&mut input, texts, &mut text, extra, rows)?;
    let (count, text_at) = (layout.sequence.len(), layout.text_at);
    if count != rows.run.len() || text.position() != text_at || !input.is_empty() {
        return Err(Error::new("the frames of a block do not belong together"));
    }
    Ok(())
}

/// Which classes may have rows that are meant.
struct Choice<'a> {
    classes: Vec<State<'a>>,
}

enum State<'a> {
    /// None of its rows is meant.
    Out,
    /// Its text is not known.
    Unknown,
    /// All of its rows that are of the right time are meant.
    Sure,
    /// Its text is one of these. With `sure`, all of its rows are meant whose text is UTF-8.
    Known { patterns: Vec<Pattern<'a>>, sure: bool },
}

/// Whether the constant parts of a pattern are in what each row is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constant {
    Always,
    /// Where the strings between them are UTF-8: other text is not shown at all.
    IfUtf8,
    Unknown,
}

impl<'a> Choice<'a> {
    fn new(classes: &'a [Class<'_>], sites: &'a [Arc<Callsite>], wanted: &Wanted<'_>) -> Self {
        let state = |class: &'a Class<'_>| {
            let number = (class.callsite as usize).checked_sub(1);
            let site = number.and_then(|n| sites.get(n)).map(|site| &**site);
            if class.kind == Kind::Fragment {
                return State::Unknown;
            }
            if !(wanted.class)(class.kind, site) {
                return State::Out;
            }
            let counted = match wanted.count {
                Counted::None => false,
                Counted::Sites => site.is_some(),
                Counted::All => site.is_some() || class.kind == Kind::Raw,
            };
            let is_shown = is_event(class.kind) || class.kind == Kind::Raw;
            if counted && wanted.needles.is_empty() && is_shown {
                return State::Sure;
            }
            let known = (!wanted.needles.is_empty()).then(|| patterns(class, site)).flatten();
            let Some((patterns, constant)) = known else { return State::Unknown };
            let asked = counted && constant != Constant::Unknown;
            let sure = asked && wanted.needles.iter().all(|needle| holds(&patterns, needle));
            if sure && constant == Constant::Always {
                return State::Sure;
            }
            State::Known { patterns, sure }
        };
        Self { classes: classes.iter().map(state).collect() }
    }

    /// Leaves only classes whose text may contain all needles; whether there are any.
    fn narrow(
        &mut self,
        needles: &[&[u8]],
        texts: Option<&[u8]>,
        mut columns: Option<&mut Columns<'_>>,
    ) -> bool {
        for needle in needles {
            let mut search = Search::new(needle, texts, columns.as_deref_mut());
            for state in &mut self.classes {
                let State::Known { patterns, .. } = state else { continue };
                if !patterns.iter().any(|pattern| search.may_match(pattern)) {
                    *state = State::Out;
                }
            }
        }
        self.classes.iter().any(|state| !matches!(state, State::Out))
    }

    /// Makes sure what would be sure if strings were UTF-8, where all of these columns are.
    fn settle(&mut self, mut is_utf8: impl FnMut(u32) -> bool) {
        for state in &mut self.classes {
            let State::Known { patterns, sure: true } = state else { continue };
            let mut pieces = patterns.iter().flat_map(|pattern| &pattern.pieces);
            if pieces.all(|piece| match piece {
                Piece::Value(Slot::Str, column) => is_utf8(*column),
                _ => true,
            }) {
                *state = State::Sure;
            }
        }
    }

    /// Leaves out classes of which no row can fulfil the condition. Parts of larger records stay.
    fn leave_out(&mut self, classes: &[Class<'_>], judge: &Judge<'_>) {
        for (number, (state, class)) in self.classes.iter_mut().zip(classes).enumerate() {
            if class.kind != Kind::Fragment && judge.is_out(number) {
                *state = State::Out;
            }
        }
    }

    /// Whether rows of a class may still be meant.
    fn is_open(&self, class: usize) -> bool {
        !matches!(self.classes.get(class), Some(State::Out))
    }

    /// Whether a row that `may` lets pass is of a class that is still open.
    fn any_row(&self, sequence: &[u64], may: &[bool]) -> bool {
        let mut rows = sequence.iter().zip(may).filter(|(_, may)| **may);
        rows.any(|(class, _)| usize::try_from(*class).is_ok_and(|class| self.is_open(class)))
    }

    fn rows(
        &self,
        classes: &[Class<'_>],
        sequence: &[u64],
        times: &[i64],
        wanted: &Wanted<'_>,
    ) -> (Vec<bool>, u64) {
        let mut sure = 0;
        let rows = sequence.iter().zip(times);
        let keep = rows.map(|(class, time)| {
            let class = usize::try_from(*class).unwrap_or(usize::MAX);
            let state = self.classes.get(class);
            let kept = !matches!(state, Some(State::Out));
            if matches!(state, Some(State::Sure)) {
                sure += u64::from((wanted.time)(*time));
                return false;
            }
            let part = classes.get(class).is_some_and(|c| c.kind == Kind::Fragment);
            kept && (part || (wanted.time)(*time))
        });
        (keep.collect(), sure)
    }

    /// How many rows are meant, where neither texts nor times need be looked at to know.
    fn all_sure(&self, sequence: &[u64], wanted: &Wanted<'_>) -> Option<u64> {
        let known = |state: &State<'_>| matches!(state, State::Sure | State::Out);
        if wanted.count == Counted::None || !self.classes.iter().all(known) {
            return None;
        }
        let is_sure = |class: &u64| {
            let state = usize::try_from(*class).ok().and_then(|class| self.classes.get(class));
            matches!(state, Some(State::Sure))
        };
        wanted.any_time.then(|| sequence.iter().filter(|class| is_sure(class)).count() as u64)
    }
}

pub(super) const fn is_event(kind: Kind) -> bool {
    matches!(kind, Kind::Event | Kind::SpanEvent | Kind::InlineEvent)
}

/// Whether every row of such a class holds the needle: it is in the constant part of the message.
fn holds(patterns: &[Pattern<'_>], needle: &[u8]) -> bool {
    let mut pieces = patterns.iter().flat_map(|pattern| &pattern.pieces);
    pieces.any(|piece| match piece {
        Piece::Constant(constant) => memchr::memmem::find(constant, needle).is_some(),
        _ => false,
    })
}

fn are_utf8(values: &[u64], texts: &[u8]) -> bool {
    values.iter().all(|value| std::str::from_utf8(strings::slice(texts, *value)).is_ok())
}

/// What the messages of a class look like; `None` where that is not known.
fn patterns<'a>(
    class: &'a Class<'_>,
    site: Option<&'a Callsite>,
) -> Option<(Vec<Pattern<'a>>, Constant)> {
    if class.kind == Kind::Raw {
        let text = class.program.first() == Some(&BARE_TEXT) || class.ops == [Op::Rest];
        return text.then(|| (of_class(class), Constant::Always));
    }
    let site = site.filter(|_| is_event(class.kind) && !class.ops.contains(&Op::Rest))?;
    if site.template == "{0}" && first_is_text(class, site) {
        let mut patterns = of_class(class);
        // What other values hold is not shown.
        patterns.truncate(1);
        let constant = patterns.first().map_or(Constant::Unknown, of_text);
        return Some((patterns, constant));
    }
    let mut pattern = Pattern::default();
    typed(class, site, &mut pattern)?;
    // A template that does not parse is shown as far as it does.
    let parses = Template::parse(&site.template).is_ok();
    Some((vec![pattern], if parses { Constant::Always } else { Constant::Unknown }))
}

/// What can be told of the constant parts of a text that must be UTF-8 to be shown.
fn of_text(pattern: &Pattern<'_>) -> Constant {
    let mut text = Vec::new();
    for piece in &pattern.pieces {
        match piece {
            Piece::Constant(constant) => text.extend_from_slice(constant),
            // Numbers are shown in ASCII.
            _ => text.push(b'0'),
        }
    }
    let has_strings =
        pattern.pieces.iter().any(|piece| matches!(piece, Piece::Value(Slot::Str, _)));
    match std::str::from_utf8(&text) {
        Err(_) => Constant::Unknown,
        Ok(_) if has_strings => Constant::IfUtf8,
        Ok(_) => Constant::Always,
    }
}

fn of_class<'a>(class: &'a Class<'_>) -> Vec<Pattern<'a>> {
    let mut patterns = Vec::new();
    Pattern::of_class(class, &mut patterns);
    patterns
}

/// Whether the value with index 0 is text in every row of the class.
pub(super) fn first_is_text(class: &Class<'_>, site: &Callsite) -> bool {
    let is_text = |of: Type| matches!(of, Type::Str | Type::Text);
    let mut ops = class.ops.iter();
    let begins = |op: Option<&Op>| matches!(op, Some(Op::Str | Op::Open));
    let literal = |op: Option<&Op>| match op {
        Some(Op::Literal(reference)) => Some(strings::slice(class.program, *reference)),
        _ => None,
    };
    let tagged = |tag: u8| Type::from_u8(tag).is_some_and(is_text);
    match site.layout {
        value::Layout::Packed => match site.fields.first().map(|field| field.of) {
            Some(Type::Tagged) => {
                matches!(literal(ops.next()), Some([tag]) if tagged(*tag)) && begins(ops.next())
            }
            Some(of) => is_text(of) && begins(ops.next()),
            None => false,
        },
        value::Layout::Sparse => {
            // A value of a field that is not there is not shown.
            let first = !site.fields.is_empty()
                && matches!(literal(ops.next()), Some([0, tag]) if tagged(*tag));
            let zero = |op: &Op| literal(Some(op)).is_some_and(|bytes| bytes.contains(&0));
            // A field that comes twice counts the second time, and may be something else there.
            let text = class.ops.iter().position(|op| *op == Op::Close).unwrap_or(1);
            first && begins(ops.next()) && !class.ops.iter().skip(text).any(zero)
        }
    }
}

/// The template of a callsite whose values are one column each.
fn typed<'a>(class: &'a Class<'_>, site: &'a Callsite, out: &mut Pattern<'a>) -> Option<()> {
    let packed = site.layout == value::Layout::Packed;
    if !packed || class.ops.len() != site.fields.len() {
        return None;
    }
    let hole = |index: usize, plain: bool| {
        let (of, column) = (site.fields.get(index)?.of, *class.columns.get(index)?);
        let op = class.ops.get(index)?;
        Some(match (of, op) {
            (Type::Text, Op::Str) => Piece::Value(Slot::Str, column),
            (Type::Str, Op::Str) if plain => Piece::Value(Slot::Str, column),
            (Type::F32 | Type::F64, Op::Float { .. }) if plain => Piece::Any(Chars::Float),
            (Type::Bool, Op::Integer { .. }) if plain => Piece::Any(Chars::Bool),
            (of, Op::Integer { .. }) if plain && is_integer(of) => Piece::Any(Chars::Integer),
            _ => return None,
        })
    };
    // Each value is one column, so that columns go by fields.
    if class.columns.len() != class.ops.len() {
        return None;
    }
    let template = site.template.as_bytes();
    let mut at = 0;
    while let Some(byte) = template.get(at) {
        let rest = template.get(at..)?;
        if rest.starts_with(b"{{") || rest.starts_with(b"}}") {
            out.pieces.push(Piece::Constant(rest.get(..1)?));
            at += 2;
        } else if *byte == b'{' {
            let end = rest.iter().position(|b| *b == b'}')?;
            let inner = std::str::from_utf8(rest.get(1..end)?).ok()?;
            let (index, spec) = inner.split_once(':').map_or((inner, ""), |(i, s)| (i, s));
            out.pieces.push(hole(index.parse().ok()?, spec.is_empty())?);
            at += end + 1;
        } else if *byte == b'}' {
            return None;
        } else {
            let len = rest.iter().position(|b| matches!(b, b'{' | b'}')).unwrap_or(rest.len());
            out.pieces.push(Piece::Constant(rest.get(..len)?));
            at += len;
        }
    }
    Some(())
}

const fn is_integer(of: Type) -> bool {
    use Type::{I8, I16, I32, I64, Isize, U8, U16, U32, U64, Usize};
    matches!(of, I8 | I16 | I32 | I64 | Isize | U8 | U16 | U32 | U64 | Usize)
}
