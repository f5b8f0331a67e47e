//! Decimal numbers, exact.

/// A decimal number: `digits` / 10^`places`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u128,
    places: u32,
}

/// More digits than any size or duration needs; what fits cannot overflow when multiplied.
const MAX_DIGITS: usize = 20;

impl Decimal {
    /// Reads the number at the start of `text`: digits, with at most one point among them.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, rest) = text.split_at(end.unwrap_or(text.len()));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let all = format!("{whole}{part}");
        if whole.is_empty() || all.len() > MAX_DIGITS || number.ends_with('.') {
            return None;
        }
        let digits = all.parse().ok()?;
        let places = u32::try_from(part.len()).ok()?;
        Some((Self { digits, places }, rest))
    }

    /// The number times `unit`, rounded down; `None` when it does not fit 64 bits.
    pub(crate) fn times(self, unit: u64) -> Option<u64> {
        let product = self.digits.checked_mul(unit.into())?;
        u64::try_from(product / 10u128.checked_pow(self.places)?).ok()
    }
}
