//! Limits, full disks, vandals: nobody dies, nobody loses.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::channel::{Config, CreateError, RawChannel};
use relay_tests::disk::{alone, mount, unmount};
use relay_tests::drain::Drain;
use relay_tests::producer::{DISCARDED, DONE, GATE, NOT_ALLOWED, Producer};
use relay_tests::report::{Outcome, skipped};
use relay_tests::verdict::judge;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const EXE: &str = env!("CARGO_BIN_EXE_producer");

fn start(home: &Path, options: &str) -> Producer {
    Producer::start(Command::new(EXE), home, options)
}

/// Longer than what a keeper has seen of a sub-buffer counts: what was taken away before is noticed.
const NOTICED: Duration = Duration::from_millis(60);

/// Waits until the producer makes no more progress. Returns whether it is still alive.
fn settle(producer: &mut Producer) -> bool {
    let mut before = producer.returned();
    loop {
        std::thread::sleep(Duration::from_millis(150));
        let now = producer.returned();
        if now == before {
            return producer.child.try_wait().unwrap().is_none();
        }
        before = now;
    }
}

/// Collects until the producer has ended and everything is read.
fn collect(producer: &mut Producer, mut drain: Drain) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut status = None;
    while status.is_none() && Instant::now() < deadline {
        drain.drain();
        std::thread::sleep(Duration::from_micros(300));
        status = producer.child.try_wait().unwrap();
    }
    drain.drain();
    let mut outcome = judge(&drain.finish(), &producer.returned());
    match status {
        None => outcome.hangs += 1,
        Some(status) if !status.success() => {
            outcome.crashes += 1;
            outcome.note += &format!("{status} ");
        }
        Some(_) => {}
    }
    let _ = producer.child.kill();
    let _ = producer.child.wait();
    outcome
}

/// A producer that runs into a limit, waits, and goes on when a collector comes.
fn waits_and_goes_on(attack: &str, options: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut producer = start(home.path(), options);
    let drain = Drain::open(&producer.live, &producer.channel());
    let alive = settle(&mut producer);
    let done = producer.shared.word(DONE).load(SeqCst);
    let mut outcome = collect(&mut producer, drain);
    outcome.crashes += u64::from(!alive && done == 0);
    outcome.note += &format!("{} records", producer.returned().iter().sum::<u64>());
    outcome.print(attack);
    assert!(outcome.is_clean() && done == 0, "{outcome:?}");
}

#[test]
fn at_the_file_size_limit_a_producer_waits() {
    for keeper in [0, 1] {
        let options = format!("threads=2 count=20000 keeper={keeper} fsize=200000");
        waits_and_goes_on("RLIMIT_FSIZE, nobody collects, then somebody does", &options);
    }
}

#[test]
fn at_the_file_size_limit_a_producer_discards() {
    let home = tempfile::tempdir().unwrap();
    let options = "threads=1 count=20000 full=discard fsize=200000";
    let mut producer = start(home.path(), options);
    let status = producer.child.wait().unwrap();
    let discarded = producer.shared.word(DISCARDED).load(SeqCst);
    let mut drain = Drain::open(&producer.live, &producer.channel());
    drain.drain();
    let there: usize = drain.finish().writers.values().map(Vec::len).sum();
    let lost = 20_000 - there as u64 - discarded;
    let mut outcome = Outcome { cases: 1, lost, ..Outcome::default() };
    outcome.crashes += u64::from(!status.success());
    outcome.note = format!("{there} kept, {discarded} said to be discarded");
    outcome.print("RLIMIT_FSIZE, a channel that discards");
    assert!(outcome.is_clean() && discarded > 0, "{outcome:?}");
}

#[test]
fn with_few_addresses_a_producer_reserves_less() {
    let home = tempfile::tempdir().unwrap();
    let mut producer = start(home.path(), "threads=2 count=20000 memory=2147483648");
    let drain = Drain::open(&producer.live, &producer.channel());
    let outcome = collect(&mut producer, drain);
    outcome.print("RLIMIT_AS of 2 GiB, where 64 GiB would be reserved");
    assert!(outcome.is_clean(), "{outcome:?}");
}

