//! Conditions on fields, told from the columns before rows are put together.
//!
//! For each class of rows, a condition's names are looked up once: in the callsite's fields, or in the
//! template of a text that is a JSON object. What is left to do for each row is to take a few values
//! from their columns. Only "certainly not" is of use: a row that may be meant is put together and
//! looked at as a whole, so whatever is not known here costs time and nothing else.

use super::decode::Class;
use super::fields::{self, Source};
use super::lazy::Columns;
use super::members::{self, At, Item};
use super::program::Op;
use super::select::{first_is_text, is_event};
use super::strings;
use super::template::{BINARY, BINARY_UNITS, Slot};
use crate::callsite::Callsite;
use crate::record::Kind;
use crate::value::{Type, Value};
use std::sync::Arc;

/// A condition on rows.
pub enum Condition<'a> {
    /// All of these hold.
    All(Vec<Self>),
    /// One of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The row has a callsite of which this is true.
    Site(Box<dyn Fn(&Callsite) -> bool + 'a>),
    /// The row has a callsite of which this is true; or it is raw, and the other condition holds.
    Place(Box<dyn Fn(&Callsite) -> bool + 'a>, Box<Self>),
    /// The row has a field of this name, and this is true of its last value. What a record's own fields
    /// do not have is looked for among the members of a message that is a JSON object.
    Field(&'a str, Box<dyn Fn(FieldOf<'_>) -> bool + 'a>),
    /// What cannot be told from fields.
    Unknown,
}

impl std::fmt::Debug for Condition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All(all) => f.debug_tuple("All").field(all).finish(),
            Self::Any(any) => f.debug_tuple("Any").field(any).finish(),
            Self::Not(not) => f.debug_tuple("Not").field(not).finish(),
            Self::Site(_) => f.write_str("Site"),
            Self::Place(_, raw) => f.debug_tuple("Place").field(raw).finish(),
            Self::Field(name, _) => f.debug_tuple("Field").field(name).finish(),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum FieldOf<'a> {
    /// A value.
    Value(&'a Value<'a>),
    /// A member of a JSON object, as it is written there.
    Json(&'a str),
}

/// Whether a condition may hold of a row, and whether it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct May {
    hold: bool,
    fail: bool,
}

const UNKNOWN: May = May { hold: true, fail: true };
const NEVER: May = May { hold: false, fail: true };
const ALWAYS: May = May { hold: true, fail: false };

/// A condition for the rows of one class.
enum Step<'s> {
    Known(May),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Leaf(Leaf<'s>),
}

/// So many strings' results are remembered for each leaf.
const REMEMBERED: usize = 512;
/// Powers of ten that a double holds exactly.
const POWERS: [f64; 16] =
    [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];

struct Leaf<'s> {
    test: &'s dyn Fn(FieldOf<'_>) -> bool,
    from: Origin,
    /// What it means that the test is passed.
    passed: May,
    /// Of strings that were looked at, whether they pass.
    known: Vec<(u64, bool)>,
}

enum Origin {
    Column(Type, At),
    /// A quoted string of one slot.
    Quoted(At),
    Integer(At),
    Decimal(At, At),
    /// A member in pieces.
    Pieces(Vec<Item>),
    /// The text begins with this string: whether it may be an object.
    Begins(At),
    /// The text is this string: whether it may be an object.
    Whole(At),
}

/// A condition, looked up in all classes of a block.
pub(super) struct Judge<'s> {
    /// For each class, what is asked of its rows.
    classes: Vec<Step<'s>>,
    /// For each class, the columns that are asked for by some class and that its rows take values from.
    moves: Vec<Vec<u32>>,
    asked: Vec<u32>,
}

