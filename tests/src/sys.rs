//! fork, ptrace and shared pages: the only unsafe code of this crate.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// A page of words that a parent and its children share through a file.
#[derive(Debug)]
pub struct Shared {
    at: *mut AtomicU64,
}

// SAFETY: the page stays mapped until the process ends and is only reached as atomics.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// How many words there are.
    pub const WORDS: usize = 512;

    /// Maps the page in the file `path`, making it where it is missing.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.unwrap();
        file.set_len(8 * Self::WORDS as u64).unwrap();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                8 * Self::WORDS,
                access,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED, "a page cannot be mapped");
        Self { at: at.cast() }
    }

    /// One of its words.
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < Self::WORDS);
        // SAFETY: in bounds, aligned, mapped for the life of the process, only reached as atomics.
        unsafe { &*self.at.wrapping_add(index) }
    }
}

/// How a child stands after a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It ended with this code.
    Exited(i32),
    /// It was ended by this signal.
    Killed(i32),
    /// It is stopped by this signal.
    Stopped(i32),
}

/// Waits for a child to stop or end.
#[must_use]
pub fn wait(pid: i32) -> Waited {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if got == pid {
            break;
        }
        assert_eq!(std::io::Error::last_os_error().kind(), std::io::ErrorKind::Interrupted);
    }
    if libc::WIFEXITED(status) {
        Waited::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Waited::Killed(libc::WTERMSIG(status))
    } else {
        Waited::Stopped(libc::WSTOPSIG(status))
    }
}

fn ptrace(request: libc::c_uint, pid: i32, signal: i32) {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests used here read and write no memory of this process.
    let done = unsafe { libc::ptrace(request, pid, none, libc::c_long::from(signal)) };
    assert_eq!(done, 0, "ptrace({request}): {}", std::io::Error::last_os_error());
}

/// Asks to be traced by the parent.
pub fn trace_me() {
    ptrace(libc::PTRACE_TRACEME, 0, 0);
}

/// Has a stopped child run one instruction, and waits until it has.
#[must_use]
pub fn step(pid: i32) -> Waited {
    step_into(pid, 0)
}

/// As [`step`], but a signal comes first: the child stops at the first instruction of its handler.
#[must_use]
pub fn step_into(pid: i32, signal: i32) -> Waited {
    ptrace(libc::PTRACE_SINGLESTEP, pid, signal);
    wait(pid)
}

/// What `clock_gettime` of the C library does, by a system call. The kernel's own code in the process
/// (vDSO) reads a clock again and again until no tick of the machine came in between: a child that is run
/// one instruction at a time, and looked at after each, may be so slow that one always does, and would
/// never come out of it.
#[must_use]
pub fn clock_by_call(clock: libc::clockid_t, now: &mut libc::timespec) -> libc::c_int {
    // SAFETY: `now` outlives the call; the kernel writes one value of its type there.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut *now) as libc::c_int }
}

/// Has a stopped child run on to where its next system call begins, or ends.
#[must_use]
pub fn to_next_call(pid: i32) -> Waited {
    ptrace(libc::PTRACE_SYSCALL, pid, 0);
    wait(pid)
}

/// Has `handler` run when `signal` comes.
pub fn on_signal(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handler is a function of the program's own; that it logs is what is attacked.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

/// Has SIGALRM come to this thread every so many microseconds; 0: no more. Threads that were started
/// before must have it blocked, or have it come to them.
pub fn interrupt_this_thread(micros: u32) {
    // SAFETY: zero is a value of it.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGALRM;
    event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
    // The first timer of a process is number 0.
    static TIMER: AtomicU64 = AtomicU64::new(u64::MAX);
    let mut timer = TIMER.load(std::sync::atomic::Ordering::SeqCst) as libc::timer_t;
    if timer as u64 == u64::MAX {
        // SAFETY: both outlive the call.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        assert_eq!(made, 0, "there is no timer");
        TIMER.store(timer as u64, std::sync::atomic::Ordering::SeqCst);
    }
    let every = libc::timespec { tv_sec: 0, tv_nsec: i64::from(micros) * 1_000 };
    let times = libc::itimerspec { it_interval: every, it_value: every };
    // SAFETY: the timer was made above and is never deleted; `times` outlives the call.
    let set = unsafe { libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()) };
    assert_eq!(set, 0, "the timer cannot be set");
}

