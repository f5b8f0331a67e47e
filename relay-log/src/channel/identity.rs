//! What a channel says of itself: the first part of its header page, which never changes.
//! Byte table: `docs/format/channel.md`.

use super::error::OpenError;
use super::layout::{HEADER_BYTES, IDENTITY_BYTES, MAGIC, MAX_SUB_BUFFER, MIN_SUB_BUFFER, VERSION};
use relay_fmt::rows::ChannelId;
use relay_fmt::time::Anchor;

/// Incompatible features that this code knows.
const KNOWN_INCOMPATIBLE: u32 = 0;

/// What a log call does when the channel may not grow and nothing is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum OnFull {
    /// Wait until the collector has made room. Nothing is lost.
    #[default]
    Block = 0,
    /// Take the oldest sub-buffer that waits for the collector: a flight recorder.
    Overwrite = 1,
    /// Drop the record and count it.
    Discard = 2,
}

impl OnFull {
    const fn from_u8(policy: u8) -> Option<Self> {
        Some(match policy {
            0 => Self::Block,
            1 => Self::Overwrite,
            2 => Self::Discard,
            _ => return None,
        })
    }
}

/// What ticks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TickSource {
    /// CLOCK_MONOTONIC, nanoseconds.
    Monotonic = 0,
    /// The processor's time stamp counter, which the kernel itself keeps time by.
    Tsc = 1,
}

/// What a channel says of itself: the part of the header page that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The channel's identity.
    pub id: ChannelId,
    /// The kernel's boot id.
    pub boot: [u8; 16],
    /// The process.
    pub pid: u32,
    /// Bytes of a sub-buffer: a power of two.
    pub sub_buffer: u32,
    /// What ticks count.
    pub ticks: TickSource,
    /// What a call does when the channel is full.
    pub on_full: OnFull,
    /// When it was opened.
    pub opened: Anchor,
    /// Bytes that were allocated at birth.
    pub initial: u64,
    /// The channel's name, at most 63 bytes.
    pub name: String,
    /// The executable's name, at most 95 bytes.
    pub program: String,
    /// The host's name, at most 63 bytes.
    pub host: String,
}

mod at {
    pub(super) const VERSION: usize = 8;
    pub(super) const COMPATIBLE: usize = 12;
    pub(super) const INCOMPATIBLE: usize = 16;
    pub(super) const CRC: usize = 20;
    pub(super) const ID: usize = 24;
    pub(super) const BOOT: usize = 40;
    pub(super) const PID: usize = 56;
    pub(super) const SIZE_LOG2: usize = 60;
    pub(super) const TICKS: usize = 61;
    pub(super) const ON_FULL: usize = 62;
    pub(super) const REAL: usize = 64;
    pub(super) const MONO: usize = 72;
    pub(super) const TICK: usize = 80;
    pub(super) const INITIAL: usize = 88;
    pub(super) const NAME: usize = 96;
    pub(super) const PROGRAM: usize = 160;
    pub(super) const HOST: usize = 256;
    pub(super) const END: usize = 320;
}

/// The longest channel name, in bytes.
pub const MAX_NAME: usize = at::PROGRAM - at::NAME - 1;

