//! Channels of a machine that was started anew: kept, and listed as unproven.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use common::Dir;
use relay_log::channel::{IDENTITY_BYTES, Identity};

#[test]
fn a_channel_of_an_older_boot_is_salvage() {
    let dir = Dir::new();
    let channel = dir.channel("app");
    let mut writer = channel.writer();
    (0..10).for_each(|i| writer.write(format!("record {i}").as_bytes()).unwrap());
    let path = dir.path().join("live").join(channel.file_name());
    drop((writer, channel));
    let (code, audit) = dir.audit();
    assert_eq!((code, &audit["channels"][0]["unproven_bytes"]), (0, &0.into()), "{audit}");

    let mut file = std::fs::read(&path).unwrap();
    let mut identity = Identity::decode(&file[..IDENTITY_BYTES]).unwrap();
    identity.boot = [9; 16];
    file[..IDENTITY_BYTES].copy_from_slice(&identity.encode());
    std::fs::write(&path, file).unwrap();
    let said = |output: &std::process::Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.contains("started anew") && text.contains("unproven")
    };
    let all: Vec<String> = (0..10).map(|i| format!("record {i}")).collect();
    assert_eq!(dir.cat(&[]), all, "it is shown");
    assert!(said(&dir.run(&["cat"])), "and what it is");
    assert_eq!(dir.audit().0, 3);
    assert!(said(&dir.run(&["--once"])));
    assert!(!path.exists());
    assert_eq!(dir.cat(&[]), all);
    let (code, audit) = dir.audit();
    assert_eq!(code, 3, "{audit}");
    let channel = &audit["channels"][0];
    assert!(channel["unproven_bytes"].as_u64().unwrap() > 100, "{audit}");
    assert!(channel["doubts"][0].as_str().unwrap().contains("nothing was"), "{audit}");
}
