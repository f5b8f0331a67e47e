//! How a channel's file comes to be: at no moment does a live channel look dead.
//!
//! O_TMPFILE (it has no name yet) → allocate → map → not for forked children → header → flock, and the
//! descriptor closed at once → only now a name in `live/`. The lock belongs to the open file
//! description, and that lives as long as the mapping: the lock goes when the address space goes,
//! however that happens. A second descriptor, never locked, is for growing.
//!
//! A fork by another thread copies what there is at that moment. Two windows remain, each between two
//! system calls that follow each other: one that comes between map and advice, or between flock and
//! close, leaves the child with a part in the lock, and the channel looks alive until the child, too,
//! has ended (in the second case: or has called `exec`). What was logged is there and is archived
//! meanwhile.

use super::durable::is_in_memory;
use super::error::CreateError;
use super::identity::Identity;
use super::layout::{HEADER_BYTES, IDENTITY_BYTES, sub_buffer_offset};
use super::map::Mapping;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FallocateFlags, FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::io::IoSlice;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// A channel's file, born.
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) map: Mapping,
    pub(crate) grow: GrowFile,
}

/// The descriptor for growing; never locked.
///
/// Programs that become daemons close every descriptor they can find, and the number may by now be
/// a file of theirs, or a database: growing or punching that would destroy it. So it is asked who it
/// is before each use, and where it is somebody else the file is opened again by its name.
#[derive(Debug)]
pub(crate) struct GrowFile {
    fd: ManuallyDrop<OwnedFd>,
    path: PathBuf,
    device: u64,
    inode: u64,
    in_memory: bool,
}

impl GrowFile {
    fn new(fd: OwnedFd, path: PathBuf) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        let in_memory = is_in_memory(&fd);
        let fd = ManuallyDrop::new(fd);
        Ok(Self { fd, path, device: stat.st_dev, inode: stat.st_ino, in_memory })
    }

    fn is_own(&self, fd: &OwnedFd) -> bool {
        rustix::fs::fstat(fd).is_ok_and(|s| (s.st_dev, s.st_ino) == (self.device, self.inode))
    }

    /// How long the file is, if it can be asked cheaply.
    pub(crate) fn len(&self) -> Option<u64> {
        let stat = rustix::fs::fstat(&*self.fd).ok()?;
        let own = (stat.st_dev, stat.st_ino) == (self.device, self.inode);
        own.then_some(stat.st_size.max(0) as u64)
    }

    /// Whether somebody has removed the file's last name.
    pub(crate) fn is_nameless(&self) -> bool {
        self.with(|fd| rustix::fs::fstat(fd)).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Allocates blocks, as [`allocate`], and their pages, as [`fill`].
    pub(crate) fn grow(&self, fd: &OwnedFd, offset: u64, len: u64) -> Result<(), Errno> {
        // In memory allocating is that already.
        let empty = !self.in_memory && is_hole(fd, offset, len);
        allocate(fd, offset, len)?;
        if empty {
            fill(fd, offset, len);
        }
        Ok(())
    }

    /// Does something with the channel's file, and never with another.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&OwnedFd) -> Result<R, Errno>) -> Result<R, Errno> {
        if self.is_own(&self.fd) {
            return f(&self.fd);
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let again = rustix::fs::open(&self.path, flags, Mode::empty())?;
        if self.is_own(&again) { f(&again) } else { Err(Errno::STALE) }
    }
}

