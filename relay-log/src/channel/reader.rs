//! The reading half: another process's bytes are an allegation.
//!
//! MUST: nothing here dereferences channel memory. Everything is read with pread into private memory
//! and parsed there; the collector's few words are written with pwrite. One page is mapped, without
//! ever being looked at: its address is where blocked writers are woken.

use super::birth;
use super::error::OpenError;
use super::identity::Identity;
use super::layout::{
    Counter, HEADER_BYTES, IDENTITY_BYTES, SUB_HEADER_BYTES, State, generation, header, low, sub,
    sub_buffer_offset,
};
use super::map;
use super::os;
use super::shared;
use memmap2::{MmapOptions, MmapRaw};
use relay_fmt::time::Rate;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;

/// A sub-buffer as it was a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sub {
    /// Which one.
    pub index: u32,
    /// What its state word says, with the generation there; `None` for a hole or an unknown state.
    pub state: Option<(u64, State)>,
    /// The generation that `committed` and the lease slot agree on.
    pub generation: u64,
    /// Bytes committed.
    pub committed: u32,
    /// The generation whose every byte is in an archive.
    pub archived: u64,
    /// Numbered records in earlier generations of this sub-buffer.
    pub prior: u64,
    /// The tick when this generation was opened.
    pub opened: u64,
}

impl Sub {
    /// Whether the generation is complete: nothing will be added to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == Some((self.generation, State::Ready))
    }

    /// Whether it holds descriptions of callsites.
    #[must_use]
    pub fn is_meta(&self) -> bool {
        matches!(self.state, Some((_, State::Meta)))
    }
}

/// Bytes of one generation of one sub-buffer, copied out and checked to be of that generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Where they begin in the sub-buffer's records.
    pub from: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a channel's header page says that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Bytes that may wait for the collector.
    pub cap: u64,
    /// Nanoseconds a tick.
    pub rate: Rate,
    /// How many threads wait.
    pub waiters: u32,
    /// Whether the process has said that it ends in order.
    pub closed: bool,
    /// Whether nobody has written since the collector asked to be woken: [`ChannelReader::set_asleep`].
    pub asleep: bool,
    /// How often it has asked that everything be made durable.
    pub sync_wanted: u64,
    /// The last of those requests that is fulfilled; all ones where none can be.
    pub synced: u64,
    /// Until when the file itself was made durable, for want of a collector, UTC nanoseconds; 0 when it
    /// never was.
    pub kept_ns: u64,
    /// Whether something is handed back whose archive is not synced yet.
    pub unsynced: bool,
    /// Everything committed until then is durable in archives, UTC nanoseconds.
    pub durable_ns: u64,
    /// The counters, by [`Counter`].
    pub counters: [u64; Counter::COUNT],
    /// Length of the file in bytes.
    pub length: u64,
    /// Bytes that the file system has allocated for it.
    pub allocated: u64,
    /// Names that it has; 0 when somebody has removed it.
    pub links: u64,
}

/// A channel opened for reading, by the collector or by a reader that only looks.
#[derive(Debug)]
pub struct ChannelReader {
    pub(super) fd: OwnedFd,
    pub(super) identity: Identity,
    writable: bool,
    /// Only its address is used.
    futex_page: Option<MmapRaw>,
}

fn system(what: &'static str) -> impl Fn(Errno) -> OpenError {
    move |errno| OpenError::System { what, errno }
}

