//! Where the text lies in a payload.
//!
//! A log line's payload is a few bytes of framing around its text. The framing is told by one number,
//! so that the texts of a block stand one after the other, as in the file that they would be.

use crate::bytes::Cursor;
use crate::callsite::Callsite;
use crate::record::Kind;
use crate::value::{Layout, Type};

/// What stands in front of the text of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// There is no text: the payload is kept as it is.
    Opaque,
    /// Nothing: the payload is text.
    Bare,
    /// A `u32` length.
    Packed,
    /// A type and a `u32` length.
    Tagged(Type),
    /// Field index 0, a type and a `u32` length.
    Sparse(Type),
}

const TEXTS: [Type; 3] = [Type::Str, Type::Bytes, Type::Text];

impl Shape {
    /// Its number in the column of shapes.
    pub(crate) const fn to_u8(self) -> u8 {
        match self {
            Self::Opaque => 0,
            Self::Bare => 1,
            Self::Packed => 2,
            Self::Tagged(of) => 3 + (of as u8 - Type::Str as u8),
            Self::Sparse(of) => 6 + (of as u8 - Type::Str as u8),
        }
    }

    /// The shape of this number.
    pub(crate) fn from_u8(shape: u8) -> Option<Self> {
        let text = |n: u8| TEXTS.get(usize::from(n)).copied();
        Some(match shape {
            0 => Self::Opaque,
            1 => Self::Bare,
            2 => Self::Packed,
            3..=5 => Self::Tagged(text(shape - 3)?),
            6..=8 => Self::Sparse(text(shape - 6)?),
            _ => return None,
        })
    }

    /// Splits a payload into the framing that this shape stands for, the text, and what follows.
    /// `None` when the payload is not of this shape.
    pub(crate) fn split(self, payload: &[u8]) -> Option<(&[u8], &[u8])> {
        let mut input = Cursor::new(payload);
        match self {
            Self::Opaque => return None,
            Self::Bare => return Some((payload, &[])),
            Self::Packed => {}
            Self::Tagged(of) => (input.u8().ok()? == of as u8).then_some(())?,
            Self::Sparse(of) => {
                (input.array::<2>().ok()? == [0, of as u8]).then_some(())?;
            }
        }
        let length = input.u32().ok()? as usize;
        let text = input.bytes(length).ok()?;
        Some((text, input.rest()))
    }

    /// Appends the framing of a text of `length` bytes.
    pub(crate) fn put(self, length: u32, out: &mut Vec<u8>) {
        match self {
            Self::Opaque | Self::Bare => return,
            Self::Packed => {}
            Self::Tagged(of) => out.push(of as u8),
            Self::Sparse(of) => out.extend_from_slice(&[0, of as u8]),
        }
        out.extend_from_slice(&length.to_le_bytes());
    }
}

/// How the payloads of one callsite lie, before one is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Nothing,
    Packed,
    Tagged,
    Sparse,
}

impl Expect {
    /// Only a callsite whose message is one text is split.
    pub(crate) fn of(callsite: &Callsite) -> Self {
        if callsite.template != "{0}" {
            return Self::Nothing;
        }
        match (callsite.layout, callsite.fields.first().map(|field| field.of)) {
            (_, None) => Self::Nothing,
            (Layout::Sparse, _) => Self::Sparse,
            (Layout::Packed, Some(Type::Tagged)) => Self::Tagged,
            (Layout::Packed, Some(of)) if TEXTS.contains(&of) => Self::Packed,
            (Layout::Packed, _) => Self::Nothing,
        }
    }

    /// The shape of a payload, its text, and what follows the text.
    pub(crate) fn shape(self, kind: Kind, payload: &[u8]) -> (Shape, &[u8], &[u8]) {
        let text = |n: usize| {
            let tag = payload.get(n).and_then(|tag| Type::from_u8(*tag));
            tag.filter(|of| TEXTS.contains(of))
        };
        let shape = match (kind, self) {
            (Kind::Raw, _) => Some(Shape::Bare),
            (Kind::Event | Kind::SpanEvent, Self::Packed) => Some(Shape::Packed),
            (Kind::Event | Kind::SpanEvent, Self::Tagged) => text(0).map(Shape::Tagged),
            (Kind::Event | Kind::SpanEvent, Self::Sparse) => text(1).map(Shape::Sparse),
            _ => None,
        };
        let split = shape.and_then(|shape| Some((shape, shape.split(payload)?)));
        match split {
            Some((shape, (text, rest))) => (shape, text, rest),
            None => (Shape::Opaque, &[], payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_shape_has_a_number() {
        for n in 0..=255u8 {
            if let Some(shape) = Shape::from_u8(n) {
                assert_eq!(shape.to_u8(), n);
            }
        }
        assert_eq!(Shape::from_u8(8), Some(Shape::Sparse(Type::Text)));
        assert_eq!(Shape::from_u8(9), None);
    }

    proptest! {
        #[test]
        fn what_is_split_is_put_together_again(
            n in 0u8..9, text: Vec<u8>, tail: Vec<u8>, noise: Vec<u8>,
        ) {
            let shape = Shape::from_u8(n).unwrap();
            let mut payload = Vec::new();
            shape.put(text.len() as u32, &mut payload);
            payload.extend_from_slice(&text);
            payload.extend_from_slice(&tail);
            for payload in [payload, noise] {
                if let Some((text, rest)) = shape.split(&payload) {
                    let mut again = Vec::new();
                    shape.put(text.len() as u32, &mut again);
                    again.extend_from_slice(text);
                    again.extend_from_slice(rest);
                    prop_assert_eq!(again, payload);
                }
            }
        }
    }
}
