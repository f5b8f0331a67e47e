//! A callsite and a payload: what is shown, in each format.

use crate::limits::{MIB, within};
use crate::rows;
use relay_collect::render::{Format, Options, Renderer, View, unescape};
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
fn one_line(line: &[u8]) {
    let line = line.strip_suffix(b"\n").expect("a line ends");
    let text = str::from_utf8(line).expect("a line is text");
    assert!(!text.contains(char::is_control), "{text:?}");
}

pub(crate) fn run(data: &[u8]) {
    let mut buffer = rows::get(data);
    buffer.callsites.truncate(16);
    within(MOST, || {
        templates(&buffer);
        let view = View::new(&buffer);
        let mut line = Vec::new();
        for format in [Format::Text, Format::Json, Format::Logfmt, Format::Raw] {
            let options = Options::default().format(format).zone(jiff_utc()).spans(true);
            let mut renderer = Renderer::new(&options.process(true));
            for event in view.events() {
                line.clear();
                if !renderer.render(&event, &mut line) || format == Format::Raw {
                    continue;
                }
                one_line(&line);
                if format == Format::Json {
                    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
                    assert!(value.is_object());
                }
            }
        }
    });
    let _ = unescape(&String::from_utf8_lossy(data));
}

fn jiff_utc() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::UTC
}