/// As in a container whose memory file system is small.
#[test]
fn a_file_system_that_is_too_small_is_named_at_once() {
    let attack = "a channel larger than its file system";
    if !alone("a_file_system_that_is_too_small_is_named_at_once", attack) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let live = home.path().join("live");
    let _ = mount("1m", &live);
    let mut config = Config::new(&live, "app");
    let mut outcome = Outcome { cases: 2, ..Outcome::default() };
    let error = RawChannel::create(config.clone()).map(|channel| channel.file_name());
    let left = std::fs::read_dir(&live).unwrap().count();
    match error {
        Err(CreateError::NoSpace { needed, free, .. }) => {
            outcome.note = format!("{needed} bytes wanted, {free} there");
            outcome.torn += u64::from(needed <= 4 << 20 || free > 1 << 20 || left > 0);
        }
        other => {
            outcome.torn += 1;
            outcome.note = format!("{other:?}");
        }
    }
    // What there is room for goes, at once.
    config.initial = 256 << 10;
    let channel = RawChannel::create(config).unwrap();
    channel.writer().write(b"it goes").unwrap();
    drop(channel);
    unmount(&live);
    outcome.print(attack);
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn without_descriptors_a_producer_goes_on() {
    for keeper in [0, 1] {
        let home = tempfile::tempdir().unwrap();
        let options = format!("threads=4 count=20000 nofile=0 keeper={keeper}");
        let mut producer = start(home.path(), &options);
        let drain = Drain::open(&producer.live, &producer.channel());
        let outcome = collect(&mut producer, drain);
        outcome.print("RLIMIT_NOFILE 0 after the channel is open");
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

/// A service that shuts itself in once it is set up. Its channel grows, and threads begin, afterwards.
#[test]
fn shut_in_a_producer_goes_on() {
    let attack = "chroot, setuid and seccomp after the channel is open";
    for keeper in [0, 1] {
        let home = tempfile::tempdir().unwrap();
        let jail = home.path().join("jail");
        std::fs::create_dir(&jail).unwrap();
        let options = format!("threads=4 count=20000 keeper={keeper} jail={}", jail.display());
        let mut producer = start(home.path(), &options);
        let drain = Drain::open(&producer.live, &producer.channel());
        let before = std::fs::metadata(producer.live.join(producer.channel())).unwrap().len();
        if settle(&mut producer) {
            let _ = producer.child.kill();
        }
        if producer.child.wait().unwrap().code() == Some(NOT_ALLOWED) {
            skipped(attack, "not allowed here");
            return;
        }
        let after = std::fs::metadata(producer.live.join(producer.channel())).unwrap().len();
        let mut outcome = collect(&mut producer, drain);
        outcome.lost += 4 * 20_000 - producer.returned().iter().sum::<u64>();
        outcome.note += &format!("grown from {before} to {after} bytes");
        outcome.print(attack);
        assert!(outcome.is_clean() && after > before, "{outcome:?}");
    }
}

#[test]
fn a_daemon_that_closes_descriptors_writes_into_nobody_elses_file() {
    for keeper in [0, 1] {
        let home = tempfile::tempdir().unwrap();
        let victim = home.path().join("victim");
        std::fs::write(&victim, vec![7u8; 1 << 20]).unwrap();
        let options = format!("threads=2 count=20000 keeper={keeper} daemon={}", victim.display());
        let mut producer = start(home.path(), &options);
        let drain = Drain::open(&producer.live, &producer.channel());
        let mut outcome = collect(&mut producer, drain);
        let touched = std::fs::read(&victim).unwrap() != vec![7u8; 1 << 20];
        outcome.torn += u64::from(touched);
        outcome.print("all descriptors closed and reused by the program");
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

/// Runs `producer` on a tmpfs of its own, that nobody else sees; `None` where that cannot be done.
fn on_small_disk(home: &Path, size: &str, options: &str) -> Option<Producer> {
    let mut command = Command::new("unshare");
    let live = home.join("live");
    std::fs::create_dir(&live).unwrap();
    let mount =
        format!("mount -t tmpfs -o size={size} none {} && exec {EXE} \"$@\"", live.display());
    let can = Command::new("unshare").args(["-m", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        return None;
    }
    command.args(["-m", "sh", "-c", &mount, "sh"]);
    let mut producer = Producer::start(command, home, options);
    producer.live = format!("/proc/{}/root{}", producer.child.id(), live.display()).into();
    Some(producer)
}

#[test]
fn on_a_full_disk_a_producer_waits() {
    let attack = "tmpfs filled up behind the producer's back";
    let disks = [("1m", 512 << 10, 0), ("1m", 512 << 10, 1), ("4m", 8192, 0), ("20m", 8192, 1)];
    for (size, initial, keeper) in disks {
        let home = tempfile::tempdir().unwrap();
        let options =
            format!("threads=2 count=20000 len=1200 pause=1 keeper={keeper} initial={initial}");
        let Some(mut producer) = on_small_disk(home.path(), size, &options) else {
            skipped(attack, "mount namespaces are not allowed here");
            return;
        };
        let drain = Drain::open(&producer.live, &producer.channel());
        // Everything that is left, to the last block.
        let mut filler = std::fs::File::create(producer.live.join("filler")).unwrap();
        while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|n| n > 0) {}
        let alive = settle(&mut producer);
        let done = producer.shared.word(DONE).load(SeqCst);
        let mut outcome = collect(&mut producer, drain);
        outcome.crashes += u64::from(!alive);
        outcome.note += &format!("{size}, {} records", producer.returned().iter().sum::<u64>());
        outcome.print(attack);
        assert!(outcome.is_clean() && done == 0, "{outcome:?}");
    }
}

#[test]
fn unlinked_under_load() {
    let home = tempfile::tempdir().unwrap();
    let mut producer = start(home.path(), "threads=2 count=20000 max=65536");
    let name = producer.channel();
    let drain = Drain::open(&producer.live, &name);
    std::fs::remove_file(producer.live.join(&name)).unwrap();
    let outcome = collect(&mut producer, drain);
    outcome.print("the live file is unlinked, the collector has it open");
    assert!(outcome.is_clean(), "{outcome:?}");
}

#[test]
fn cut_short_by_somebody_else() {
    for keeper in [0, 1] {
        let home = tempfile::tempdir().unwrap();
        let options =
            format!("threads=2 count=20000 keeper={keeper} initial=262144 max=262144 gate=1");
        let mut producer = start(home.path(), &options);
        let name = producer.channel();
        let file = std::fs::File::options().write(true).open(producer.live.join(&name)).unwrap();
        // All that the header page is not: sub-buffers that nobody has leased yet.
        file.set_len(4096 + 5000).unwrap();
        std::thread::sleep(NOTICED);
        let drain = Drain::open(&producer.live, &name);
        producer.shared.word(GATE).store(1, SeqCst);
        let outcome = collect(&mut producer, drain);
        outcome.print("the live file is cut to two pages before it is used");
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

#[test]
fn holes_punched_on_a_full_disk() {
    let attack = "unused sub-buffers are punched out and the disk filled up";
    for keeper in [0, 1] {
        let home = tempfile::tempdir().unwrap();
        let options = format!("threads=2 count=20000 keeper={keeper} initial=524288 gate=1");
        let Some(mut producer) = on_small_disk(home.path(), "1m", &options) else {
            skipped(attack, "mount namespaces are not allowed here");
            return;
        };
        let name = producer.channel();
        let file = std::fs::File::options().write(true).open(producer.live.join(&name)).unwrap();
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, punch, 4096 + 4 * 4096, 1 << 20).unwrap();
        let mut filler = std::fs::File::create(producer.live.join("filler")).unwrap();
        while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|n| n > 0) {}
        std::thread::sleep(NOTICED);
        let drain = Drain::open(&producer.live, &name);
        producer.shared.word(GATE).store(1, SeqCst);
        let alive = settle(&mut producer);
        let mut outcome = collect(&mut producer, drain);
        outcome.crashes += u64::from(!alive);
        outcome.print(attack);
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

/// What nothing helps against: the pages that are being written are taken away, by somebody who may write
/// the file. Whether the program then dies by SIGBUS is reported, not judged. Who reads goes on, and has
/// what it read before.
#[test]
fn cut_to_nothing_under_load() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let mut producer = start(home.path(), "threads=2 count=2000000 max=65536");
    let path = producer.live.join(producer.channel());
    let mut drain = Drain::open(&producer.live, &producer.channel());
    drain.drain();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let mode = file.metadata().unwrap().permissions().mode() & 0o777;
    file.set_len(0).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut status = None;
    let (mut looks, mut refused) = (0, 0);
    while status.is_none() && Instant::now() < deadline {
        // An error or nothing at all, but no signal: it reads by system calls.
        looks += 1;
        refused += u64::from(drain.reader.scan().map_or(true, |subs| subs.is_empty()));
        std::thread::sleep(Duration::from_millis(1));
        status = producer.child.try_wait().unwrap();
    }
    let _ = producer.child.kill();
    let _ = producer.child.wait();
    let found = judge(&drain.finish(), &vec![0; producer.threads]);
    let note = format!(
        "mode {mode:o}; the program: {status:?}; its reader looked {looks} times, {refused} refused"
    );
    let outcome = Outcome { cases: 1, doubled: found.doubled, note, ..Outcome::default() };
    outcome.print("KNOWN LIMIT live file cut to 0 under load");
    assert!(mode == 0o600 && looks > 0 && outcome.is_clean(), "{outcome:?}");
}

/// A forked child opens a channel of its own, and needs descriptors for that: without any it says so, and
/// its records are nowhere. Its parent goes on.
#[test]
fn a_forked_child_without_descriptors_says_so() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let home = relay_tests::arena::scratch();
    let Some(dir) =
        relay_tests::arena::apart("a_forked_child_without_descriptors_says_so", home.path())
    else {
        return;
    };
    let _relay = relay_log::Relay::builder(&dir).channel("app").init().unwrap();
    let log = |what: &str| (0..2_000).for_each(|number| log::info!("{what} {number}"));
    log("before");
    let said = dir.join("said");
    let child = relay_tests::sys::fork(|| {
        relay_tests::sys::stderr_to(&std::fs::File::create(&said).unwrap());
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum }).unwrap();
        log("child");
        0
    });
    log("parent");
    let ended = relay_tests::sys::wait(child);
    let mut collector = relay_collect::Collector::open(relay_collect::Options::new(&dir)).unwrap();
    collector.drain(&relay_collect::Control::new()).unwrap();
    let mut outcome = relay_tests::archived::audited(&dir, 4_000);
    outcome.crashes += u64::from(ended != relay_tests::sys::Waited::Exited(0));
    let said = std::fs::read_to_string(&said).unwrap();
    outcome.note = format!("the child said: {}", said.trim());
    outcome.print("KNOWN LIMIT a forked child without descriptors has no channel");
    assert!(outcome.is_clean() && said.contains("a forked child has no channel"), "{outcome:?}");
}