impl<'s> Judge<'s> {
    pub(super) fn new(
        classes: &[Class<'_>],
        sites: &[Arc<Callsite>],
        condition: &'s Condition<'s>,
    ) -> Self {
        let mut asked = Vec::new();
        let steps = classes.iter().map(|class| {
            let number = (class.callsite as usize).checked_sub(1);
            let site = number.and_then(|n| sites.get(n)).map(|site| &**site);
            let mut of = OfClass { class, site, text: None };
            let step = of.step(condition);
            step.ask(&mut asked);
            step
        });
        let steps = steps.collect();
        asked.sort_unstable();
        asked.dedup();
        let taken = |class: &Class<'_>| {
            let columns = class.columns.iter().copied();
            columns.filter(|column| asked.binary_search(column).is_ok()).collect()
        };
        Self { classes: steps, moves: classes.iter().map(taken).collect(), asked }
    }

    /// Whether no row of a class can be meant, whatever its values are.
    pub(super) fn is_out(&self, class: usize) -> bool {
        matches!(self.classes.get(class), Some(Step::Known(may)) if !may.hold)
    }

    /// For each row, whether it may be meant; rows of classes that are not `wanted` are not looked at.
    /// `None` where nothing is asked of columns, or they cannot be read.
    pub(super) fn rows(
        &mut self,
        sequence: &[u64],
        columns: &mut Columns<'_>,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Option<Vec<bool>> {
        if self.asked.is_empty() {
            return None;
        }
        for column in &self.asked {
            columns.values(*column)?;
        }
        let columns = &*columns;
        let mut taken = vec![0usize; columns.len()];
        let mut room = Vec::new();
        let rows = sequence.iter().map(|class| {
            let class = usize::try_from(*class).unwrap_or(usize::MAX);
            let mut row = Row { columns, taken: &taken, room: &mut room };
            let step = self.classes.get_mut(class).filter(|_| wanted(class));
            let may = step.is_none_or(|step| step.judge(&mut row).hold);
            for column in self.moves.get(class).into_iter().flatten() {
                if let Some(taken) = taken.get_mut(*column as usize) {
                    *taken += 1;
                }
            }
            may
        });
        Some(rows.collect())
    }
}

/// A class in which names are looked up.
struct OfClass<'c> {
    class: &'c Class<'c>,
    site: Option<&'c Callsite>,
    text: Option<Message>,
}

/// What is known of the messages of a class.
enum Message {
    /// They are no JSON objects.
    NoObject,
    Unknown,
    Begins(At),
    Whole(At),
    Text(Vec<Item>),
}

impl<'c> OfClass<'c> {
    fn step<'s>(&mut self, condition: &'s Condition<'s>) -> Step<'s> {
        match condition {
            Condition::All(all) => self.several(all, NEVER, |may| !may.hold, Step::All),
            Condition::Any(any) => self.several(any, ALWAYS, |may| !may.fail, Step::Any),
            Condition::Not(not) => match self.step(not) {
                Step::Known(may) => Step::Known(may.not()),
                step => Step::Not(Box::new(step)),
            },
            Condition::Unknown => Step::Known(UNKNOWN),
            Condition::Site(test) => Step::Known(self.place(&**test, NEVER)),
            Condition::Place(_, raw) if self.is_raw() => self.step(raw),
            Condition::Place(test, _) => Step::Known(self.place(&**test, UNKNOWN)),
            Condition::Field(name, test) => self.field(name, &**test),
        }
    }

    const fn is_raw(&self) -> bool {
        self.site.is_none() && matches!(self.class.kind, Kind::Raw)
    }

    fn place(&self, test: &dyn Fn(&Callsite) -> bool, of_raw: May) -> May {
        match self.site {
            Some(site) if is_event(self.class.kind) => May::exactly(test(site)),
            None if self.is_raw() => of_raw,
            _ => UNKNOWN,
        }
    }

