//! How a relay is set up: the environment wins, mistakes are told, sizes change.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "log")]

mod common;

use common::{messages, read, role};
use relay_fmt::callsite::Facade;
use relay_log::channel::Counter;
use relay_log::{ByteSize, ChannelOptions, InitError, Relay};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a test of this program again, with these variables.
fn with_env(test: &str, dir: &Path, env: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs([("RELAY_TEST_ROLE", "child".as_ref()), ("RELAY_TEST_DIR", dir.as_os_str())])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_environment_wins_and_its_mistakes_are_told() {
    const NAME: &str = "the_environment_wins_and_its_mistakes_are_told";
    if let Some((_, dir)) = role() {
        let builder = Relay::builder(dir.join("built")).buffer(ByteSize::kib(128)).filter("error");
        match builder.init() {
            Ok(relay) => {
                log::info!("info");
                log::debug!("debug");
                let stats = relay.stats();
                println!("{} {}", stats[0].channel, stats[0].allocated);
            }
            Err(error) => println!("error: {error}"),
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    let good = [
        ("RELAY_DIR", elsewhere.to_str().unwrap()),
        ("RELAY_BUFFER", "1MiB"),
        ("RELAY_BUFFER_MAX", "2MiB"),
        ("RELAY_LOG", "debug"),
        ("RELAY_SYNC_ON", "off"),
        ("RELAY_SYNC_EVERY", "200 ms"),
    ];
    let out = with_env(NAME, dir.path(), &good);
    // The test program's own name, with its hash.
    assert!(out.contains("setup-") && out.contains(" 1MiB\n"), "{out}");
    assert_eq!(messages(&read(&elsewhere.join("live")), |_| true), ["info", "debug"]);
    assert!(!dir.path().join("built").exists());
    // Where the collector looks, which knows it too.
    let live = dir.path().join("memory");
    let apart = [good[0], ("RELAY_LOG", "info"), ("RELAY_LIVE_DIR", live.to_str().unwrap())];
    with_env(NAME, dir.path(), &apart);
    assert_eq!(messages(&read(&live), |_| true), ["info"]);
    assert_eq!(messages(&read(&elsewhere.join("live")), |_| true), ["info", "debug"]);
    let out = with_env(NAME, dir.path(), &[("RELAY_LOG", ""), ("RELAY_BUFFER", "")]);
    assert!(out.contains(" 128KiB\n"), "{out}");
    assert_eq!(messages(&read(&dir.path().join("built/live")), |_| true), [""; 0]);
    for (name, value, expected) in [
        (
            "RELAY_BUFFER",
            "lots",
            "error: the environment variable RELAY_BUFFER: \"lots\" is no size",
        ),
        ("RELAY_BUFFER_MAX", "1.M", "error: the environment variable RELAY_BUFFER_MAX: \"1.M\""),
        ("RELAY_LOG", "a=loud", "error: \"a=loud\" is no filter"),
        (
            "RELAY_SYNC_ON",
            "loud",
            "error: the environment variable RELAY_SYNC_ON: \"loud\" is no level",
        ),
        (
            "RELAY_SYNC_EVERY",
            "0s",
            "error: the environment variable RELAY_SYNC_EVERY: \"0s\" is no time",
        ),
    ] {
        let out = with_env(NAME, dir.path(), &[(name, value)]);
        assert!(out.contains(expected), "{out}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Relay::builder(dir.path()).channel("app");
    let error = builder().channel("a/b").build().unwrap_err();
    assert!(matches!(error, InitError::Channel { .. }), "{error}");
    let error = builder().sub_buffer(ByteSize::kib(5)).build().unwrap_err();
    assert!(error.to_string().starts_with("channel app: a sub-buffer of 5120 bytes"), "{error}");
    // Nothing is taken from a disk for what does not fit it.
    for large in [ByteSize::bytes(u64::MAX), ByteSize::bytes(u64::MAX >> 1), ByteSize::gib(1 << 20)]
    {
        let error = builder().buffer(large).build().unwrap_err().to_string();
        assert!(error.contains("are free") && !error.contains(" 0 are free"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path().join("live")).unwrap().count(), 0);
    }
    let audit = || ChannelOptions::new("audit").buffer(ByteSize::kib(128));
    let twice = builder().route("a", audit()).route("b", audit().sub_buffer(ByteSize::kib(4)));
    assert!(matches!(twice.build(), Err(InitError::ChannelTwice(name)) if name == "audit"));
    let many = (0..8).fold(builder(), |b, n| b.route("x", ChannelOptions::new(format!("c{n}"))));
    assert!(matches!(many.build(), Err(InitError::TooManyChannels { most: 8 })));
    let shared = builder().route("a", audit()).route("b", audit()).build().unwrap();
    assert_eq!(shared.channels(), ["app", "audit"]);
}

/// A logger that prints.
struct Other;

impl log::Log for Other {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("other: {}", record.args());
    }

    fn flush(&self) {}
}

#[test]
fn where_there_are_no_channels_another_logger_can_be_installed() {
    const NAME: &str = "where_there_are_no_channels_another_logger_can_be_installed";
    if let Some((_, dir)) = role() {
        let refused = |dir: &Path, filter| {
            let builder = Relay::builder(dir).channel("app").filter(filter);
            println!("error: {}", builder.init().unwrap_err());
        };
        std::fs::write(dir.join("file"), b"").unwrap();
        refused(&dir.join("file"), "info");
        refused(&dir, "a=loud");
        log::set_logger(&Other).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        log::info!("seen");
        refused(&dir, "info");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = with_env(NAME, dir.path(), &[]);
    let said: Vec<_> =
        out.lines().filter(|l| l.contains("error: ") || l.contains("other: ")).collect();
    assert!(said[0].contains("error: channel app: cannot make the directory in "), "{out}");
    assert!(said[1].contains("is no filter"), "{out}");
    assert_eq!(said[2..], ["other: seen", "error: another logger is installed for the log crate"]);
    assert!(!dir.path().join("live").exists(), "a file was made for nothing");
}

#[test]
fn a_change_of_size_is_a_record_of_the_channel() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Relay::builder(dir.path()).channel("sized").buffer(ByteSize::mib(1));
    let relay = builder.filter("off").build().unwrap();
    assert!(!relay.resize("another", ByteSize::mib(1)));
    assert!(relay.resize("sized", ByteSize::mib(3)));
    let stats = relay.stats();
    assert!(stats[0].allocated >= ByteSize::mib(3));
    assert_eq!(stats[0].counter(Counter::Resized), 1);
    let since = Instant::now();
    let told = loop {
        let live = dir.path().join("live");
        if let Some(event) = read(&live).into_iter().find(|e| e.channel == "sized") {
            break event;
        }
        assert!(since.elapsed() < Duration::from_secs(120), "the keeper says nothing");
        std::thread::sleep(Duration::from_millis(10));
    };
    let callsite = told.callsite();
    assert_eq!((callsite.facade, callsite.target.as_str()), (Facade::Internal, "relay::channel"));
    assert_eq!(callsite.template, "channel resized from {0} to {1} bytes");
    assert_eq!(told.fields()[0], "from=U64(1048576)");
    assert_eq!(told.thread, "relay-keeper");
}
