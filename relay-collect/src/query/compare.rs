//! Values against what an expression says.

use super::lex::Op;
use crate::render::value::{as_int, plain};
use memchr::memmem;
use relay_fmt::value::Value;
use std::cmp::Ordering;

/// A number, exact where it is an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i128),
    /// Beyond that, up to 2¹²⁸ - 1.
    Large(u128),
    Float(f64),
}

/// 2¹²⁷: the first that no `i128` holds.
const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // `inf` and `nan` are words that a log may well contain.
        let first = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !first.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let int = text.parse().ok().map(Self::Int);
        let large = || text.parse().ok().map(Self::Large);
        int.or_else(large).or_else(|| text.parse().ok().map(Self::Float))
    }

    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::F32(x) => Some(Self::Float(f64::from(*x))),
            Value::F64(x) => Some(Self::Float(*x)),
            Value::U128(n) => Some(i128::try_from(*n).map_or(Self::Large(*n), Self::Int)),
            _ => as_int(value).map(Self::Int),
        }
    }

    /// Compares without rounding an integer to a float: beyond 2⁵³ that would call different
    /// numbers equal.
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => int_with_float(a, b),
            (Self::Float(a), Self::Int(b)) => int_with_float(b, a).map(Ordering::reverse),
            (Self::Large(a), Self::Large(b)) => Some(a.cmp(&b)),
            (Self::Large(_), Self::Int(_)) => Some(Ordering::Greater),
            (Self::Int(_), Self::Large(_)) => Some(Ordering::Less),
            (Self::Large(a), Self::Float(b)) => large_with_float(a, b),
            (Self::Float(a), Self::Large(b)) => large_with_float(b, a).map(Ordering::reverse),
        }
    }
}

fn int_with_float(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b >= BEYOND {
        return Some(Ordering::Less);
    }
    if b < -BEYOND {
        return Some(Ordering::Greater);
    }
    // What lies behind the point decides ties.
    let tie = 0.0f64.partial_cmp(&(b - b.trunc()));
    Some(a.cmp(&(b.trunc() as i128)).then(tie.unwrap_or(Ordering::Equal)))
}

/// As [`int_with_float`], for 2¹²⁷ and more: floats of that size have nothing behind the point.
fn large_with_float(a: u128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b >= 2.0 * BEYOND {
        return Some(Ordering::Less);
    }
    // The cast saturates at 0, which keeps the order.
    Some(a.cmp(&(b as u128)))
}

/// What stands to the right of a comparison.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) text: String,
    number: Option<Number>,
}

fn holds(op: Op, order: Ordering) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Prefix | Op::Suffix | Op::Contains | Op::Matches => false,
    }
}

/// Whether `a op b`, for things that have an order.
pub(super) fn ordered<T: Ord>(op: Op, a: &T, b: &T) -> bool {
    holds(op, a.cmp(b))
}

impl Literal {
    /// A literal; only one without quotes can be a number.
    pub(super) fn new(text: String, bare: bool) -> Self {
        let number = Number::parse(&text).filter(|_| bare);
        Self { text, number }
    }

    /// Whether text stands in this relation to the literal. Where the literal is a number, text that
    /// is one is compared as a number.
    pub(super) fn holds_for_text(&self, op: Op, text: &[u8]) -> bool {
        let own = self.text.as_bytes();
        match op {
            Op::Prefix => text.starts_with(own),
            Op::Suffix => text.ends_with(own),
            Op::Contains => memmem::find(text, own).is_some(),
            Op::Matches => false,
            _ => {
                let Some(number) = self.number else {
                    return holds(op, text.cmp(own));
                };
                let theirs = std::str::from_utf8(text).ok().and_then(Number::parse);
                match theirs.and_then(|n| n.compare(number)) {
                    Some(order) => holds(op, order),
                    None => op == Op::Ne,
                }
            }
        }
    }