    /// Several conditions; one of which `decides` is true decides them.
    fn several<'s>(
        &mut self,
        all: &'s [Condition<'s>],
        decided: May,
        decides: fn(May) -> bool,
        of: fn(Vec<Step<'s>>) -> Step<'s>,
    ) -> Step<'s> {
        let steps: Vec<_> = all.iter().map(|condition| self.step(condition)).collect();
        let known = |step: &Step<'_>| matches!(step, Step::Known(may) if decides(*may));
        if steps.iter().any(known) { Step::Known(decided) } else { of(steps) }
    }

    fn field<'s>(&mut self, name: &str, test: &'s dyn Fn(FieldOf<'_>) -> bool) -> Step<'s> {
        let unknown = Step::Known(UNKNOWN);
        let kind = self.class.kind;
        if kind == Kind::Raw {
            return self.member(name, test);
        }
        let Some(site) = self.site.filter(|_| is_event(kind)) else { return unknown };
        let Ok(found) = fields::find(self.class, site, name) else { return unknown };
        let Some(found) = found else { return self.member(name, test) };
        // Where a value before it does not parse, it is looked for in the message.
        if !found.certain && !matches!(self.message(), Message::NoObject) {
            return unknown;
        }
        let passed = if found.certain { ALWAYS } else { UNKNOWN };
        match found.source {
            Source::Unit(unit) => {
                let value = if unit { Value::Unit } else { Value::None };
                Step::Known(if test(FieldOf::Value(&value)) { passed } else { NEVER })
            }
            // A string or character may not parse itself.
            Source::Column(Type::Str | Type::Text | Type::Char, _)
                if !matches!(self.message(), Message::NoObject) =>
            {
                unknown
            }
            Source::Column(of, at) => Step::leaf(test, Origin::Column(of, at), passed),
            Source::Text | Source::Other => unknown,
        }
    }

    /// A member of the message. That it is an object is not certain.
    fn member<'s>(&mut self, name: &str, test: &'s dyn Fn(FieldOf<'_>) -> bool) -> Step<'s> {
        let items = match self.message() {
            Message::NoObject => return Step::Known(NEVER),
            Message::Unknown => return Step::Known(UNKNOWN),
            Message::Begins(at) => return Step::leaf(test, Origin::Begins(*at), UNKNOWN),
            Message::Whole(at) => return Step::leaf(test, Origin::Whole(*at), UNKNOWN),
            Message::Text(items) => items,
        };
        let Some(member) = members::find(items, name) else { return Step::Known(UNKNOWN) };
        let quote = Item::Byte(b'"');
        let from = match *member {
            [] => return Step::Known(NEVER),
            [a, Item::Slot(Slot::Str, at, _), b] if [a, b] == [quote; 2] => Origin::Quoted(at),
            [Item::Slot(Slot::Integer, at, _)] => Origin::Integer(at),
            [Item::Slot(Slot::Decimal, at, Some(scale))] => Origin::Decimal(at, scale),
            _ => Origin::Pieces(member.to_vec()),
        };
        Step::leaf(test, from, UNKNOWN)
    }

    fn message(&mut self) -> &Message {
        let (class, site) = (self.class, self.site);
        self.text.get_or_insert_with(|| message(class, site))
    }
}

/// What is known of the messages of a class.
fn message(class: &Class<'_>, site: Option<&Callsite>) -> Message {
    let first = class.columns.first().map(|column| At { column: *column, skip: 0 });
    match site {
        None if class.ops == [Op::Rest] => return first.map_or(Message::Unknown, Message::Whole),
        Some(site) if site.template != "{0}" => {
            return match site.template.as_bytes().first() {
                Some(b'{' | b'}') => Message::Unknown,
                _ => Message::NoObject,
            };
        }
        Some(site) if !first_is_text(class, site) => return Message::Unknown,
        _ => {}
    }
    let Some(items) = members::text_of(class) else { return Message::Unknown };
    match items.first() {
        Some(Item::Byte(b'{')) => Message::Text(items),
        Some(Item::Slot(Slot::Str, at, _)) => Message::Begins(*at),
        _ => Message::NoObject,
    }
}

impl May {
    const fn exactly(holds: bool) -> Self {
        if holds { ALWAYS } else { NEVER }
    }

    const fn not(self) -> Self {
        Self { hold: self.fail, fail: self.hold }
    }
}

impl<'s> Step<'s> {
    fn leaf(test: &'s dyn Fn(FieldOf<'_>) -> bool, from: Origin, passed: May) -> Self {
        Self::Leaf(Leaf { test, from, passed, known: Vec::new() })
    }

    fn ask(&self, asked: &mut Vec<u32>) {
        match self {
            Self::Known(_) => {}
            Self::All(steps) | Self::Any(steps) => steps.iter().for_each(|step| step.ask(asked)),
            Self::Not(step) => step.ask(asked),
            Self::Leaf(leaf) => leaf.from.ask(asked),
        }
    }

    fn judge(&mut self, row: &mut Row<'_, '_>) -> May {
        match self {
            Self::Known(may) => *may,
            Self::All(steps) => {
                let mut all = ALWAYS;
                for step in steps {
                    let may = step.judge(row);
                    all = May { hold: all.hold && may.hold, fail: all.fail || may.fail };
                    if !all.hold {
                        return NEVER;
                    }
                }
                all
            }
            Self::Any(steps) => {
                let mut any = NEVER;
                for step in steps {
                    let may = step.judge(row);
                    any = May { hold: any.hold || may.hold, fail: any.fail && may.fail };
                    if !any.fail {
                        return ALWAYS;
                    }
                }
                any
            }
            Self::Not(step) => step.judge(row).not(),
            Self::Leaf(leaf) => leaf.judge(row),
        }
    }
}

