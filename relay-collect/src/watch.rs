//! Sleeping, and being woken: by new files in the live directory, and by writers that change the
//! times of theirs.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// A watch on the live directory; without one (no inotify left) there is only time.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Option<OwnedFd>,
    changed: bool,
}

impl Watch {
    pub(crate) fn new(dir: &Path) -> Self {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        let open = || {
            let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(&fd, dir, flags)?;
            Ok::<_, rustix::io::Errno>(fd)
        };
        Self { inotify: open().ok(), changed: true }
    }

    /// Whether files came since the last time.
    pub(crate) fn take_changed(&mut self) -> bool {
        self.read();
        std::mem::take(&mut self.changed)
    }

    fn read(&mut self) {
        let Some(fd) = &self.inotify else { return };
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        let mut reader = Reader::new(fd, &mut buffer);
        while let Ok(event) = reader.next() {
            let new = ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::QUEUE_OVERFLOW;
            self.changed |= event.events().intersects(new);
        }
    }

    /// Sleeps until something happens or the time is over. A signal ends it too.
    pub(crate) fn sleep(&self, time: Duration) {
        let Some(fd) = &self.inotify else {
            std::thread::sleep(time);
            return;
        };
        let timeout = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout));
    }
}
