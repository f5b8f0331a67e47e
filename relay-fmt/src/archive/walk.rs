//! The walk of [`super::scan()`], frame by frame.

use super::block_header::{BlockEntry, BlockHeader};
use super::control_codec;
use super::directory::{ControlPlace, Directory, lists_budget};
use super::error::{Error, Result};
use super::frame::{FrameKind, HEAD_LEN, Head, MAGIC_TAIL};
use super::header::FileHeader;
use super::read::{ReadAt, frame_at, read_body, read_exact};
use super::scan::{Damage, DamageKind, Scan};
use crate::block;

pub(crate) struct Walk<'a, R: ?Sized> {
    pub(super) source: &'a R,
    pub(super) file_len: u64,
    budget: u64,
    /// How many candidates of [`Walk::resync`] did not check out.
    pub(super) attempts: u32,
    pub(crate) scan: Scan,
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
    /// Goes on where an earlier walk ended.
    pub(crate) fn again(source: &'a R, mut scan: Scan) -> Result<Self> {
        let file_len = source.len()?;
        scan.damages.retain(|damage| damage.kind != DamageKind::TornTail);
        Ok(Self { source, file_len, budget: lists_budget(file_len), attempts: 0, scan })
    }

    pub(crate) fn begin(source: &'a R) -> Result<Self> {
        let file_len = source.len()?;
        let directory = Directory {
            header: FileHeader::default(),
            header_crc: 0,
            blocks: Vec::new(),
            controls: Vec::new(),
        };
        let (entries, damages) = (Vec::new(), Vec::new());
        let scan = Scan { directory, entries, valid_len: 0, sealed: false, damages };
        let budget = lists_budget(file_len);
        let mut walk = Self { source, file_len, budget, attempts: 0, scan };
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
        let first = read_exact(self.source, 0, self.file_len.min(HEAD_LEN as u64), self.file_len)?;
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
        self.scan.damages.push(Damage { offset: 0, len: found, kind, error, block: None });
        Ok(())
    }

    pub(crate) fn frames(&mut self) -> Result<()> {
        while self.scan.valid_len < self.file_len {
            let offset = self.scan.valid_len;
            let Err(Obstacle { error, block }) = self.frame(offset)? else {
                continue;
            };
            let uuid = self.scan.directory.header.uuid;
            let next = self.resync(offset + 1, Some(uuid))?;
            let kind = if next.is_some() { DamageKind::Frame } else { DamageKind::TornTail };
            let len = next.unwrap_or(self.file_len) - offset;
            self.scan.damages.push(Damage { offset, len, kind, error, block });
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
            FrameKind::Other => Ok(end),
            FrameKind::Block => self.block(offset, &head, &content),
            FrameKind::Control => {
                self.control(offset, &head, &content);
                Ok(end)
            }
            FrameKind::WholeDirectory | FrameKind::Directory => {
                self.directory(offset, &head, &content).map(|()| end)
            }
        };
        Ok(taken.map(|end| {
            self.scan.sealed = head.kind.is_directory();
            self.scan.valid_len = end;
        }))
    }

    fn block(&mut self, offset: u64, head: &Head, content: &[u8]) -> Result<u64, Obstacle> {
        let header = BlockHeader::decode_whole(content, &mut self.budget)?;
        let bare = BlockHeader::bare(content)?;
        let (header_len, crc) = (head.len, head.content_crc);
        let entry = BlockEntry { offset, header_len, crc, header, bare };
        let end = entry.end();
        if end > self.file_len {
            let block = Some(Box::new(entry));
            return Err(Obstacle { block, ..obstacle("the file ends within a block") });
        }
        self.scan.directory.blocks.push(entry);
        Ok(end)
    }

    fn control(&mut self, offset: u64, head: &Head, content: &[u8]) {
        let entries = control_codec::decode(content).unwrap_or_else(|error| {
            let (kind, block) = (DamageKind::Frame, None);
            self.scan.damages.push(Damage { offset, len: head.len, kind, error, block });
            Vec::new()
        });
        self.scan.directory.controls.push(ControlPlace { offset, len: head.len });
        self.scan.entries.push(entries);
    }

    /// A directory says nothing new, unless the file header is damaged.
    fn directory(&mut self, offset: u64, head: &Head, content: &[u8]) -> Result<(), Obstacle> {
        match Directory::decode(head, content, offset) {
            Ok(directory) => {
                if self.scan.damages.iter().any(|damage| damage.kind == DamageKind::Header) {
                    self.scan.directory.header = directory.header;
                    self.scan.directory.header_crc = directory.header_crc;
                }
                Ok(())
            }
            Err(Error::Frame { error, .. }) => Err(error.into()),
            Err(_) => Err(obstacle("a directory repeats another file header")),
        }
    }

    fn body(&self, block: &BlockEntry) -> Result<Result<(), block::Error>> {
        match read_body(self.source, block) {
            Ok(_) => Ok(Ok(())),
            Err(Error::Block { error, .. }) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// After a power failure a block at the end may have its length but not its bytes.
    pub(crate) fn cut_torn_blocks(&mut self) -> Result<()> {
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
            self.scan.damages.push(Damage { offset, len, kind, error, block });
        }
        Ok(())
    }

    pub(crate) fn check_bodies(&mut self) -> Result<()> {
        let mut damages = Vec::new();
        self.scan.damages.retain(|damage| damage.kind != DamageKind::Body);
        for block in &self.scan.directory.blocks {
            if let Err(error) = self.body(block)? {
                let (offset, len) = (block.body_offset(), block.header.body_len);
                let (kind, block) = (DamageKind::Body, Some(Box::new(block.clone())));
                damages.push(Damage { offset, len, kind, error, block });
            }
        }
        self.scan.damages.append(&mut damages);
        Ok(())
    }
}
