//! The command line.

mod audit;
mod cat;
mod out;
mod pipe;
mod resize;
mod run;
mod status;
mod verify;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use relay_collect::read::Store;
use std::path::PathBuf;
use std::process::ExitCode;

/// Nothing is wrong.
const GOOD: u8 = 0;
/// Records are lost or damaged.
const BAD: u8 = 1;
/// The command line cannot be understood.
const USAGE: u8 = 2;
/// It cannot be told whether records are lost.
const UNSURE: u8 = 3;

const AFTER: &str = "\
Examples:
  relay-collect --dir logs                        collect until SIGTERM
  relay-collect --dir logs --once                 collect what is there, then exit
  relay-collect cat --dir logs -f -n 20           the last 20 records, then new ones
  relay-collect cat --dir logs --since -15min --level warn --format json
  relay-collect audit --dir logs                  prove that nothing is lost
  my-program | relay-collect pipe --dir logs --channel my-program

Exit codes:
  0  all is well; for audit: nothing is lost
  1  records are lost or damaged, or the command failed
  2  the command line cannot be understood
  3  audit: it cannot be told whether something is lost";

/// Collects relay channels into compressed archives, exactly once, and reads, searches and audits
/// them.
///
/// Without a command it runs the collector.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(flatten)]
    run: run::RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows records, of archives and live channels, in time order
    Cat(Box<cat::CatArgs>),
    /// Says whether anything is lost, and exactly what
    Audit(audit::AuditArgs),
    /// Shows live channels: fill, backlog, waits
    Status(status::StatusArgs),
    /// Checks archives: checksums, indexes, sequence numbers
    Verify(verify::VerifyArgs),
    /// Sets the size of live channels
    Resize(resize::ResizeArgs),
    /// Writes the lines of stdin into a channel
    Pipe(pipe::PipeArgs),
}

/// Where things are.
#[derive(Debug, Clone, Args)]
struct Place {
    /// The directory shared by programs and collector
    #[arg(long, env = "RELAY_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Where channels live [default: DIR/live]
    #[arg(long, env = "RELAY_LIVE_DIR", value_name = "DIR")]
    live_dir: Option<PathBuf>,
    /// Another user whose channels are trusted
    #[arg(long, env = "RELAY_ALLOW_UID", value_name = "UID")]
    allow_uid: Option<u32>,
}

impl Place {
    fn store(&self) -> anyhow::Result<Store> {
        use anyhow::Context as _;
        let store = Store::open(&self.dir, self.live_dir.as_deref());
        let store = store.with_context(|| format!("cannot read {}", self.dir.display()))?;
        Ok(store.allow_uid(self.allow_uid))
    }

    fn live_dir(&self) -> PathBuf {
        self.live_dir.clone().unwrap_or_else(|| self.dir.join("live"))
    }
}

/// How reports are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Report {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Cat(args)) => cat::run(args),
        Some(Command::Audit(args)) => audit::run(args),
        Some(Command::Status(args)) => status::run(args),
        Some(Command::Verify(args)) => verify::run(args),
        Some(Command::Resize(args)) => resize::run(args),
        Some(Command::Pipe(args)) => pipe::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(GOOD),
        Err(error) => {
            out::say(&format!("{error:#}"));
            ExitCode::from(BAD)
        }
    }
}

/// Ends with a usage error, as clap does.
fn usage(what: &str) -> anyhow::Result<u8> {
    let error = Cli::command().error(clap::error::ErrorKind::ValueValidation, what);
    error.print()?;
    Ok(USAGE)
}

/// Whether nobody reads the output any more: that is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
