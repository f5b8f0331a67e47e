//! The few things of the operating system that no safe library offers.

use super::sync::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::time::Duration;

/// Waits until `word` no longer holds `value`, somebody wakes, a signal comes, or time is up.
///
/// The word may be shared between processes: the wait is never FUTEX_PRIVATE, which would not hear
/// the collector.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, at_most: Duration) {
    let timeout = libc::timespec {
        tv_sec: at_most.as_secs().min(3600) as libc::time_t,
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // SAFETY: `word` lives while it is borrowed, `timeout` during the call; the kernel reads both.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const timeout);
    }
}

/// Wakes up to `count` waiters of the futex at `address`.
///
/// Only the address matters: the kernel looks up who waits there and reads nothing.
pub(crate) fn futex_wake(address: *const u32, count: u32) {
    // SAFETY: an address that is not mapped is answered with EFAULT.
    unsafe {
        libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, count);
    }
}

/// What the kernel sets to 0 in every child that gets a copy of this memory.
#[derive(Debug)]
#[repr(C)]
struct Here {
    epoch: AtomicU32,
    era: AtomicU32,
    /// By [`Lock`]: 1 while a thread of this process has it.
    locks: [AtomicU32; 2],
}

static HERE: AtomicPtr<Here> = AtomicPtr::new((&raw const ANYWHERE).cast_mut());
/// The values that it has in this process.
static EPOCH: AtomicU32 = AtomicU32::new(1);
static ERA: AtomicU32 = AtomicU32::new(1);

/// Before there is such memory, everything is the first process.
static ANYWHERE: Here = Here {
    epoch: AtomicU32::new(1),
    era: AtomicU32::new(1),
    locks: [const { AtomicU32::new(0) }; 2],
};

#[inline(always)]
fn here() -> &'static Here {
    // SAFETY: a static, or mapped for as long as the process lives, in children too.
    unsafe { &*HERE.load(Relaxed) }
}

/// Which process this is in a line of forks; 0 in a child that has not said [`new_epoch`] yet.
#[inline(always)]
pub(crate) fn epoch() -> u32 {
    here().epoch.load(Relaxed)
}

/// Changes with every fork and whenever what loggers remember about callsites no longer holds
/// ([`new_era`]); 0 where the epoch is. No number comes again in a line of forks.
#[inline(always)]
pub(crate) fn era() -> u32 {
    here().era.load(Acquire)
}

/// Ends what anybody remembers from before. After what has changed, so that who sees the new number
/// sees the change too.
pub(crate) fn new_era() {
    let era = ERA.fetch_add(1, Relaxed) + 1;
    // In a child that does not know itself yet it stays 0.
    if epoch() != 0 {
        here().era.store(era, Release);
    }
}

/// Sets up the word. Without it (a kernel before 4.14) forks are not seen.
pub(crate) fn watch_forks() {
    let anywhere = (&raw const ANYWHERE).cast_mut();
    if HERE.load(Acquire) != anywhere {
        return;
    }
    let Ok(map) = memmap2::MmapOptions::new().len(4096).map_anon() else {
        return;
    };
    let map = std::mem::ManuallyDrop::new(map);
    let at = map.as_ptr().cast_mut();
    // SAFETY: the page is this function's own and stays mapped: it is never unmapped.
    if unsafe { libc::madvise(at.cast(), 4096, libc::MADV_WIPEONFORK) } != 0 {
        return;
    }
    let mapped = at.cast::<Here>();
    // SAFETY: the page is mapped, writable, aligned and zeroed, which are valid atomics.
    let here = unsafe { &*mapped };
    here.epoch.store(EPOCH.load(Relaxed), Relaxed);
    // Nobody begins an era before this is done: there is no relay yet whose filter could change.
    here.era.store(ERA.load(Relaxed), Relaxed);
    // Two threads may race here: the loser's page is a page wasted.
    let _ = HERE.compare_exchange(anywhere, mapped, Release, Relaxed);
}

/// Says in a forked child that it knows what it is. Returns the new epoch.
pub(crate) fn new_epoch() -> u32 {
    let epoch = EPOCH.fetch_add(1, Relaxed) + 1;
    if !std::ptr::eq(here(), &raw const ANYWHERE) {
        here().epoch.store(epoch, Relaxed);
        new_era();
    }
    epoch
}

/// What one thread of a process does at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lock {
    /// Making a forked child's channels.
    Forking,
    /// Making or preparing the program's relay.
    #[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only loggers are set up"))]
    SettingUp,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked(&'static AtomicU32);

/// Takes a lock that is open in every forked child: an ordinary one that another thread has at the
/// moment of a fork stays locked in the child for ever, for there is no such thread.
pub(crate) fn lock(which: Lock) -> Locked {
    watch_forks();
    let word = &here().locks[which as usize];
    while word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
        futex_wait(word, 1, Duration::from_millis(100));
    }
    Locked(word)
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.store(0, Release);
        futex_wake(self.0.as_ptr(), u32::MAX >> 1);
    }
}

/// Runs `f` with all signals blocked in this thread, so that a thread that it starts has them
/// blocked from its first instruction to its last.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: a sigset is plain memory, and zero is a value of it.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: `all` is a valid sigset.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are valid and outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before) };
    let result = f();
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    result
}

/// Has `f` run when the process ends by `exit` or by returning from `main`: once, as `asked` remembers.
///
/// The C library has a lock for this that stays locked in a child which is forked meanwhile. Such a child
/// finds that it was asked for, and does not wait for what nobody will open: it ends unannounced.
pub(crate) fn at_exit(asked: &std::sync::atomic::AtomicBool, f: extern "C" fn()) {
    if !asked.swap(true, Relaxed) {
        // SAFETY: `f` is a function of the program's own, there for as long as it runs.
        unsafe { libc::atexit(f) };
    }
}

/// The kernel's id of this thread.
pub(crate) fn tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()
}

/// The thread's name as the kernel has it: at most 15 bytes, needs no memory, works in a signal
/// handler and in a dying thread.
pub(crate) fn thread_name() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the length of the buffer.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}
