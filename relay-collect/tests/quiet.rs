//! A channel that has been quiet for any time: its next record is noticed like any other.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::Options;
use relay_log::channel::{ChannelReader, Config, RawChannel};
use std::time::{Duration, Instant};

fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{what}: never");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_comes_after_silence_is_archived() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    options.block_age = Duration::from_millis(20);
    let live = options.live_dir.clone();
    let collector = relay_collect::spawn(options).unwrap();
    let channels =
        ["quiet", "other"].map(|name| RawChannel::create(Config::new(&live, name)).unwrap());
    let mut writers = channels.each_ref().map(RawChannel::writer);
    let reader = ChannelReader::open(&live, channels[0].file_name().as_ref(), None).unwrap();
    let asleep = || reader.status().unwrap().asleep;
    for silence in [0, 400, 0, 1200] {
        until("the collector asks to be woken", asleep);
        // Long enough for the look after which the header page is all that is read, or not.
        std::thread::sleep(Duration::from_millis(silence));
        // Another channel's traffic takes nothing back.
        writers[1].write(b"noise").unwrap();
        assert!(asleep(), "the word was taken back and nobody wrote");
        writers[0].write(b"after silence").unwrap();
        assert!(!asleep(), "a record was written, and the word stands");
        // Also a sub-buffer that is only closed after its last record was archived.
        std::thread::sleep(Duration::from_millis(silence / 4));
        writers[0].flush();
        let back = || {
            let subs = reader.scan().unwrap();
            subs.iter().any(|sub| sub.is_ready())
                && subs.iter().all(|sub| !sub.is_ready() || sub.archived == sub.generation)
        };
        until("everything is archived", back);
    }
    drop(writers);
    collector.stop().unwrap();
}
