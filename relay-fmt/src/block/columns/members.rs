//! Members of texts that are JSON objects, found in a class's template.
//!
//! Where the text of a class is an object, its keys are constant text and its values are constant or
//! stand in slots, each of which is within one string or one value (`docs/format/columns.md`,
//! "Templates"). So one walk over the template says where a member's value stands in every row.

use super::decode::Class;
use super::program::{BARE_TEXT, Op};
use super::strings;
use super::template::Slot;
use crate::value::MAX_DEPTH;
use std::collections::HashMap;

/// A value of a class: its column, and how many values of the row stand before it in that column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) column: u32,
    pub(super) skip: u32,
}

/// Where the values of a class's steps are.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: usize,
    /// Of each column, how many values were named.
    named: HashMap<u32, u32>,
}

impl Places {
    /// The place of the next value of a class.
    pub(super) fn next(&mut self, class: &Class<'_>) -> Option<At> {
        let column = *class.columns.get(self.taken)?;
        self.taken += 1;
        let named = self.named.entry(column).or_default();
        *named += 1;
        Some(At { column, skip: *named - 1 })
    }

    /// Passes over the values of a step.
    pub(super) fn pass(&mut self, class: &Class<'_>, op: Op) {
        op.columns().iter().for_each(|_| {
            self.next(class);
        });
    }
}

/// A piece of a text: a constant byte or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Byte(u8),
    /// A slot; of two values where it takes two.
    Slot(Slot, At, Option<At>),
}

/// The text of a class, piece by piece; `None` where it has none, or it is one string.
pub(super) fn text_of(class: &Class<'_>) -> Option<Vec<Item>> {
    let bare = class.program.first() == Some(&BARE_TEXT);
    let (mut open, mut items, mut places) = (bare, Vec::new(), Places::default());
    for op in &class.ops {
        match op {
            Op::Open => open = true,
            Op::Close => return Some(items),
            Op::Literal(reference) if open => {
                let bytes = strings::slice(class.program, *reference);
                items.extend(bytes.iter().map(|byte| Item::Byte(*byte)));
            }
            Op::Slot(slot) => {
                let first = places.next(class)?;
                let second = if slot.columns().len() > 1 { places.next(class) } else { None };
                items.push(Item::Slot(*slot, first, second));
            }
            _ => places.pass(class, *op),
        }
    }
    bare.then_some(items)
}

/// The member of this name: some of the text's pieces; no pieces where there is none. The name is a key,
/// or keys within each other with points between them; of several members the last one counts.
///
/// `None` where that cannot be known: a key varies or has escapes, or the text is no object.
pub(super) fn find<'i>(items: &'i [Item], name: &str) -> Option<&'i [Item]> {
    let mut walk = Walk { items, at: 0 };
    let found = walk.object(Some(name.as_bytes()), 0)?;
    walk.blanks();
    if walk.at < items.len() {
        return None;
    }
    Some(found.and_then(|(from, to)| items.get(from..to)).unwrap_or_default())
}

struct Walk<'i> {
    items: &'i [Item],
    at: usize,
}

type Found = Option<(usize, usize)>;

impl Walk<'_> {
    fn peek(&self) -> Option<Item> {
        self.items.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(Item::Byte(byte));
        self.at += usize::from(is);
        is
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(Item::Byte(b' ' | b'\t' | b'\n' | b'\r'))) {
            self.at += 1;
        }
    }

    /// Walks over an object; what it has of this name.
    fn object(&mut self, name: Option<&[u8]>, depth: u32) -> Option<Found> {
        let mut found = None;
        if !self.eat(b'{') || depth > MAX_DEPTH {
            return None;
        }
        self.blanks();
        if self.eat(b'}') {
            return Some(found);
        }
        loop {
            self.blanks();
            let key = self.key()?;
            self.blanks();
            if !self.eat(b':') {
                return None;
            }
            self.blanks();
            let from = self.at;
            let rest = name.and_then(|name| name.strip_prefix(&key[..]));
            if self.peek() == Some(Item::Byte(b'{')) {
                let inner = rest.and_then(|rest| rest.strip_prefix(b"."));
                found = self.object(inner, depth + 1)?.or(found);
            } else {
                self.value()?;
            }
            if rest == Some(b"") {
                found = Some((from, self.at));
            }
            self.blanks();
            match self.peek()? {
                Item::Byte(b',') => self.at += 1,
                Item::Byte(b'}') => {
                    self.at += 1;
                    return Some(found);
                }
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        if !self.eat(b'"') {
            return None;
        }
        loop {
            let item = self.peek()?;
            self.at += 1;
            match item {
                Item::Byte(b'"') => return Some(key),
                Item::Byte(b'\\') | Item::Slot(..) => return None,
                Item::Byte(byte) => key.push(byte),
            }
        }
    }

    /// Walks over a value that is no object.
    fn value(&mut self) -> Option<()> {
        let from = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                Item::Byte(b'"') => self.string()?,
                Item::Byte(b'[' | b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Item::Byte(b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') if depth == 0 => {
                    return (self.at > from).then_some(());
                }
                Item::Byte(b']' | b'}') => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let item = self.peek()?;
            self.at += 1;
            match item {
                Item::Byte(b'"') => return Some(()),
                Item::Byte(b'\\') if matches!(self.peek()?, Item::Byte(_)) => self.at += 1,
                Item::Byte(b'\\') => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, name: &str) -> Option<String> {
        let slot = Item::Slot(Slot::Str, At { column: 0, skip: 0 }, None);
        let item = |byte| if byte == b'#' { slot } else { Item::Byte(byte) };
        let items: Vec<_> = text.bytes().map(item).collect();
        let shown = |item: &Item| match item {
            Item::Byte(byte) => char::from(*byte),
            Item::Slot(..) => '#',
        };
        find(&items, name).map(|items| items.iter().map(shown).collect())
    }

    #[test]
    fn members_are_found_by_path() {
        let line = r##"{"a":#, "id.h":"#","b":{"c":{"d":-#}},"b.c":{"e":null},"l":[#, {"x":"}"}] ,"t":"x\"","a":3} "##;
        for (name, value) in [
            ("a", "3"),
            ("id.h", "\"#\""),
            ("b.c.d", "-#"),
            ("b.c.e", "null"),
            ("b.c", r#"{"e":null}"#),
            ("l", r#"[#, {"x":"}"}]"#),
            ("t", r#""x\"""#),
            ("x", ""),
            ("b.d", ""),
        ] {
            assert_eq!(found(line, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(found("{}", "a").as_deref(), Some(""));
        for text in ["", "#", "{", "{\"a#\":1}", "{\"a\\n\":1}", "{\"a\":1}x", "{\"a\":\"\\#\"}"] {
            assert_eq!(found(text, "a"), None, "{text}");
        }
    }
}
