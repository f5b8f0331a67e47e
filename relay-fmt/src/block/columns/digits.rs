//! Looking for digits among numbers, without writing the numbers out.

use super::template::{BINARY, BINARY_UNITS, Slot};
use memchr::memmem;

/// So many numbers are looked at together before one of them is: in columns of times and counters they
/// lie close to each other, and far from what is looked for.
pub(super) const TOGETHER: usize = 64;

/// Digits that are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits {
    /// The number that they are.
    number: u64,
    /// Ten to the power of how many they are.
    period: u64,
}

impl Digits {
    /// Up to 19 decimal digits and nothing else.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        let step = |n: u64, b: &u8| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'));
        let number = text.get(..text.len().min(20))?.iter().take(19).try_fold(0, step)?;
        let period = 10u64.checked_pow(u32::try_from(text.len()).ok()?)?;
        Some(Self { number, period })
    }

    /// Whether the decimal digits of a number, with any zeros in front, show them.
    #[inline]
    pub(super) const fn may_be_in(self, number: u64) -> bool {
        let mut rest = number;
        loop {
            if rest < self.number {
                return false;
            }
            if rest % self.period == self.number {
                return true;
            }
            rest /= 10;
        }
    }

    /// Whether the digits of a number from `least` to `most`, with any zeros in front, show them.
    const fn may_be_between(self, least: u64, most: u64) -> bool {
        let (mut least, mut most) = (least, most);
        loop {
            if most < self.number {
                return false;
            }
            // How far the next number that ends with these digits is above the least.
            let (end, wanted) = (least % self.period, self.number);
            let step = if end > wanted { self.period - end + wanted } else { wanted - end };
            if step <= most - least {
                return true;
            }
            least /= 10;
            most /= 10;
        }
    }

    /// Whether the digits of one of these numbers, taken without their signs, may show them: `false` where
    /// that is known without looking at each.
    #[inline]
    pub(super) fn may_be_among(self, numbers: &[u64]) -> bool {
        let sizes = numbers.iter().map(|number| number.cast_signed().unsigned_abs());
        let (least, most) =
            sizes.fold((u64::MAX, 0), |(least, most), size| (least.min(size), most.max(size)));
        least <= most && self.may_be_between(least, most)
    }

    /// Whether the digits of one of these numbers, taken without their signs, show them.
    fn are_in_any(self, numbers: &[u64]) -> bool {
        numbers.chunks(TOGETHER).any(|some| {
            let shows = |number: &u64| self.may_be_in(number.cast_signed().unsigned_abs());
            self.may_be_among(some) && some.iter().any(shows)
        })
    }
}

/// How many decimal digits follow each other in a text at most.
pub(super) fn longest_run(text: &[u8]) -> usize {
    text.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0)
}

/// Whether a decimal with one of these mantissas may show this. Point and sign are not looked at, nor
/// zeros in front, which may fill up.
pub(super) fn any_has(mantissas: &[u64], wanted: &[u8]) -> bool {
    // No mantissa has more than 19 digits.
    without_point(wanted).is_some_and(|digits| digits.are_in_any(mantissas))
}

/// All digits of a part of a decimal, without zeros in front; `None` when they are more than 19.
fn without_point(wanted: &[u8]) -> Option<Digits> {
    let digits = wanted.iter().copied().filter(u8::is_ascii_digit);
    let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
    Digits::new(&digits).filter(|_| digits.len() <= 19)
}

/// The number of millionths that a number with the scale [`BINARY`] shows exactly, without its sign.
///
/// Below 2⁵² no two such numbers are the same double, so that the shortest way to write the double is
/// this one, without the zeros at its end.
fn millionths(mantissa: u64) -> Option<u64> {
    let number = (mantissa as i64).unsigned_abs() as f64 / BINARY_UNITS;
    let shown = (number * 1e6).round();
    (shown < (1u64 << 52) as f64 && shown / 1e6 == number).then_some(shown as u64)
}

/// Whether one of these mantissas, written with the scale [`BINARY`], shows this.
pub(super) fn any_binary_has(mantissas: &[u64], wanted: &[u8]) -> bool {
    let digits = without_point(wanted);
    // Most are a whole number of millionths, and not these digits.
    let other = |mantissa: u64| {
        let digits = digits.zip(millionths(mantissa));
        digits.is_some_and(|(digits, number)| !digits.may_be_in(number))
    };
    let mut distinct: Vec<u64> = mantissas.iter().copied().filter(|m| !other(*m)).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let (finder, mut room) = (memmem::Finder::new(wanted), Vec::new());
    distinct.into_iter().any(|mantissa| {
        room.clear();
        let shown = Slot::Decimal.write(mantissa, BINARY, &[], &mut room);
        shown.is_err() || finder.find(&room).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_that_are_shown_are_found(
            n: u64, shift in 0u32..64, width in 0usize..24, from in 0usize..24, len in 1usize..20,
        ) {
            let number = n >> shift;
            let shown = format!("{number:0width$}");
            let wanted = shown.as_bytes().iter().skip(from).take(len).copied().collect::<Vec<_>>();
            prop_assume!(!wanted.is_empty());
            prop_assert!(Digits::new(&wanted).is_some_and(|digits| digits.may_be_in(number)));
        }
    }

    proptest! {
        #[test]
        fn numbers_together_show_what_one_of_them_shows(
            from: u64, shift in 0u32..64, steps in prop::collection::vec(0u64..3000, 0..9), at: prop::sample::Index,
            skip in 0usize..20, len in 1usize..20, other in 0u64..20_000, negative: bool,
        ) {
            let mut number = from >> 1 >> shift;
            let numbers: Vec<u64> = steps.iter().map(|step| {
                number = (number + step) & (i64::MAX as u64);
                if negative { number.wrapping_neg() } else { number }
            }).collect();
            let sizes: Vec<u64> = numbers.iter().map(|n| n.cast_signed().unsigned_abs()).collect();
            let mut wanted = vec![other];
            if !sizes.is_empty() {
                let shown = at.get(&sizes).to_string();
                let part: String = shown.chars().skip(skip).take(len).collect();
                wanted.extend(part.parse::<u64>());
            }
            for wanted in wanted {
                let digits = Digits::new(wanted.to_string().as_bytes()).unwrap();
                let shown = sizes.iter().any(|size| digits.may_be_in(*size));
                prop_assert_eq!(digits.are_in_any(&numbers), shown);
                prop_assert!(!shown || digits.may_be_among(&numbers));
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                if let (Some(least), Some(most)) = (least, most) {
                    let all = || (*least..=*most).any(|n| digits.may_be_in(n));
                    prop_assert!(most - least > 30_000 || digits.may_be_between(*least, *most) == all());
                }
            }
        }
    }

    #[test]
    fn other_digits_are_not_found() {
        let has = |wanted: &[u8], number| Digits::new(wanted).unwrap().may_be_in(number);
        assert!(has(b"36890", 1_368_904) && has(b"0012", 12) && has(b"000", 5_000));
        assert!(!has(b"36890", 36_891) && !has(b"12", 21) && !has(b"36890", 3_689));
        assert!(Digits::new(b"12.5").is_none() && Digits::new(&[b'1'; 20]).is_none());
        assert_eq!([longest_run(b"a12b345"), longest_run(b"x")], [3, 0]);
    }
}
