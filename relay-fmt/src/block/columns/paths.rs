//! The short way from a line to its class.
//!
//! Most lines have a template that an earlier one had. The templates of a callsite's lines are kept as a
//! tree: constant text, shared as far as it is the same, and values. A line is followed down the tree,
//! comparing constant text and reading a value wherever the tree has one, in the same way in which
//! splitting reads it. What leads to the end of a template was put together by that template, whichever
//! one splitting would have found; what does not is split.

use super::split::{Class, Hole, How, MAX_LINE, Split, Splitter, class};

/// So many nodes at most, and so many bytes of constant text: the lines of later templates are split.
const MOST_NODES: usize = 1 << 15;
const MOST_BYTES: usize = 1 << 20;
/// So often a line may turn back to take a word for a value.
const TURNS: usize = 3;

/// A place in a template.
#[derive(Debug, Default)]
struct Node {
    /// The constant text that leads here, in the tree's bytes.
    text: (u32, u32),
    /// What constant text can follow, by its first byte.
    texts: Vec<(u8, u32)>,
    /// What values can follow, by their marks.
    holes: Vec<([u8; 4], u32)>,
    /// How those can be recognised, a bit for each [`How`].
    how: u8,
    /// The class of lines that end here.
    class: Option<u32>,
}

impl Node {
    #[inline]
    fn text(&self, byte: u8) -> Option<u32> {
        self.texts.iter().find(|(first, _)| *first == byte).map(|(_, node)| *node)
    }

    #[inline]
    fn hole(&self, mark: [u8; 4]) -> Option<u32> {
        self.holes.iter().find(|(other, _)| *other == mark).map(|(_, node)| *node)
    }
}

/// The templates of one kind of lines. Empty, it leads nowhere.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The first is the root.
    nodes: Vec<Node>,
    bytes: Vec<u8>,
}

