//! Files that are no channels, or were: no panic, no hang, one clear error each.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_collect::query::Filter;
use relay_collect::read::{Audit, Snapshot, Store};
use relay_collect::{Collector, Control, Options};
use relay_log::channel::{ChannelReader, Config, OpenError, RawChannel};
use relay_tests::payload::{Random, make, seed};
use relay_tests::report::{Outcome, skipped};
use relay_tests::sys::{self, Waited};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A good channel of 4 KiB sub-buffers: its name and its bytes.
fn golden() -> (String, Vec<u8>) {
    let dir = scratch();
    let mut config = Config::new(dir.path(), "golden");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 16384, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    (0..20).for_each(|i| writer.write(&make(0, i, 500)).unwrap());
    let name = channel.file_name();
    let bytes = std::fs::read(dir.path().join(&name)).unwrap();
    (name, bytes)
}

/// Opens and reads everything, as a collector would. Returns bytes read.
fn read_all(dir: &Path, name: &str) -> Result<usize, OpenError> {
    let reader = ChannelReader::open(dir, name.as_ref(), None)?;
    let system = |what| move |errno| OpenError::System { what, errno };
    let _ = reader.status().map_err(system("status"))?;
    let _ = reader.is_alive().map_err(system("is_alive"))?;
    let mut bytes = 0;
    for sub in reader.scan().map_err(system("scan"))? {
        if let Some(data) = reader.read(&sub, 0).map_err(system("read"))? {
            bytes += data.bytes.len();
        }
        reader.hand_back(&sub).map_err(system("hand back"))?;
    }
    reader.wake_writers().map_err(system("wake"))?;
    reader.request_resize(1).map_err(system("resize"))?;
    Ok(bytes)
}

/// As [`read_all`], adding panics and hangs to `outcome`.
fn judged(dir: &Path, name: &str, outcome: &mut Outcome) -> Result<usize, OpenError> {
    outcome.cases += 1;
    let started = Instant::now();
    let result = std::panic::catch_unwind(|| read_all(dir, name));
    outcome.hangs += u64::from(started.elapsed() > Duration::from_secs(3));
    result.unwrap_or_else(|_| {
        outcome.crashes += 1;
        Err(OpenError::Damaged("it panicked"))
    })
}

fn finish(outcome: &Outcome, attack: &str) {
    outcome.print(attack);
    assert!(outcome.is_clean(), "{attack}: {outcome:?}");
}

/// The checksum of the header, computed here for headers that lie well.
fn sealed(mut image: Vec<u8>) -> Vec<u8> {
    let mut crc = !0u32;
    for byte in image[..20].iter().chain(&image[24..1024]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    image[20..24].copy_from_slice(&(!crc).to_le_bytes());
    image
}

#[test]
fn every_flipped_bit_of_the_headers() {
    let (name, image) = golden();
    assert_eq!(sealed(image.clone()), image, "the checksum is computed right");
    let dir = scratch();
    let mut outcome = Outcome::default();
    for bit in 0..(4096 + 256) * 8 {
        let mut bad = image.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.path().join(&name), &bad).unwrap();
        let read = judged(dir.path(), &name, &mut outcome);
        outcome.torn += u64::from(read.is_ok() == (bit < 1024 * 8));
    }
    finish(&outcome, "hostile: every bit of the header page and of a sub-buffer's header");
}

#[test]
fn every_byte_of_a_well_sealed_header() {
    let (name, image) = golden();
    let dir = scratch();
    let mut outcome = Outcome::default();
    for at in (0..320).filter(|at| !(20..24).contains(at)) {
        for value in [0, 1, 3, 31, 32, 63, 64, 95, 127, 128, 254, 255] {
            let mut bad = image.clone();
            bad[at] = value;
            std::fs::write(dir.path().join(&name), sealed(bad)).unwrap();
            let _ = judged(dir.path(), &name, &mut outcome);
        }
    }
    finish(&outcome, "hostile: headers with a right checksum that lie");
}

#[test]
fn cut_anywhere() {
    let (name, image) = golden();
    let dir = scratch();
    let mut outcome = Outcome::default();
    for len in (0..image.len()).step_by(61).chain([1023, 1024, 4095, 4096, 4096 + 255]) {
        std::fs::write(dir.path().join(&name), &image[..len]).unwrap();
        let read = judged(dir.path(), &name, &mut outcome);
        outcome.torn += u64::from(read.is_ok() != (len >= 4096));
    }
    finish(&outcome, "hostile: cut at every 61st byte");
}

