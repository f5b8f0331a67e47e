//! Records, as people and programs want them.

use super::DirArgs;
use super::output::Output;
use super::stats;
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use relay_collect::args::{When, Zone, level};
use relay_collect::query::{Expr, Filter, Grep};
use relay_collect::read::{Count, Follow, Snapshot, Store};
use relay_collect::render::{Column, Event, Format, Options, Renderer};
use relay_fmt::callsite::Level;
use std::io::{ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What stands below the help: the language of `--where`, docs/search.md in short.
const WHERE: &str = "\
--where: comparisons NAME OP VALUE, joined by && and ||, with ! and ( ):
  NAME    level, target, message, time, channel, pid, tid, thread, program,
          host, module, file, line; span.name, span.FIELD of any span around the
          record; FIELD of the record, or of a message that is a JSON object
          (id.port for nested ones); field.level for a field of such a name,
          quotes for one with signs in it: '\"user-agent\" *= curl'. A NAME
          alone: it is there.
  OP      == != < <= > >=   numbers as numbers, text as bytes
          ^= $= *=          begins with, ends with, contains
          ~                 matches a regular expression
  VALUE   a word or number, text between quotes; a level; a time as for --since
  What a record does not have makes a comparison false, also with !=. Levels are
  ordered by urgency: error < warn < info < debug < trace, so 'level <= warn' is
  --level warn.
  A field that no record has, most likely misspelt, is said on standard error;
  so is a channel that there is not, and where all are such, the exit code is 2.";

#[derive(Debug, Args)]
#[command(after_long_help = WHERE, after_help = "--help shows the language of --where.")]
pub(crate) struct CatArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Go on with records as they come, until Ctrl-C. What becomes unreadable is said once, and makes the
    /// exit code 1
    #[arg(short, long, conflicts_with_all = ["reverse", "count", "stats", "output"])]
    follow: bool,
    /// Only the newest N
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = super::number::<usize>)]
    lines: Option<usize>,
    /// The newest first
    #[arg(short, long)]
    reverse: bool,
    /// Only how many there are; damage that need not be read for it is not seen
    #[arg(long, conflicts_with_all = ["stats", "output", "lines"])]
    count: bool,
    /// Only how many there are by level, target, template, writer and time; tables, or a JSON object
    #[arg(long, conflicts_with_all = ["output", "lines", "fields"])]
    stats: bool,
    /// Say on standard error which blocks were read, and why the others were not
    #[arg(long)]
    explain: bool,
    /// From this time on: 2026-11-24T13:00Z, '2026-11-24 13:00', 10m, yesterday, 1764000000; 13:00 is today's,
    /// or yesterday's where it has not come yet
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Up to this time; 13:00 is the first behind a --since of that kind, else today's
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
    #[arg(long, allow_negative_numbers = true, value_parser = super::number::<u32>)]
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
    /// Only these, in this order: time, level, target, message, channel, pid, thread, span.NAME, NAME, … A
    /// field that no record has is said on standard error
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = column)]
    fields: Vec<Column>,
    /// Write to a file, compressed if its name ends in .zst; it appears when it is whole. - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// End records with NUL instead of a newline
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

fn column(name: &str) -> Result<Column, String> {
    Column::parse(name).ok_or_else(|| "a field has a name".into())
}

impl CatArgs {
    fn zone(&self) -> TimeZone {
        self.tz.as_ref().map_or_else(TimeZone::system, |zone| zone.get().clone())
    }

    /// Times are UTC where the system's zone is not known: that is said where somebody has named one.
    fn know_zone(&self) {
        let named = std::env::var_os("TZ").is_some_and(|name| !name.is_empty());
        if named && self.tz.is_none() && TimeZone::try_system().is_err() {
            super::say("note: TZ names no time zone that is known here: times are UTC");
        }
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
        let range = (self.since.as_ref(), self.until.as_ref());
        let (since, until) = When::range_ns(range, now, &zone)?;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            anyhow::bail!("--since is behind --until: nothing lies between them");
        }
        if let Some(since) = since {
            filter = filter.since_ns(since);
        }
        if let Some(until) = until {
            filter = filter.until_ns(until);
        }
        for pattern in &self.grep {
            filter = filter.grep(Grep::new(pattern, self.ignore_case)?);
        }
        if let Some(expr) = &self.expr {
            filter = filter.expr(Expr::parse_at(expr, now, &zone)?);
        }
        Ok(if self.count { filter } else { filter.shown(&self.fields) })
    }

    /// Says which of the channels that are asked for there are not. Where there is none of them, nothing
    /// could be shown: that is a mistake, unless one may come.
    fn know_channels(&self, store: &Store) -> Result<()> {
        if self.channel.is_empty() {
            return Ok(());
        }
        let known = store.channel_names()?;
        let unknown: Vec<_> = self.channel.iter().filter(|name| !known.contains(*name)).collect();
        let all: Vec<_> = known.iter().map(String::as_str).collect();
        let there = if all.is_empty() { "no channel yet".into() } else { all.join(", ") };
        let of = |name: &str| format!("no channel is named {name}; there is: {there}");
        if let Some(name) =
            unknown.first().filter(|_| unknown.len() == self.channel.len() && !self.follow)
        {
            return Err(super::usage(of(name)));
        }
        unknown.iter().for_each(|name| super::out::say(&format!("note: {}", of(name))));
        Ok(())
    }

    fn renderer(&self) -> Renderer {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match self.color.as_str() {
            "always" => true,
            "never" => false,
            _ => self.output.is_none() && std::io::stdout().is_terminal() && !quiet,
        };
        let options = Options::default()
            .format(self.format)
            .zone(self.zone())
            .color(color)
            .process(self.process)
            .spans(self.spans)
            .nul(self.null)
            .columns(self.fields.clone());
        Renderer::new(&options)
    }
}

