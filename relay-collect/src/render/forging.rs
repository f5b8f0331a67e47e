//! Log injection: a corpus of bytes that act on terminals and parsers, through each renderer.

use super::fixture::{TIME, buffer, everywhere, lines, render};
use super::*;
use proptest::prelude::*;
use relay_fmt::record::Kind;
use serde_json::Value as Json;

/// What ends a line, moves a cursor, colours, or turns or hides text.
fn forgers() -> Vec<Vec<u8>> {
    let controls = (0u8..0x20).chain([0x7f]).map(|b| vec![b'a', b, b'b']);
    let chars = ('\u{80}'..='\u{9f}')
        .chain(['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'])
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .map(|c| format!("a{c}b").into_bytes());
    let bytes = (0x80u8..=0xff).map(|b| vec![b'a', b, b'b']);
    let texts: [&[u8]; 6] = [
        b"x\r\n2026-11-24T14:00:00.123456+01:00 ERROR bank: forged",
        b"\x1b]0;title\x07\x1b[2J\x1b[31m",
        b"\" level=error msg=\"forged",
        b"\\\" \\n \\\n \\\xff",
        b"\",\"level\":\"ERROR",
        b"}: {x=1}",
    ];
    let texts = texts.iter().map(|t| t.to_vec());
    controls.chain(chars).chain(bytes).chain(texts).collect()
}

/// What must never reach a terminal, said once more and apart from the code that is tested.
fn acts(c: char) -> bool {
    let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
                \u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{feff}";
    c.is_control() || bidi.contains(c)
}

/// Renders `bytes` everywhere in each format and answers what is wrong with it.
fn forged(bytes: &[u8]) -> Option<String> {
    let b = everywhere(bytes);
    for format in [Format::Text, Format::Json, Format::Logfmt] {
        let options = Options::default().format(format).spans(true).process(true);
        let out = render(&b, options);
        let Ok(text) = std::str::from_utf8(&out) else {
            return Some(format!("{format:?} is not UTF-8: {out:?}"));
        };
        if text.lines().count() != b.len() || text.split_terminator('\n').count() != b.len() {
            return Some(format!("{format:?} has another number of lines: {text}"));
        }
        let mut body = text.chars().filter(|c| *c != '\n');
        if body.any(acts) {
            return Some(format!("{format:?} lets through: {text:?}"));
        }
        if format == Format::Json && text.lines().any(|l| serde_json::from_str::<Json>(l).is_err())
        {
            return Some(format!("not JSON: {text}"));
        }
    }
    None
}

#[test]
fn nothing_forges_a_line() {
    for bytes in forgers() {
        assert_eq!(forged(&bytes), None, "{bytes:?}");
    }
}

/// The message of a text line, told from it again.
#[test]
fn what_text_shows_can_be_told_from_it() {
    for bytes in forgers() {
        let mut b = buffer();
        b.push(0, Kind::Raw, 0, 0, TIME, &bytes);
        let line = &lines(&b, Format::Text)[0];
        let (_, message) = line.split_once(" app: ").unwrap();
        assert_eq!(unescape(message), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_rendered(bytes: Vec<u8>, text in r#"[\\"{}=\n\x1b\u{202e} a\u{e9}]{0,12}"#) {
        prop_assert_eq!(forged(&bytes), None);
        prop_assert_eq!(forged(text.as_bytes()), None);
    }
}
