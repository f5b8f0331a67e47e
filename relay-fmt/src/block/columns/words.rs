//! Words that vary: what one template should be although its constant text differs.
//!
//! Splitting takes every word without digits for constant text, so that `Invalid user git` and
//! `Invalid user steam` are two templates. Templates whose text is the same but for its words form a
//! *group*; when enough of a group differ in the same words, those words become values in a template
//! that stands for all of them and for what comes later.

use super::hash::{Found, Table, hash};
use super::program::END;
use super::split::{Split, is_letter};
use super::template::{self, STR, WORD};

/// So many templates must differ in the same words, besides a new one.
const ENOUGH: usize = 3;
/// So many templates of a group are compared with a new one.
const COMPARED: usize = 24;
/// In so many words they may differ at most.
const MOST_DIFFERENT: usize = 3;
/// Templates with more words than this keep theirs.
const MOST_WORDS: usize = 200;
/// So many templates are remembered as another's, of so many bytes.
const MOST_ALIASES: usize = 8192;
const MOST_ALIAS_BYTES: usize = 2 << 20;
/// So many templates of a group may have words that are values.
const MOST_GENERAL: usize = 16;

/// A template of a group.
#[derive(Debug)]
struct Member {
    class: u32,
    /// Where its words lie, in the group table's bytes; `None` for a word that is a value.
    words: Vec<Option<(u32, u32)>>,
    /// For each word that is a value: which word, and how many values come before it.
    values: Vec<(u16, u16)>,
}

#[derive(Debug, Default)]
struct Group {
    text: (usize, usize),
    /// Templates with words that are values.
    general: Vec<Member>,
    /// Templates as they were found.
    exact: Vec<Member>,
}

/// A template that was found to be one of a general template's.
#[derive(Debug)]
struct Alias {
    seed: u64,
    key: (usize, usize),
    class: u32,
    /// The words that are values: position in the key, length, how many values come before.
    words: Vec<(u32, u32, u16)>,
}

/// The groups of a block, and the words of the template at hand.
#[derive(Debug, Default)]
pub(super) struct Words {
    table: Table,
    groups: Vec<Group>,
    bytes: Vec<u8>,
    alias_table: Table,
    aliases: Vec<Alias>,
    alias_keys: Vec<u8>,
    /// The template at hand with its words left out.
    text: Vec<u8>,
    /// Its words: position in the key, length, how many values come before.
    words: Vec<(u32, u32, u16)>,
}

/// What is known about the template at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is of this class; its values have been completed.
    Known(u32),
    /// It stays as it is, in this group.
    Exact(u32),
    /// The key and the values have been changed: some words are values now. The group.
    General(u32),
    /// It has no words, or too many.
    None,
}