#[test]
fn garbage_behind_a_good_header() {
    let (name, image) = golden();
    let dir = scratch();
    let (seed, mut outcome) = (seed(), Outcome::default());
    let mut random = Random::new(seed);
    for _ in 0..2_000 {
        let mut bad = image.clone();
        for _ in 0..1 + random.below(40) {
            let at = 1024 + random.below(bad.len() as u64 - 1024) as usize;
            let header = 4096 + 4096 * random.below(4) as usize + random.below(256) as usize;
            bad[at] = random.below(256) as u8;
            bad[header] = random.below(256) as u8;
        }
        std::fs::write(dir.path().join(&name), &bad).unwrap();
        let _ = judged(dir.path(), &name, &mut outcome);
    }
    outcome.note = format!("seed {seed}");
    finish(&outcome, "hostile: garbage behind a good header");
}

#[test]
fn a_tebibyte_of_nothing() {
    let (name, image) = golden();
    let dir = scratch();
    let file = File::create(dir.path().join(&name)).unwrap();
    file.write_all_at(&image, 0).unwrap();
    // One more sub-buffer far out, and a page of the second quarter that is nothing.
    file.write_all_at(&image[4096..8192], 4096 + 4096 * 1_000_000).unwrap();
    file.write_all_at(&[0; 100], 4096 + 4096 * 7_000_000).unwrap();
    file.set_len(1 << 40).unwrap();
    let mut outcome = Outcome::default();
    let started = Instant::now();
    let read = judged(dir.path(), &name, &mut outcome).unwrap();
    let first = judged_bytes(&image);
    outcome.lost += u64::from(read <= first);
    outcome.note = format!("read in {} ms", started.elapsed().as_millis());
    finish(&outcome, "hostile: a sparse file of 1 TiB");
}

fn judged_bytes(image: &[u8]) -> usize {
    relay_tests::recover::subs(image).0.iter().map(|s| s.bytes.len()).sum()
}

#[test]
fn what_is_no_plain_file_of_ours_is_refused() {
    let (name, image) = golden();
    let dir = scratch();
    let (path, other) = (dir.path().join(&name), dir.path().join("other"));
    let mut outcome = Outcome::default();
    let mut refused = |what: &str| {
        let read = judged(dir.path(), &name, &mut outcome);
        println!("{what}: {}", read.as_ref().map_or_else(ToString::to_string, |n| n.to_string()));
        outcome.torn += u64::from(!matches!(read, Err(OpenError::Refused(_))));
    };
    std::fs::write(&other, &image).unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    refused("a symbolic link");
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&other, &path).unwrap();
    refused("a hard link");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("a directory");
    std::fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    refused("a FIFO");
    std::fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(other.with_extension("s")).unwrap();
    std::fs::rename(other.with_extension("s"), &path).unwrap();
    refused("a socket");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &image).unwrap();
    if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
        refused("another user's");
    } else {
        skipped("hostile: a file of another user", "only root can give files away");
    }
    finish(&outcome, "hostile: links, FIFO, socket, directory, another user's");
}

/// Somebody changes the file for as long as it is read.
fn while_it_changes(attack: &str, change: impl Fn(&File, &mut Random) + Sync) {
    let (name, image) = golden();
    let dir = scratch();
    std::fs::write(dir.path().join(&name), &image).unwrap();
    let file = File::options().write(true).open(dir.path().join(&name)).unwrap();
    let stop = AtomicBool::new(false);
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(1);
            while !stop.load(Ordering::Relaxed) {
                change(&file, &mut random);
            }
        });
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            let _ = judged(dir.path(), &name, &mut outcome);
        }
        stop.store(true, Ordering::Relaxed);
    });
    finish(&outcome, attack);
}

#[test]
fn changed_while_it_is_read() {
    while_it_changes("hostile: lengths and generations change while it is read", |file, random| {
        let at = 4096 + 4096 * random.below(4) + 8 * random.below(32);
        file.write_all_at(&random.below(u64::MAX).to_le_bytes(), at).unwrap();
    });
    while_it_changes("hostile: committed never holds still", |file, random| {
        let committed = 1 << 24 | random.below(500);
        file.write_all_at(&committed.to_le_bytes(), 4096 + 8).unwrap();
    });
    while_it_changes("hostile: cut and lengthened while it is read", |file, random| {
        file.set_len(random.below(20_000)).unwrap();
    });
}