impl Origin {
    fn ask(&self, asked: &mut Vec<u32>) {
        match self {
            Self::Column(_, at)
            | Self::Quoted(at)
            | Self::Integer(at)
            | Self::Begins(at)
            | Self::Whole(at) => asked.push(at.column),
            Self::Decimal(at, second) => asked.extend([at.column, second.column]),
            Self::Pieces(items) => items.iter().for_each(|item| {
                if let Item::Slot(_, at, second) = item {
                    asked.push(at.column);
                    asked.extend(second.map(|second| second.column));
                }
            }),
        }
    }
}

/// A row, and memory to write text into.
struct Row<'r, 'c> {
    columns: &'r Columns<'c>,
    /// For each column, how many values the rows before have taken.
    taken: &'r [usize],
    room: &'r mut Vec<u8>,
}

impl<'r> Row<'r, '_> {
    fn value(&self, at: At) -> Option<u64> {
        let taken = self.taken.get(at.column as usize)?;
        self.columns.known(at.column as usize)?.get(taken + at.skip as usize).copied()
    }

    fn string(&self, reference: u64) -> &'r [u8] {
        strings::slice(self.columns.texts(), reference)
    }

    /// Puts together the text of some pieces.
    fn text(&mut self, items: &[Item]) -> Option<&str> {
        self.room.clear();
        for item in items {
            match *item {
                Item::Byte(byte) => self.room.push(byte),
                Item::Slot(slot, at, second) => {
                    let first = self.value(at)?;
                    let second = second.map_or(Some(0), |second| self.value(second))?;
                    slot.write(first, second, self.columns.texts(), self.room).ok()?;
                }
            }
        }
        std::str::from_utf8(self.room).ok()
    }
}

