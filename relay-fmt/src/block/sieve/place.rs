//! Where values stand in records of one length.

use crate::callsite::Callsite;
use crate::value::Type;

/// Where a value stands in a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) of: Type,
    pub(super) at: usize,
    /// For a string, its length.
    len: Option<[u8; 4]>,
}

impl Place {
    /// Finds the values of a payload, each of a type whose length is known. Returns where they end; `None`
    /// where there is another type, or a string for which there is no hole.
    pub(super) fn all(
        callsite: &Callsite,
        holes: usize,
        payload: &[u8],
        places: &mut Vec<Self>,
    ) -> Option<usize> {
        places.clear();
        let mut at = 0;
        for (nth, field) in callsite.fields.iter().enumerate() {
            let mut place = Self { of: field.of, at, len: None };
            at += match field.of {
                Type::U8 => 1,
                Type::U16 => 2,
                Type::U32 | Type::I32 | Type::F32 => 4,
                Type::U64 | Type::Usize | Type::I64 | Type::Isize | Type::F64 => 8,
                // Who prints the record would look at it, too.
                Type::Str | Type::Text if nth < holes => {
                    let len = payload.get(at..)?.first_chunk::<4>()?;
                    place.len = Some(*len);
                    len.len() + u32::from_le_bytes(*len) as usize
                }
                _ => return None,
            };
            places.push(place);
        }
        Some(at)
    }

    /// The bytes of a fixed number of a payload.
    #[inline]
    pub(super) fn bytes<const N: usize>(&self, payload: &[u8]) -> [u8; N] {
        let bytes = payload.get(self.at..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    /// Whether it stands so in another payload, too, as far as that is not said by its length.
    #[inline]
    pub(super) fn is_in(&self, payload: &[u8]) -> bool {
        self.len.is_none_or(|len| self.bytes(payload) == len)
    }

    /// The bytes of a string.
    #[inline]
    pub(super) fn text<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let len = self.len.map_or(0, |len| u32::from_le_bytes(len) as usize);
        payload.get(self.at + 4..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }
}
