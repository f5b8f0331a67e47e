//! Is anything missing?

use super::{DirArgs, Report};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Report::Text)]
    format: Report,
}

pub(crate) fn audit(args: &AuditArgs) -> Result<ExitCode> {
    let _ = (args.dir.store()?, args.format);
    anyhow::bail!("the audit is being built")
}
