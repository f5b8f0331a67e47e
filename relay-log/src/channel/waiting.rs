//! Waiting for the collector, where the channel is full and its policy is to wait.

use super::layout::{Counter, header};
use super::os;
use super::shared::Channel;
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::tick;
use std::time::Duration;

/// A thread that waits for the collector.
pub(super) struct Waiting<'a> {
    channel: &'a Channel,
    since_ns: u64,
    told: bool,
}

impl<'a> Waiting<'a> {
    /// A wait longer than this is said on stderr, once for all threads, in nanoseconds.
    const TELL_AFTER: u64 = 1_000_000_000;
    /// The longest single wait: then the waiter looks for itself.
    const BOUND: Duration = Duration::from_millis(100);

    pub(super) fn begin(channel: &'a Channel) -> Self {
        channel.count(Counter::Waits, 1);
        Self { channel, since_ns: tick::mono_ns(), told: false }
    }

    pub(super) fn wait(&mut self) {
        let channel = self.channel;
        let freed = channel.map.u32(header::FREED);
        let waiters = channel.map.u32(header::WAITERS);
        let before = freed.load(Acquire);
        waiters.fetch_add(1, Release);
        channel.wake_collector();
        channel.wake_keeper();
        // Between reading `freed` and here something may have come back, or another thread may have
        // taken back all that did and left some of it: look once more.
        if channel.reclaim(u32::MAX) == 0 && !channel.has_room() {
            os::futex_wait(freed, before, Self::BOUND);
        }
        waiters.fetch_sub(1, Release);
        let waited = tick::mono_ns().saturating_sub(self.since_ns);
        if waited > Self::TELL_AFTER && !self.told && !channel.told_waiting.swap(true, Relaxed) {
            self.told = true;
            tell(format_args!(
                "relay: channel {} is full and waits for its collector (relay-collect --dir …); nothing is lost",
                channel.config.name
            ));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = tick::mono_ns().saturating_sub(self.since_ns);
        self.channel.count(Counter::WaitNanos, waited);
        if self.told {
            self.channel.told_waiting.store(false, Relaxed);
            tell(format_args!(
                "relay: channel {} goes on after {:.1} s",
                self.channel.config.name,
                waited as f64 / 1e9
            ));
        }
    }
}

/// One line on stderr, in one write, without memory or locks: this may run in a signal handler.
pub(crate) fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let mut buffer = [0u8; 256];
    let mut rest = &mut buffer[..];
    let _ = rest.write_fmt(line);
    let _ = rest.write_all(b"\n");
    let written = 256 - rest.len();
    // SAFETY: stderr is a number; a closed one is answered with EBADF.
    let stderr = unsafe { rustix::fd::BorrowedFd::borrow_raw(2) };
    let _ = rustix::io::write(stderr, &buffer[..written]);
}