impl Leaf<'_> {
    fn judge(&mut self, row: &mut Row<'_, '_>) -> May {
        // A value that is not there was found to be damaged: whoever puts the row together says so.
        self.passes(row).map_or(UNKNOWN, |passes| if passes { self.passed } else { NEVER })
    }

    fn passes(&mut self, row: &mut Row<'_, '_>) -> Option<bool> {
        let test = self.test;
        Some(match &self.from {
            Origin::Column(of @ (Type::Str | Type::Text | Type::Bytes), at) => {
                let (of, reference) = (*of, row.value(*at)?);
                self.remember(reference, || string_passes(of, row.string(reference), test))
            }
            Origin::Quoted(at) => {
                let reference = row.value(*at)?;
                self.remember(reference, || quoted_passes(row.string(reference), test))
            }
            Origin::Column(of, at) => {
                let value = scalar(*of, row.value(*at)?);
                value.is_some_and(|value| test(FieldOf::Value(&value)))
            }
            Origin::Integer(at) => test(FieldOf::Value(&Value::I64(row.value(*at)? as i64))),
            Origin::Decimal(at, scale) => {
                let (mantissa, scale) = (row.value(*at)?, row.value(*scale)?);
                match decimal(mantissa as i64, scale) {
                    Some(number) => test(FieldOf::Value(&Value::F64(number))),
                    None => {
                        row.room.clear();
                        Slot::Decimal.write(mantissa, scale, &[], row.room).ok()?;
                        test(FieldOf::Json(std::str::from_utf8(row.room).ok()?))
                    }
                }
            }
            Origin::Pieces(items) => test(FieldOf::Json(row.text(items)?)),
            Origin::Begins(at) => match row.string(row.value(*at)?).first() {
                None | Some(b'{') => return None,
                Some(_) => false,
            },
            Origin::Whole(at) => match row.string(row.value(*at)?).first() {
                Some(b'{') => return None,
                _ => false,
            },
        })
    }

    /// Whether a string passes, which is found out once for most of those that repeat.
    fn remember(&mut self, reference: u64, passes: impl FnOnce() -> bool) -> bool {
        if self.known.is_empty() {
            self.known.resize(REMEMBERED, (u64::MAX, false));
        }
        let spread = reference.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = spread >> (u64::BITS - REMEMBERED.ilog2());
        let Some(known) = self.known.get_mut(hash as usize) else { return passes() };
        if known.0 != reference {
            *known = (reference, passes());
        }
        known.1
    }
}

fn string_passes(of: Type, bytes: &[u8], test: &dyn Fn(FieldOf<'_>) -> bool) -> bool {
    if of == Type::Bytes {
        return test(FieldOf::Value(&Value::Bytes(bytes)));
    }
    // What is not UTF-8 does not parse.
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    test(FieldOf::Value(&if of == Type::Str { Value::Str(text) } else { Value::Text(text) }))
}

/// Whether what stands between the quotes of a member passes. Without escapes it is its value.
fn quoted_passes(bytes: &[u8], test: &dyn Fn(FieldOf<'_>) -> bool) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if text.contains('\\') {
        return test(FieldOf::Json(&format!("\"{text}\"")));
    }
    test(FieldOf::Value(&Value::Str(text)))
}

/// A number of a column, as its field's type.
fn scalar(of: Type, bits: u64) -> Option<Value<'static>> {
    Some(match of {
        Type::Bool => Value::Bool(bits as u8 != 0),
        Type::Char => Value::Char(char::from_u32(bits as u32)?),
        Type::I8 => Value::I8(bits as i8),
        Type::I16 => Value::I16(bits as i16),
        Type::I32 => Value::I32(bits as i32),
        Type::I64 => Value::I64(bits as i64),
        Type::Isize => Value::Isize(bits as i64),
        Type::U8 => Value::U8(bits as u8),
        Type::U16 => Value::U16(bits as u16),
        Type::U32 => Value::U32(bits as u32),
        Type::U64 => Value::U64(bits),
        Type::Usize => Value::Usize(bits),
        Type::F32 => Value::F32(f32::from_bits(bits as u32)),
        Type::F64 => Value::F64(f64::from_bits(bits)),
        _ => return None,
    })
}

/// The double that is nearest to a decimal's text, where that is easily told and no integer's text.
fn decimal(mantissa: i64, scale: u64) -> Option<f64> {
    if scale == BINARY {
        let number = mantissa as f64 / BINARY_UNITS;
        return (number.fract() != 0.0).then_some(number);
    }
    // Both are exact, so that the quotient is rounded once.
    let exact = mantissa.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
    let power = scale.checked_sub(1).and_then(|at| POWERS.get(usize::try_from(at).ok()?));
    power.filter(|_| exact).map(|power| mantissa as f64 / power)
}