fn put(page: &mut [u8], offset: usize, bytes: &[u8]) {
    page[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn put_text(page: &mut [u8], offset: usize, end: usize, text: &str) {
    let mut n = text.len().min(end - offset - 1);
    while !text.is_char_boundary(n) {
        n -= 1;
    }
    page[offset] = n as u8;
    put(page, offset + 1, &text.as_bytes()[..n]);
}

fn get<const N: usize>(page: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&page[offset..offset + N]);
    out
}

fn get_text(page: &[u8], offset: usize, end: usize) -> Option<String> {
    let n = usize::from(page[offset]);
    let bytes = page[offset + 1..end].get(..n)?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn crc(page: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&page[..at::CRC]);
    hasher.update(&page[at::CRC + 4..IDENTITY_BYTES]);
    hasher.finalize()
}

impl Identity {
    /// The identity as it stands at the start of the file.
    #[must_use]
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut page = [0; IDENTITY_BYTES];
        put(&mut page, 0, &MAGIC);
        put(&mut page, at::VERSION, &VERSION.to_le_bytes());
        put(&mut page, at::VERSION + 2, &(HEADER_BYTES as u16).to_le_bytes());
        put(&mut page, at::ID, &self.id.0);
        put(&mut page, at::BOOT, &self.boot);
        put(&mut page, at::PID, &self.pid.to_le_bytes());
        page[at::SIZE_LOG2] = self.sub_buffer.trailing_zeros() as u8;
        page[at::TICKS] = self.ticks as u8;
        page[at::ON_FULL] = self.on_full as u8;
        put(&mut page, at::REAL, &self.opened.real_ns.to_le_bytes());
        put(&mut page, at::MONO, &self.opened.mono_ns.to_le_bytes());
        put(&mut page, at::TICK, &self.opened.tick.to_le_bytes());
        put(&mut page, at::INITIAL, &self.initial.to_le_bytes());
        put_text(&mut page, at::NAME, at::PROGRAM, &self.name);
        put_text(&mut page, at::PROGRAM, at::HOST, &self.program);
        put_text(&mut page, at::HOST, at::END, &self.host);
        let sum = crc(&page);
        put(&mut page, at::CRC, &sum.to_le_bytes());
        page
    }

    /// Reads the first [`IDENTITY_BYTES`] of a file.
    ///
    /// # Errors
    /// When it is no channel, of a newer version, or damaged.
    pub fn decode(page: &[u8]) -> Result<Self, OpenError> {
        if page.len() < IDENTITY_BYTES {
            return Err(OpenError::NotAChannel("it is shorter than a channel's header"));
        }
        if page[..8] != MAGIC {
            return Err(OpenError::NotAChannel("it does not begin like one"));
        }
        let version = u16::from_le_bytes(get(page, at::VERSION));
        if version > VERSION {
            return Err(OpenError::Newer { version, known: VERSION });
        }
        let incompatible = u32::from_le_bytes(get(page, at::INCOMPATIBLE));
        if incompatible & !KNOWN_INCOMPATIBLE != 0 {
            return Err(OpenError::Features(incompatible & !KNOWN_INCOMPATIBLE));
        }
        if u32::from_le_bytes(get(page, at::CRC)) != crc(page) {
            return Err(OpenError::Damaged("the checksum of its header does not fit"));
        }
        let damaged = OpenError::Damaged;
        let log2 = u32::from(page[at::SIZE_LOG2]);
        let sub_buffer = 1u32.checked_shl(log2).unwrap_or(0);
        if !(MIN_SUB_BUFFER..=MAX_SUB_BUFFER).contains(&sub_buffer) {
            return Err(damaged("its sub-buffers are of an impossible size"));
        }
        let text = |from, to| get_text(page, from, to).ok_or(damaged("a name is not text"));
        Ok(Self {
            id: ChannelId(get(page, at::ID)),
            boot: get(page, at::BOOT),
            pid: u32::from_le_bytes(get(page, at::PID)),
            sub_buffer,
            ticks: match page[at::TICKS] {
                0 => TickSource::Monotonic,
                1 => TickSource::Tsc,
                _ => return Err(damaged("its ticks are of an unknown kind")),
            },
            on_full: OnFull::from_u8(page[at::ON_FULL]).ok_or(damaged("its policy is unknown"))?,
            opened: Anchor {
                tick: u64::from_le_bytes(get(page, at::TICK)),
                mono_ns: u64::from_le_bytes(get(page, at::MONO)),
                real_ns: u64::from_le_bytes(get(page, at::REAL)),
            },
            initial: u64::from_le_bytes(get(page, at::INITIAL)),
            name: text(at::NAME, at::PROGRAM)?,
            program: text(at::PROGRAM, at::HOST)?,
            host: text(at::HOST, at::END)?,
        })
    }

    /// The name of the channel's file in the live directory.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}-{}.relay", self.name, self.pid, self.id)
    }
}

/// Whether `name` can name a channel: 1 to 63 bytes of letters, digits, `-`, `_`, not beginning
/// with `-`. It becomes part of file names.
#[must_use]
pub fn is_channel_name(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(ok) && !name.starts_with('-')
}

const _: () = {
    assert!(at::END <= IDENTITY_BYTES);
    assert!(at::COMPATIBLE + 4 == at::INCOMPATIBLE && at::INCOMPATIBLE + 4 == at::CRC);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        Identity {
            id: ChannelId([7; 16]),
            boot: [9; 16],
            pid: 4711,
            sub_buffer: 65536,
            ticks: TickSource::Tsc,
            on_full: OnFull::Overwrite,
            opened: Anchor { tick: 1, mono_ns: 2, real_ns: 3 },
            initial: 4 << 20,
            name: "app".into(),
            program: "p".repeat(95),
            host: "höst".into(),
        }
    }

    #[test]
    fn an_identity_comes_back() {
        assert_eq!(Identity::decode(&sample().encode()).unwrap(), sample());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let page = sample().encode();
        for bit in 0..page.len() * 8 {
            let mut bad = page;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Identity::decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        let mut identity = sample();
        identity.host = "ü".repeat(40);
        assert_eq!(Identity::decode(&identity.encode()).unwrap().host, "ü".repeat(31));
    }

    #[test]
    fn a_channel_name_cannot_leave_its_directory() {
        for bad in ["", "a/b", "..", "a.b", "-a", "a b", &"x".repeat(64)] {
            assert!(!is_channel_name(bad), "{bad}");
        }
        assert!(is_channel_name("app-2_b"));
    }
}