/// Sends this thread a signal.
pub fn raise(signal: i32) {
    // SAFETY: raise touches no memory.
    unsafe { libc::raise(signal) };
}

/// Has a stopped child run on, and waits until it stops or ends.
#[must_use]
pub fn go_on(pid: i32) -> Waited {
    ptrace(libc::PTRACE_CONT, pid, 0);
    wait(pid)
}

/// Whether a process's first thread sleeps in a system call.
#[must_use]
pub fn is_asleep(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'))
}

/// Stops this process until its tracer lets it go on.
pub fn stop_here() {
    raise(libc::SIGSTOP);
}

/// Sends a signal to a child.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: kill touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// Forks: runs `f` in the child, which ends with the code it returns and runs no destructors of the
/// parent's. Returns the child's id.
#[must_use]
pub fn fork(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `f` and then `_exit`; `f` is code of these tests that takes no locks
    // that another thread may hold.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid > 0 {
        return pid;
    }
    let code = f();
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(code) }
}

/// As [`fork`], by the system call alone: no handlers of the C library run.
#[must_use]
pub fn raw_fork(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: as in `fork`; without CLONE_VM the child has its own copy of all memory.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    assert!(pid >= 0, "clone: {}", std::io::Error::last_os_error());
    if pid > 0 {
        return pid;
    }
    let code = f();
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(code) }
}

/// Closes a descriptor behind the back of whoever owns it, as daemons do.
pub fn close_behind_the_back(fd: i32) {
    // SAFETY: closing a number is memory-safe; that its owner does not know is the attack.
    unsafe { libc::close(fd) };
}

/// Has what this process says on stderr go into a file.
pub fn stderr_to(file: &File) {
    // SAFETY: descriptors are numbers; that of `file` is open.
    unsafe { libc::dup2(file.as_raw_fd(), 2) };
}