/// Rendered records on their way out, in large pieces.
struct Pieces {
    renderer: Renderer,
    output: Output,
    bytes: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Pieces {
    const PIECE: usize = 64 << 10;

    fn take(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.renderer.render(event, &mut self.bytes);
        if self.bytes.len() >= Self::PIECE {
            return self.write();
        }
        ControlFlow::Continue(())
    }

    fn put(&mut self, lines: &[u8]) -> ControlFlow<()> {
        if lines.len() >= Self::PIECE {
            // Not copied once more.
            self.write()?;
            let done = self.output.write(lines);
            return self.note(done);
        }
        self.bytes.extend_from_slice(lines);
        if self.bytes.len() >= Self::PIECE { self.write() } else { ControlFlow::Continue(()) }
    }

    fn write(&mut self) -> ControlFlow<()> {
        let done = self.output.write(&self.bytes);
        self.bytes.clear();
        self.note(done)
    }

    fn note(&mut self, done: std::io::Result<()>) -> ControlFlow<()> {
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
        match self.failed {
            None => self.output.finish(),
            // Nobody reads any more: `relay-collect cat | head` is no error.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Some(error) => Err(self.output.failed(error)),
        }
    }
}

/// The newest `most` records, in time order unless they are wanted backwards.
fn newest(
    snapshot: &mut Snapshot,
    filter: &mut Filter,
    args: &CatArgs,
    most: usize,
    out: &mut Pieces,
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
    if !args.fields.is_empty() && args.format == Format::Raw {
        super::out::say("--fields cannot be used with --format raw, which is the message alone");
        return Ok(ExitCode::from(2));
    }
    args.know_zone();
    let mut filter = match args.filter() {
        Ok(filter) => filter,
        Err(error) => {
            super::out::say(&format!("{error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    let output = match &args.output {
        Some(path) if path != Path::new("-") => Output::create(path, args.force)?,
        _ => Output::Stdout,
    };
    let store = if args.follow { args.dir.any_store()? } else { args.dir.store()? };
    args.know_channels(&store)?;
    let renderer = args.renderer();
    let mut out = Pieces { renderer, output, bytes: Vec::new(), failed: None };
    let (mut snapshot, follow) = if args.follow {
        let (snapshot, follow) = Follow::start(&store)?;
        (snapshot, Some(follow))
    } else {
        (Snapshot::take_for(&store, &filter)?, None)
    };
    show(&mut snapshot, &mut filter, args, &mut out)?;
    let mut damaged = say(&mut snapshot.problems, &mut snapshot.notes);
    if out.failed.is_none() {
        // What archives could not be listed for was said above.
        let unknown = store.unknown_fields(&filter).unwrap_or_default();
        unknown.iter().for_each(|note| super::out::say(note));
    }
    if args.explain {
        let _ = writeln!(std::io::stderr(), "{}", snapshot.plan);
    }
    if let Some(mut follow) = follow {
        follow.resume(snapshot);
        damaged |= go_on(follow, &mut filter, &mut out)?;
    }
    out.finish()?;
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Shows what a snapshot holds, in the way that is wished.
fn show(
    snapshot: &mut Snapshot,
    filter: &mut Filter,
    args: &CatArgs,
    out: &mut Pieces,
) -> Result<()> {
    if args.count {
        let none = &mut |_: &[u8]| ControlFlow::Continue(());
        let counts = snapshot.work(filter, false, &Count::default, none);
        let count = counts.iter().fold(0u64, |sum, count| sum.saturating_add(count.0));
        writeln!(super::out::findings(), "{count}")?;
    } else if args.stats {
        let zone = args.zone();
        let counted = stats::count(snapshot, filter, &zone);
        let mut stdout = super::out::stdout();
        match args.format {
            Format::Json => stats::write_json(&counted, &mut stdout)?,
            _ => stats::write_text(&counted, &zone, &mut stdout)?,
        }
        stdout.flush()?;
    } else if let Some(most) = args.lines {
        newest(snapshot, filter, args, most, out);
    } else {
        let renderer = out.renderer.clone();
        snapshot.work(filter, args.reverse, &|| renderer.clone(), &mut |lines| out.put(lines));
        if out.failed.is_none() {
            let _ = out.write();
        }
    }
    Ok(())
}

/// Shows records as they come, until nobody reads any more, or Ctrl-C. Returns whether something could
/// not be read: that is said when it happens, and the others are followed on.
fn go_on(mut follow: Follow, filter: &mut Filter, out: &mut Pieces) -> Result<bool> {
    let mut damaged = false;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    while out.failed.is_none() && !stop.load(Ordering::Relaxed) {
        let flow = follow.poll(filter, &mut |event| out.take(event))?;
        if flow.is_break() || (!out.bytes.is_empty() && out.write().is_break()) {
            break;
        }
        damaged |= say(&mut follow.problems, &mut follow.notes);
        if super::out::nobody_reads(Duration::from_millis(50)) {
            break;
        }
    }
    Ok(damaged)
}
