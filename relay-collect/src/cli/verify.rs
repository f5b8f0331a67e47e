//! `verify`: whether archives are sound.

use super::{BAD, GOOD, out};
use clap::Args;
use relay_collect::read::{ArchiveFd, ArchiveName};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Checks the archives of this directory
    #[arg(long, env = "RELAY_DIR", value_name = "DIR", required_unless_present = "files")]
    dir: Option<PathBuf>,
    /// Checks these archives
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks archives.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<u8> {
    let mut files = args.files.clone();
    if let Some(dir) = args.dir.as_ref().filter(|_| files.is_empty()) {
        let dir = dir.join("archive");
        files.extend(ArchiveName::list(&dir)?.into_iter().map(|name| dir.join(name.file)));
    }
    let (mut code, mut to) = (GOOD, out::stdout());
    for file in files {
        let name = out::plain(&file.to_string_lossy());
        let report = ArchiveFd::open(&file)
            .map_err(relay_fmt::archive::Error::from)
            .and_then(|bytes| relay_fmt::archive::verify(&bytes));
        match report {
            Ok(report) => {
                let (blocks, rows) = (report.blocks, report.rows);
                let word = if report.is_sound() { "sound" } else { "DAMAGED" };
                let open = if report.sealed { "" } else { ", not sealed" };
                writeln!(to, "{word}: {name}: {blocks} blocks, {rows} records{open}")?;
                for problem in &report.problems {
                    writeln!(to, "  byte {}: {}", problem.offset, out::plain(&problem.what))?;
                }
                code = code.max(if report.is_sound() { GOOD } else { BAD });
            }
            Err(error) => {
                writeln!(to, "DAMAGED: {name}: {error}")?;
                code = BAD;
            }
        }
    }
    to.flush()?;
    Ok(code)
}
