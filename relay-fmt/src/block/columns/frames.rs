//! The zstd frames of a body.
//!
//! A body is four zstd frames, one after the other, each with its content size and a checksum, so
//! that any zstd tool can check them. Few frames, because what columns share between them is found
//! only within a frame; not one, because a search needs only some of them.

use crate::block::{self, zstd_frame};
use crate::bytes::{Cursor, Error, Result};
use zstd::zstd_safe::{self, CParameter, ParamSwitch};

/// The largest content of a frame, in bytes.
pub(super) const MAX_FRAME: usize = 256 << 20;

/// What the frames of a body hold, uncompressed, in the order in which they lie in the body; behind them lies
/// the one of times, runs and spans, which [`super::order`] makes.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    /// Sources, callsites, classes of rows, and which row is of which class.
    pub(super) meta: Vec<u8>,
    /// Strings and dictionaries.
    pub(super) text: Vec<u8>,
    /// Numbers.
    pub(super) number: Vec<u8>,
}

/// From this zstd level on, zstd is asked to split its blocks where the bytes change.
const SPLITS: i32 = 3;

/// From this zstd level on, columns are looked for that tell of others; below, a backlog grows.
pub(super) const DILIGENT: i32 = 1;

/// How many frames there are.
pub(super) const FRAMES: usize = 4;

/// Which frame of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// See [`Streams::meta`].
    Meta = 0,
    /// See [`Streams::text`].
    Text = 1,
    /// See [`Streams::number`].
    Number = 2,
    /// See [`super::order::Order`].
    Order = 3,
}

impl Streams {
    /// Empties the streams and keeps their memory.
    pub(super) fn clear(&mut self) {
        [&mut self.meta, &mut self.text, &mut self.number].into_iter().for_each(Vec::clear);
    }

    /// Compresses the streams and appends the frames; gives the compressed sizes.
    ///
    /// # Errors
    /// As [`pack`].
    pub(super) fn pack(
        &self,
        context: &mut zstd_safe::CCtx<'static>,
        level: i32,
        out: &mut Vec<u8>,
    ) -> Result<[usize; FRAMES - 1]> {
        let mut sizes = [0; FRAMES - 1];
        for (stream, size) in [&self.meta, &self.text, &self.number].into_iter().zip(&mut sizes) {
            *size = pack(stream, context, level, out)?;
        }
        Ok(sizes)
    }
}

/// Compresses a stream and appends the frame; gives the compressed size.
///
/// # Errors
/// When the stream is larger than [`MAX_FRAME`] or zstd fails.
pub(super) fn pack(
    stream: &[u8],
    context: &mut zstd_safe::CCtx<'static>,
    level: i32,
    out: &mut Vec<u8>,
) -> Result<usize> {
    let failed = |_| Error::new("zstd could not compress");
    // A column's bytes are distributed unlike its neighbours': by itself zstd looks for that only
    // at its highest levels. It takes 1 to 3 % off, and a tenth of the time of encoding.
    let split = if level >= SPLITS { ParamSwitch::Enable } else { ParamSwitch::Auto };
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::ContentSizeFlag(true),
        CParameter::ChecksumFlag(true),
        CParameter::UseBlockSplitter(split),
    ] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    if stream.len() > MAX_FRAME {
        return Err(Error::new("a block is too large"));
    }
    let before = out.len();
    out.reserve(zstd_safe::compress_bound(stream.len()));
    // A fresh buffer: zstd appends to a vector only through a cursor.
    let mut tail = std::io::Cursor::new(&mut *out);
    tail.set_position(before as u64);
    context.compress2(&mut tail, stream).map_err(failed)?;
    Ok(out.len() - before)
}

/// The compressed frames of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    frames: [&'a [u8]; FRAMES],
}

impl<'a> Packed<'a> {
    /// Finds the frames of a body.
    ///
    /// # Errors
    /// When there are not exactly as many as there must be.
    pub(super) fn split(body: &'a [u8]) -> Result<Self> {
        let mut frames: [&[u8]; FRAMES] = [&[]; FRAMES];
        let mut rest = body;
        for frame in &mut frames {
            let len = zstd_safe::find_frame_compressed_size(rest)
                .map_err(|_| Error::new("a frame of a block is cut short"))?;
            let split = rest.split_at_checked(len);
            let (head, tail) = split.ok_or(Error::new("a frame reaches past its block"))?;
            (*frame, rest) = (head, tail);
        }
        if !rest.is_empty() {
            return Err(Error::new("a block has something left over"));
        }
        Ok(Self { frames })
    }

    /// Decompresses a frame.
    ///
    /// # Errors
    /// When it is damaged, has no checksum, does not say its size, or says more than [`MAX_FRAME`] or
    /// than its bytes can hold.
    pub(super) fn unpack(&self, which: Frame) -> Result<Vec<u8>> {
        let frame = self.frames.get(which as usize).copied().unwrap_or_default();
        let most = MAX_FRAME as u64;
        zstd_frame::take(&mut Cursor::new(frame), most).map_err(|error| match error {
            block::Error::TooLarge { .. } => Error::new("a frame of a block is too large"),
            _ => Error::new("a frame of a block is damaged"),
        })
    }
}
