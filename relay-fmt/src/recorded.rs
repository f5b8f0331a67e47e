//! Values that a span gets while it is open.

use crate::bytes::Cursor;
use crate::value::{NAMED, Value};

/// More fields than this are not compared with each other: their values are all kept.
const MOST: usize = 256;

/// Adds values that were recorded to those that a span has, both in the sparse layout; `name_of` tells what
/// the callsite calls a field.
///
/// A field that has a value already gets the new one in its place, since only the last one counts: what a
/// span holds does not grow with how often something is recorded in it. What does not parse, and what has
/// no name, is all kept.
///
/// ```
/// use relay_fmt::value::Type;
///
/// let value = |n: u8| [0, Type::U8 as u8, n];
/// let mut values = value(1).to_vec();
/// relay_fmt::recorded::put(&mut values, &value(2), |_| Some("percent"));
/// assert_eq!(values, value(2));
/// ```
pub fn put<'n>(values: &mut Vec<u8>, recorded: &[u8], name_of: impl Fn(u8) -> Option<&'n str>) {
    values.extend_from_slice(recorded);
    if let Some(last) = last_of_each(values, name_of) {
        *values = last;
    }
}

/// Takes values in the sparse layout apart that are longer than `most` bytes together: fields that fit, in
/// their order, and those that are too much. `None` where all fit, or something does not parse.
#[must_use]
pub fn fitting(values: &[u8], most: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut input, mut fit, mut large) = (Cursor::new(values), Vec::new(), Vec::new());
    while !input.is_empty() {
        let before = input.rest();
        if input.u8().ok()? == NAMED {
            input.text().ok()?;
        }
        Value::parse_tagged(&mut input).ok()?;
        let field = before.get(..before.len() - input.rest().len())?;
        let to = if fit.len() + field.len() <= most { &mut fit } else { &mut large };
        to.extend_from_slice(field);
    }
    (!large.is_empty()).then_some((fit, large))
}

/// The last value of each field, where the first one stood; `None` where that changes nothing, or cannot be
/// told.
fn last_of_each<'n>(values: &[u8], name_of: impl Fn(u8) -> Option<&'n str>) -> Option<Vec<u8>> {
    let mut input = Cursor::new(values);
    let (mut fields, mut again): (Vec<(&str, &[u8])>, bool) = (Vec::new(), false);
    while !input.is_empty() {
        let before = input.rest();
        let name = match input.u8().ok()? {
            NAMED => input.text().ok()?,
            index => name_of(index)?,
        };
        Value::parse_tagged(&mut input).ok()?;
        let field = before.get(..before.len() - input.rest().len())?;
        let same = fields.iter_mut().find(|(known, _)| *known == name && !name.is_empty());
        if let Some((_, value)) = same {
            (*value, again) = (field, true);
        } else if fields.len() == MOST {
            return None;
        } else {
            fields.push((name, field));
        }
    }
    again.then(|| fields.into_iter().flat_map(|(_, field)| field).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Type, put_name, put_str};
    use proptest::prelude::*;

    /// Two of the names are the same.
    const NAMES: [&str; 4] = ["a", "b", "a", ""];

    fn name_of(index: u8) -> Option<&'static str> {
        NAMES.get(usize::from(index)).copied()
    }

    /// Names and values as they lie there, those of a name that comes again in the place of the first.
    fn shown(values: &[u8]) -> Vec<(String, String)> {
        let mut input = Cursor::new(values);
        let mut all: Vec<(String, String)> = Vec::new();
        while let Ok(index) = input.u8() {
            let name = match index {
                NAMED => input.text().unwrap(),
                index => name_of(index).unwrap(),
            };
            let value = format!("{:?}", Value::parse_tagged(&mut input).unwrap());
            match all.iter_mut().find(|(known, _)| known == name && !name.is_empty()) {
                Some(known) => known.1 = value,
                None => all.push((name.to_owned(), value)),
            }
        }
        all
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![
            (0..NAMES.len() as u8).prop_map(|index| vec![index]),
            "[ac]".prop_map(|name| {
                let mut bytes = Vec::new();
                put_name(&mut bytes, &name);
                bytes
            }),
        ];
        (name, any::<u8>(), "[xy]{0,3}", any::<bool>()).prop_map(|(mut field, n, text, number)| {
            match number {
                true => field.extend([Type::U8 as u8, n]),
                false => put_str(&mut field, Type::Str, text.as_bytes()),
            }
            field
        })
    }

    proptest! {
        #[test]
        fn what_is_shown_stays_and_what_is_not_goes(
            records in prop::collection::vec(prop::collection::vec(field(), 0..4), 0..20),
        ) {
            let (mut put_all, mut appended) = (Vec::new(), Vec::new());
            for record in records {
                let record = record.concat();
                put(&mut put_all, &record, name_of);
                appended.extend_from_slice(&record);
                prop_assert_eq!(shown(&put_all), shown(&appended));
                let mut names: Vec<_> = shown(&put_all).into_iter().map(|(name, _)| name).collect();
                names.retain(|name| !name.is_empty());
                let count = names.len();
                names.sort();
                names.dedup();
                prop_assert_eq!(names.len(), count);
                let nameless = shown(&put_all).len() - count;
                prop_assert!(put_all.len() <= 11 * (count + nameless), "only one of each is kept");
            }
        }

        #[test]
        fn what_is_too_much_is_told_from_what_fits(
            fields in prop::collection::vec(field(), 0..12),
            most in 0usize..60,
        ) {
            let values = fields.concat();
            match fitting(&values, most) {
                None => prop_assert!(values.len() <= most),
                Some((fit, large)) => {
                    prop_assert!(fit.len() <= most && values.len() > most);
                    let mut all: Vec<_> = fields.iter().map(Vec::len).collect();
                    let taken = |part: &[u8]| {
                        let (mut input, mut lengths) = (Cursor::new(part), Vec::new());
                        while !input.is_empty() {
                            let before = input.rest().len();
                            if input.u8().unwrap() == NAMED {
                                input.text().unwrap();
                            }
                            Value::parse_tagged(&mut input).unwrap();
                            lengths.push(before - input.rest().len());
                        }
                        lengths
                    };
                    let mut parts = [taken(&fit), taken(&large)].concat();
                    all.sort_unstable();
                    parts.sort_unstable();
                    prop_assert_eq!(all, parts, "each is in one of them");
                }
            }
        }

        #[test]
        fn what_does_not_parse_is_kept(
            values in prop::collection::vec(0u8..NAMED, 0..20),
            recorded: Vec<u8>,
        ) {
            let all = [&values[..], &recorded].concat();
            let mut put_all = values.clone();
            put(&mut put_all, &recorded, |_| Some("a"));
            prop_assert!(put_all.len() <= all.len());
            if !values.is_empty() {
                // Fields that nobody knows.
                put_all = values;
                put(&mut put_all, &recorded, |_| None);
                prop_assert_eq!(put_all, all);
            }
        }
    }
}
