//! Texts that came not long ago.

use crate::block::columns::hash;

/// So many are kept, a power of two.
const SLOTS: usize = 256;

/// Some of the texts that came: where two have a place, the later one.
#[derive(Debug, Default)]
pub(super) struct Recent<'a> {
    last: Option<&'a [u8]>,
    slots: Vec<Option<&'a [u8]>>,
}

impl<'a> Recent<'a> {
    /// Whether a text has not come, or not for long. It is there from now on.
    #[inline]
    pub(super) fn is_new(&mut self, text: &'a [u8]) -> bool {
        // Most strings are the one before.
        self.last.replace(text) != Some(text) && self.is_new_before(text)
    }

    /// Whether a text that is not the one before has not come.
    fn is_new_before(&mut self, text: &'a [u8]) -> bool {
        self.slots.resize(SLOTS, None);
        let slot = self.slots.get_mut((hash(text) >> 32) as usize & (SLOTS - 1));
        slot.is_none_or(|slot| slot.replace(text) != Some(text))
    }
}
