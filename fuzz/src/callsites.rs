//! A description, and a payload that is read as it says: `u16` length of the description, it, the rest.

use crate::frames::part;
use relay_fmt::callsite::Callsite;
use relay_fmt::message::write_value;

/// What decodes encodes to what decodes to the same; a payload has as many values as bytes at most.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let (description, payload) = part(data);
    let Ok(callsite) = Callsite::decode(description) else { return };
    let mut again = Vec::new();
    callsite.encode(&mut again);
    assert_eq!(Callsite::decode(&again).as_ref(), Ok(&callsite));
    // Numbers in more bytes than they need are the only other way to say the same.
    assert!(again.len() <= description.len());
    let (mut values, mut failed, mut out) = (0, false, Vec::new());
    for value in callsite.values(payload) {
        assert!(!failed, "nothing follows what is no value");
        match value {
            Ok(field) => {
                values += 1;
                assert!(field.index.is_none_or(|index| index < callsite.fields.len()));
                write_value(&field.value, &mut out);
            }
            Err(_) => failed = true,
        }
    }
    assert!(values <= payload.len() + callsite.fields.len());
    // What takes most room for a byte: a float of 300 digits in four.
    assert!(out.len() <= 512 * (payload.len() + 1), "{} bytes of {}", out.len(), payload.len());
}
