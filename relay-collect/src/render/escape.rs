//! Bytes that a person or a parser reads, with nothing in them that could forge a line, move a
//! cursor or turn the direction of text.
//!
//! The archive keeps what was logged; only what is shown is escaped:
//!
//! | in the message | text, logfmt | json |
//! |---|---|---|
//! | line feed, carriage return, tab | `\n` `\r` `\t` | `\n` `\r` `\t` |
//! | other control characters, DEL | `\x1b` | `\u001b` |
//! | C1 controls, bidi controls, line separators | `\u{202e}` | `\u202e` |
//! | bytes that are not UTF-8 | `\xff` | (whole text as base64) |
//! | a backslash that could be taken for one of these | `\\` | `\\` |
//!
//! So what was escaped can be told from what was logged: [`unescape`] is the exact inverse.

/// Where text is going to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On its own: a backslash is doubled only where it could be mistaken.
    Bare,
    /// Between double quotes: quotes and backslashes are always escaped.
    Quoted,
}

impl Place {
    /// What is never plain here besides control characters and what is not ASCII.
    const fn marks(self) -> [u8; 2] {
        match self {
            Self::Bare => [b'\\'; 2],
            Self::Quoted => [b'\\', b'"'],
        }
    }
}

/// Whether a byte needs a second look. Without branches, so that many are looked at at once.
#[inline]
const fn is_special(byte: u8, [a, b]: [u8; 2]) -> bool {
    (byte.wrapping_sub(b' ') > b'~' - b' ') | (byte == a) | (byte == b)
}

/// How many bytes at the start need no second look.
fn plain_len(bytes: &[u8], place: Place) -> usize {
    let marks = place.marks();
    let (blocks, _) = bytes.as_chunks::<32>();
    let mut plain = 0;
    for block in blocks {
        if block.iter().fold(false, |any, byte| any | is_special(*byte, marks)) {
            break;
        }
        plain += block.len();
    }
    let rest = bytes.get(plain..).unwrap_or_default();
    plain + rest.iter().position(|byte| is_special(*byte, marks)).unwrap_or(rest.len())
}

/// Whether a character turns, hides or breaks a line of text where it is shown.
pub(crate) const fn is_dangerous(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

fn hex(nibble: u32) -> u8 {
    char::from_digit(nibble & 15, 16).map_or(b'0', |c| c as u8)
}

fn put_hex_byte(byte: u8, out: &mut Vec<u8>) {
    let b = u32::from(byte);
    out.extend_from_slice(&[b'\\', b'x', hex(b >> 4), hex(b)]);
}

fn put_control(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => put_hex_byte(byte, out),
    }
}

fn put_non_ascii(run: &[u8], out: &mut Vec<u8>) {
    for chunk in run.utf8_chunks() {
        let text = chunk.valid();
        if text.chars().any(is_dangerous) {
            for c in text.chars() {
                if is_dangerous(c) {
                    out.extend_from_slice(c.escape_unicode().to_string().as_bytes());
                } else {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        chunk.invalid().iter().for_each(|b| put_hex_byte(*b, out));
    }
}

/// Whether a backslash in front of these bytes would read as an escape.
fn is_ambiguous(after: &[u8]) -> bool {
    match after.first() {
        Some(b'n' | b'r' | b't' | b'x' | b'u' | b'"') => true,
        Some(byte) => is_special(*byte, Place::Bare.marks()),
        None => false,
    }
}

/// Appends `bytes` escaped.
pub(crate) fn escape(bytes: &[u8], place: Place, out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest, place));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = tail.split_first() else {
            return;
        };
        rest = after;
        match byte {
            b'\\' if place == Place::Bare && !is_ambiguous(after) => out.push(byte),
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            0x80.. => {
                let n = tail.iter().position(u8::is_ascii).unwrap_or(tail.len());
                let (run, after) = tail.split_at(n);
                put_non_ascii(run, out);
                rest = after;
            }
            _ => put_control(byte, out),
        }
    }
}

