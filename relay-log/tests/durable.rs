//! What is to be durable: which calls wait, and for whom; what is said when nobody syncs.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(all(feature = "tracing", feature = "macros"))]

mod common;

use common::{child, role};
use relay_log::channel::{ChannelReader, Status};
use relay_log::{Level, Relay};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// A directory that is not on a file system in memory.
fn on_disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn status(live: &Path) -> Status {
    let name = std::fs::read_dir(live).unwrap().find_map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().ends_with(".relay").then_some(name)
    });
    ChannelReader::open(live, &name.unwrap(), None).unwrap().status().unwrap()
}

#[test]
fn calls_of_the_level_wait_whatever_the_facade() {
    const NAME: &str = "calls_of_the_level_wait_whatever_the_facade";
    let Some((_, dir)) = role() else {
        let dir = on_disk();
        let output = child(NAME, "child", dir.path());
        assert!(output.status.success(), "{output:?}");
        return;
    };
    let live = dir.join("live");
    let builder = Relay::builder(&dir).channel("app").filter("trace").sync_on(Level::Warn);
    builder.init_tracing().unwrap();
    let computed = format!("tar{}", "get");
    // Twice each: the first call of a callsite goes another way.
    let waits: [(&str, &dyn Fn()); 6] = [
        ("log", &|| log::error!("disk {} fails", 1)),
        ("log, no argument", &|| log::warn!("disk fails")),
        ("log, computed", &|| log::error!(target: &computed, "disk fails")),
        ("macro", &|| relay_log::warn!("disk {} fails", 1)),
        ("tracing", &|| tracing::error!(disk = 1, "disk fails")),
        ("tracing in a span", &|| {
            tracing::info_span!("request").in_scope(|| tracing::warn!("slow"));
        }),
    ];
    let returns: [(&str, &dyn Fn()); 4] = [
        ("log", &|| log::info!("fine {}", 1)),
        ("log, computed", &|| log::debug!(target: &computed, "fine")),
        ("macro", &|| relay_log::info!("fine")),
        ("tracing", &|| tracing::info!("fine")),
    ];
    for (calls, each) in [(&waits[..], 1), (&returns[..], 0)] {
        for (what, call) in calls {
            for _ in 0..2 {
                let before = status(&live);
                call();
                let after = status(&live);
                assert_eq!(after.sync_wanted - before.sync_wanted, each, "{what}");
                assert_eq!(after.kept_ns > before.kept_ns, each == 1, "{what}");
            }
        }
    }
}

#[test]
fn in_memory_nothing_is_durable_and_that_is_said_once() {
    const NAME: &str = "in_memory_nothing_is_durable_and_that_is_said_once";
    if let Some((_, dir)) = role() {
        Relay::builder(&dir).channel("app").sync_on(Level::Error).init().unwrap();
        (0..100).for_each(|i| log::error!("error {i}"));
        return;
    }
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let output = child(NAME, "child", dir.path());
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let line = "relay: channel app: records survive SIGKILL and are not made durable: \
                it stands on a file system in memory\n";
    assert_eq!(said.matches("relay:").count(), 1, "{said}");
    assert!(said.contains(line), "{said}");
}

#[test]
fn a_collector_that_does_not_answer_is_waited_for_once() {
    const NAME: &str = "a_collector_that_does_not_answer_is_waited_for_once";
    if let Some((_, dir)) = role() {
        std::fs::create_dir_all(dir.join("live")).unwrap();
        // Whoever has this lock is the collector, and this one never looks.
        let lock = File::create(dir.join("live/.collector")).unwrap();
        lock.lock().unwrap();
        Relay::builder(&dir).channel("app").sync_on(Level::Error).init().unwrap();
        let begun = Instant::now();
        log::error!("the first one waits");
        let first = begun.elapsed();
        (0..5).for_each(|i| log::error!("error {i}"));
        assert!(first >= Duration::from_secs(4), "{first:?}");
        assert!(begun.elapsed() - first < Duration::from_secs(4), "{:?}", begun.elapsed());
        drop(lock);
        log::error!("now the file is synced");
        assert!(status(&dir.join("live")).kept_ns > 0);
        return;
    }
    let dir = on_disk();
    let output = child(NAME, "child", dir.path());
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said.matches("not made durable: no collector answered in time").count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("channel app: records are durable again").count(), 1, "{said}");
}

#[test]
fn the_keeper_syncs_and_no_call_waits() {
    let dir = on_disk();
    let every = Duration::from_millis(50);
    let relay = Relay::builder(dir.path()).channel("app").sync_every(every).build().unwrap();
    let live = dir.path().join("live");
    let layer = tracing_subscriber::layer::SubscriberExt::with(
        tracing_subscriber::registry(),
        relay.layer(),
    );
    let synced_after = |before: u64| {
        let begun = Instant::now();
        while status(&live).kept_ns <= before {
            assert!(begun.elapsed() < Duration::from_secs(120), "the keeper does not sync");
            std::thread::sleep(Duration::from_millis(5));
        }
        status(&live).kept_ns
    };
    tracing::subscriber::with_default(layer, || {
        let mut before = 0;
        for i in 0..3 {
            tracing::info!(i, "recorded");
            before = synced_after(before);
        }
    });
    // Idle is idle: nothing new, nothing synced.
    std::thread::sleep(4 * every);
    let before = status(&live).kept_ns;
    std::thread::sleep(6 * every);
    assert_eq!(status(&live).kept_ns, before);
    let none = Relay::builder(dir.path()).channel("b").keeper(false).sync_every(every).build();
    assert!(none.unwrap_err().to_string().contains("sync_every needs the keeper"));
}

#[test]
fn a_deleted_file_is_said_once() {
    const NAME: &str = "a_deleted_file_is_said_once";
    if let Some((_, dir)) = role() {
        Relay::builder(&dir).channel("app").init().unwrap();
        std::fs::remove_dir_all(dir.join("live")).unwrap();
        (0..35).for_each(|i| {
            log::info!("record {i}");
            std::thread::sleep(Duration::from_millis(100));
        });
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let output = child(NAME, "child", dir.path());
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("the file of channel app was deleted").count(), 1, "{said}");
}
