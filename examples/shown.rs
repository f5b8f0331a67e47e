//! What a line of text shows of its level and target.

use log::Level;

const LEVELS: [(&str, Level); 12] = [
    ("ERROR", Level::Error),
    ("FATAL", Level::Error),
    ("PANIC", Level::Error),
    ("WARNING", Level::Warn),
    ("WARN", Level::Warn),
    ("INFO", Level::Info),
    ("NOTICE", Level::Info),
    ("LOG", Level::Info),
    ("STATEMENT", Level::Debug),
    ("DETAIL", Level::Debug),
    ("DEBUG", Level::Debug),
    ("TRACE", Level::Trace),
];

/// The level and target of a line: a level's name as a word of its own near the beginning, and, behind
/// it, a module path that a colon ends. `info` and `replay` where a line shows none.
pub fn level_and_target(line: &str) -> (Level, &str) {
    // Long enough for a timestamp, a host and a process; not so long that a message counts.
    let mut head = line.len().min(120);
    while !line.is_char_boundary(head) {
        head -= 1;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let found = LEVELS.iter().filter_map(|(name, level)| {
        let at = line[..head].find(name)?;
        let end = at + name.len();
        let whole = !line[..at].ends_with(is_part) && !line[end..].starts_with(is_part);
        whole.then_some((at, end, *level))
    });
    let Some((_, end, level)) = found.min_by_key(|(at, ..)| *at) else {
        return (Level::Info, "replay");
    };
    // `DEBUG span:other: cargo::core: text`: the last path in front of a blank is the target.
    let target =
        line[end..].split_whitespace().take(3).filter_map(|word| word.strip_suffix(':')).find(
            |path| path.contains("::") && path.chars().all(|c| is_part(c) || "_:".contains(c)),
        );
    (level, target.unwrap_or("replay"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lines_show() {
        let shown = level_and_target;
        assert_eq!(
            shown("  0.1s TRACE main:cli: cargo::util::context: get cv"),
            (Level::Trace, "cargo::util::context")
        );
        assert_eq!(shown("[12760]:LOG:  starting"), (Level::Info, "replay"));
        assert_eq!(shown("[2016-12-20] DEBUG [Controller 0]: x"), (Level::Debug, "replay"));
        assert_eq!(shown("Invalid user ERRORS from"), (Level::Info, "replay"));
        assert_eq!(shown(""), (Level::Info, "replay"));
    }
}
