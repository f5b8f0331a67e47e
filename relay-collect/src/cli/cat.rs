//! Records, as people and programs want them.

use super::DirArgs;
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use relay_collect::args::{When, Zone, level};
use relay_collect::query::{Expr, Filter, Grep};
use relay_collect::read::{Count, Follow, Snapshot};
use relay_collect::render::{Event, Format, Options, Renderer};
use relay_fmt::callsite::Level;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Go on with records as they come
    #[arg(short, long, conflicts_with_all = ["reverse", "count"])]
    follow: bool,
    /// Only the newest N
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// The newest first
    #[arg(short, long)]
    reverse: bool,
    /// Only how many there are
    #[arg(long)]
    count: bool,
    /// Say on standard error which blocks were read, and why the others were not
    #[arg(long)]
    explain: bool,
    /// From this time on: 2026-11-24T13:00Z, 13:00, -15min, yesterday
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<When>,
    /// This level and what is more urgent: error, warn, info, debug, trace
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    /// Targets that begin with this path; may be repeated
    #[arg(long, value_name = "PATH")]
    target: Vec<String>,
    /// Records of this channel; may be repeated
    #[arg(long)]
    channel: Vec<String>,
    /// Records of this process; may be repeated
    #[arg(long)]
    pid: Vec<u32>,
    /// Messages that match this regular expression; may be repeated: then all must match
    #[arg(long, value_name = "REGEX")]
    grep: Vec<String>,
    /// Letters match in either case
    #[arg(short, long, requires = "grep")]
    ignore_case: bool,
    /// Records for which this holds: 'level <= warn && user == "jb" && path ~ "items/\d+"'
    #[arg(long = "where", value_name = "EXPR")]
    expr: Option<String>,
    /// How records are shown
    #[arg(long, env = "RELAY_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End records with NUL instead of a newline (raw)
    #[arg(short = '0', long)]
    null: bool,
    /// Show begin and end of spans too
    #[arg(long)]
    spans: bool,
    /// Show channel, process and thread (text)
    #[arg(long)]
    process: bool,
    /// The time zone of times shown and given: local, UTC, Europe/Berlin, +02:00
    #[arg(long, env = "RELAY_TZ", allow_hyphen_values = true)]
    tz: Option<Zone>,
    /// Colours: auto is on a terminal, unless NO_COLOR is set
    #[arg(long, value_parser = ["auto", "always", "never"], default_value = "auto")]
    color: String,
}

impl CatArgs {
    fn zone(&self) -> TimeZone {
        self.tz.as_ref().map_or_else(TimeZone::system, |zone| zone.get().clone())
    }

    fn filter(&self) -> Result<Filter> {
        let (now, zone) = (Timestamp::now(), self.zone());
        let mut filter = Filter::new().spans(self.spans);
        if let Some(level) = self.level {
            filter = filter.level(level);
        }
        for target in &self.target {
            filter = filter.target(target);
        }
        for channel in &self.channel {
            filter = filter.channel(channel);
        }
        for pid in &self.pid {
            filter = filter.pid(*pid);
        }
        if let Some(since) = &self.since {
            filter = filter.since_ns(since.resolve_ns(now, &zone)?);
        }
        if let Some(until) = &self.until {
            filter = filter.until_ns(until.resolve_ns(now, &zone)?);
        }
        for pattern in &self.grep {
            filter = filter.grep(Grep::new(pattern, self.ignore_case)?);
        }
        if let Some(expr) = &self.expr {
            filter = filter.expr(Expr::parse_at(expr, now, &zone)?);
        }
        Ok(filter)
    }

    fn renderer(&self) -> Renderer {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match self.color.as_str() {
            "always" => true,
            "never" => false,
            _ => std::io::stdout().is_terminal() && !quiet,
        };
        let options = Options::default()
            .format(self.format)
            .zone(self.zone())
            .color(color)
            .process(self.process)
            .spans(self.spans)
            .nul(self.null);
        Renderer::new(&options)
    }
}

