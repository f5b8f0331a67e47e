//! Counting events by level, target, template, time and writer.

use super::plan::times_ns;
use super::work::Work;
use crate::render::Event;
use relay_fmt::block::Facts;
use relay_fmt::block::columns::{Census, Group, template_of};
use relay_fmt::callsite::Level;
use relay_fmt::rows::{Run, Source};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// So many different things are told apart; what is new beyond is counted as other.
const MOST: usize = 1 << 16;
/// Buckets of time, in seconds: the smallest of which no more than [`BUCKETS`] fill the range.
const SECONDS: [i64; 9] = [1, 10, 60, 600, 3600, 21_600, 86_400, 604_800, 2_419_200];
const YEAR: i64 = 31_536_000;
const BUCKETS: i64 = 60;
const NANOS: i64 = 1_000_000_000;

/// Intervals that times are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    nanos: i64,
    shift_ns: i64,
}

impl Buckets {
    /// At most about sixty intervals for times from `min_ns` to `max_ns`, which begin at whole hours
    /// and days of a zone that is `offset_s` seconds ahead of UTC.
    #[must_use]
    pub fn fitting(min_ns: i64, max_ns: i64, offset_s: i32) -> Self {
        let range = max_ns.saturating_sub(min_ns) / NANOS;
        let fits = SECONDS.into_iter().find(|seconds| range / seconds < BUCKETS);
        let seconds = fits.unwrap_or(YEAR);
        Self { nanos: seconds * NANOS, shift_ns: i64::from(offset_s) * NANOS }
    }

    /// The length of each, in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.nanos / NANOS
    }

    /// When the interval begins that a time lies in, in UTC nanoseconds.
    #[must_use]
    pub const fn of(self, time_ns: i64) -> i64 {
        let local = time_ns.saturating_add(self.shift_ns);
        local.div_euclid(self.nanos).saturating_mul(self.nanos).saturating_sub(self.shift_ns)
    }
}

/// Who wrote a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Writer {
    /// The channel.
    pub channel: String,
    /// The process.
    pub pid: u32,
    /// The number of the thread's stream in its channel.
    pub writer: u64,
    /// The thread's name.
    pub thread: String,
}

impl Writer {
    fn of(source: &Source, run: &Run) -> Self {
        Self {
            channel: source.channel.clone(),
            pid: source.pid,
            writer: run.writer,
            thread: String::from_utf8_lossy(&run.thread).into_owned(),
        }
    }
}

/// What records of one place in a program have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Template {
    /// Their level; `None` for raw records, unless they are JSON that says one.
    pub level: Option<Level>,
    /// Their target; empty for raw records.
    pub target: String,
    /// The message without its values: the callsite's template, or, where the message came as text,
    /// its words, with `*` for values. Words that vary may be values in some blocks and not in others.
    pub text: String,
}

/// How often each of some things was seen.
#[derive(Debug, Clone)]
pub struct Tally<K> {
    counts: HashMap<K, u64>,
    /// What was seen of others, when there were too many to tell apart.
    pub other: u64,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), other: 0 }
    }
}

impl<K: Hash + Eq + Ord> Tally<K> {
    fn add(&mut self, key: K, count: u64) {
        if count == 0 {
            return;
        }
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.other += count;
        } else {
            *self.counts.entry(key).or_default() += count;
        }
    }

    fn merge(&mut self, other: Self) {
        self.other += other.other;
        other.counts.into_iter().for_each(|(key, count)| self.add(key, count));
    }

    /// All of them, the most frequent first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&K, u64)> {
        let mut all: Vec<_> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }
}

/// Events, counted. Where a filter leaves whole classes of rows or none, blocks are counted from
/// their tables, and their rows are not put together.
#[derive(Debug, Clone)]
pub struct Stats {
    buckets: Buckets,
    /// How many events.
    pub records: u64,
    /// By level, `None` for what has none.
    pub levels: Tally<Option<Level>>,
    /// By target; raw records have an empty one.
    pub targets: Tally<String>,
    /// By template.
    pub templates: Tally<Template>,
    /// By the interval that they happened in: its beginning in UTC nanoseconds.
    pub times: BTreeMap<i64, u64>,
    /// By writer.
    pub writers: Tally<Writer>,
    message: Vec<u8>,
}