/// Text in which nothing can forge a line or reach a terminal as a control sequence.
#[must_use]
pub fn escape_text(text: &str) -> String {
    let mut out = Vec::new();
    escape(text.as_bytes(), Place::Bare, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends `bytes` as they are when they make one word, else escaped between double quotes.
pub(crate) fn token(bytes: &[u8], out: &mut Vec<u8>) {
    let is_word = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\' | b'{' | b'}');
    if !bytes.is_empty() && bytes.iter().all(is_word) {
        out.extend_from_slice(bytes);
    } else {
        out.push(b'"');
        escape(bytes, Place::Quoted, out);
        out.push(b'"');
    }
}

/// Appends a dangerous character, of which none is beyond U+FFFF.
fn put_unicode(c: char, out: &mut Vec<u8>) {
    let n = u32::from(c);
    let digits = [hex(n >> 12), hex(n >> 8), hex(n >> 4), hex(n)];
    out.extend_from_slice(b"\\u");
    out.extend_from_slice(&digits);
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn json(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest.as_bytes(), Place::Quoted));
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        let Some(c) = chars.next() else {
            break;
        };
        rest = chars.as_str();
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            '\n' | '\r' | '\t' => put_control(c as u8, out),
            _ if is_dangerous(c) => put_unicode(c, out),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends JSON text on one line: what stands between its strings without blanks.
pub(crate) fn json_text(text: &str, out: &mut Vec<u8>) {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        if is_dangerous(c) {
            if quoted {
                put_unicode(c, out);
            }
        } else if quoted || c != ' ' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Appends standard base64 with padding.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |n: u32| *ALPHABET.get((n & 63) as usize).unwrap_or(&b'A');
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or_default());
        let n = at(0) << 16 | at(1) << 8 | at(2);
        let third = if group.len() > 1 { digit(n >> 6) } else { b'=' };
        let fourth = if group.len() > 2 { digit(n) } else { b'=' };
        out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), third, fourth]);
    }
}

/// The bytes that were escaped: the inverse of how `text` and `logfmt` show a message.
///
/// ```
/// use relay_collect::render::unescape;
/// assert_eq!(unescape(r"a\nb\x1b[0m C:\dir"), b"a\nb\x1b[0m C:\\dir");
/// ```
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let (bytes, after) = unescape_one(tail);
        out.extend_from_slice(&bytes);
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// What a backslash in front of `tail` means, and what follows it.
fn unescape_one(tail: &str) -> (Vec<u8>, &str) {
    let mut chars = tail.chars();
    let found = match chars.next() {
        Some('n') => Some((vec![b'\n'], chars.as_str())),
        Some('r') => Some((vec![b'\r'], chars.as_str())),
        Some('t') => Some((vec![b'\t'], chars.as_str())),
        Some(c @ ('\\' | '"')) => Some((vec![c as u8], chars.as_str())),
        Some('x') => chars.as_str().split_at_checked(2).and_then(|(hex, after)| {
            let byte = u8::from_str_radix(hex, 16).ok()?;
            Some((vec![byte], after))
        }),
        Some('u') => chars.as_str().strip_prefix('{').and_then(|code| {
            let (hex, after) = code.split_once('}')?;
            let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            Some((c.to_string().into_bytes(), after))
        }),
        _ => None,
    };
    found.unwrap_or((vec![b'\\'], tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bare(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, Place::Bare, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_forges_is_shown() {
        assert_eq!(bare(b"a\r\nERROR b\x1b[31m\x7f"), r"a\r\nERROR b\x1b[31m\x7f");
        assert_eq!(bare("\u{202e}x\u{9b}\u{2028}".as_bytes()), r"\u{202e}x\u{9b}\u{2028}");
        assert_eq!(bare(b"\xff ok \xc3\xa9 \xc3"), r"\xff ok é \xc3");
        assert_eq!(bare(br"C:\dir \d+ \new"), r"C:\dir \d+ \\new");
    }

    #[test]
    fn base64_is_the_usual_one() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            let mut out = Vec::new();
            base64(plain.as_bytes(), &mut out);
            assert_eq!(out, coded.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&bare(&bytes)), bytes);
        }

        #[test]
        fn tricky_text_comes_back(text in r#"[\\nrtxu{}"a0f1\n\x1b\u{202e}\u{e9}]{0,20}"#, quoted: bool) {
            let mut out = Vec::new();
            escape(text.as_bytes(), if quoted { Place::Quoted } else { Place::Bare }, &mut out);
            let shown = String::from_utf8(out).unwrap();
            prop_assert!(!shown.chars().any(is_dangerous));
            prop_assert_eq!(unescape(&shown), text.into_bytes());
        }

        #[test]
        fn json_strings_come_back(text: String) {
            let mut out = Vec::new();
            json(&text, &mut out);
            prop_assert!(!std::str::from_utf8(&out).unwrap().chars().any(is_dangerous));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