/// Where rendered records go: to standard output, in large pieces.
struct Output {
    renderer: Renderer,
    bytes: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Output {
    const PIECE: usize = 64 << 10;

    fn take(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.renderer.render(event, &mut self.bytes);
        if self.bytes.len() >= Self::PIECE {
            return self.write();
        }
        ControlFlow::Continue(())
    }

    fn put(&mut self, lines: &[u8]) -> ControlFlow<()> {
        self.bytes.extend_from_slice(lines);
        if self.bytes.len() >= Self::PIECE { self.write() } else { ControlFlow::Continue(()) }
    }

    fn write(&mut self) -> ControlFlow<()> {
        let mut stdout = std::io::stdout().lock();
        let done = stdout.write_all(&self.bytes).and_then(|()| stdout.flush());
        self.bytes.clear();
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(mut self) -> Result<()> {
        if self.failed.is_none() {
            let _ = self.write();
        }
        self.failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// The newest `most` records, in time order unless they are wanted backwards.
fn newest(
    snapshot: &mut Snapshot,
    filter: &mut Filter,
    args: &CatArgs,
    most: usize,
    out: &mut Output,
) {
    let mut found: Vec<Vec<u8>> = Vec::new();
    snapshot.events(filter, true, &mut |event| {
        if found.len() >= most {
            return ControlFlow::Break(());
        }
        let mut line = Vec::new();
        if out.renderer.render(event, &mut line) {
            found.push(line);
        }
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if !args.reverse {
        found.reverse();
    }
    for line in found {
        out.bytes.extend_from_slice(&line);
    }
    let _ = out.write();
}

/// Says what was found damaged. Returns whether anything was.
fn say(problems: &mut Vec<String>, notes: &mut Vec<String>) -> bool {
    for text in notes.drain(..).chain(problems.iter().cloned()) {
        super::out::say(&text);
    }
    !std::mem::take(problems).is_empty()
}

pub(crate) fn cat(args: &CatArgs) -> Result<ExitCode> {
    let mut filter = match args.filter() {
        Ok(filter) => filter,
        Err(error) => {
            super::out::say(&format!("{error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    let store = args.dir.store()?;
    let mut out = Output { renderer: args.renderer(), bytes: Vec::new(), failed: None };
    let (mut snapshot, follow) = if args.follow {
        let (snapshot, follow) = Follow::start(&store)?;
        (snapshot, Some(follow))
    } else {
        (Snapshot::take_for(&store, &filter)?, None)
    };
    if args.count {
        let none = &mut |_: &[u8]| ControlFlow::Continue(());
        let counts = snapshot.work(&filter, false, &Count::default, none);
        writeln!(std::io::stdout(), "{}", counts.iter().map(|count| count.0).sum::<u64>())?;
    } else if let Some(most) = args.lines {
        newest(&mut snapshot, &mut filter, args, most, &mut out);
    } else {
        let renderer = out.renderer.clone();
        snapshot.work(&filter, args.reverse, &|| renderer.clone(), &mut |lines| out.put(lines));
        if out.failed.is_none() {
            let _ = out.write();
        }
    }
    let damaged = say(&mut snapshot.problems, &mut snapshot.notes);
    if args.explain {
        eprintln!("{}", snapshot.plan);
    }
    if let Some(mut follow) = follow {
        follow.resume(snapshot);
        go_on(follow, &mut filter, &mut out)?;
    }
    out.finish()?;
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Shows records as they come, until nobody reads any more, or Ctrl-C.
fn go_on(mut follow: Follow, filter: &mut Filter, out: &mut Output) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    while out.failed.is_none() && !stop.load(Ordering::Relaxed) {
        let flow = follow.poll(filter, &mut |event| out.take(event))?;
        if flow.is_break() || (!out.bytes.is_empty() && out.write().is_break()) {
            break;
        }
        say(&mut follow.problems, &mut follow.notes);
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
