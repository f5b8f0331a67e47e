//! The command line: what can be asked, and who answers.

mod audit;
mod cat;
mod out;
mod output;
mod pipe;
mod repack;
mod resize;
mod run;
mod stats;
mod status;
mod verify;

pub(crate) use out::say;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use relay_collect::read::Store;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

/// Collects relay channels into compressed archives, exactly once.
///
/// Without a command it runs the collector: it finds the channels of programs that log into the
/// directory, tails them, archives them and rotates the archives, until SIGTERM or SIGINT. SIGHUP has
/// it begin new archives.
#[derive(Debug, Parser)]
#[command(
    name = "relay-collect",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        relay-collect --dir logs                       collect until stopped\n  \
        relay-collect --dir logs --once                archive what is there, and exit\n  \
        relay-collect cat --dir logs -f                follow\n  \
        relay-collect cat --dir logs --since -15min --level warn --grep timeout\n  \
        relay-collect cat --dir logs --where 'latency_ms > 100 && target ^= \"api\"'\n  \
        relay-collect audit --dir logs                 is anything missing?\n\n\
        Exit codes: 0 all is well; 1 it failed, or something is lost, damaged or could\n\
        not be read; 2 wrong usage, also a directory that is none of logs, and channels\n\
        that are not there; 3 (audit) it cannot tell."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<run::RunArgs>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show records, from archives and live channels as one stream in time order
    Cat(Box<cat::CatArgs>),
    /// Say whether anything is missing, and exactly what
    Audit(audit::AuditArgs),
    /// Show live channels: fill, backlog, resizes, waits
    Status(status::StatusArgs),
    /// Check checksums, indexes and sequence numbers of archives
    Verify(verify::VerifyArgs),
    /// Make sealed archives smaller, as an idle collector does by itself
    Repack(repack::RepackArgs),
    /// Ask live channels to keep another size allocated
    Resize(resize::ResizeArgs),
    /// Put lines of standard input into a channel
    Pipe(pipe::PipeArgs),
}

/// Which directory.
#[derive(Debug, Clone, Args)]
pub(crate) struct DirArgs {
    /// The directory shared by programs and collector
    #[arg(long, env = "RELAY_DIR")]
    pub(crate) dir: PathBuf,
    /// Where channels live, if not in DIR/live
    #[arg(long, env = "RELAY_LIVE_DIR")]
    pub(crate) live_dir: Option<PathBuf>,
    /// Trust channels of this user too
    #[arg(long, env = "RELAY_ALLOW_UID", value_name = "UID", value_parser = number::<u32>)]
    pub(crate) allow_uid: Option<u32>,
}

impl DirArgs {
    /// Opens the directory for reading. One that never was a directory of logs is a mistake: nothing that
    /// is said of it would be true.
    pub(crate) fn store(&self) -> Result<Store> {
        let store = self.any_store()?;
        if store.is_there().context("cannot read")? {
            return Ok(store);
        }
        let (archive, live) = (store.archive_dir().display(), store.live_dir().display());
        Err(usage(format!(
            "{} is no directory of logs: there is neither {archive} nor {live}{}",
            self.dir.display(),
            self.meant()
        )))
    }

    /// The directory that somebody meant who named one of those in it.
    fn meant(&self) -> String {
        let within = self.dir.file_name().is_some_and(|name| name == "archive" || name == "live");
        match self.dir.parent().filter(|_| within) {
            Some(above) if !above.as_os_str().is_empty() => format!("; is it {}?", above.display()),
            Some(_) => "; is it the directory above, `.`?".into(),
            None => String::new(),
        }
    }

    /// The same, where nothing may have been recorded yet.
    pub(crate) fn any_store(&self) -> Result<Store> {
        let store = Store::open(&self.dir, self.live_dir.as_deref()).map_err(|error| {
            let text = format!("cannot read {error}");
            let wrong = [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory];
            if wrong.contains(&error.kind()) { usage(text) } else { anyhow::Error::msg(text) }
        })?;
        Ok(store.allow_uid(self.allow_uid))
    }
}

/// A command that makes no sense: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error whose exit code is 2.
pub(crate) fn usage(text: String) -> anyhow::Error {
    Usage(text).into()
}

/// The exit code of an error.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// What was asked for; who asks for what cannot be is told so, and the process ends.
pub(crate) fn parse() -> Cli {
    let matches = without_empty(Cli::command()).get_matches_from(arguments());
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// A variable that is empty counts as not set, as it does in programs that log.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let arg = |arg: clap::Arg| match arg.get_env().is_some_and(is_empty) {
        true => arg.env(None::<&'static str>),
        false => arg,
    };
    command.mut_args(arg).mut_subcommands(without_empty)
}

/// Reads a number, or says what one looks like.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "write a whole number, as in 20")
}

/// The arguments, with the directory behind the command also where it was said before it.
pub(crate) fn arguments() -> Vec<OsString> {
    let mut all: Vec<OsString> = std::env::args_os().collect();
    let of_dir = ["--dir", "--live-dir", "--allow-uid"];
    let mut at = 1;
    while let Some(argument) = all.get(at).and_then(|argument| argument.to_str()) {
        let named = argument.split_once('=').map_or(argument, |(name, _)| name);
        if !of_dir.contains(&named) {
            break;
        }
        at += if named == argument { 2 } else { 1 };
    }
    let command = all.get(at).and_then(|argument| argument.to_str());
    let is_command = command.is_some_and(|name| Cli::command().find_subcommand(name).is_some());
    if is_command && at > 1 {
        // Only options of the directory stand before it.
        if let Some(front) = all.get_mut(1..=at) {
            front.rotate_right(1);
        }
    }
    all
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Report {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Runs what was asked for.
pub(crate) fn dispatch(cli: Cli) -> Result<ExitCode> {
    match (cli.command, cli.run) {
        (Some(Command::Cat(args)), _) => cat::cat(&args),
        (Some(Command::Audit(args)), _) => audit::audit(&args),
        (Some(Command::Status(args)), _) => status::status(&args),
        (Some(Command::Verify(args)), _) => verify::verify(&args),
        (Some(Command::Repack(args)), _) => repack::run(&args),
        (Some(Command::Resize(args)), _) => resize::resize(&args),
        (Some(Command::Pipe(args)), _) => pipe::pipe(&args),
        (None, Some(args)) => run::run(args),
        (None, None) => {
            let _ = Cli::command().print_help();
            Ok(ExitCode::from(2))
        }
    }
}

/// Lets this process have as many open files as it may: readers hold all archives open, so that none goes
/// while they read, and the usual 1024 are too few for a month of hourly ones.
pub(crate) fn raise_limits() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is not allowed, what cannot be opened is said.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
