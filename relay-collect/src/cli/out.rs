//! What goes to stdout and to stderr.

use relay_collect::render::escape_text;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{BufWriter, Error, ErrorKind, Result, Stdout, Write};
use std::time::Duration;

/// What could not be done when nothing else is known.
pub(crate) const STDOUT: &str = "cannot write to standard output";

/// Data, in large pieces.
pub(crate) fn stdout() -> BufWriter<Findings> {
    BufWriter::with_capacity(128 << 10, findings())
}

/// Findings, line by line.
pub(crate) fn findings() -> Findings {
    Findings { to: std::io::stdout(), closed: false }
}

/// Standard output for findings that have an exit code of their own: `relay-collect audit | head -1` ends
/// with what the audit found, so that what nobody reads any more is no error.
pub(crate) struct Findings {
    to: Stdout,
    closed: bool,
}

impl Findings {
    /// Does something with it unless nobody reads any more; errors say whose they are.
    fn unless_closed<T>(
        &mut self,
        otherwise: T,
        f: impl FnOnce(&mut Stdout) -> Result<T>,
    ) -> Result<T> {
        if self.closed {
            return Ok(otherwise);
        }
        f(&mut self.to).or_else(|error| match error.kind() {
            ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(otherwise)
            }
            kind => Err(Error::new(kind, format!("{STDOUT}: {error}"))),
        })
    }
}

impl Write for Findings {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.unless_closed(bytes.len(), |to| to.write(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        self.unless_closed((), Write::flush)
    }
}

/// Waits for so long, for a signal, or until nobody can read standard output any more, which is what it
/// returns: who follows and has nothing to write would not learn of it.
pub(crate) fn nobody_reads(time: Duration) -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    matches!(poll(&mut fds, Timespec::try_from(time).ok().as_ref()), Ok(1..))
}

/// Says a line to people. What came from files cannot reach the terminal as control characters.
pub(crate) fn say(text: &str) {
    let mut line = String::from("relay-collect: ");
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => line.push(c),
            _ => line.push_str(&escape_text(c.encode_utf8(&mut [0; 4]))),
        }
    }
    line.push('\n');
    // Its standard error may be a file on a disk that is full: no reason to end.
    let _ = anstream::stderr().write_all(line.as_bytes());
}