impl Drop for GrowFile {
    fn drop(&mut self) {
        if self.is_own(&self.fd) {
            // SAFETY: the field is not used again.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

fn system(dir: &Path, what: &'static str) -> impl FnOnce(Errno) -> CreateError {
    move |errno| CreateError::System { what, dir: dir.display().to_string(), errno }
}

/// Opens the live directory, and makes it where it is missing: for its owner alone unless `mode`
/// says otherwise.
pub(crate) fn open_dir(dir: &Path, mode: u32) -> Result<OwnedFd, CreateError> {
    use std::os::unix::fs::DirBuilderExt;
    // A directory that can be read by a group can be searched by it.
    let dir_mode = mode | (mode & 0o444) >> 2;
    if !dir.is_dir() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(dir_mode).create(dir);
        made.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
            .map_err(system(dir, "make the directory"))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(system(dir, "open the directory"))
}

/// Bytes that are free for this user in the file system of a file or directory.
pub(crate) fn free_bytes(fd: &OwnedFd) -> u64 {
    rustix::fs::fstatvfs(fd).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize))
}

/// Bytes that a file of this process may have.
pub(crate) fn file_size_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Allocates blocks, so that touching them can never be a SIGBUS. Asks the file size limit first:
/// going past that is a deadly signal, not an error.
pub(crate) fn allocate(fd: &OwnedFd, offset: u64, len: u64) -> Result<(), Errno> {
    if offset.saturating_add(len) > file_size_limit() {
        return Err(Errno::FBIG);
    }
    loop {
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, len) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether there is no data from `offset` on, as far as the file system says.
fn is_hole(fd: &OwnedFd, offset: u64, len: u64) -> bool {
    match rustix::fs::seek(fd, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset.saturating_add(len),
        Err(errno) => errno == Errno::NXIO,
    }
}

/// Writes zeros into a hole that was just allocated. The kernel takes memory for them in large pieces,
/// and whoever maps them finds them there. Faulted in one by one, each page is read, and what a device
/// reads ahead is looked through again and again: three times the work for 64 KiB, and far more where
/// much is read ahead.
///
/// What cannot be written is faulted in like that.
fn fill(fd: &OwnedFd, offset: u64, len: u64) {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut done = 0;
    while done < len {
        let pages = (len - done).div_ceil(ZEROS.len() as u64).min(16) as usize;
        let zeros = [IoSlice::new(&ZEROS); 16];
        match rustix::io::pwritev(fd, &zeros[..pages], offset + done) {
            Ok(0) => return,
            Ok(written) => done += written as u64,
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Makes the file of `identity` in `dir`.
pub(crate) fn bear(
    dir_path: &Path,
    dir: &OwnedFd,
    identity: &Identity,
    mode: u32,
) -> Result<Born, CreateError> {
    let because = |what| system(dir_path, what);
    let (first, temporary) = unnamed(dir, identity, mode).map_err(because("create a file"))?;
    let fitted = mode != 0o600;
    if fitted {
        rustix::fs::fchmod(&first, Mode::from_raw_mode(mode)).map_err(because("set the mode"))?;
    }
    let count = identity.initial / u64::from(identity.sub_buffer);
    let bytes = count
        .saturating_mul(u64::from(identity.sub_buffer))
        .saturating_add(sub_buffer_offset(0, identity.sub_buffer));
    let no_space =
        |free| CreateError::NoSpace { needed: bytes, free, dir: dir_path.display().to_string() };
    // Asked for what it has not, a file system may give all that it has before it says so.
    let there =
        rustix::fs::fstatvfs(dir).map_or(u64::MAX, |s| s.f_bfree.saturating_mul(s.f_frsize));
    if bytes > there {
        return Err(no_space(free_bytes(dir)));
    }
    allocate(&first, 0, bytes).map_err(|errno| match errno {
        Errno::NOSPC | Errno::DQUOT => no_space(free_bytes(dir)),
        errno => because("allocate a file")(errno),
    })?;
    let through_proc =
        |fd: &OwnedFd| format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let grow = rustix::fs::open(through_proc(&first), flags, Mode::empty())
        .map_err(because("open a file again through /proc"))?;
    let file = File::from(first);
    let map = Mapping::reserve(&file, bytes as usize + HEADER_BYTES)
        .map_err(|e| because("map a file")(Errno::from_io_error(&e).unwrap_or(Errno::NOMEM)))?;
    // Right behind, before anything else: see above.
    map.dont_fork().map_err(|e| {
        because("keep a file from children")(Errno::from_io_error(&e).unwrap_or(Errno::INVAL))
    })?;
    let header: [u8; IDENTITY_BYTES] = identity.encode();
    map.write(0, &header);
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    drop(file);
    locked.map_err(because("lock a file"))?;
    let name = identity.file_name();
    match temporary {
        Some(hidden) => rustix::fs::renameat(dir, hidden.as_str(), dir, name.as_str()),
        None => {
            let unnamed = through_proc(&grow);
            rustix::fs::linkat(CWD, unnamed, dir, name.as_str(), AtFlags::SYMLINK_FOLLOW)
        }
    }
    .map_err(because("name a file"))?;
    let grow = GrowFile::new(grow, dir_path.join(name)).map_err(because("look at a file"))?;
    Ok(Born { map, grow })
}

/// A file without a name; where the file system has no such thing, one with a hidden name that the
/// collector does not look at.
fn unnamed(
    dir: &OwnedFd,
    identity: &Identity,
    mode: u32,
) -> Result<(OwnedFd, Option<String>), Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    match rustix::fs::openat(dir, ".", flags | OFlags::TMPFILE, mode) {
        Ok(fd) => Ok((fd, None)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
            let hidden = format!(".{}", identity.file_name());
            let new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            rustix::fs::openat(dir, hidden.as_str(), new, mode).map(|fd| (fd, Some(hidden)))
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt;

    const SIZE: u64 = 64 << 10;

    fn grown(file: &GrowFile, at: u64) {
        file.with(|fd| file.grow(fd, at, SIZE)).unwrap();
    }

    #[test]
    fn a_hole_gets_its_pages_and_what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create_new(&path).unwrap();
        let read = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let grow = GrowFile::new(read.into(), path.clone()).unwrap();
        // Something of it is there already, at its end.
        file.write_all_at(b"kept", 4096 + SIZE + SIZE - 4).unwrap();
        for index in [0, 1, 2] {
            grown(&grow, 4096 + index * SIZE);
        }
        // What is only allocated is a hole to those who ask, until somebody reads it; where the file
        // system tells at all. In memory nothing is filled in.
        for index in [0, 2].into_iter().filter(|_| !is_in_memory(&file)) {
            let at = 4096 + index * SIZE;
            assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(at)), Ok(at), "{index}");
        }
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, 4096 + 3 * SIZE);
        assert_eq!(
            bytes.drain(4096 + 2 * SIZE as usize - 4..4096 + 2 * SIZE as usize).as_slice(),
            b"kept"
        );
        assert!(bytes.iter().all(|byte| *byte == 0));
    }
}
