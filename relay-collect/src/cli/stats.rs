//! Counts of records, as a table or as JSON.

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use relay_collect::query::Filter;
use relay_collect::read::{Buckets, Snapshot, Stats, Tally};
use relay_collect::render::escape_text;
use serde_json::{Value, json};
use std::hash::Hash;
use std::io::Write;
use std::ops::ControlFlow;

/// So many of a kind are shown in text; JSON has all.
const SHOWN: usize = 20;
/// The longest template that text shows whole, in characters.
const WIDTH: usize = 150;
/// The longest bar.
const BAR: u64 = 40;

/// Counts what `filter` means.
pub(crate) fn count(snapshot: &mut Snapshot, filter: &Filter, zone: &TimeZone) -> Stats {
    let (min_ns, max_ns) = snapshot.range_ns(filter).unwrap_or_default();
    let offset = zone.to_offset(time(min_ns)).seconds();
    let buckets = Buckets::fitting(min_ns, max_ns, offset);
    let none = &mut |_: &[u8]| ControlFlow::Continue(());
    let counted = snapshot.work(filter, false, &|| Stats::new(buckets), none);
    counted.into_iter().fold(Stats::new(buckets), Stats::merge)
}

fn time(time_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default()
}

/// Writes one JSON object (docs/format/json.md).
pub(crate) fn write_json(stats: &Stats, out: &mut impl Write) -> Result<()> {
    let times =
        stats.times.iter().map(|(at, n)| json!({ "time": time(*at).to_string(), "records": n }));
    let seconds = stats.buckets().seconds();
    let all = json!({
        "records": stats.records,
        "levels": list(&stats.levels, |level| json!({ "level": level })),
        "targets": list(&stats.targets, |target| json!({ "target": target })),
        "templates": list(&stats.templates, |of| {
            json!({ "level": of.level, "target": of.target, "template": of.text })
        }),
        "interval_seconds": seconds,
        "times": times.collect::<Vec<_>>(),
        "writers": list(&stats.writers, |writer| json!(writer)),
    });
    Ok(writeln!(out, "{all}")?)
}

/// What was counted, the most frequent first; what was not told apart is one more, of nulls.
fn list<K: Hash + Eq + Ord>(tally: &Tally<K>, show: impl Fn(&K) -> Value) -> Vec<Value> {
    let with = |mut value: Value, count: u64| {
        if let Some(object) = value.as_object_mut() {
            object.insert("records".into(), count.into());
        }
        value
    };
    let mut all: Vec<_> = tally.sorted().into_iter().map(|(k, n)| with(show(k), n)).collect();
    if tally.other > 0 {
        all.push(with(json!({ "other": true }), tally.other));
    }
    all
}

/// Writes tables for people.
pub(crate) fn write_text(stats: &Stats, zone: &TimeZone, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{} records", stats.records)?;
    if stats.records == 0 {
        return Ok(());
    }
    let level = |level: Option<relay_fmt::callsite::Level>| level.map_or("-", |l| l.as_str());
    let text = |text: &str| if text.is_empty() { "-".to_owned() } else { escape_text(text) };
    table(out, stats, "level", &stats.levels, |of| level(*of).to_owned())?;
    table(out, stats, "target", &stats.targets, |of| text(of))?;
    table(out, stats, "template", &stats.templates, |of| {
        let mut shown = text(&of.text);
        if let Some((end, _)) = shown.char_indices().nth(WIDTH) {
            shown.truncate(end);
            shown.push('…');
        }
        format!("{:5} {}: {shown}", level(of.level), text(&of.target))
    })?;
    table(out, stats, "writer", &stats.writers, |of| {
        format!("{}[{}]/{} {}", text(&of.channel), of.pid, of.writer, text(&of.thread))
    })?;
    let seconds = stats.buckets().seconds();
    writeln!(out, "\n{:>12}         time, every {}", "records", span(seconds))?;
    let most = stats.times.values().max().copied().unwrap_or(1).max(1);
    for (at, count) in &stats.times {
        let at = time(*at).to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
        writeln!(out, "{count:>12} {:>6}  {at} {bar}", percent(*count, stats.records))?;
    }
    Ok(())
}

fn table<K: Hash + Eq + Ord>(
    out: &mut impl Write,
    stats: &Stats,
    name: &str,
    tally: &Tally<K>,
    show: impl Fn(&K) -> String,
) -> std::io::Result<()> {
    writeln!(out, "\n{:>12}         {name}", "records")?;
    let sorted = tally.sorted();
    for (key, count) in sorted.iter().take(SHOWN) {
        writeln!(out, "{count:>12} {:>6}  {}", percent(*count, stats.records), show(key))?;
    }
    let rest = tally.other + sorted.iter().skip(SHOWN).map(|(_, count)| count).sum::<u64>();
    if rest > 0 {
        let others = sorted.len().saturating_sub(SHOWN);
        let more = if tally.other > 0 { "more than " } else { "" };
        writeln!(out, "{rest:>12} {:>6}  {more}{others} others", percent(rest, stats.records))?;
    }
    Ok(())
}

fn percent(count: u64, of: u64) -> String {
    format!("{:.1}%", count as f64 * 100.0 / of.max(1) as f64)
}

fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
