//! Reads a format string as `format!` does, and matches its holes with the arguments.

use crate::call::Argument;
use std::iter::Peekable;
use std::str::CharIndices;
use syn::LitStr;

/// A part of a format string.
pub(crate) enum Piece {
    /// Text, its braces still doubled.
    Text(String),
    Hole(Hole),
}

/// A hole, its arguments found.
#[derive(Clone, PartialEq)]
pub(crate) struct Hole {
    /// Index of the argument.
    pub(crate) argument: usize,
    /// Fill, alignment, sign, `#`, `0`.
    pub(crate) flags: String,
    pub(crate) width: Count,
    pub(crate) precision: Count,
    /// `?`, `x?`, `X?`, `x`, `X`, `o`, `b`, `e`, `E`, `p` or nothing.
    pub(crate) kind: String,
}

/// A width or a precision.
#[derive(Clone, PartialEq)]
pub(crate) enum Count {
    None,
    Fixed(String),
    /// Index of the argument.
    Argument(usize),
}

/// What a hole names before the arguments are known.
enum Name {
    Index(usize),
    Named(String),
}

struct Scan<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    literal: &'a LitStr,
    arguments: &'a mut Vec<Argument>,
    /// Arguments in the call itself; captured ones follow.
    explicit: usize,
    used: Vec<bool>,
    /// The next argument that `{}` or `.*` takes.
    next: usize,
}

/// The pieces of a format string; captured variables are appended to the arguments.
///
/// `None` when it is not right, or an argument is not used: then `format_args!` will say why.
pub(crate) fn parse(literal: &LitStr, arguments: &mut Vec<Argument>) -> Option<Vec<Piece>> {
    let text = literal.value();
    let explicit = arguments.len();
    let positional = arguments.iter().take_while(|a| a.name.is_none()).count();
    let (_, named) = arguments.split_at(positional);
    let repeated = |(n, a): (usize, &Argument)| named.iter().skip(n + 1).any(|b| b.name == a.name);
    if named.iter().any(|a| a.name.is_none()) || named.iter().enumerate().any(repeated) {
        return None;
    }
    let mut scan = Scan {
        text: &text,
        chars: text.char_indices().peekable(),
        literal,
        arguments,
        explicit,
        used: vec![false; explicit],
        next: 0,
    };
    let pieces = scan.pieces()?;
    scan.used.iter().all(|used| *used).then_some(pieces)
}

impl Scan<'_> {
    fn pieces(&mut self) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        while let Some((_, c)) = self.chars.next() {
            match c {
                '{' | '}' if self.eat(c) => text.extend([c, c]),
                '{' => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Hole(self.hole()?));
                }
                '}' => return None,
                _ => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Some(pieces)
    }

    fn eat(&mut self, c: char) -> bool {
        self.chars.next_if(|(_, next)| *next == c).is_some()
    }

    fn spaces(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn rest(&mut self) -> &str {
        let at = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(at..).unwrap_or_default()
    }

    fn skip(&mut self, chars: usize) {
        self.chars.by_ref().take(chars).for_each(drop);
    }

    /// An index or an identifier.
    fn name(&mut self) -> Option<Name> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric()));
        let word = rest.get(..end.unwrap_or(rest.len()))?.to_owned();
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            // In `8x?` the digits are a word of their own.
            self.skip(digits);
            return Some(Name::Index(word.get(..digits)?.parse().ok()?));
        }
        self.skip(word.chars().count());
        (!word.is_empty()).then_some(Name::Named(word))
    }

    /// The index of the argument that is named.
    fn find(&mut self, name: &Name) -> Option<usize> {
        let index = match name {
            Name::Index(index) => *index,
            Name::Named(name) => {
                let found = self.arguments.iter().position(|a| a.name.as_deref() == Some(name));
                match found {
                    Some(index) => index,
                    None => {
                        let span = self.literal.span();
                        self.arguments.push(Argument::captured(name, span)?);
                        self.arguments.len() - 1
                    }
                }
            }
        };
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        } else if matches!(name, Name::Index(_)) {
            return None;
        }
        debug_assert!(index < self.explicit || index < self.arguments.len());
        Some(index)
    }

    fn take_next(&mut self) -> Option<usize> {
        let index = self.next;
        self.next += 1;
        self.find(&Name::Index(index))
    }

    /// After the opening brace, through the closing one.
    fn hole(&mut self) -> Option<Hole> {
        let name = self.name();
        let mut hole = Hole {
            argument: 0,
            flags: String::new(),
            width: Count::None,
            precision: Count::None,
            kind: String::new(),
        };
        if self.eat(':') {
            self.spec(&mut hole)?;
        }
        self.spaces();
        if !self.eat('}') {
            return None;
        }
        // `.*` takes its argument before the hole does.
        hole.argument = match name {
            Some(name) => self.find(&name)?,
            None => self.take_next()?,
        };
        Some(hole)
    }

    fn spec(&mut self, hole: &mut Hole) -> Option<()> {
        let is_align = |c: char| matches!(c, '<' | '^' | '>');
        let mut ahead = self.rest().chars();
        let (first, second) = (ahead.next(), ahead.next());
        let taken = match (first, second) {
            (Some(_), Some(second)) if is_align(second) => 2,
            (Some(first), _) if is_align(first) => 1,
            _ => 0,
        };
        hole.flags.extend(self.rest().chars().take(taken).collect::<Vec<_>>());
        self.skip(taken);
        for flag in ['+', '-', '#'] {
            if (flag != '-' || !hole.flags.ends_with('+')) && self.eat(flag) {
                hole.flags.push(flag);
            }
        }
        // `0$` is a width, not the flag.
        if !self.rest().starts_with("0$") && self.eat('0') {
            hole.flags.push('0');
        }
        hole.width = self.count()?;
        if self.eat('.') {
            hole.precision =
                if self.eat('*') { Count::Argument(self.take_next()?) } else { self.count()? };
            if hole.precision == Count::None {
                return None;
            }
        }
        const KINDS: [&str; 10] = ["?", "x?", "X?", "x", "X", "o", "b", "e", "E", "p"];
        let rest = self.rest().to_owned();
        if let Some(kind) = KINDS.into_iter().find(|kind| rest.starts_with(kind)) {
            hole.kind = kind.to_owned();
            self.skip(kind.len());
        }
        Some(())
    }

    /// `7`, `0$`, `name$` or nothing. `x?` is not a name that a dollar follows.
    fn count(&mut self) -> Option<Count> {
        let before = self.chars.clone();
        match self.name() {
            Some(name) if self.eat('$') => Some(Count::Argument(self.find(&name)?)),
            Some(Name::Index(fixed)) => Some(Count::Fixed(fixed.to_string())),
            _ => {
                self.chars = before;
                Some(Count::None)
            }
        }
    }
}
