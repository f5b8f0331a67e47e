//! What a collector that takes over from another must not undo.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::{Dir, skipped};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::ChannelReader;

fn drain(options: &Options) -> Collector {
    let mut collector = Collector::open(options.clone()).unwrap();
    collector.drain(&Control::new()).unwrap();
    collector
}

/// Until when everything is durable never goes back, whoever collects.
#[test]
fn what_is_durable_stays_so() {
    let dir = Dir::new();
    if relay_log::channel::is_in_memory(std::fs::File::open(dir.path()).unwrap()) {
        return skipped("temporary files stand in memory, where nothing is durable");
    }
    let options = Options::new(dir.path());
    let channel = dir.channel("app");
    let mut writer = channel.writer();
    let reader =
        ChannelReader::open(&options.live_dir, channel.file_name().as_ref(), None).unwrap();
    let durable = || reader.status().unwrap().durable_ns;
    let mut last = 0;
    for round in 0..3 {
        writer.write(format!("record {round}").as_bytes()).unwrap();
        drop(drain(&options));
        assert!(durable() > last, "round {round}: {} after {last}", durable());
        last = durable();
        // One that finds nothing to do, seals what there is, and ends.
        let mut idle = Collector::open(options.clone()).unwrap();
        assert!(durable() >= last, "round {round}: taken over");
        let control = Control::new();
        control.rotate();
        idle.drain(&control).unwrap();
        drop(idle);
        assert!(durable() >= last, "round {round}: {} after {last}, idle", durable());
        last = durable();
    }
}

/// A live directory that is mounted late, or again, brings back channels whose positions are known.
#[test]
fn a_live_directory_that_comes_late_is_not_archived_again() {
    let dir = Dir::new();
    let options = Options::new(dir.path());
    let channel = dir.channel("app");
    let mut writer = channel.writer();
    let away = dir.path().join("unmounted");
    for n in 0..10 {
        writer.write(format!("record {n}").as_bytes()).unwrap();
    }
    drop(drain(&options));
    std::fs::rename(&options.live_dir, &away).unwrap();
    std::fs::create_dir(&options.live_dir).unwrap();
    let mut collector = drain(&options);
    std::fs::remove_dir_all(&options.live_dir).unwrap();
    std::fs::rename(&away, &options.live_dir).unwrap();
    writer.write(b"record 10").unwrap();
    collector.drain(&Control::new()).unwrap();
    drop(collector);
    let shown = dir.cat(&[]);
    let expected: Vec<String> = (0..11).map(|n| format!("record {n}")).collect();
    assert_eq!(shown, expected);
    assert_eq!(dir.audit().0, 0);
}
