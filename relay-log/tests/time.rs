//! The times of records against the clock of the machine: each lies between a reading of it before the
//! call and one after it, give or take a microsecond. A loaded machine only makes that easier.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::record::{Kind, Lease, Records};
use relay_fmt::time::{Anchor, Rate, RateEstimate};
use relay_log::channel::{ChannelReader, Config, RawChannel, TickSource};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn real_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// The times of a channel's raw records, as readers tell them.
fn times(dir: &Path, name: &str) -> Vec<i64> {
    let reader = ChannelReader::open(dir, name.as_ref(), None).unwrap();
    let (identity, rate) = (reader.identity().clone(), reader.status().unwrap().rate);
    let mut estimate = RateEstimate::new(rate);
    if identity.ticks == TickSource::Monotonic {
        estimate = RateEstimate::new(Rate::NANOSECOND);
    }
    estimate.see(identity.opened);
    let mut told = Vec::new();
    for sub in reader.scan().unwrap() {
        let data = reader.read(&sub, 0).unwrap().unwrap();
        let mut last = identity.opened;
        for record in Records::new(&data.bytes, sub.generation) {
            let record = record.unwrap();
            let tick = record.header.tick;
            match record.kind {
                Kind::Lease => {
                    let lease = Lease::parse(record.payload).unwrap();
                    last = Anchor { tick, mono_ns: lease.mono_ns, real_ns: lease.real_ns };
                }
                Kind::Anchor => last = Anchor::parse(tick, record.payload).unwrap(),
                Kind::Raw => {
                    told.push(last.real_of(tick, estimate.rate()));
                    continue;
                }
                _ => continue,
            }
            estimate.see(last);
        }
    }
    told
}

/// Writes for 300 ms, in bursts and with pauses, and compares.
fn right(counter: bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "clock");
    config.counter = counter;
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    let mut around = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        for _ in 0..20 {
            let before = real_ns();
            writer.write(b"now").unwrap();
            around.push((before, real_ns()));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let told = times(dir.path(), &channel.file_name());
    assert_eq!(told.len(), around.len());
    let wrong = |(told, (before, after)): &(&i64, &(i64, i64))| {
        **told < before - 1_000 || **told > after + 1_000
    };
    let wrong: Vec<_> = told.iter().zip(&around).filter(wrong).collect();
    // An anchor whose thread was stopped between its readings, three times in a row, is worse; a clock
    // that is set meanwhile spoils what lies between two anchors.
    let share = wrong.len() as f64 / told.len() as f64;
    assert!(share < 0.02, "{} of {} times are wrong: {:?}", wrong.len(), told.len(), wrong.first());
}

#[test]
fn times_by_the_processors_counter_are_right_to_a_microsecond() {
    right(true);
}

#[test]
fn times_without_a_trusted_counter_are_right_to_a_microsecond() {
    right(false);
}
