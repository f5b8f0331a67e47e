//! File systems of a test's own: small, full, or without power.

use crate::report::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the test again in a mount namespace of its own, where it may mount; `true` there.
#[must_use]
pub fn alone(name: &str, attack: &str) -> bool {
    if std::env::var_os("RELAY_ALONE").is_some() {
        return true;
    }
    let can = Command::new("unshare").args(["-m", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        skipped(attack, "mount namespaces are not allowed here");
        return false;
    }
    let exe = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-m").arg(exe).args(["--exact", name, "--nocapture"]).env("RELAY_ALONE", "1");
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}", said.get(said.find("ATTACK|").unwrap_or(0)..).unwrap_or_default());
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Mounts a file system in memory. Returns the path of a file that may fill it.
#[must_use]
pub fn mount(size: &str, at: &Path) -> PathBuf {
    std::fs::create_dir_all(at).unwrap();
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(at);
    assert!(command.status().unwrap().success());
    at.join("filler")
}

/// Fills a file system to its last block.
pub fn fill(filler: &Path) {
    let mut file = std::fs::File::options().append(true).create(true).open(filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|n| n > 0) {}
}

/// Mounts an ext4 with a journal that lies in a file, which is made where it is missing: so many MiB.
/// `false` where there are no loop devices.
#[must_use]
pub fn mount_ext4(image: &Path, mebibytes: u64, at: &Path) -> bool {
    std::fs::create_dir_all(at).unwrap();
    let run = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    if !image.exists() {
        std::fs::File::create(image).unwrap().set_len(mebibytes << 20).unwrap();
        if !run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image)) {
            return false;
        }
    }
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at))
}

/// Takes a file system away, whoever still has files open in it.
pub fn unmount(at: &Path) {
    let done = Command::new("umount").arg(at).status();
    assert!(done.is_ok_and(|status| status.success()), "{} is in use", at.display());
}
