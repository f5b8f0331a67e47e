//! Walks an archive forward, whatever state it is in.

use super::block_header::{BlockEntry, BlockHeader};
use super::control::Entry;
use super::control_codec;
use super::directory::{ControlPlace, Directory, lists_budget};
use super::error::{Error, Result};
use super::frame::{FrameKind, HEAD_LEN, Head, MAGIC_TAIL};
use super::header::FileHeader;
use super::read::{ReadAt, frame_at, read_body, read_exact};
use crate::block;

/// How an archive is walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// Whether the checksum of every body is checked; default: only those that a torn tail may have
    /// harmed.
    pub all_bodies: bool,
}

/// What is wrong with a part of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The end of the file is no whole frame: its writer died, or the power failed. What is cut off at
    /// [`Scan::valid_len`] was never acknowledged, unless the power failed.
    TornTail,
    /// Bytes in the middle are no frame. Whole frames follow.
    Frame,
    /// A block's body does not have the checksum that its header says.
    Body,
    /// The file header cannot be read.
    Header,
}

/// A part of an archive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length, in bytes.
    pub len: u64,
    /// What kind of damage.
    pub kind: DamageKind,
    /// What is wrong.
    pub error: block::Error,
    /// The header of the block that is lost, when that can be read: it says which records those are.
    pub block: Option<Box<BlockEntry>>,
}

/// What a walk over an archive found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What the archive consists of. Blocks in the middle whose bodies are damaged are among its blocks.
    pub directory: Directory,
    /// What the control frames say, in the order of [`Directory::controls`].
    pub entries: Vec<Vec<Entry>>,
    /// Where the last whole frame ends: a torn tail must be cut here before anything is appended.
    pub valid_len: u64,
    /// Whether the archive ends with its directory.
    pub sealed: bool,
    /// What cannot be read, by offset.
    pub damages: Vec<Damage>,
}

/// Walks an archive forward. Damage in the middle costs what is damaged alone; the walk goes on at the
/// next whole frame.
///
/// # Errors
/// When the file cannot be read, is no archive, or is one that this version cannot read.
pub fn scan<R: ReadAt + ?Sized>(source: &R, options: &ScanOptions) -> Result<Scan> {
    let mut walk = Walk::begin(source)?;
    walk.frames()?;
    walk.cut_torn_blocks()?;
    if options.all_bodies {
        walk.check_bodies()?;
    }
    walk.scan.damages.sort_by_key(|damage| damage.offset);
    Ok(walk.scan)
}

/// Whole frames that do not check out are looked at so many times at most, so that a hostile file
/// cannot make a walk take forever.
const MAX_ATTEMPTS: u32 = 1024;

struct Walk<'a, R: ?Sized> {
    source: &'a R,
    file_len: u64,
    budget: u64,
    attempts: u32,
    scan: Scan,
}

/// Why the walk cannot go on at some place.
struct Obstacle {
    error: block::Error,
    block: Option<Box<BlockEntry>>,
}

impl From<block::Error> for Obstacle {
    fn from(error: block::Error) -> Self {
        Self { error, block: None }
    }
}

fn obstacle(what: &'static str) -> Obstacle {
    block::Error::from(crate::Error::new(what)).into()
}

impl<'a, R: ReadAt + ?Sized> Walk<'a, R> {
    fn begin(source: &'a R) -> Result<Self> {
        let file_len = source.len()?;
        let directory = Directory {
            header: FileHeader::default(),
            header_crc: 0,
            blocks: Vec::new(),
            controls: Vec::new(),
        };
        let (entries, damages) = (Vec::new(), Vec::new());
        let scan = Scan {
            directory,
            entries,
            valid_len: 0,
            sealed: false,
            damages,
        };
        let budget = lists_budget(file_len);
        let mut walk = Self {
            source,
            file_len,
            budget,
            attempts: 0,
            scan,
        };
        let error = match frame_at(source, 0, file_len)? {
            Ok((head, content)) if head.kind == FrameKind::File => {
                walk.scan.directory.header = FileHeader::decode(head.uuid, &content)?;
                walk.scan.directory.header_crc = head.content_crc;
                walk.scan.valid_len = head.len;
                return Ok(walk);
            }
            Ok(_) => crate::Error::new("the file begins with another frame"),
            Err(error) => error,
        };
        walk.without_header(error.into())?;
        Ok(walk)
    }

