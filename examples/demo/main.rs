//! What a newcomer runs first: `cargo run --release --example demo`.
//!
//! Three programs log from four threads each. One is killed with SIGKILL in the middle, the collector
//! is killed twice and started again, and for a while there is none, so buffers grow. Then everything
//! is counted: against notes that the programs made after each call that had returned, and by the
//! audit.

mod oracle;
mod place;
mod traffic;

use anyhow::{Context, Result};
use clap::Parser;
use place::{Place, Refused};
use relay_collect::read::{Audit, Snapshot, Store, Verdict};
use relay_collect::{Collector, Control, Options};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const PROGRAMS: u32 = 3;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.rotate_size = 400 << 10;
    options
}

/// Starts this program again in another role.
fn start(role: &str, dir: &Path, number: u32) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).arg(dir).arg(number.to_string()).stdin(Stdio::null());
    command.spawn().with_context(|| format!("cannot start a {role}"))
}

fn collector(dir: &Path) -> Result<()> {
    // The one before may not be dead yet.
    let mut collector = loop {
        match Collector::open(options(dir)) {
            Ok(collector) => break collector,
            Err(relay_collect::CollectError::Held { .. }) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(collector.run(&Control::new())?)
}

fn kill(what: &mut Child) -> Result<()> {
    what.kill()?;
    what.wait()?;
    Ok(())
}

/// Bytes that live channels have allocated.
fn allocated(dir: &Path) -> Result<u64> {
    let store = Store::open(dir, None)?;
    let mut bytes = 0;
    for (_, reader) in &store.channels()?.channels {
        bytes += reader.status()?.allocated;
    }
    Ok(bytes)
}

struct Story {
    since: Instant,
}

impl Story {
    fn tell(&self, text: &str) {
        println!("{:>6.2} s  {text}", self.since.elapsed().as_secs_f64());
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What happens. Returns when all programs have ended and everything is archived.
fn play(dir: &Path) -> Result<()> {
    let story = Story { since: Instant::now() };
    let pause = |ms| std::thread::sleep(Duration::from_millis(ms));
    let mut archiving = start("collector", dir, 0)?;
    let mut programs: Vec<Child> =
        (0..PROGRAMS).map(|n| start("program", dir, n)).collect::<Result<_>>()?;
    story.tell("three programs log from four threads each; a collector archives");
    pause(700);
    kill(&mut archiving)?;
    let before = allocated(dir)?;
    story.tell(&format!(
        "the collector is killed (SIGKILL); buffers hold {} and take what comes",
        mib(before)
    ));
    pause(600);
    kill(&mut programs[1])?;
    story.tell("a program is killed (SIGKILL) in the middle of its log calls");
    pause(500);
    story.tell(&format!("without a collector the buffers have grown to {}", mib(allocated(dir)?)));
    archiving = start("collector", dir, 0)?;
    story.tell("a new collector goes on where the archive stands");
    pause(150);
    kill(&mut archiving)?;
    archiving = start("collector", dir, 0)?;
    story.tell("it is killed too, while it catches up; another one goes on");
    pause(700);
    for program in [0, 2] {
        programs[program].wait()?;
    }
    story.tell("the other programs have ended by themselves");
    pause(300);
    kill(&mut archiving)?;
    Collector::open(options(dir))?.drain(&Control::new())?;
    story.tell("what was left is archived");
    Ok(())
}

/// Counts, and says what to look at.
fn conclude(dir: &Path) -> Result<bool> {
    let store = Store::open(dir, None)?;
    let counted = oracle::count(dir, &mut Snapshot::take(&store)?)?;
    let audit = Audit::of(&store)?;
    println!("\nThe programs noted {} calls that had returned.", counted.returned);
    println!(
        "The archives hold {} of their records: {} lost, {} doubled, {} out of order.",
        counted.found, counted.lost, counted.doubled, counted.disordered
    );
    let archives = std::fs::read_dir(store.archive_dir())?;
    let bytes: u64 = archives.flatten().filter_map(|e| Some(e.metadata().ok()?.len())).sum();
    println!(
        "{} of messages take {} of archives, times and indexes included: {:.0} : 1.\n",
        mib(counted.text_bytes),
        mib(bytes),
        counted.text_bytes as f64 / bytes as f64
    );
    println!("The audit, which counts what channels say of themselves (that they grew) too:");
    audit.write_text(&mut std::io::stdout())?;
    let shown = dir.display();
    println!("\nLook further (cargo run --release -p relay-collect -- …):");
    println!("  cat    --dir {shown} -n 20 --process");
    println!("  cat    --dir {shown} --level warn --where 'latency_ms > 200' --format json");
    println!("  cat    --dir {shown} --grep 'order [0-9]*7 shipped' --count");
    println!("  audit  --dir {shown}");
    println!("  verify --dir {shown}");
    Ok(counted.is_whole() && audit.verdict == Verdict::Whole)
}

/// Three programs log, one of them and the collector are killed, and every record is counted.
///
/// Takes some seconds. What it made stays, to be looked at with `relay-collect`.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    after_help = "Exit codes: 0 nothing is lost; 1 something is, or it failed; \
    2 wrong usage, also a DIR that holds something that no demo has made."
)]
struct Args {
    /// Where it works: a new or empty directory, or one of an earlier demo, which is emptied
    #[arg(default_value = "demo-logs")]
    dir: PathBuf,
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [role, dir, number] if role == "program" => {
            traffic::log(Path::new(dir), number.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        [role, dir, _] if role == "collector" => {
            collector(Path::new(dir))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => demo(&Args::parse().dir),
    }
}

fn demo(dir: &Path) -> Result<ExitCode> {
    let _place = match Place::take(dir) {
        Err(error) if error.is::<Refused>() => {
            eprintln!("demo: {error}");
            return Ok(ExitCode::from(2));
        }
        place => place?,
    };
    play(dir)?;
    Ok(if conclude(dir)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    #[test]
    fn help_and_mistakes_do_not_run() {
        let kind = |args: &[&str]| Args::try_parse_from(args).unwrap_err().kind();
        for help in ["--help", "-h"] {
            assert_eq!(kind(&["demo", help]), ErrorKind::DisplayHelp);
        }
        assert_eq!(kind(&["demo", "--dir", "logs"]), ErrorKind::UnknownArgument);
        assert_eq!(kind(&["demo", "one", "two"]), ErrorKind::UnknownArgument);
    }
}
