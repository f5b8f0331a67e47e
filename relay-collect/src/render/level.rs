//! The level of a message that is a JSON object: what other loggers write, line by line.

use super::object::Object;
use memchr::memmem;
use relay_fmt::callsite::Level;
use relay_fmt::value::Value;

/// Where loggers put it, the usual first. The first of these that holds a level counts.
pub(crate) const KEYS: [&str; 4] = ["level", "severity", "lvl", "log.level"];
/// How these end in JSON: a message without any of them has no level.
pub(crate) const ENDS: [&[u8]; 3] = [b"level\"", b"severity\"", b"lvl\""];

/// The level of a message; `None` where it is no object, or says none.
pub(crate) fn of_message(message: &[u8]) -> Option<Level> {
    // Most messages are none, and this is asked of all.
    let first = message.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'\xef'))
        || !ENDS.iter().any(|end| memmem::find(message, end).is_some())
    {
        return None;
    }
    let object = Object::of(message)?;
    KEYS.iter().find_map(|key| object.find(key)?.with(of_value))
}

/// The level that a value means: a name in either case, or a number of pino and bunyan.
pub(crate) fn of_value(value: &Value<'_>) -> Option<Level> {
    if let Some(name) = value.as_bytes() {
        return of_name(name);
    }
    // Programs may have levels of their own between those.
    Some(match value {
        Value::I64(10..20) => Level::Trace,
        Value::I64(20..30) => Level::Debug,
        Value::I64(30..40) => Level::Info,
        Value::I64(40..50) => Level::Warn,
        Value::I64(50..70) => Level::Error,
        _ => return None,
    })
}

fn of_name(name: &[u8]) -> Option<Level> {
    const NAMES: [(Level, &[&str]); 5] = [
        (
            Level::Error,
            &[
                "error",
                "err",
                "fatal",
                "critical",
                "crit",
                "panic",
                "dpanic",
                "severe",
                "alert",
                "emergency",
                "emerg",
            ],
        ),
        (Level::Warn, &["warn", "warning", "wrn"]),
        (Level::Info, &["info", "information", "informational", "inf", "notice"]),
        (Level::Debug, &["debug", "dbg", "fine"]),
        (Level::Trace, &["trace", "trc", "verbose", "finer", "finest", "silly"]),
    ];
    let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
    NAMES.iter().find(|(_, names)| names.iter().any(is)).map(|(level, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_as_loggers_write_them() {
        for (line, level) in [
            (r#"{"level":"info","msg":"x"}"#, Some(Level::Info)),
            (r#"{"level":30,"time":1,"msg":"pino"}"#, Some(Level::Info)),
            (r#"{"name":"bunyan","level":60}"#, Some(Level::Error)),
            (r#"{"level":35}"#, Some(Level::Info)),
            (r#"{"severity":"CRITICAL"}"#, Some(Level::Error)),
            (r#"{"lvl":"dbg"}"#, Some(Level::Debug)),
            (r#"{"log.level":"WARN"}"#, Some(Level::Warn)),
            (r#"{"log":{"level":"trace"}}"#, Some(Level::Trace)),
            ("\u{feff} {\"Level\":\"error\",\"level\":\"Warning\"}", Some(Level::Warn)),
            // The first of the names that holds a level.
            (r#"{"severity":"error","level":"notice"}"#, Some(Level::Info)),
            (r#"{"level":"LOG","severity":"error"}"#, Some(Level::Error)),
            (r#"{"level":"info","level":"error"}"#, Some(Level::Error)),
            (r#"{"level":3}"#, None),
            (r#"{"level":70}"#, None),
            (r#"{"level":30.5}"#, None),
            (r#"{"level":null}"#, None),
            (r#"{"level":"info""#, None),
            (r#"["level","info"]"#, None),
            (r#"level="info""#, None),
            ("", None),
        ] {
            assert_eq!(of_message(line.as_bytes()), level, "{line}");
        }
    }
}
