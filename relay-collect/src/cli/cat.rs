//! `cat`: records, in time order.

use super::{BAD, GOOD, Place, out};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use relay_collect::args::{When, Zone, level};
use relay_collect::query::{Expr, Filter, Grep};
use relay_collect::read::{Follow, Snapshot};
use relay_collect::render::{Event, Format, Options, Renderer};
use relay_fmt::callsite::Level;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So often new records are looked for.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

const AFTER: &str = "\
Times: 2026-11-24T13:00:00Z, \"2026-11-24 13:00\", 13:00, -15min, yesterday, @1764000000
Expressions: --where 'level <= warn && (status >= 500 || message ~ \"time(d )?out\")'

With -f all records are shown first, then new ones as they come; -n 0 -f shows only new ones.
Exit code 1 says that damaged blocks were skipped; stderr names them.";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    place: Place,
    /// Goes on with new records as they come, until Ctrl-C
    #[arg(short, long, env = "RELAY_FOLLOW", conflicts_with = "reverse")]
    follow: bool,
    /// Only the newest N records
    #[arg(short = 'n', long, env = "RELAY_LINES", value_name = "N")]
    lines: Option<usize>,
    /// The newest first
    #[arg(short, long, env = "RELAY_REVERSE")]
    reverse: bool,
    /// From this time on
    #[arg(long, env = "RELAY_SINCE", value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Before this time
    #[arg(long, env = "RELAY_UNTIL", value_name = "TIME", allow_hyphen_values = true)]
    until: Option<When>,
    /// At least as urgent: error, warn, info, debug, trace
    #[arg(long, env = "RELAY_LEVEL", value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// Only this target and those within it
    #[arg(long, env = "RELAY_TARGET", value_name = "PREFIX", value_delimiter = ',')]
    target: Vec<String>,
    /// Only this channel
    #[arg(long, env = "RELAY_CHANNEL", value_name = "NAME", value_delimiter = ',')]
    channel: Vec<String>,
    /// Only this process
    #[arg(long, env = "RELAY_PID", value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only messages that match a regular expression
    #[arg(short, long, env = "RELAY_GREP", value_name = "RE")]
    grep: Vec<String>,
    /// Letters of --grep match either case
    #[arg(short, long, env = "RELAY_IGNORE_CASE")]
    ignore_case: bool,
    /// Only what an expression means
    #[arg(long = "where", env = "RELAY_WHERE", value_name = "EXPR")]
    expr: Vec<String>,
    /// Shows the beginning, entering, leaving and end of spans too
    #[arg(long, env = "RELAY_SPANS")]
    spans: bool,
    /// Shows channel, process and thread in text
    #[arg(short, long, env = "RELAY_PROCESS")]
    process: bool,
    /// How records are shown
    #[arg(long, env = "RELAY_FORMAT", value_enum, default_value = "text")]
    format: Format,
    /// Ends each record with NUL instead of a newline
    #[arg(short = '0', long = "null", env = "RELAY_NULL")]
    nul: bool,
    /// The time zone: local, UTC, Europe/Berlin, +02:00
    #[arg(
        long,
        env = "RELAY_TZ",
        value_name = "TZ",
        default_value = "local",
        allow_hyphen_values = true
    )]
    tz: Zone,
    /// Whether text is coloured
    #[arg(long, env = "RELAY_COLOR", value_enum, default_value = "auto")]
    color: Color,
}

