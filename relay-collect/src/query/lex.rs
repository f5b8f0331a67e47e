//! Words and signs of an expression.

use super::ParseError;

/// What stands between values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Prefix,
    Suffix,
    Contains,
    Matches,
}

/// The signs of the comparisons, longer ones first.
pub(super) const OPS: [(&str, Op); 10] = [
    ("==", Op::Eq),
    ("!=", Op::Ne),
    ("<=", Op::Le),
    (">=", Op::Ge),
    ("^=", Op::Prefix),
    ("$=", Op::Suffix),
    ("*=", Op::Contains),
    ("<", Op::Lt),
    (">", Op::Gt),
    ("~", Op::Matches),
];

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Op(Op),
    And,
    Or,
    Not,
    Open,
    Close,
    /// Letters without quotes.
    Word(String),
    /// What stood between quotes.
    Quoted(String),
    End,
}

impl Token {
    /// What to call it in a sentence.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Op(op) => {
                let sign = OPS.iter().find(|(_, o)| o == op).map_or("", |(s, _)| s);
                format!("`{sign}`")
            }
            Self::And => "`&&`".into(),
            Self::Or => "`||`".into(),
            Self::Not => "`!`".into(),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::Word(word) => format!("`{word}`"),
            Self::Quoted(text) => format!("{text:?}"),
            Self::End => "the end".into(),
        }
    }
}

/// A token and the byte at which it begins.
pub(super) type Placed = (usize, Token);

const fn ends_word(c: char) -> bool {
    c.is_ascii_whitespace()
        || matches!(
            c,
            '(' | ')' | '&' | '|' | '!' | '=' | '<' | '>' | '"' | '\'' | '~' | '^' | '$' | '*'
        )
}

/// Takes an expression apart.
pub(super) fn lex(text: &str) -> Result<Vec<Placed>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (token, after) = if matches!(c, '"' | '\'') {
            quoted(text, at, c)?
        } else if let Some(found) = sign(rest) {
            found
        } else {
            let end = rest.find(ends_word).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                return Err(unknown_sign(text, at, c));
            }
            (Token::Word(word.into()), after)
        };
        tokens.push((at, token));
        rest = after.trim_start();
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

fn sign(rest: &str) -> Option<(Token, &str)> {
    let ops = OPS.iter().map(|(sign, op)| (*sign, Token::Op(*op)));
    let others = [
        ("&&", Token::And),
        ("||", Token::Or),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
    ];
    ops.chain(others).find_map(|(sign, token)| Some((token, rest.strip_prefix(sign)?)))
}

fn unknown_sign(text: &str, at: usize, c: char) -> ParseError {
    let hint = match c {
        '=' => "equality is written `==`".into(),
        '&' => "and is written `&&`".into(),
        '|' => "or is written `||`".into(),
        _ => format!("`{c}` is no sign; put text that contains it between quotes"),
    };
    ParseError::new(text, at, hint)
}

/// Reads text between quotes; `\` keeps the next character, `\n`, `\t` and `\r` are the usual ones.
/// A backslash in front of anything but those, a quote or itself stays, for the sake of regexes.
fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, &str), ParseError> {
    let mut chars = text.get(at..).unwrap_or_default().chars();
    chars.next();
    let mut value = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut ahead = chars.clone();
                match ahead.next() {
                    Some(c) if c == quote || c == '\\' => value.push(c),
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    _ => {
                        value.push('\\');
                        continue;
                    }
                }
                chars = ahead;
            }
            _ if c == quote => return Ok((Token::Quoted(value), chars.as_str())),
            _ => value.push(c),
        }
    }
    Err(ParseError::new(text, at, "a quote is never closed".into()))
}