pub(super) fn pread_exact(fd: &OwnedFd, buf: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < buf.len() {
        match rustix::io::pread(fd, &mut buf[done..], offset + done as u64) {
            Ok(0) => return Err(Errno::NODATA),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

pub(super) fn word_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

/// What a state word says.
pub(super) fn state_of(word: u64) -> Option<(u64, State)> {
    let known = u8::try_from(low(word)).ok().and_then(State::from_u8);
    known.map(|known| (generation(word), known))
}

/// What a glance at a sub-buffer gave.
#[derive(Debug)]
pub(super) enum Glance {
    /// It holds this.
    Held(Sub),
    /// It holds nothing that counts.
    Nothing,
    /// Its writer was too fast: what it holds is not known.
    Busy,
}

impl Glance {
    pub(super) fn held(self) -> Option<Sub> {
        if let Self::Held(sub) = self { Some(sub) } else { None }
    }
}

/// How often `committed` may move before a sub-buffer is left for the next time: whoever writes it may be
/// fast, and may be hostile.
const LOOKS: u32 = 100;

/// Reads `committed` until it is twice the same, and what lies `beside` it between; `None` when it never
/// was, so that nothing is known of it.
//
// read:A, pairs with commit:A. A word that was torn by the kernel's copy is not read twice, and what lies
// beside the word is read between: the order within one copy is anybody's.
fn still(
    mut committed: impl FnMut() -> Result<u64, Errno>,
    mut beside: impl FnMut() -> Result<(), Errno>,
) -> Result<Option<u64>, Errno> {
    let mut before = committed()?;
    for _ in 0..LOOKS {
        if before == 0 {
            return Ok(Some(0));
        }
        beside()?;
        let now = committed()?;
        if now == before {
            return Ok(Some(now));
        }
        before = now;
    }
    Ok(None)
}

impl Status {
    /// Until when everything that was recorded is durable, UTC nanoseconds; 0 for nothing.
    #[must_use]
    pub fn durable_until_ns(&self) -> u64 {
        self.durable_ns.max(self.kept_ns)
    }
}

impl ChannelReader {
    /// Opens the file `name` beneath the directory `dir`.
    ///
    /// `uid` is another user whose channels are trusted besides one's own.
    ///
    /// # Errors
    /// When it is not a regular file of the right owner with one name, or not a channel whose header
    /// fits its file name.
    pub fn open(dir: &Path, name: &OsStr, uid: Option<u32>) -> Result<Self, OpenError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir =
            rustix::fs::open(dir, flags, Mode::empty()).map_err(system("open its directory"))?;
        Self::open_at(dir, name, uid)
    }

    /// As [`ChannelReader::open`], beneath an open directory.
    ///
    /// # Errors
    /// As [`ChannelReader::open`].
    pub fn open_at(dir: impl AsFd, name: &OsStr, uid: Option<u32>) -> Result<Self, OpenError> {
        // Without NONBLOCK a FIFO would hang the collector.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let open = |access| rustix::fs::openat(&dir, name, flags | access, Mode::empty());
        let (fd, writable) = match open(OFlags::RDWR) {
            Ok(fd) => (fd, true),
            Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => {
                (open(OFlags::RDONLY).map_err(system("open it"))?, false)
            }
            Err(Errno::LOOP) => return Err(OpenError::Refused("it is a symbolic link")),
            Err(Errno::ISDIR) => return Err(OpenError::Refused("it is a directory")),
            Err(Errno::NXIO) => return Err(OpenError::Refused("it is no regular file")),
            Err(errno) => return Err(system("open it")(errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(system("look at it"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(OpenError::Refused("it is no regular file"));
        }
        let own = rustix::process::geteuid().as_raw();
        if stat.st_uid != own && Some(stat.st_uid) != uid {
            return Err(OpenError::Refused("it belongs to another user (--allow-uid)"));
        }
        if stat.st_nlink > 1 {
            return Err(OpenError::Refused("it has more than one name"));
        }
        let mut page = [0; IDENTITY_BYTES];
        pread_exact(&fd, &mut page, 0).map_err(|errno| match errno {
            Errno::NODATA => OpenError::NotAChannel("it is shorter than a channel's header"),
            errno => system("read it")(errno),
        })?;
        let identity = Identity::decode(&page)?;
        if OsStr::new(&identity.file_name()) != name {
            return Err(OpenError::Damaged("its header belongs to another file name"));
        }
        let file = std::fs::File::from(fd);
        let futex_page = MmapOptions::new().len(HEADER_BYTES).map_raw_read_only(&file).ok();
        Ok(Self { fd: file.into(), identity, writable, futex_page })
    }

    /// What the channel says of itself.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the machine was started anew since the channel was written, as far as this one can tell:
    /// then what it holds may not be all that it held.
    #[must_use]
    pub fn is_of_older_boot(&self) -> bool {
        let (then, now) = (self.identity.boot, super::shared::boot_id());
        then != now && then != [0; 16] && now != [0; 16]
    }

    /// Whether this reader may write the collector's words.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the process that writes the channel still has it mapped.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub fn is_alive(&self) -> Result<bool, Errno> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                rustix::fs::flock(&self.fd, FlockOperation::Unlock)?;
                Ok(false)
            }
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// What the header page says now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn status(&self) -> Result<Status, Errno> {
        let mut page = [0; HEADER_BYTES];
        pread_exact(&self.fd, &mut page, 0)?;
        let stat = rustix::fs::fstat(&self.fd)?;
        let mut counters = [0; Counter::COUNT];
        for (i, counter) in counters.iter_mut().enumerate() {
            *counter = word_at(&page, header::COUNTERS + 8 * i);
        }
        Ok(Status {
            cap: word_at(&page, header::CAP),
            rate: Rate { per_tick_q32: word_at(&page, header::RATE) },
            waiters: (word_at(&page, header::FREED) >> 32) as u32,
            closed: word_at(&page, header::CLOSED) == 1,
            asleep: word_at(&page, header::ASLEEP) as u32 != 0,
            sync_wanted: word_at(&page, header::SYNC_WANTED),
            synced: word_at(&page, header::SYNCED),
            kept_ns: word_at(&page, header::KEPT_NS),
            unsynced: word_at(&page, header::UNSYNCED) != 0,
            durable_ns: word_at(&page, header::DURABLE_NS),
            counters,
            length: stat.st_size.max(0) as u64,
            allocated: stat.st_blocks.max(0) as u64 * 512,
            links: stat.st_nlink,
        })
    }

    fn committed(&self, offset: u64) -> Result<u64, Errno> {
        let mut word = [0; 8];
        pread_exact(&self.fd, &mut word, offset + sub::COMMITTED as u64)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Looks at one sub-buffer; `None` when it holds nothing, or does not hold still.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look(&self, index: u32) -> Result<Option<Sub>, Errno> {
        self.glance(index).map(Glance::held)
    }

    /// As [`ChannelReader::look`], and says why there is nothing.
    pub(super) fn glance(&self, index: u32) -> Result<Glance, Errno> {
        let offset = sub_buffer_offset(index, self.identity.sub_buffer);
        let mut head = [0; SUB_HEADER_BYTES];
        let held = still(|| self.committed(offset), || pread_exact(&self.fd, &mut head, offset))?;
        let committed = match held {
            None => return Ok(Glance::Busy),
            Some(0) => return Ok(Glance::Nothing),
            Some(committed) => committed,
        };
        let of = generation(committed);
        let slot = sub::slot(of);
        // read:B: the slot of a generation is whole once `committed` shows the generation.
        let room = self.identity.sub_buffer - SUB_HEADER_BYTES as u32;
        if word_at(&head, slot) != of || low(committed) > room {
            return Ok(Glance::Nothing);
        }
        Ok(Glance::Held(Sub {
            index,
            state: state_of(word_at(&head, sub::STATE)),
            generation: of,
            committed: low(committed),
            archived: word_at(&head, sub::ARCHIVED),
            prior: word_at(&head, slot + 8),
            opened: word_at(&head, slot + 16),
        }))
    }

    /// Copies the committed bytes of a sub-buffer out, from byte `from` on.
    ///
    /// `None` when the sub-buffer went on to another generation meanwhile: then what was read is
    /// void.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, of: &Sub, from: u32) -> Result<Option<Data>, Errno> {
        let Some(len) = of.committed.checked_sub(from) else {
            return Ok(None);
        };
        let mut bytes = vec![0; len as usize];
        let intact = self.read_into(of, from, &mut bytes)?;
        Ok(intact.then_some(Data { from, bytes }))
    }

    /// As [`ChannelReader::read`], into memory of the caller's; it is filled wholly. Returns whether
    /// what was read counts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_into(&self, of: &Sub, from: u32, buf: &mut [u8]) -> Result<bool, Errno> {
        let offset = sub_buffer_offset(of.index, self.identity.sub_buffer);
        let start = offset + SUB_HEADER_BYTES as u64 + u64::from(from);
        std::sync::atomic::fence(super::sync::Ordering::Acquire);
        pread_exact(&self.fd, buf, start)?;
        std::sync::atomic::fence(super::sync::Ordering::Acquire);
        Ok(generation(self.committed(offset)?) == of.generation)
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(&self.fd, &bytes[done..], offset + done as u64) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Hands a sub-buffer back: every byte of this generation is in an archive.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn hand_back(&self, of: &Sub) -> Result<(), Errno> {
        // archive:A, pairs with read:C in the writer.
        let offset = sub_buffer_offset(of.index, self.identity.sub_buffer) + sub::ARCHIVED as u64;
        self.put(offset, &of.generation.to_le_bytes())
    }

    /// Wakes the threads that wait for sub-buffers, if any.
    ///
    /// # Errors
    /// When the header page cannot be read or written.
    pub fn wake_writers(&self) -> Result<(), Errno> {
        let mut words = [0; 8];
        pread_exact(&self.fd, &mut words, header::FREED as u64)?;
        let words = u64::from_le_bytes(words);
        if words >> 32 == 0 {
            return Ok(());
        }
        // A waiter that has read the old value and does not sleep yet will not fall asleep.
        let freed = (words as u32).wrapping_add(1);
        self.put(header::FREED as u64, &freed.to_le_bytes())?;
        if let Some(page) = &self.futex_page {
            os::futex_wake(page.as_ptr().wrapping_add(header::FREED).cast(), u32::MAX >> 1);
        }
        Ok(())
    }

    /// Says whether the collector wants to be woken by the next record: its writer then takes the word
    /// back and changes the file's times, which a watch on the directory reports as changed attributes.
    ///
    /// While [`Status::asleep`] says that the word stands, no call that has begun since has returned,
    /// but for those that had not seen it yet: stores take a moment to be seen by another processor.
    ///
    /// # Errors
    /// When the header page cannot be written.
    pub fn set_asleep(&self, asleep: bool) -> Result<(), Errno> {
        self.put(header::ASLEEP as u64, &u32::from(asleep).to_le_bytes())
    }

    /// Says that request number `wanted` is fulfilled: everything that was committed when it was read
    /// is durable. All ones: no request can be.
    ///
    /// # Errors
    /// When the header page cannot be written.
    pub fn acknowledge_sync(&self, wanted: u64) -> Result<(), Errno> {
        self.put(header::SYNCED as u64, &wanted.to_le_bytes())
    }

    /// Says whether something is handed back whose archive is not synced: then the channel's file alone
    /// is not all there is, and syncing it makes nothing durable.
    ///
    /// # Errors
    /// When the header page cannot be written.
    pub fn set_unsynced(&self, unsynced: bool) -> Result<(), Errno> {
        self.put(header::UNSYNCED as u64, &u64::from(unsynced).to_le_bytes())
    }

    /// Says that everything that was committed until then is durable in archives.
    ///
    /// # Errors
    /// When the header page cannot be written.
    pub fn set_durable(&self, until_ns: u64) -> Result<(), Errno> {
        self.put(header::DURABLE_NS as u64, &until_ns.to_le_bytes())
    }

    /// The largest size that it can be asked to keep now: what it has and what growth may take of the
    /// free disk, within the addresses that a channel reserves.
    ///
    /// # Errors
    /// When the file or its file system cannot be asked.
    pub fn most_bytes(&self) -> Result<u64, Errno> {
        let has = self.status()?.allocated;
        let free = birth::free_bytes(&self.fd);
        let room = free.saturating_sub(shared::reserve_bytes(free));
        Ok(has.saturating_add(room).min(self.identity.initial.max(map::RESERVE as u64)))
    }

    /// Asks the program to keep `bytes` allocated, and to let at least as many wait. Its keeper takes that
    /// up within about a second, and counts it in [`Counter::Resized`]; a later request takes the place
    /// of one that is still being carried out.
    ///
    /// # Errors
    /// When the header page cannot be written.
    pub fn request_resize(&self, bytes: u64) -> Result<(), Errno> {
        let mut count = [0; 8];
        pread_exact(&self.fd, &mut count, header::RESIZE_COUNT as u64)?;
        self.put(header::RESIZE as u64, &bytes.to_le_bytes())?;
        let count = u64::from_le_bytes(count).wrapping_add(1);
        self.put(header::RESIZE_COUNT as u64, &count.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn what_never_holds_still_is_not_taken_for_empty() {
        let mut word = 0;
        let fast = || {
            word += 1;
            Ok(word)
        };
        assert_eq!(still(fast, || Ok(())).unwrap(), None);
        // One that rests at last, and one that was never used.
        let mut word = 0;
        let rests = || {
            word = (word + 1).min(u64::from(LOOKS) - 1);
            Ok(word)
        };
        assert_eq!(still(rests, || Ok(())).unwrap(), Some(u64::from(LOOKS) - 1));
        assert_eq!(still(|| Ok(0), || unreachable!()).unwrap(), Some(0));
    }
}
