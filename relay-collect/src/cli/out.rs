//! What goes to stdout and to stderr.

use std::io::{BufWriter, Stdout, Write};

/// Data, in large pieces.
pub(crate) fn stdout() -> BufWriter<Stdout> {
    BufWriter::with_capacity(128 << 10, std::io::stdout())
}

/// Says a line to people. What came from files cannot reach the terminal as control characters.
pub(crate) fn say(text: &str) {
    let mut line = String::from("relay-collect: ");
    for (n, part) in text.split('\n').enumerate() {
        if n > 0 {
            line.push('\n');
        }
        for c in part.chars() {
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
    }
    line.push('\n');
    let _ = anstream::stderr().write_all(line.as_bytes());
}

/// Text from files, on one line and without control characters.
pub(crate) fn plain(text: &str) -> String {
    let escaped = text
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() });
    escaped.collect()
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}
