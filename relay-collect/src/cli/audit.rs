//! `audit`: whether anything is lost.

use super::{BAD, GOOD, Place, Report, UNSURE, out};
use clap::Args;
use relay_collect::read::{Audit, ChannelAudit, Verdict};
use std::io::{self, Write};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing lost, 1 lost (with the list), 3 cannot tell (with why)"
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    place: Place,
    /// How the findings are shown
    #[arg(long, env = "RELAY_REPORT", value_enum, default_value = "text")]
    format: Report,
}

/// Audits.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<u8> {
    let audit = Audit::of(&args.place.store()?)?;
    let mut to = out::stdout();
    match args.format {
        Report::Json => {
            serde_json::to_writer(&mut to, &audit).map_err(io::Error::from)?;
            to.write_all(b"\n")?;
        }
        Report::Text => text(&audit, &mut to)?,
    }
    to.flush()?;
    Ok(match audit.verdict {
        Verdict::Whole => GOOD,
        Verdict::Lost => BAD,
        Verdict::CannotTell => UNSURE,
    })
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Whole => "nothing lost",
        Verdict::Lost => "LOST",
        Verdict::CannotTell => "cannot tell",
    }
}

fn channel(of: &ChannelAudit, to: &mut dyn Write) -> io::Result<()> {
    let (verdict, name, program) =
        (word(of.verdict), out::plain(&of.channel), out::plain(&of.program));
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

fn text(audit: &Audit, to: &mut dyn Write) -> io::Result<()> {
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
        out::bytes(audit.bytes),
        audit.waiting,
        audit.lost
    )?;
    if audit.deleted > 0 {
        writeln!(to, "{} archives were deleted by retention", audit.deleted)?;
    }
    for of in &audit.channels {
        for missing in &of.missing {
            writeln!(to, "missing: {}", out::plain(&missing.what))?;
        }
        for doubt in &of.doubts {
            let (name, pid) = (out::plain(&of.channel), of.pid);
            writeln!(to, "doubt: channel {name}, pid {pid}: {}", out::plain(doubt))?;
        }
    }
    for damaged in &audit.damaged {
        writeln!(to, "damaged: {}", out::plain(damaged))?;
    }
    for doubt in &audit.doubts {
        writeln!(to, "doubt: {}", out::plain(doubt))?;
    }
    Ok(())
}
