//! Where values stand in records of one length.

use crate::callsite::Callsite;
use crate::value::Type;

/// Where a value stands in a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) of: Type,
    at: usize,
    /// For a string, its length.
    len: usize,
}

/// Where all values of a payload stand.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Of each value.
    pub(super) all: Vec<Place>,
    /// What stands in the payload that is no value: types, and lengths of strings.
    types: Vec<(usize, u8)>,
    lengths: Vec<(usize, [u8; 4])>,
}

impl Places {
    /// Finds the values of a payload, each of a type whose length is known. Returns where they end; `None`
    /// where there is another type, or a string for which there is no hole.
    pub(super) fn find(
        &mut self,
        callsite: &Callsite,
        holes: usize,
        payload: &[u8],
    ) -> Option<usize> {
        self.all.clear();
        self.types.clear();
        self.lengths.clear();
        let mut at = 0;
        for (nth, field) in callsite.fields.iter().enumerate() {
            let mut of = field.of;
            if of == Type::Tagged {
                let tag = *payload.get(at)?;
                self.types.push((at, tag));
                (of, at) = (Type::from_u8(tag)?, at + 1);
            }
            let mut place = Place { of, at, len: 0 };
            at += match of {
                Type::U8 => 1,
                Type::U16 => 2,
                Type::U32 | Type::I32 | Type::F32 => 4,
                Type::U64 | Type::Usize | Type::I64 | Type::Isize | Type::F64 => 8,
                // Who prints the record would look at it, too.
                Type::Str | Type::Text if nth < holes => {
                    let len = payload.get(at..)?.first_chunk::<4>()?;
                    self.lengths.push((at, *len));
                    (place.at, place.len) = (at + 4, u32::from_le_bytes(*len) as usize);
                    4 + place.len
                }
                _ => return None,
            };
            self.all.push(place);
        }
        Some(at)
    }

    /// Whether they stand so in another payload of the same length.
    #[inline]
    pub(super) fn are_in(&self, payload: &[u8]) -> bool {
        let word = |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk::<4>);
        self.types.iter().all(|(at, tag)| payload.get(*at) == Some(tag))
            && self.lengths.iter().all(|(at, len)| word(*at) == Some(len))
    }
}

impl Place {
    /// The bytes of a number of a payload.
    #[inline]
    pub(super) fn bytes<const N: usize>(&self, payload: &[u8]) -> [u8; N] {
        let bytes = payload.get(self.at..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    /// The bytes of a string.
    #[inline]
    pub(super) fn text<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        payload.get(self.at..).and_then(|rest| rest.get(..self.len)).unwrap_or_default()
    }
}
