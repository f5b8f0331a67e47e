//! What a line of a printed trace shows: `   0.01s TRACE main:exec{id=7}: cargo::core: text key=1`.

/// More fields than this stay in the message.
pub const MOST_FIELDS: usize = 8;

/// A span as it was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<'a> {
    /// All of it.
    pub text: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Names and values of its fields.
    pub fields: Vec<(String, String)>,
}

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Nanoseconds since the beginning.
    pub after: Option<u64>,
    /// `INFO` where none is shown.
    pub level: &'a str,
    /// `trace` where none is shown.
    pub target: &'a str,
    /// Outermost first.
    pub spans: Vec<Span<'a>>,
    /// The message, and the fields printed behind it.
    pub fields: Vec<(String, String)>,
}

impl<'a> Line<'a> {
    /// Reads a line; what does not look like one is all message.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let (after, rest) = elapsed(line);
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
        let shown = rest.trim_start();
        let level = levels.into_iter().find(|level| {
            shown.strip_prefix(*level).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        let Some(level) = level else {
            let fields = vec![("message".into(), line.to_owned())];
            return Self { after, level: "INFO", target: "trace", spans: Vec::new(), fields };
        };
        let rest = shown.get(level.len()..).unwrap_or_default();
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (spans, rest) = spans(rest);
        let target = rest.split_once(": ").filter(|(path, _)| is_path(path));
        let (target, message) = target.unwrap_or(("trace", rest));
        Self { after, level, target, spans, fields: fields(message) }
    }
}

/// A line with this time in front, in place of its own: with nine digits, or six.
#[must_use]
pub fn timed(line: &str, after: u64, micros: bool) -> String {
    let (seconds, nanos) = (after / 1_000_000_000, after % 1_000_000_000);
    let rest = elapsed(line).1;
    if micros {
        return format!("{seconds:>4}.{:06}s {rest}\n", nanos / 1000);
    }
    format!("{seconds:>4}.{nanos:09}s {rest}\n")
}

/// `   1.002003004s ` as nanoseconds, and what follows.
fn elapsed(line: &str) -> (Option<u64>, &str) {
    let parse = || {
        let (time, rest) = line.trim_start().split_once("s ")?;
        let (seconds, fraction) = time.split_once('.').filter(|(_, f)| f.len() == 9)?;
        let seconds: u64 = seconds.parse().ok()?;
        Some((seconds * 1_000_000_000 + fraction.parse::<u64>().ok()?, rest))
    };
    parse().map_or((None, line), |(time, rest)| (Some(time), rest))
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b))
}

/// `a:b{x=1}: ` as spans, and what follows.
fn spans(text: &str) -> (Vec<Span<'_>>, &str) {
    let (mut list, mut rest) = (Vec::new(), text);
    loop {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let name = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let tail = rest.get(name..).unwrap_or_default();
        let braces = if tail.starts_with('{') { closing(tail) } else { Some(0) };
        let end = name + braces.unwrap_or(0);
        let Some(behind) = rest.get(end..).filter(|r| name > 0 && r.starts_with(':')) else {
            // A path with two colons is the target.
            return if list.is_empty() { (list, text) } else { (list, rest) };
        };
        if behind.starts_with("::") && braces == Some(0) {
            return (list, rest);
        }
        let inner = tail.get(1..braces.unwrap_or(0).max(2) - 1).filter(|_| braces > Some(1));
        let of_span = inner.map(|inner| fields_of(inner, 0)).unwrap_or_default();
        let text = rest.get(..end).unwrap_or_default();
        let name = rest.get(..name).unwrap_or_default();
        if let Some(next) = behind.strip_prefix(": ") {
            // `network: text`: a single name in front of the text is the target.
            if next
                .split(' ')
                .next()
                .is_some_and(|w| w.ends_with(':') && is_path(&w[..w.len() - 1]))
            {
                list.push(Span { text, name, fields: of_span });
                return (list, next);
            }
            return (list, rest);
        }
        list.push(Span { text, name, fields: of_span });
        rest = behind.get(1..).unwrap_or_default();
    }
}

/// The length of what stands in braces.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A message, and the ` key=value` at its end.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut message = text;
    while fields.len() < MOST_FIELDS {
        let at = message.rfind(' ').map_or(0, |at| at + 1);
        let Some((name, value)) = message.get(at..).and_then(|last| last.split_once('=')) else {
            break;
        };
        let named = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b));
        if !named || name == "message" || value.is_empty() || value.contains(['"', '=', '}', ';']) {
            break;
        }
        fields.push((name.to_owned(), value.to_owned()));
        message = message.get(..at.saturating_sub(1)).unwrap_or_default();
    }
    fields.push(("message".to_owned(), message.to_owned()));
    fields.reverse();
    fields
}

/// `a=1 b=S { c: 2 }` as fields.
fn fields_of(text: &str, depth: usize) -> Vec<(String, String)> {
    let Some((name, rest)) = text.split_once('=').filter(|_| depth < MOST_FIELDS) else {
        return Vec::new();
    };
    let (mut open, mut quoted, mut end) = (0i32, false, rest.len());
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'{' | b'(' | b'[' if !quoted => open += 1,
            b'}' | b')' | b']' if !quoted => open -= 1,
            b' ' if !quoted && open == 0 => {
                let next = rest.get(at + 1..).unwrap_or_default();
                if next.split_once('=').is_some_and(|(name, _)| is_path(name)) {
                    end = at;
                    break;
                }
            }
            _ => {}
        }
    }
    let value = rest.get(..end).unwrap_or_default();
    let mut list = vec![(name.to_owned(), value.to_owned())];
    list.extend(fields_of(rest.get(end + 1..).unwrap_or_default(), depth + 1));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lines_show() {
        let line = Line::parse("   0.000513904s TRACE main:cli: cargo::util: get cv");
        assert_eq!((line.after, line.level, line.target), (Some(513_904), "TRACE", "cargo::util"));
        let names =
            |line: &Line<'_>| line.spans.iter().map(|s| s.name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&line), ["main", "cli"]);
        assert_eq!(line.fields, [("message".into(), "get cv".into())]);
        let line = Line::parse(
            "DEBUG main:read{path=\"/a b\" id=S { c: 2 }}:x: network: 3 left n=4 ok=true",
        );
        assert_eq!((line.after, line.target, names(&line).len()), (None, "network", 3));
        let id = ("id".to_owned(), "S { c: 2 }".to_owned());
        assert_eq!(line.spans[1].fields, [("path".into(), "\"/a b\"".into()), id]);
        assert_eq!(line.fields[1..], [("n".into(), "4".into()), ("ok".into(), "true".into())]);
        assert_eq!(timed("   0.000513904s x", 1_000_002_999, true), "   1.000002s x\n");
        assert_eq!(timed("x", 1_000_002_999, false), "   1.000002999s x\n");
        let line = Line::parse("DEBUG uv 0.13.9 (x)");
        assert_eq!((line.spans.len(), line.target), (0, "trace"));
        assert_eq!(Line::parse("  - ahash v0.8").fields[0].1, "  - ahash v0.8");
    }
}
