//! What a block's text can contain.

/// The slot for a filter over a block's text.
///
/// Kind 0 is no filter. Kind 1 is set aside for a blocked Bloom filter over the tokens and the
/// three-byte substrings of the text, case kept. A reader takes a kind that it does not know for "can
/// contain anything".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// How `bytes` are to be read.
    pub kind: u8,
    /// The filter.
    pub bytes: Vec<u8>,
}

impl Filter {
    /// No filter.
    pub const NONE: u8 = 0;
}