impl Stats {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            records: 0,
            levels: Tally::default(),
            targets: Tally::default(),
            templates: Tally::default(),
            times: BTreeMap::new(),
            writers: Tally::default(),
            message: Vec::new(),
        }
    }

    /// What `self` and another one have counted.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.records += other.records;
        self.levels.merge(other.levels);
        self.targets.merge(other.targets);
        self.templates.merge(other.templates);
        self.writers.merge(other.writers);
        for (time, count) in other.times {
            *self.times.entry(time).or_default() += count;
        }
        self
    }

    /// The intervals that times are counted by.
    #[must_use]
    pub const fn buckets(&self) -> Buckets {
        self.buckets
    }

    fn class(&mut self, level: Option<Level>, target: &str, text: String, count: u64) {
        let target = target.to_owned();
        self.records += count;
        self.levels.add(level, count);
        self.targets.add(target.clone(), count);
        self.templates.add(Template { level, target, text }, count);
    }

    fn time(&mut self, time_ns: i64, count: u64) {
        *self.times.entry(self.buckets.of(time_ns)).or_default() += count;
    }

    fn whole(&mut self, facts: &Facts) {
        self.time(times_ns(&facts.into()).1, facts.rows);
        for run in &facts.runs {
            if let Some(source) = facts.sources.get(run.source as usize) {
                self.writers.add(Writer::of(source, run), run.records.into());
            }
        }
    }
}

impl Work for Stats {
    const IN_ORDER: bool = false;
    const TALLIES: bool = true;

    fn is_one(&self, min_ns: i64, max_ns: i64) -> bool {
        self.buckets.of(min_ns) == self.buckets.of(max_ns)
    }

    fn tally(&mut self, facts: &Facts, census: &Census, meant: &dyn Fn(&Group, i64) -> bool) {
        let mut counts: Vec<u64> = census.groups.iter().map(|group| group.rows).collect();
        if census.rows.is_empty() {
            self.whole(facts);
        } else {
            counts.fill(0);
            let mut runs = vec![0u64; facts.runs.len()];
            for (group, run, time_ns) in &census.rows {
                let Some(of) = census.groups.get(*group as usize) else { continue };
                if !meant(of, *time_ns) {
                    continue;
                }
                self.time(*time_ns, 1);
                counts.get_mut(*group as usize).into_iter().for_each(|count| *count += 1);
                runs.get_mut(*run as usize).into_iter().for_each(|count| *count += 1);
            }
            for (run, count) in facts.runs.iter().zip(runs) {
                if let Some(source) = facts.sources.get(run.source as usize) {
                    self.writers.add(Writer::of(source, run), count);
                }
            }
        }
        for (group, count) in census.groups.iter().zip(counts) {
            let place = group.callsite.as_ref();
            let target = place.map_or("", |site| site.target.as_str());
            self.class(place.map(|site| site.level), target, group.template.clone(), count);
        }
    }

    fn event(&mut self, event: &Event<'_>, _: &mut Vec<u8>) -> bool {
        let place = event.place();
        let text = match event.callsite {
            Some(site) if site.template != "{0}" => site.template.clone(),
            _ => {
                self.message.clear();
                // What parsed is what is shown, and what is counted.
                let _ = event.write_message(&mut self.message);
                template_of(&self.message)
            }
        };
        self.class(event.level(), place.map_or("", |site| &site.target), text, 1);
        self.time(event.row.time_ns, 1);
        self.writers.add(Writer::of(event.source, event.run), 1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_fit_the_range_and_begin_at_whole_days() {
        let hour = 3600 * NANOS;
        for (range_ns, seconds) in [(0, 1), (59 * NANOS, 1), (hour - 1, 60), (30 * hour, 3600)] {
            assert_eq!(Buckets::fitting(0, range_ns, 0).seconds(), seconds, "{range_ns}");
        }
        let days = Buckets::fitting(0, 50 * 24 * hour, 2 * 3600);
        assert_eq!(days.seconds(), 86_400);
        assert_eq!(days.of(23 * hour), 22 * hour, "midnight two hours ahead of UTC");
        assert_eq!(days.of(-1), -2 * hour);
        assert!(Buckets::fitting(i64::MIN, i64::MAX, 0).of(i64::MIN) <= i64::MIN + 1);
    }
}
