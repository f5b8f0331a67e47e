//! Rows as people and programs see them.

use crate::limits::{MIB, within};
use crate::rows;
use jiff::tz::TimeZone;
use relay_collect::render::{Format, Options, Renderer, View};
use relay_fmt::block::RowBuffer;

/// What a terminal or a person takes for something else.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Each row is one line without anything that misleads; JSON is an object.
fn check(rows: &RowBuffer, format: Format) {
    let options = Options::default().format(format).zone(TimeZone::UTC);
    let mut renderer = Renderer::new(&options.spans(true).process(true));
    let mut out = Vec::new();
    for event in View::new(rows).events() {
        out.clear();
        assert!(renderer.render(&event, &mut out), "rows about spans were asked for too");
        let (end, line) = out.split_last().expect("a line has an end");
        assert_eq!(*end, b'\n');
        if format == Format::Raw {
            continue;
        }
        let line = str::from_utf8(line).expect("text");
        assert!(!line.contains(misleads), "{line:?}");
        if format == Format::Json {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(value.is_object());
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let rows = rows::get(data);
    for format in [Format::Text, Format::Json, Format::Logfmt, Format::Raw] {
        within(256 * MIB, || check(&rows, format));
    }
}