/// Runs `f` in a process of its own, and changes what a sub-buffer says before and after each system call
/// of it. What `f` says comes back; `None` where it comes to no end.
fn among_restless_bytes(file: &File, dir: &Path, f: impl FnOnce() -> String) -> Option<String> {
    let said = dir.join("said");
    let _ = std::fs::remove_file(&said);
    let pid = sys::fork(|| {
        sys::trace_me();
        sys::stop_here();
        std::fs::write(&said, f()).map_or(1, |()| 0)
    });
    assert_eq!(sys::wait(pid), Waited::Stopped(libc::SIGSTOP));
    for turn in 0..5_000_000u64 {
        let committed = (1 << 24) | (turn % 400 * 8);
        file.write_all_at(&committed.to_le_bytes(), 4096 + 8).unwrap();
        match sys::to_next_call(pid) {
            Waited::Stopped(_) => {}
            ended => {
                assert_eq!(ended, Waited::Exited(0));
                return Some(std::fs::read_to_string(&said).unwrap());
            }
        }
    }
    sys::kill(pid, libc::SIGKILL);
    let _ = sys::wait(pid);
    None
}

/// A sub-buffer that never holds still, whoever looks: it is named, everything else is there.
#[test]
fn a_sub_buffer_that_never_holds_still() {
    let (name, image) = golden();
    let dir = scratch();
    let live = dir.path().join("live");
    let mut config = Config::new(&live, "app");
    (config.sub_buffer, config.initial, config.keeper) = (4096, 16384, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    (0..50).for_each(|i| writer.write(&make(1, i, 100)).unwrap());
    std::fs::write(live.join(&name), &image).unwrap();
    let file = File::options().write(true).open(live.join(&name)).unwrap();
    let mut outcome = Outcome::default();
    let named = |said: &str| said.contains(&name) && said.contains("hold still");

    let audit = |dir: &Path| {
        let audit = Audit::of(&Store::open(dir, None).unwrap()).unwrap();
        let mut said = format!("{:?}\n{:?}\n", audit.verdict, audit.doubts);
        for channel in audit.channels {
            said += &format!(
                "{} {:?} {}\n",
                channel.channel,
                channel.verdict,
                channel.waiting + channel.archived
            );
        }
        said
    };
    let show = |dir: &Path| {
        let mut snapshot = Snapshot::take(&Store::open(dir, None).unwrap()).unwrap();
        let mut of_app = 0;
        snapshot.events(&mut Filter::new(), false, &mut |event| {
            of_app += u32::from(event.source.channel == "app");
            ControlFlow::Continue(())
        });
        format!("{of_app} of app\n{:?}{:?}", snapshot.notes, snapshot.problems)
    };
    let collect = |dir: &Path| {
        let mut collector = Collector::open(Options::new(dir)).unwrap();
        collector.drain(&Control::new()).unwrap();
        format!("{:?}", collector.left())
    };
    let mut judge = |what: &str, said: Option<String>, must: &[&str]| {
        outcome.cases += 1;
        let Some(said) = said else {
            outcome.hangs += 1;
            return;
        };
        if !named(&said) || !must.iter().all(|must| said.contains(must)) {
            outcome.torn += 1;
            outcome.note += &format!("[{what}: {said}] ");
        }
    };
    let path = dir.path();
    // What lies behind it in the same channel is there, and the hole is not called a loss.
    let must = ["CannotTell\n", "app Whole 50", "golden CannotTell 13"];
    judge("audit", among_restless_bytes(&file, path, || audit(path)), &must);
    judge("show", among_restless_bytes(&file, path, || show(path)), &["50 of app"]);
    judge("collect", among_restless_bytes(&file, path, || collect(path)), &[]);
    judge("audit", among_restless_bytes(&file, path, || audit(path)), &must);
    assert!(live.join(&name).exists(), "it was not finished");
    // Once it holds still, it is a channel as any other.
    file.write_all_at(&image[4096 + 8..4096 + 16], 4096 + 8).unwrap();
    assert_eq!(collect(path), "[]");
    assert!(!live.join(&name).exists());
    let all = audit(path);
    assert!(["app Whole 50", "golden Whole 20"].iter().all(|of| all.contains(of)), "{all}");
    finish(&outcome, "hostile: a sub-buffer never holds still, read by audit, cat and collector");
}

/// A directory in memory where there is one: some attacks write a file tens of thousands of times.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
