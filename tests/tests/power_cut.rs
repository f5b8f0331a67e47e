//! The power goes, on a real ext4: whatever was not on the disk is gone. What was durable is there.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::disk::{alone, mount_ext4, unmount};
use relay_tests::payload::{Random, seed};
use relay_tests::report::{Outcome, skipped};
use relay_tests::sys;
use relay_tests::theatre::Theatre;
use std::time::Duration;

/// Who works when the power goes.
#[derive(Clone, Copy)]
struct Cast {
    /// Whether every call waits until its record is durable.
    durable: bool,
    collector: bool,
    /// Whether the collector is killed, and started again, before.
    kill: bool,
}

/// One power cut, of live channels and archives. Returns what came of it, and how many records had to be
/// there.
fn cut(cast: Cast, random: &mut Random) -> Result<(Outcome, u64), String> {
    let dir = tempfile::tempdir().unwrap();
    let (image, at) = (dir.path().join("image"), dir.path().join("disk"));
    if !mount_ext4(&image, 64, &at) {
        return Err("an ext4 on a loop device cannot be made and mounted here".into());
    }
    for name in ["live", "archive"] {
        std::fs::create_dir(at.join(name)).unwrap();
        std::os::unix::fs::symlink(at.join(name), dir.path().join(name)).unwrap();
    }
    let (producer, collector) = (env!("CARGO_BIN_EXE_producer"), env!("CARGO_BIN_EXE_collector"));
    let mut all = Theatre::new(dir.path(), producer, collector);
    let durable = u64::from(cast.durable);
    all.produce(&format!(
        "threads=3 sub=16384 initial=65536 max=262144 durable={durable} pause=50"
    ));
    if cast.collector {
        all.collect("rotate=60000 block=60000 age=10");
    }
    std::thread::sleep(Duration::from_millis(200 + random.below(500)));
    if cast.kill {
        all.collectors[0].kill().unwrap();
        all.collectors[0].wait().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(200)));
        all.collect("rotate=60000 block=60000 age=10");
        std::thread::sleep(Duration::from_millis(random.below(300)));
    }
    let returned = all.producers[0].returned();
    let alive = all.producers[0].child.try_wait().unwrap().is_none();
    sys::shut_down(&at).map_err(|error| format!("it cannot be shut down: {error}"))?;
    std::thread::sleep(Duration::from_millis(random.below(100)));
    all.end();
    unmount(&at);
    assert!(mount_ext4(&image, 64, &at));
    let must = if cast.durable { returned.clone() } else { vec![0; returned.len()] };
    let mut outcome = all.finish_against(std::slice::from_ref(&must));
    outcome.crashes += u64::from(!alive);
    let there: usize = relay_tests::archived::streams(dir.path()).values().map(streams_len).sum();
    outcome.note = format!("{there} there of {} returned", returned.iter().sum::<u64>());
    drop(all);
    unmount(&at);
    Ok((outcome, must.iter().sum()))
}

fn streams_len(streams: &relay_tests::recover::Streams) -> usize {
    streams.writers.values().map(Vec::len).sum()
}

#[test]
fn what_is_durable_survives_a_power_cut() {
    let attack = "power cut of an ext4 with channels and archives";
    if !alone("what_is_durable_survives_a_power_cut", attack) {
        return;
    }
    let rounds = std::env::var("RELAY_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let seed = seed();
    let mut random = Random::new(seed);
    let (mut sum, mut durable, mut weak_lost) = (Outcome::default(), 0, 0);
    for _ in 0..rounds {
        for (collector, kill) in [(true, false), (true, true), (false, false)] {
            let cast = Cast { durable: true, collector, kill };
            match cut(cast, &mut random) {
                Err(why) => return skipped(attack, &why),
                Ok((outcome, must)) => {
                    assert!(
                        outcome.is_clean(),
                        "RELAY_SEED={seed} {collector} {kill}: {outcome:?}"
                    );
                    assert!(must > 0, "nothing was durable: {outcome:?}");
                    durable += must;
                    sum.add(&outcome);
                }
            }
        }
    }
    sum.cases = 3 * rounds;
    sum.note = format!("{durable} records whose calls had waited, all there; seed {seed}");
    sum.print(attack);
    // The control: calls that do not wait, and nobody who syncs. What they left is not on the disk.
    let weak = Cast { durable: false, collector: false, kill: false };
    if let Ok((outcome, _)) = cut(weak, &mut random) {
        let mut words = outcome.note.split(' ').filter_map(|word| word.parse::<u64>().ok());
        let (there, returned) = (words.next().unwrap(), words.next().unwrap());
        weak_lost += returned.saturating_sub(there);
        let (lost, note) = (weak_lost, "calls that did not wait".to_owned());
        Outcome { cases: 1, lost, note, ..Outcome::default() }
            .print("CONTROL power cut of what was not durable");
    }
    assert!(weak_lost > 0, "the power cut takes nothing away: it proves nothing");
}