/// Shuts this process in, all of its threads: `root` is all it sees of the file system, it is nobody, and every
/// call that opens, makes, or executes something is refused.
///
/// # Errors
/// Where that is not allowed.
pub fn jail(root: &Path) -> std::io::Result<()> {
    /// Nobody, by the number that it has everywhere.
    const NOBODY: u32 = 65_534;
    let refused = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_creat,
        libc::SYS_memfd_create,
        libc::SYS_socket,
        libc::SYS_execve,
        libc::SYS_execveat,
    ];
    let step = |code: u32, jt: usize, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf,
        k,
    };
    // The call's number, the first word of what a filter sees, is compared with each that is refused.
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (i, call) in refused.iter().enumerate() {
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        filter.push(step(equal, refused.len() - i, 0, *call as u32));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter.push(step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    rustix::process::chroot(root)?;
    rustix::process::chdir("/")?;
    // SAFETY: it takes a number. The C library does it for all threads.
    let mut done = unsafe { libc::setgid(NOBODY) };
    // SAFETY: as above.
    done |= unsafe { libc::setuid(NOBODY) };
    if done != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // The filter takes it over to all threads.
    rustix::thread::set_no_new_privs(true)?;
    let (mode, all) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the program and the filter that it points to outlive the call.
    let filtered = unsafe { libc::syscall(libc::SYS_seccomp, mode, all, &raw const program) };
    if filtered != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let refused = File::open("/").map_err(|error| error.raw_os_error());
    assert!(matches!(refused, Err(Some(libc::EPERM))), "it is not refused: {refused:?}");
    Ok(())
}

/// Shuts the ext4 down that `path` lies on, as a power cut would: what is not on the disk is gone, the
/// journal too.
///
/// # Errors
/// Where that is not allowed.
pub fn shut_down(path: &Path) -> std::io::Result<()> {
    /// `EXT4_IOC_SHUTDOWN`: `_IOR('X', 125, __u32)`.
    const SHUTDOWN: libc::c_ulong = 0x8004_587d;
    // `EXT4_GOING_FLAGS_NOLOGFLUSH`.
    let flags: u32 = 2;
    let file = File::open(path)?;
    // SAFETY: the kernel reads one u32, which outlives the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), SHUTDOWN, &raw const flags) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Where [`escape`] goes; null while nothing can be left.
static BACK: AtomicPtr<libc::ucontext_t> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// What runs on the other stack, and where that is left to.
    static THERE: Cell<Option<(extern "C" fn(), *mut libc::ucontext_t)>> = const { Cell::new(None) };
}

/// The first on the other stack: where it is left to is filled in by now.
extern "C" fn begin() {
    if let Some((f, back)) = THERE.take() {
        BACK.store(back, SeqCst);
        f();
    }
}

/// Sends a signal to a thread.
pub fn signal_thread<T>(thread: &std::thread::JoinHandle<T>, signal: i32) {
    use std::os::unix::thread::JoinHandleExt;
    // SAFETY: it was not joined yet, so that the number is still its own.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), signal) };
}

/// Runs `f` on a stack of its own, until it returns or a signal handler leaves it by [`escape`].
pub fn until_escape(f: extern "C" fn()) {
    let mut stack = vec![0u8; 256 << 10];
    // SAFETY: zero is a value of it, and of the next.
    let mut back: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut there: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: `there` outlives the call.
    unsafe { libc::getcontext(&raw mut there) };
    there.uc_stack.ss_sp = stack.as_mut_ptr().cast();
    there.uc_stack.ss_size = stack.len();
    there.uc_link = &raw mut back;
    THERE.set(Some((f, &raw mut back)));
    // SAFETY: `there` has a stack, and `begin` takes no arguments.
    unsafe { libc::makecontext(&raw mut there, begin, 0) };
    // SAFETY: both outlive the call; it returns once, when `f` has returned or was left.
    unsafe { libc::swapcontext(&raw mut back, &raw const there) };
    BACK.store(std::ptr::null_mut(), SeqCst);
}

/// Leaves a signal handler and whatever it interrupted for good, as siglongjmp does: back to where
/// [`until_escape`] was called. Nothing where it was not.
pub fn escape() {
    let back = BACK.swap(std::ptr::null_mut(), SeqCst);
    if !back.is_null() {
        // SAFETY: it was filled in by `until_escape`, which waits for this in its frame.
        unsafe { libc::setcontext(back) };
    }
}

/// A library that was loaded, with a copy of everything.
#[derive(Debug)]
pub struct Library(*mut libc::c_void);

impl Library {
    /// Loads it, apart from everything that is there.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path is a string; what runs at loading is the standard library's.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        Self(library)
    }

    /// Calls a function of [`crate::plugin`].
    pub fn call(&self, name: &std::ffi::CStr, number: u64) {
        // SAFETY: the library is loaded, the name a string.
        let at = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!at.is_null(), "{name:?} is not there");
        // SAFETY: all functions of `crate::plugin` have this type.
        let f = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(u64)>(at) };
        f(number);
    }

    /// Unloads it, as far as the C library does.
    pub fn close(self) {
        // SAFETY: nobody calls it any more.
        unsafe { libc::dlclose(self.0) };
    }
}

/// Sets this library's own copy of the logger up, in the directory that `RELAY_APART` names.
// SAFETY: no other library has the name.
#[unsafe(no_mangle)]
pub extern "C" fn relay_plugin_init(_: u64) {
    crate::plugin::init();
}

/// Logs a record through this library's own copy.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn relay_plugin_log(number: u64) {
    crate::plugin::log(number);
}
