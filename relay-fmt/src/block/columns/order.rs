//! The last frame of a body: times, runs and spans. It needs nothing of what becomes of payloads, so that one
//! thread can write it while another takes those apart.

use super::encode::Precision;
use super::{frames, ints, strings, tables};
use crate::block::RowBuffer;
use crate::bytes::{Error, Result};
use zstd::zstd_safe::CCtx;

/// Writes last frames, one after the other, in the same memory.
pub(in crate::block) struct Order {
    level: i32,
    precision: Precision,
    stream: Vec<u8>,
    /// The texts of names, which stand in another frame.
    text: Vec<u8>,
    ints: ints::Scratch,
    strings: strings::Scratch,
    context: CCtx<'static>,
}

impl Order {
    pub(super) fn new(level: i32) -> Result<Self> {
        Ok(Self {
            level,
            precision: Precision::Nanos,
            stream: Vec::new(),
            text: Vec::new(),
            ints: ints::Scratch::default(),
            strings: strings::Scratch::default(),
            context: CCtx::try_create().ok_or(Error::new("no memory for zstd"))?,
        })
    }

    pub(super) const fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Appends the frame; gives its length and that of what is in it. It is worth nothing where
    /// [`super::encode::Payloads`] refuses the rows.
    ///
    /// # Errors
    /// When there are too many runs or spans, or they hold too much.
    pub(in crate::block) fn encode(
        &mut self,
        rows: &RowBuffer,
        out: &mut Vec<u8>,
    ) -> Result<(usize, usize)> {
        self.stream.clear();
        self.text.clear();
        let (number, ints) = (&mut self.stream, &mut self.ints);
        tables::put_order(rows, self.precision, number, ints)?;
        let mut sink = strings::Sink { number, text: &mut self.text, ints };
        tables::put_names(rows, &mut sink, &mut self.strings)?;
        let len = frames::pack(&self.stream, &mut self.context, self.level, out)?;
        Ok((len, self.stream.len()))
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("level", &self.level).finish_non_exhaustive()
    }
}