impl Paths {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.bytes.clear();
    }

    fn text(&self, node: &Node) -> &[u8] {
        self.bytes.get(node.text.0 as usize..node.text.1 as usize).unwrap_or_default()
    }

    /// The class of a line that starts at `base` of what string values refer to; appends its values.
    /// `None`, and no values, where it is to be split.
    #[inline]
    pub(super) fn follow(&self, line: &[u8], base: usize, out: &mut Split) -> Option<u32> {
        if line.len() > MAX_LINE {
            return None;
        }
        let mut walk = Splitter::new(line, base, true, out);
        let first = walk.out.values.len();
        let class = self.walk(&mut walk);
        if class.is_none() {
            out.values.truncate(first);
        }
        class
    }

    fn walk(&self, line: &mut Splitter<'_>) -> Option<u32> {
        let mut node = self.nodes.first()?;
        let (mut at, mut turns) = (0, 0);
        // Where a word was taken for constant text that could be a value.
        let mut turn: Option<(&Node, usize, usize, usize)> = None;
        loop {
            let Some(byte) = line.line.get(at).copied() else {
                if node.class.is_some() {
                    return node.class;
                }
                (node, at) = self.turn(line, &mut turn)?;
                continue;
            };
            let counts = (line.out.holes.len(), line.out.values.len());
            if let Some(next) = node.text(byte).and_then(|next| self.nodes.get(next as usize)) {
                let text = self.text(next);
                if begins_with(line.line.get(at..).unwrap_or_default(), text) {
                    let word = node.how & How::Word as u8 != 0 && class(byte) == Class::Letter;
                    if word && turns < TURNS {
                        turn = Some((node, at, counts.0, counts.1));
                        turns += 1;
                    }
                    (node, at) = (next, at + text.len());
                    continue;
                }
            }
            if !node.holes.is_empty()
                && let Some(end) = value(line, node.how, at, byte)
                && let Some(hole) = line.out.holes.get(counts.0)
                // A minus before what is no number is constant text.
                && hole.from as usize == at
                && let Some(next) = node.hole(hole.mark)
                && let Some(next) = self.nodes.get(next as usize)
            {
                (node, at) = (next, end);
                continue;
            }
            line.out.holes.truncate(counts.0);
            line.out.values.truncate(counts.1);
            (node, at) = self.turn(line, &mut turn)?;
        }
    }

    /// Goes back to where a word may be a value, and takes it for one.
    fn turn<'a>(
        &'a self,
        line: &mut Splitter<'_>,
        turn: &mut Option<(&'a Node, usize, usize, usize)>,
    ) -> Option<(&'a Node, usize)> {
        let (node, at, holes, values) = turn.take()?;
        line.out.holes.truncate(holes);
        line.out.values.truncate(values);
        let end = line.letters(at);
        let next = node.hole(line.out.holes.last()?.mark)?;
        Some((self.nodes.get(next as usize)?, end))
    }

    /// Remembers the class of a line that was split; its holes stand in their order.
    pub(super) fn learn(&mut self, line: &[u8], holes: &[Hole], class: u32) {
        if self.nodes.len() + 2 * holes.len() + 2 > MOST_NODES
            || self.bytes.len() + line.len() > MOST_BYTES
        {
            return;
        }
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let (mut node, mut at) = (0, 0);
        for hole in holes {
            let text = line.get(at..hole.from as usize).unwrap_or_default();
            node = self.grow(node, text);
            node = self.open(node, hole);
            at = hole.to as usize;
        }
        node = self.grow(node, line.get(at..).unwrap_or_default());
        if let Some(node) = self.nodes.get_mut(node) {
            node.class.get_or_insert(class);
        }
    }

    /// The node that a value leads to.
    fn open(&mut self, from: usize, hole: &Hole) -> usize {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(from) else { return from };
        node.how |= hole.how as u8;
        if let Some(known) = node.hole(hole.mark) {
            return known as usize;
        }
        node.holes.push((hole.mark, next as u32));
        self.nodes.push(Node::default());
        next
    }

    /// The node that constant text leads to.
    fn grow(&mut self, mut from: usize, mut text: &[u8]) -> usize {
        while let Some(byte) = text.first() {
            let known = self.nodes.get(from).and_then(|node| node.text(*byte));
            let Some(next) = known else { return self.branch(from, *byte, text) };
            let next = next as usize;
            let Some(there) = self.nodes.get(next).map(|node| self.text(node)) else { return from };
            let same = there.iter().zip(text).take_while(|(a, b)| a == b).count();
            if same < there.len() {
                self.fork(next, same);
            }
            text = text.get(same..).unwrap_or_default();
            from = next;
        }
        from
    }

    fn branch(&mut self, from: usize, byte: u8, text: &[u8]) -> usize {
        let (next, start) = (self.nodes.len(), self.bytes.len());
        self.bytes.extend_from_slice(text);
        let text = (start as u32, self.bytes.len() as u32);
        if let Some(node) = self.nodes.get_mut(from) {
            node.texts.push((byte, next as u32));
        }
        self.nodes.push(Node { text, ..Node::default() });
        next
    }

    /// Lets the text that leads to a node end after so many bytes, and a node behind it take the rest.
    fn fork(&mut self, node: usize, same: usize) {
        let next = self.nodes.len() as u32;
        let Some(there) = self.nodes.get_mut(node) else { return };
        let (start, end) = there.text;
        let at = start + same as u32;
        let byte = self.bytes.get(at as usize).copied().unwrap_or_default();
        let fork = Node { text: (start, at), texts: vec![(byte, next)], ..Node::default() };
        let mut rest = std::mem::replace(there, fork);
        rest.text = (at, end);
        self.nodes.push(rest);
    }
}

/// Whether a line goes on with a text. Most are short: a call would take longer than to compare them here.
#[inline]
fn begins_with(rest: &[u8], text: &[u8]) -> bool {
    let Some(rest) = rest.get(..text.len()) else { return false };
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let ends = rest.first_chunk() == Some(first) && rest.last_chunk() == Some(last);
        return ends && (text.len() <= 16 || rest == text);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return rest.first_chunk() == Some(first) && rest.last_chunk() == Some(last);
    }
    rest.iter().zip(text).all(|(a, b)| a == b)
}

/// Reads the value that can be at a place; gives its end. `None` where there is none; what was appended
/// until then is of no use.
#[inline]
pub(super) fn value(line: &mut Splitter<'_>, how: u8, at: usize, byte: u8) -> Option<usize> {
    if how & How::Quoted as u8 != 0 {
        let end = line.closing(at)?;
        return Some(line.quoted(at, end));
    }
    if how & How::Hex as u8 != 0 {
        return byte.is_ascii_alphanumeric().then(|| line.hexadecimal(at));
    }
    Some(match class(byte) {
        Class::Digit => line.number(at, false),
        Class::Dash => line.dash(at),
        Class::Slash => line.path(at),
        Class::Bracket => line.array(at),
        Class::Letter => {
            if how & How::Month as u8 != 0
                && let Some(end) = line.month(at)
            {
                return Some(end);
            }
            match line.word_end(at) {
                (end, true) => line.mixed(at, end),
                _ if how & How::Word as u8 != 0 => line.letters(at),
                _ => return None,
            }
        }
        Class::Plain | Class::Quote | Class::Mark => return None,
    })
}
