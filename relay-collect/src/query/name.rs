//! Names of fields that somebody asks for, and whether anything was seen that has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of a field. Clones, which threads use, share what was seen.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    text: String,
    seen: Arc<AtomicBool>,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Something has a field of this name.
    pub(crate) fn see(&self) {
        // Looked at first, so that threads do not take the word from each other for every record.
        if !self.is_seen() {
            self.seen.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self { text: text.into(), seen: Arc::default() }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Name {}

/// The one of `names` that somebody may have meant who typed `typed`.
pub(crate) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.to_lowercase();
    let most = if typed.chars().count() < 4 { 1 } else { 2 };
    let near = names.map(|name| (distance(&typed, &name.to_lowercase()), name));
    near.filter(|(far, _)| *far <= most).min().map(|(_, name)| name)
}

/// How many characters must be put in, left out, replaced or swapped with their neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [two, one, row] = &mut rows;
        row.clear();
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let changed = at(one, j) + usize::from(x != y);
            let mut least = changed.min(at(one, j + 1) + 1).min(at(row, j) + 1);
            let swapped = j > 0 && i > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(at(two, j - 1) + 1);
            }
            row.push(least);
        }
    }
    rows[2].last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_meant_is_near() {
        let names = ["level", "latency_ms", "id", "status"];
        for (typed, meant) in [
            ("levl", Some("level")),
            ("Level", Some("level")),
            ("stauts", Some("status")),
            ("latencyms", Some("latency_ms")),
            ("di", Some("id")),
            ("user", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn distances_are_none_only_of_the_same_and_the_same_both_ways(a in "[abc]{0,6}", b in "[abc]{0,6}") {
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            let (longer, shorter) = (a.len().max(b.len()), a.len().min(b.len()));
            prop_assert!(distance(&a, &b) <= longer && distance(&a, &b) >= longer - shorter);
        }
    }
}
