//! Is anything missing?

use super::{DirArgs, Report};
use anyhow::Result;
use clap::Args;
use relay_collect::read::{Audit, Verdict};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing lost; 1 lost, with the list; 2 it is no directory of\n\
        logs; 3 it cannot tell, with why: archives are missing that retention did not\n\
        delete, for example, or nothing was ever recorded. A record that is\n\
        larger than a sub-buffer counts as several, where `cat --count` says one."
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// How it is shown
    #[arg(long, env = "RELAY_REPORT", value_enum, default_value_t = Report::Text)]
    format: Report,
}

pub(crate) fn audit(args: &AuditArgs) -> Result<ExitCode> {
    let audit = Audit::of(&args.dir.store()?)?;
    let mut out = super::out::stdout();
    match args.format {
        Report::Json => {
            serde_json::to_writer(&mut out, &audit).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Report::Text => audit.write_text(&mut out)?,
    }
    out.flush()?;
    Ok(match audit.verdict {
        Verdict::Whole => ExitCode::SUCCESS,
        Verdict::Lost => ExitCode::FAILURE,
        Verdict::CannotTell => ExitCode::from(3),
    })
}
