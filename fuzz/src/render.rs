//! A block as people and programs see it: see [`crate::frames`] for what the bytes are.

use crate::frames;
use jiff::tz::TimeZone;
use relay_collect::render::{Format, Options, Renderer, View};

/// What a terminal or a person takes for something else.
fn is_dangerous(c: char) -> bool {
    c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON parses, and text and logfmt are a line a row with no control character in it.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let Some((_, _, rows)) = frames::rows(data) else { return };
    if !frames::is_small(&rows) {
        return;
    }
    let view = View::new(&rows);
    for format in [Format::Text, Format::Json, Format::Logfmt, Format::Raw] {
        let options = Options::default().format(format).zone(TimeZone::UTC);
        let mut renderer = Renderer::new(&options.spans(true).process(true));
        let mut out = Vec::new();
        for event in view.events() {
            out.clear();
            assert!(renderer.render(&event, &mut out));
            assert_eq!(out.last(), Some(&b'\n'));
            if format == Format::Raw {
                continue;
            }
            let line = std::str::from_utf8(&out).expect("text");
            assert!(!line.contains(is_dangerous), "{line:?}");
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            if format == Format::Json {
                let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert!(value.is_object());
            }
        }
    }
}
