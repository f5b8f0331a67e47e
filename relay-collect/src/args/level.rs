//! Levels.

use super::ArgError;
use relay_fmt::callsite::Level;

/// Reads a level: `error`, `warn`, `info`, `debug` or `trace`, in any case; for
/// `#[arg(value_parser = level)]`.
///
/// # Errors
/// When it is none of them.
pub fn level(text: &str) -> Result<Level, ArgError> {
    let text = text.trim();
    let found = match text.to_ascii_lowercase().as_str() {
        "warning" => Ok(Level::Warn),
        _ => text.parse(),
    };
    found.map_err(|_| {
        ArgError::new(format!("`{text}` is not a level; use error, warn, info, debug or trace"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms() {
        assert_eq!(level("Warn"), Ok(Level::Warn));
        assert_eq!(level("warning"), Ok(Level::Warn));
        assert_eq!(level(" TRACE "), Ok(Level::Trace));
        let error = level("loud").unwrap_err().to_string();
        assert!(error.contains("`loud` is not a level"), "{error}");
    }
}