    /// Whether a number stands in this relation to the literal.
    pub(super) fn holds_for_int(&self, op: Op, value: u64) -> bool {
        self.holds_for(op, &Value::U64(value), &mut Vec::new())
    }

    /// Whether a value stands in this relation to the literal.
    pub(super) fn holds_for(&self, op: Op, value: &Value<'_>, scratch: &mut Vec<u8>) -> bool {
        if let Value::Some(inner) = value {
            let inner = inner.iter().next();
            return inner.is_some_and(|(_, v)| self.holds_for(op, &v, scratch));
        }
        if let Some(text) = value.as_bytes() {
            return self.holds_for_text(op, text);
        }
        let of_text = matches!(op, Op::Prefix | Op::Suffix | Op::Contains);
        if let (Some(a), Some(b), false) = (Number::of(value), self.number, of_text) {
            return a.compare(b).map_or(op == Op::Ne, |order| holds(op, order));
        }
        scratch.clear();
        plain(value, scratch);
        self.holds_for_text(op, scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_beyond_a_float_are_told_apart() {
        let literal = Literal::new("9007199254740993".into(), true);
        assert!(!literal.holds_for_int(Op::Eq, 9_007_199_254_740_992));
        assert!(literal.holds_for_int(Op::Eq, 9_007_199_254_740_993));
        let literal = Literal::new("9007199254740992.0".into(), true);
        assert!(literal.holds_for_int(Op::Gt, 9_007_199_254_740_993));
        let half = Literal::new("-1.5".into(), true);
        assert!(half.holds_for(Op::Gt, &Value::I8(-1), &mut Vec::new()));
        assert!(half.holds_for(Op::Lt, &Value::I8(-2), &mut Vec::new()));
        assert!(half.holds_for(Op::Eq, &Value::F32(-1.5), &mut Vec::new()));
        assert!(half.holds_for(Op::Ne, &Value::F64(f64::NAN), &mut Vec::new()));
        assert!(!half.holds_for(Op::Lt, &Value::F64(f64::NAN), &mut Vec::new()));
    }

    #[test]
    fn integers_of_128_bits_are_told_apart() {
        let half = 1u128 << 127;
        for (number, op, text, holds) in [
            (u128::MAX, Op::Eq, "340282366920938463463374607431768211455", true),
            (u128::MAX - 1, Op::Eq, "340282366920938463463374607431768211455", false),
            (u128::MAX - 1, Op::Lt, "340282366920938463463374607431768211455", true),
            (half, Op::Eq, "170141183460469231731687303715884105728", true),
            (half, Op::Gt, "170141183460469231731687303715884105727", true),
            (half - 1, Op::Eq, "170141183460469231731687303715884105728", false),
            (half - 1, Op::Lt, "170141183460469231731687303715884105728.0", true),
            (half, Op::Eq, "170141183460469231731687303715884105728.0", true),
            (u128::MAX, Op::Lt, "1e39", true),
            (u128::MAX, Op::Lt, "340282366920938463463374607431768211456", true),
            (half, Op::Gt, "-1e39", true),
            (half, Op::Gt, "5", true),
        ] {
            let literal = Literal::new(text.into(), true);
            let value = Value::U128(number);
            assert_eq!(literal.holds_for(op, &value, &mut Vec::new()), holds, "{number} {text}");
        }
        let largest = Literal::new("170141183460469231731687303715884105727".into(), true);
        let float = Value::F64(BEYOND);
        assert!(largest.holds_for(Op::Gt, &float, &mut Vec::new()), "2¹²⁷ is more");
        assert!(largest.holds_for(Op::Gt, &Value::F64(f64::INFINITY), &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn small_numbers_compare_as_floats_do(a in -1000i32..1000, b in -1000.0f64..1000.0) {
            let expected = f64::from(a).partial_cmp(&b);
            prop_assert_eq!(int_with_float(a.into(), b), expected);
        }
    }
}
