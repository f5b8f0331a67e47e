//! A backlog is compressed less, `status` says so, and once it is over everything is as before.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::Dir;
use relay_collect::{Holder, Options, holder};
use relay_log::channel::{Config, RawChannel};
use std::time::{Duration, Instant};

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn at_work(dir: &Dir) -> Option<Holder> {
    holder(dir.path()).unwrap()
}

#[test]
fn a_backlog_is_compressed_less() {
    let dir = Dir::new();
    let mut options = Options::new(dir.path());
    (options.level, options.block_bytes) = (3, 100_000);
    let channel = RawChannel::create(Config::new(&options.live_dir, "app")).unwrap();
    let mut writer = channel.writer();
    for i in 0..30_000 {
        writer.write(format!("line {i} of a backlog that waits").as_bytes()).unwrap();
    }
    assert_eq!(at_work(&dir), None);
    let spawned = relay_collect::spawn(options).unwrap();
    wait_until("a backlog is seen", || {
        at_work(&dir).is_some_and(|h| h.levels == [("app".to_owned(), -4)])
    });
    let status = dir.run(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["collector"]["pid"], std::process::id());
    wait_until("it is over", || at_work(&dir).is_some_and(|h| h.levels.is_empty()));
    spawned.stop().unwrap();
    assert_eq!(at_work(&dir), None);
    assert_eq!(dir.cat(&["--grep", "of a backlog"]).len(), 30_000);
    assert_eq!(dir.audit().0, 0);
}