impl CatArgs {
    fn filter(&self) -> Result<Filter, String> {
        let now = Timestamp::now();
        let zone: TimeZone = self.tz.clone().into();
        let mut filter = Filter::new().spans(self.spans);
        if let Some(level) = self.level {
            filter = filter.level(level);
        }
        if let Some(since) = &self.since {
            filter = filter.since_ns(since.resolve_ns(now, &zone).map_err(|e| e.to_string())?);
        }
        if let Some(until) = &self.until {
            filter = filter.until_ns(until.resolve_ns(now, &zone).map_err(|e| e.to_string())?);
        }
        filter = self.target.iter().fold(filter, Filter::target);
        filter = self.channel.iter().fold(filter, Filter::channel);
        filter = self.pid.iter().fold(filter, |filter, pid| filter.pid(*pid));
        for grep in &self.grep {
            filter = filter.grep(Grep::new(grep, self.ignore_case).map_err(|e| e.to_string())?);
        }
        for expr in &self.expr {
            filter = filter.expr(Expr::parse_at(expr, now, &zone).map_err(|e| e.to_string())?);
        }
        Ok(filter)
    }

    fn renderer(&self) -> Renderer {
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
            }
        };
        let options = Options::default()
            .format(self.format)
            .zone(self.tz.clone().into())
            .color(color)
            .process(self.process)
            .spans(self.spans)
            .nul(self.nul);
        Renderer::new(&options)
    }
}

/// Renders events and writes them.
struct Printer {
    renderer: Renderer,
    out: io::BufWriter<io::Stdout>,
    line: Vec<u8>,
    error: Option<io::Error>,
}

impl Printer {
    fn print(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.line.clear();
        self.renderer.render(event, &mut self.line);
        match self.out.write_all(&self.line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

/// Shows records.
pub(crate) fn run(args: &CatArgs) -> anyhow::Result<u8> {
    let mut filter = match args.filter() {
        Ok(filter) => filter,
        Err(what) => return super::usage(&what),
    };
    let store = args.place.store()?;
    let (renderer, line, error) = (args.renderer(), Vec::new(), None);
    let mut printer = Printer { renderer, out: out::stdout(), line, error };
    if !args.follow {
        let mut snapshot = Snapshot::take(&store)?;
        first(args, &mut snapshot, &mut filter, &mut printer);
        printer.flush()?;
        return Ok(report(&mut snapshot.notes, &mut snapshot.problems));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let (mut snapshot, mut follow) = Follow::start(&store)?;
    first(args, &mut snapshot, &mut filter, &mut printer);
    printer.flush()?;
    let mut code = report(&mut snapshot.notes, &mut snapshot.problems);
    follow.resume(snapshot);
    while !stop.load(Ordering::Relaxed) {
        let flow = follow.poll(&mut filter, &mut |event| printer.print(event))?;
        printer.flush()?;
        code = code.max(report(&mut follow.notes, &mut follow.problems));
        if flow.is_break() {
            break;
        }
        std::thread::sleep(POLL);
    }
    Ok(code)
}

/// Shows what a snapshot holds, as far as it is wanted.
fn first(args: &CatArgs, snapshot: &mut Snapshot, filter: &mut Filter, printer: &mut Printer) {
    let mut left = args.lines.unwrap_or(usize::MAX);
    if args.lines.is_none() {
        return snapshot.events(filter, args.reverse, &mut |event| printer.print(event));
    }
    if left == 0 {
        return;
    }
    if args.reverse {
        snapshot.events(filter, true, &mut |event| {
            left -= 1;
            printer.print(event)?;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        return;
    }
    // The newest come first and are shown last.
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    snapshot.events(filter, true, &mut |event| {
        if printer.renderer.render(event, &mut bytes) {
            ends.push(bytes.len());
            left -= 1;
        }
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let lines: Vec<(usize, usize)> = begins.zip(ends.iter().copied()).collect();
    for (from, to) in lines.into_iter().rev() {
        if let Err(error) = printer.out.write_all(bytes.get(from..to).unwrap_or_default()) {
            printer.error = Some(error);
            return;
        }
    }
}

/// Says what was damaged and what else is to be said. Returns the exit code.
fn report(notes: &mut Vec<String>, problems: &mut Vec<String>) -> u8 {
    let code = if problems.is_empty() { GOOD } else { BAD };
    for text in notes.drain(..).chain(problems.drain(..)) {
        out::say(&text);
    }
    code
}
