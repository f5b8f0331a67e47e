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
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        let mut watch = Self { inotify, changed: true };
        watch.also(dir);
        watch
    }

    /// Watches another directory too. Files that went with the one before still belong to that one,
    /// for the kernel as well: their writers wake as ever.
    pub(crate) fn also(&mut self, dir: &Path) {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        let watched = |fd: &OwnedFd| inotify::add_watch(fd, dir, flags).is_ok();
        self.inotify = self.inotify.take().filter(watched);
        self.changed = true;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::*;
    use std::fs::FileTimes;

    fn is_woken(watch: &Watch) -> bool {
        let fd = watch.inotify.as_ref().unwrap();
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn files_whose_directory_is_gone_still_wake() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("live");
        std::fs::create_dir(&dir).unwrap();
        let file = std::fs::File::create(dir.join("file")).unwrap();
        let mut watch = Watch::new(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        watch.also(&dir);
        let other = std::fs::File::create(dir.join("file")).unwrap();
        assert!(watch.take_changed());
        assert!(!is_woken(&watch));
        assert!(!watch.take_changed());
        for file in [file, other] {
            let now = std::time::SystemTime::now();
            file.set_times(FileTimes::new().set_accessed(now).set_modified(now)).unwrap();
            assert!(is_woken(&watch));
            assert!(!watch.take_changed(), "no new file");
        }
    }
}
