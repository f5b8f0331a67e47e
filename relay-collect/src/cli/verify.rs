//! Everything that a reader relies on, checked.

use super::DirArgs;
use anyhow::Result;
use clap::Args;
use relay_collect::read::{ArchiveFd, ArchiveName};
use relay_collect::render::escape_text;
use relay_fmt::archive;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The directory shared by programs and collector: all its archives
    #[arg(long, env = "RELAY_DIR", required_unless_present = "files")]
    dir: Option<PathBuf>,
    /// Where channels live, if not in DIR/live: they are not checked, their archives are
    #[arg(long, env = "RELAY_LIVE_DIR")]
    live_dir: Option<PathBuf>,
    /// As of the other commands: whoever wrote them, archives are checked
    #[arg(long, env = "RELAY_ALLOW_UID", value_name = "UID", value_parser = super::number::<u32>)]
    allow_uid: Option<u32>,
    /// These archives instead
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let mut files = args.files.clone();
    if let Some(dir) = args.dir.as_ref().filter(|_| files.is_empty()) {
        let (dir, live_dir, allow_uid) = (dir.clone(), args.live_dir.clone(), args.allow_uid);
        let archives = DirArgs { dir, live_dir, allow_uid }.store()?;
        let archives = archives.archive_dir().to_owned();
        files.extend(ArchiveName::list(&archives)?.iter().map(|name| archives.join(&name.file)));
    }
    let mut out = super::out::findings();
    if files.is_empty() {
        writeln!(out, "there are no archives")?;
    }
    let mut sound = true;
    for path in &files {
        let name = escape_text(&path.to_string_lossy());
        let report = ArchiveFd::open(path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|bytes| archive::verify(&bytes).map_err(|error| format!("DAMAGED: {error}")));
        match report {
            Ok(report) => {
                let (blocks, rows) = (report.blocks, report.rows);
                let open = if report.sealed { "" } else { ", still open" };
                let verdict = if report.is_sound() { "sound" } else { "DAMAGED" };
                writeln!(out, "{name}: {verdict}: {blocks} blocks, {rows} records{open}")?;
                for problem in &report.problems {
                    writeln!(out, "  byte {}: {}", problem.offset, problem.what)?;
                }
                sound &= report.is_sound();
            }
            Err(error) => {
                writeln!(out, "{name}: {error}")?;
                sound = false;
            }
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
