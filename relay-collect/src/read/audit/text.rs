//! The findings, for people.

use super::{Audit, ChannelAudit, Verdict};
use crate::render::escape_text as plain;
use std::io::{self, Write};

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Whole => "nothing lost",
        Verdict::Lost => "LOST",
        Verdict::CannotTell => "cannot tell",
    }
}

fn channel(of: &ChannelAudit, to: &mut dyn Write) -> io::Result<()> {
    let (verdict, name, program) = (word(of.verdict), plain(&of.channel), plain(&of.program));
    write!(to, "{verdict}: channel {name}, {program}, pid {}: {} archived", of.pid, of.archived)?;
    let counts = [
        (of.waiting, "waiting"),
        (of.discarded, "discarded as configured"),
        (of.doubled, "doubled"),
        (of.lost, "lost"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        write!(to, ", {count} {what}")?;
    }
    writeln!(to, "{}", if of.live { ", live" } else { "" })
}

impl Audit {
    /// Writes the findings for people: a line for each channel, the whole, and what is missing.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn write_text(&self, to: &mut dyn Write) -> io::Result<()> {
        write_text(self, to)
    }
}

fn write_text(audit: &Audit, to: &mut dyn Write) -> io::Result<()> {
    for of in &audit.channels {
        channel(of, to)?;
    }
    writeln!(
        to,
        "{}: {} records, {} threads, {} processes, {} archives, {}, {} waiting live, {} lost",
        word(audit.verdict),
        audit.records,
        audit.threads,
        audit.processes,
        audit.archives,
        bytes(audit.bytes),
        audit.waiting,
        audit.lost
    )?;
    if audit.deleted > 0 {
        writeln!(to, "{} archives were deleted by retention", audit.deleted)?;
    }
    for of in &audit.channels {
        for missing in &of.missing {
            writeln!(to, "missing: {}", plain(&missing.what))?;
        }
        for doubt in &of.doubts {
            let (name, pid) = (plain(&of.channel), of.pid);
            writeln!(to, "doubt: channel {name}, pid {pid}: {}", plain(doubt))?;
        }
    }
    for damaged in &audit.damaged {
        writeln!(to, "damaged: {}", plain(damaged))?;
    }
    for doubt in &audit.doubts {
        writeln!(to, "doubt: {}", plain(doubt))?;
    }
    Ok(())
}

/// A number of bytes for people.
fn bytes(count: u64) -> String {
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
