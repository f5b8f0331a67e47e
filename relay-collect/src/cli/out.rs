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
