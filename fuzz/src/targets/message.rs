//! A callsite and a payload: what is shown, in each format.

use crate::limits::{MIB, within};
use crate::rows;
use jiff::tz::TimeZone;
use relay_collect::render::{Column, Format, Options, Renderer, View, unescape};
use relay_fmt::block::RowBuffer;
use relay_fmt::message::{Template, write_message};

/// A hole with a width from the payload may make 64 KiB of nearly nothing; a row of many is long.
const MOST: usize = 256 * MIB;

fn templates(buffer: &RowBuffer) {
    for (n, site) in buffer.callsite.iter().enumerate() {
        let site = (*site as usize).checked_sub(1).and_then(|n| buffer.callsites.get(n));
        let Some(site) = site else { continue };
        let (mut once, mut kept) = (Vec::new(), Vec::new());
        let shown = write_message(site, buffer.payload_of(n), &mut once);
        match Template::parse(&site.template) {
            Err(_) => assert!(shown.is_err(), "both ways refuse it"),
            Ok(template) => {
                let again = template.write_record(site, buffer.payload_of(n), &mut kept);
                assert_eq!((shown, once), (again, kept), "both ways show the same");
            }
        }
    }
}

/// Nothing in a message can forge a line or reach the terminal.
fn one_line(line: &[u8], tabs: usize) {
    let line = line.strip_suffix(b"\n").expect("a line ends");
    let text = str::from_utf8(line).expect("a line is text");
    let control = text.chars().filter(|c| c.is_control()).collect::<String>();
    assert_eq!(control, "\t".repeat(tabs), "{text:?}");
}

fn show(buffer: &RowBuffer, options: &Options, format: Format, tabs: usize) {
    let (view, mut line) = (View::new(buffer), Vec::new());
    let mut renderer = Renderer::new(options);
    for event in view.events() {
        line.clear();
        if !renderer.render(&event, &mut line) || format == Format::Raw {
            continue;
        }
        one_line(&line, tabs);
        if format == Format::Json {
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert!(value.is_object());
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut buffer = rows::get(data);
    buffer.callsites.truncate(16);
    within(MOST, || {
        templates(&buffer);
        // All that a format shows, or some of it, among which are names of JSON messages.
        let some = ["time", "fields", "spans", "n", "span.a", "a.b", "message"].map(Column::parse);
        for columns in [vec![], some.into_iter().flatten().collect()] {
            for format in [Format::Text, Format::Json, Format::Logfmt, Format::Raw] {
                let options = Options::default().format(format).zone(TimeZone::UTC).spans(true);
                // They stand between columns, and nowhere else.
                let tabs = if format == Format::Text { columns.len().saturating_sub(1) } else { 0 };
                show(&buffer, &options.process(true).columns(columns.clone()), format, tabs);
            }
        }
    });
    let _ = unescape(&String::from_utf8_lossy(data));
}
