//! What numbers look like, without saying which.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// This byte.
    Byte(u8),
    /// Any digit.
    Digit,
    /// Any digit but 0.
    Leading,
}

impl Symbol {
    const fn bytes(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Byte(byte) => byte..=byte,
            Self::Digit => b'0'..=b'9',
            Self::Leading => b'1'..=b'9',
        }
    }
}

/// Whole numbers of four digits, and of more: these have no other threes.
pub(super) const LONG: &[Symbol] = &[Symbol::Leading, Symbol::Digit, Symbol::Digit, Symbol::Digit];

/// All threes that a text of this shape can have.
pub(super) fn threes(shape: &[Symbol]) -> impl Iterator<Item = [u8; 3]> + '_ {
    let three = |at: &[Symbol; 3]| {
        let [first, second, third] = at.map(Symbol::bytes);
        let pairs = first.flat_map(move |a| second.clone().map(move |b| (a, b)));
        pairs.flat_map(move |(a, b)| third.clone().map(move |c| [a, b, c]))
    };
    shape.windows(3).filter_map(<[Symbol]>::first_chunk).flat_map(three)
}

/// Floats from -1000 to 1000 that have so many digits in front of the point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Float {
    count: usize,
    negative: bool,
}

impl Float {
    #[inline]
    pub(super) fn of(float: f64) -> Option<Self> {
        let size = float.abs();
        let count = 1 + usize::from(size >= 10.0) + usize::from(size >= 100.0);
        (size < 1000.0).then_some(Self { count, negative: float.is_sign_negative() })
    }

    #[inline]
    pub(super) const fn bit(self) -> u32 {
        1 << (self.count + 4 * (self.negative as usize))
    }

    /// Everything that they can look like: more than three digits in a row tell no more than three.
    pub(super) fn shapes(self) -> impl Iterator<Item = Vec<Symbol>> {
        (0..4).map(move |fraction| {
            let mut shape = vec![Symbol::Byte(b'-'); usize::from(self.negative)];
            shape.extend(vec![Symbol::Digit; self.count]);
            shape.extend(vec![Symbol::Byte(b'.'); usize::from(fraction > 0)]);
            shape.extend(vec![Symbol::Digit; fraction]);
            shape
        })
    }
}