    /// The file header is damaged: takes the identity of the archive from the first whole frame.
    fn without_header(&mut self, error: block::Error) -> Result<()> {
        let first = read_exact(
            self.source,
            0,
            self.file_len.min(HEAD_LEN as u64),
            self.file_len,
        )?;
        let magic = [&[0x50], &MAGIC_TAIL[..]].concat();
        let begins = magic.iter().zip(&first).all(|(a, b)| a == b);
        let torn = first.len() < HEAD_LEN
            || Head::parse(&first, 0).is_ok_and(|head| head.len > self.file_len);
        if begins && torn {
            return Err(Error::TornHeader);
        }
        let Some(found) = self.resync(0, None)? else {
            return Err(Error::NotAnArchive);
        };
        let (head, _) =
            frame_at(self.source, found, self.file_len)?.map_err(|_| Error::NotAnArchive)?;
        self.scan.directory.header.uuid = head.uuid;
        self.scan.valid_len = found;
        let kind = DamageKind::Header;
        self.scan.damages.push(Damage {
            offset: 0,
            len: found,
            kind,
            error,
            block: None,
        });
        Ok(())
    }

    fn frames(&mut self) -> Result<()> {
        while self.scan.valid_len < self.file_len {
            let offset = self.scan.valid_len;
            let Err(Obstacle { error, block }) = self.frame(offset)? else {
                continue;
            };
            let uuid = self.scan.directory.header.uuid;
            let next = self.resync(offset + 1, Some(uuid))?;
            let kind = if next.is_some() {
                DamageKind::Frame
            } else {
                DamageKind::TornTail
            };
            let len = next.unwrap_or(self.file_len) - offset;
            self.scan.damages.push(Damage {
                offset,
                len,
                kind,
                error,
                block,
            });
            match next {
                Some(next) => self.scan.valid_len = next,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes the frame at `offset` and what belongs to it, and moves `valid_len` behind it.
    fn frame(&mut self, offset: u64) -> Result<Result<(), Obstacle>> {
        let (head, content) = match frame_at(self.source, offset, self.file_len)? {
            Ok(frame) => frame,
            Err(error) => return Ok(Err(block::Error::from(error).into())),
        };
        if head.uuid != self.scan.directory.header.uuid {
            return Ok(Err(obstacle("a frame belongs to another archive")));
        }
        let end = offset + head.len;
        let taken = match head.kind {
            FrameKind::File => Err(obstacle("a file header stands in the middle")),
            FrameKind::Block => self.block(offset, &head, content),
            FrameKind::Control => {
                self.control(offset, &head, &content);
                Ok(end)
            }
            FrameKind::Directory => self.directory(offset, &head, &content).map(|()| end),
        };
        Ok(taken.map(|end| {
            self.scan.sealed = head.kind == FrameKind::Directory;
            self.scan.valid_len = end;
        }))
    }

    fn block(&mut self, offset: u64, head: &Head, content: Vec<u8>) -> Result<u64, Obstacle> {
        let header = BlockHeader::decode(&content, &mut self.budget)?;
        let (header_len, crc, content) = (head.len, head.content_crc, content.into());
        let entry = BlockEntry {
            offset,
            header_len,
            crc,
            header,
            content,
        };
        let end = entry.end();
        if end > self.file_len {
            let block = Some(Box::new(entry));
            return Err(Obstacle {
                block,
                ..obstacle("the file ends within a block")
            });
        }
        self.scan.directory.blocks.push(entry);
        Ok(end)
    }

    fn control(&mut self, offset: u64, head: &Head, content: &[u8]) {
        let entries = control_codec::decode(content).unwrap_or_else(|error| {
            let (kind, block) = (DamageKind::Frame, None);
            self.scan.damages.push(Damage {
                offset,
                len: head.len,
                kind,
                error,
                block,
            });
            Vec::new()
        });
        self.scan.directory.controls.push(ControlPlace {
            offset,
            len: head.len,
        });
        self.scan.entries.push(entries);
    }

    /// A directory says nothing new, unless the file header is damaged.
    fn directory(&mut self, offset: u64, head: &Head, content: &[u8]) -> Result<(), Obstacle> {
        match Directory::decode(head, content, offset, self.file_len) {
            Ok(directory) => {
                if self
                    .scan
                    .damages
                    .iter()
                    .any(|damage| damage.kind == DamageKind::Header)
                {
                    self.scan.directory.header = directory.header;
                    self.scan.directory.header_crc = directory.header_crc;
                }
                Ok(())
            }
            Err(Error::Frame { error, .. }) => Err(error.into()),
            Err(_) => Err(obstacle("a directory repeats another file header")),
        }
    }

    /// Finds the first whole frame at or after `from`.
    fn resync(&mut self, from: u64, uuid: Option<[u8; 16]>) -> Result<Option<u64>> {
        const CHUNK: u64 = 64 << 10;
        let mut at = from;
        while at.saturating_add(HEAD_LEN as u64) <= self.file_len {
            let len = CHUNK.min(self.file_len - at);
            let chunk = read_exact(self.source, at, len, self.file_len)?;
            for found in memchr::memmem::find_iter(&chunk, &MAGIC_TAIL) {
                let Some(offset) = (at + found as u64).checked_sub(1).filter(|o| *o >= at) else {
                    continue;
                };
                if self.is_frame(offset, uuid)? {
                    return Ok(Some(offset));
                }
            }
            if len < CHUNK {
                break;
            }
            // A magic may lie across the border.
            at += len - MAGIC_TAIL.len() as u64;
        }
        Ok(None)
    }

    fn is_frame(&mut self, offset: u64, uuid: Option<[u8; 16]>) -> Result<bool> {
        let rest = self.file_len.saturating_sub(offset);
        let first = read_exact(
            self.source,
            offset,
            rest.min(HEAD_LEN as u64),
            self.file_len,
        )?;
        let Ok(head) = Head::parse(&first, offset) else {
            return Ok(false);
        };
        let ours = uuid.is_none_or(|uuid| uuid == head.uuid) && head.kind != FrameKind::File;
        if !ours || head.len > rest || self.attempts >= MAX_ATTEMPTS {
            return Ok(false);
        }
        let whole = frame_at(self.source, offset, self.file_len)?.is_ok();
        self.attempts += u32::from(!whole);
        Ok(whole)
    }

    fn body(&self, block: &BlockEntry) -> Result<Result<(), block::Error>> {
        match read_body(self.source, block) {
            Ok(_) => Ok(Ok(())),
            Err(Error::Block { error, .. }) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// After a power failure a block at the end may have its length but not its bytes.
    fn cut_torn_blocks(&mut self) -> Result<()> {
        while let Some(block) = self.scan.directory.blocks.last() {
            if self.scan.sealed || block.end() != self.scan.valid_len {
                break;
            }
            let Err(error) = self.body(block)? else {
                break;
            };
            let (offset, len) = (block.offset, block.end() - block.offset);
            let block = self.scan.directory.blocks.pop().map(Box::new);
            let kind = DamageKind::TornTail;
            self.scan.valid_len = offset;
            self.scan.damages.push(Damage {
                offset,
                len,
                kind,
                error,
                block,
            });
        }
        Ok(())
    }

    fn check_bodies(&mut self) -> Result<()> {
        let mut damages = Vec::new();
        for block in &self.scan.directory.blocks {
            if let Err(error) = self.body(block)? {
                let (offset, len) = (block.body_offset(), block.header.body_len);
                let (kind, block) = (DamageKind::Body, Some(Box::new(block.clone())));
                damages.push(Damage {
                    offset,
                    len,
                    kind,
                    error,
                    block,
                });
            }
        }
        self.scan.damages.append(&mut damages);
        Ok(())
    }
}
