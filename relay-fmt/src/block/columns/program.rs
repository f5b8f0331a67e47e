//! Programs: how the payload of a row is put together from what is constant and what is not.
//!
//! All rows of a class have the same program. In the body, and as the key by which classes are
//! told apart, a program is bytes:
//!
//! | byte | meaning |
//! |---|---|
//! | 1, n, n bytes | these bytes |
//! | 2, w | an integer of w bytes, not signed |
//! | 3, w | an integer of w bytes, signed |
//! | 4, w | a float of w bytes |
//! | 5 | a `u32` length and that many bytes |
//! | 6 | bytes to the end of the payload |
//! | 7, template, 0 | a `u32` length and text, put together as the [template](super::template) says |
//! | 8, template, 0 | text to the end of the payload, likewise |

use super::template::{self, Slot};
use crate::bytes::{Cursor, Error, Result};

pub(super) const LITERAL: u8 = 1;
pub(super) const UNSIGNED: u8 = 2;
pub(super) const SIGNED: u8 = 3;
pub(super) const FLOAT: u8 = 4;
pub(super) const STRING: u8 = 5;
pub(super) const REST: u8 = 6;
pub(super) const TEXT: u8 = 7;
pub(super) const BARE_TEXT: u8 = 8;
/// Ends a template.
pub(super) const END: u8 = 0;

/// The most values that a row may have, and the most bytes of a program.
pub(super) const MAX_SLOTS: usize = 2048;
/// The most bytes that a program may have.
pub(super) const MAX_PROGRAM: usize = 1 << 17;

/// One step of putting a payload together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Bytes of the program, as a [`super::strings::pack`]ed reference.
    Literal(u64),
    /// An integer of so many bytes.
    Integer { width: u8, signed: bool },
    /// A float of four or eight bytes.
    Float { double: bool },
    /// A length and bytes.
    Str,
    /// Bytes without a length.
    Rest,
    /// The length of the text that the steps up to `Close` make.
    Open,
    /// A variable part of a text.
    Slot(Slot),
    /// The end of the text after `Open`.
    Close,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Integers.
    Int,
    /// Bits of `f32`.
    Single,
    /// Bits of `f64`.
    Double,
    /// References to strings.
    Str,
}

impl Op {
    /// The columns that the step takes one value from each.
    pub(super) const fn columns(self) -> &'static [Of] {
        match self {
            Self::Literal(_) | Self::Open | Self::Close => &[],
            Self::Integer { .. } => &[Of::Int],
            Self::Float { double: true } => &[Of::Double],
            Self::Float { double: false } => &[Of::Single],
            Self::Str | Self::Rest => &[Of::Str],
            Self::Slot(slot) => slot.columns(),
        }
    }
}

/// Takes a program apart.
///
/// # Errors
/// When it is cut short, too long, or has an unknown step.
pub(super) fn parse(program: &[u8]) -> Result<Vec<Op>> {
    if program.len() > MAX_PROGRAM {
        return Err(Error::new("a program is too long"));
    }
    let mut input = Cursor::new(program);
    // Most steps are constants of some bytes.
    let (mut ops, mut values) = (Vec::with_capacity(program.len() / 4 + 2), 0);
    while !input.is_empty() {
        let before = ops.len();
        step(program, &mut input, &mut ops)?;
        let added = ops.iter().skip(before);
        values += added.map(|op: &Op| op.columns().len()).sum::<usize>();
        if values > MAX_SLOTS {
            return Err(Error::new("a program takes too many values"));
        }
    }
    Ok(ops)
}

fn step(program: &[u8], input: &mut Cursor<'_>, ops: &mut Vec<Op>) -> Result<()> {
    let tag = input.u8()?;
    let op = match tag {
        LITERAL => {
            let len = usize::from(input.u8()?);
            let start = program.len() - input.rest().len();
            input.bytes(len)?;
            Op::Literal(super::strings::pack(start, len))
        }
        UNSIGNED | SIGNED => {
            Op::Integer { width: input.u8().and_then(width)?, signed: tag == SIGNED }
        }
        FLOAT => match input.u8()? {
            4 => Op::Float { double: false },
            8 => Op::Float { double: true },
            _ => return Err(Error::new("a float has an unknown width")),
        },
        STRING => Op::Str,
        REST => Op::Rest,
        TEXT => {
            ops.push(Op::Open);
            template::parse(program, input, ops)?;
            Op::Close
        }
        BARE_TEXT => return template::parse(program, input, ops),
        _ => return Err(Error::new("a program has an unknown step")),
    };
    ops.push(op);
    Ok(())
}

fn width(width: u8) -> Result<u8> {
    match width {
        1 | 2 | 4 | 8 => Ok(width),
        _ => Err(Error::new("an integer has an unknown width")),
    }
}