impl Words {
    /// Forgets all, keeping memory.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.groups.clear();
        self.bytes.clear();
        self.alias_table.clear();
        self.aliases.clear();
        self.alias_keys.clear();
    }

    /// The class of a template that was looked for before, by the hash of everything that tells
    /// classes apart. Completes the values.
    #[inline]
    pub(super) fn again(&self, seed: u64, hash: u64, split: &mut Split) -> Option<u32> {
        let key = &split.key[..];
        let same = |n: u32| {
            let alias = self.aliases.get(n as usize).filter(|a| a.seed == seed);
            alias.and_then(|a| self.alias_keys.get(a.key.0..a.key.1)) == Some(key)
        };
        let number = self.alias_table.find_only(hash, same)?;
        let alias = self.aliases.get(number as usize)?;
        alias.words.iter().rev().for_each(|word| split.take_word(*word));
        Some(alias.class)
    }

    /// Remembers the template at hand for [`Words::again`].
    fn remember(
        &mut self,
        (seed, hash): (u64, u64),
        key: &[u8],
        class: u32,
        words: Vec<(u32, u32, u16)>,
    ) {
        let next = self.aliases.len() as u32;
        if self.aliases.len() >= MOST_ALIASES || self.alias_keys.len() > MOST_ALIAS_BYTES {
            return;
        }
        // It is not there: it was looked for just now.
        if self.alias_table.find(hash, next, |_| false) != Found::New {
            return;
        }
        let start = self.alias_keys.len();
        self.alias_keys.extend_from_slice(key);
        self.aliases.push(Alias { seed, key: (start, self.alias_keys.len()), class, words });
    }

    /// Finds out about a template that no class has. `seed` is what else tells classes apart,
    /// `hash` that of all.
    pub(super) fn find(&mut self, seed: u64, hash: u64, split: &mut Split) -> Outcome {
        self.leave_out(seed, &split.key, split.template);
        if self.words.is_empty() || self.words.len() > MOST_WORDS {
            return Outcome::None;
        }
        let Some(number) = self.group() else {
            return Outcome::None;
        };
        let Some(group) = self.groups.get(number as usize) else {
            return Outcome::None;
        };
        let known = group.general.iter().find(|m| self.fits(m, &split.key));
        if let Some(member) = known {
            let numbers = member.values.iter();
            let words = numbers.filter_map(|(word, _)| self.words.get(usize::from(*word)));
            let words: Vec<_> = words.copied().collect();
            words.iter().rev().for_each(|word| split.take_word(*word));
            let class = member.class;
            self.remember((seed, hash), &split.key, class, words);
            return Outcome::Known(class);
        }
        if group.general.len() >= MOST_GENERAL {
            return Outcome::Exact(number);
        }
        let Some(different) = self.different(group, &split.key) else {
            return Outcome::Exact(number);
        };
        for word in different.iter().rev() {
            let Some((at, len, before)) = self.words.get(*word).copied() else {
                continue;
            };
            split.take_word((at, len, before));
            split.key.splice(at as usize..(at + len) as usize, [STR]);
        }
        Outcome::General(number)
    }

    /// Remembers the class that the template at hand was given.
    pub(super) fn learn(&mut self, outcome: Outcome, key: &[u8], class: u32) {
        let (number, general) = match outcome {
            Outcome::Exact(number) => (number, false),
            Outcome::General(number) => (number, true),
            _ => return,
        };
        let mut member =
            Member { class, words: Vec::with_capacity(self.words.len()), values: Vec::new() };
        // Words that became values shortened the key before the words that follow.
        let mut shift = 0;
        for (n, (at, len, before)) in self.words.iter().enumerate() {
            let at = (*at - shift) as usize;
            if general && key.get(at) == Some(&STR) {
                member.words.push(None);
                member.values.push((n as u16, *before));
                shift += len - 1;
                continue;
            }
            let start = self.bytes.len() as u32;
            let word = key.get(at..at + *len as usize);
            self.bytes.extend_from_slice(word.unwrap_or_default());
            member.words.push(Some((start, *len)));
        }
        let Some(group) = self.groups.get_mut(number as usize) else {
            return;
        };
        if general {
            group.general.push(member);
        } else {
            group.exact.push(member);
        }
    }

    /// Takes the words out of a key.
    fn leave_out(&mut self, seed: u64, key: &[u8], template: usize) {
        self.text.clear();
        self.words.clear();
        self.text.extend_from_slice(&seed.to_le_bytes());
        self.text.extend_from_slice(key.get(..template).unwrap_or_default());
        let (mut at, mut values) = (template, 0u16);
        while let Some(byte) = key.get(at) {
            let rest = key.get(at..).unwrap_or_default();
            let same = rest.iter().position(|b| !is_letter(*b)).unwrap_or(rest.len());
            if same > 0 {
                self.words.push((at as u32, same as u32, values));
                self.text.push(WORD);
                at += same;
                continue;
            }
            let plain = rest.iter().position(|b| is_letter(*b) || template::is_mark(*b));
            if let Some(plain) = plain.filter(|n| *n > 0) {
                self.text.extend_from_slice(rest.get(..plain).unwrap_or_default());
                at += plain;
                continue;
            }
            if *byte == END {
                self.text.extend_from_slice(key.get(at..).unwrap_or_default());
                return;
            }
            let (len, taken) = template::mark_len(*byte);
            let mark = key.get(at..at + len).unwrap_or_default();
            self.text.extend_from_slice(mark);
            values += taken;
            at += len;
        }
    }

    /// The group of the template at hand, made when there is none.
    fn group(&mut self) -> Option<u32> {
        let next = self.groups.len() as u32;
        let (groups, bytes, text) = (&self.groups, &self.bytes, &self.text);
        let same = |n: u32| {
            let group = groups.get(n as usize);
            group.and_then(|g| bytes.get(g.text.0..g.text.1)) == Some(&text[..])
        };
        match self.table.find(hash(text), next, same) {
            Found::Old(group) => Some(group),
            Found::Crowded => None,
            Found::New => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&self.text);
                self.groups.push(Group { text: (start, self.bytes.len()), ..Group::default() });
                Some(next)
            }
        }
    }

    fn word<'k>(&self, key: &'k [u8], n: usize) -> &'k [u8] {
        let (at, len, _) = self.words.get(n).copied().unwrap_or_default();
        key.get(at as usize..(at + len) as usize).unwrap_or_default()
    }

    fn stored(&self, word: (u32, u32)) -> &[u8] {
        let (start, len) = (word.0 as usize, word.1 as usize);
        self.bytes.get(start..start + len).unwrap_or_default()
    }

    fn fits(&self, member: &Member, key: &[u8]) -> bool {
        let mut words = member.words.iter().enumerate();
        words.all(|(n, word)| word.is_none_or(|w| self.stored(w) == self.word(key, n)))
    }

    /// The words in which enough of the group's templates differ from the one at hand.
    fn different(&self, group: &Group, key: &[u8]) -> Option<Vec<usize>> {
        let mut counts: Vec<(Vec<usize>, usize)> = Vec::new();
        for member in group.exact.iter().rev().take(COMPARED) {
            let words = member.words.iter().enumerate();
            let unlike = words
                .filter(|(n, word)| word.is_some_and(|w| self.stored(w) != self.word(key, *n)));
            let unlike: Vec<usize> = unlike.map(|(n, _)| n).take(MOST_DIFFERENT + 1).collect();
            if unlike.len() > MOST_DIFFERENT || unlike.is_empty() {
                continue;
            }
            match counts.iter_mut().find(|(words, _)| *words == unlike) {
                Some((_, count)) => *count += 1,
                None => counts.push((unlike, 1)),
            }
        }
        let enough = counts.into_iter().filter(|(_, count)| *count >= ENOUGH);
        enough.max_by_key(|(words, count)| (*count, usize::MAX - words.len())).map(|(w, _)| w)
    }
}
