//! What lines of one callsite have in common, prepared once.

use super::event::Event;
use relay_fmt::callsite::{Callsite, Facade, Values};
use relay_fmt::value::FieldValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many callsites are remembered at most; then all are forgotten and prepared again.
const MAX_SITES: usize = 4096;

/// Things prepared for callsites, found by the address of the callsite.
///
/// An address stays that callsite's as long as the entry lives: the entry holds a reference.
#[derive(Debug, Clone)]
pub(crate) struct Sites<T> {
    known: HashMap<usize, (Arc<Callsite>, T)>,
}

impl<T> Sites<T> {
    pub(crate) fn new() -> Self {
        Self { known: HashMap::new() }
    }

    /// What is prepared for `callsite`; `make` prepares it the first time.
    pub(crate) fn get(
        &mut self,
        callsite: &Arc<Callsite>,
        make: impl FnOnce(&Callsite) -> T,
    ) -> &T {
        let key = Arc::as_ptr(callsite).addr();
        if self.known.len() >= MAX_SITES && !self.known.contains_key(&key) {
            self.known.clear();
        }
        let entry = self.known.entry(key);
        &entry.or_insert_with(|| (Arc::clone(callsite), make(callsite))).1
    }
}

/// Which of a callsite's fields are shown beside the message, and how their keys are written.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// For each declared field its key; `None` where the field is not shown.
    keys: Vec<Option<Vec<u8>>>,
    /// Whether a record can have a field that is shown.
    any: bool,
}

/// The indexes of the fields that a template shows.
fn consumed(template: &str) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut rest = template;
    while let Some((_, hole)) = rest.split_once('{') {
        if let Some(after) = hole.strip_prefix('{') {
            rest = after;
            continue;
        }
        let end = hole.find(|c: char| !c.is_ascii_digit());
        let (digits, after) = hole.split_at(end.unwrap_or(hole.len()));
        found.extend(digits.parse::<usize>());
        rest = after;
    }
    found
}

/// Which fields are shown beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Those that the message does not show already: for people.
    Rest,
    /// All but arguments of the template and the message itself: for programs.
    All,
    /// Every one: spans have no message.
    Every,
}

impl Show {
    /// What is shown of this callsite's records, where events show `of_events`.
    pub(crate) fn of(callsite: &Callsite, of_events: Self) -> Self {
        match callsite.facade {
            Facade::TracingSpan => Self::Every,
            _ => of_events,
        }
    }
}

impl Keys {
    pub(crate) fn new(callsite: &Callsite, show: Show, write: impl Fn(&str, &mut Vec<u8>)) -> Self {
        let used = consumed(&callsite.template);
        let keys = callsite.fields.iter().enumerate().map(|(i, field)| {
            let in_message = used.contains(&i);
            let shown = match show {
                Show::Every => true,
                Show::Rest => !field.argument_only && !in_message,
                Show::All => !(field.argument_only || in_message && field.name == "message"),
            };
            shown.then(|| {
                let mut key = Vec::new();
                if field.name.is_empty() {
                    write(&i.to_string(), &mut key);
                } else {
                    write(&field.name, &mut key);
                }
                key
            })
        });
        let keys: Vec<_> = keys.collect();
        let any =
            keys.iter().any(Option::is_some) || callsite.layout == relay_fmt::value::Layout::Sparse;
        Self { keys, any }
    }

    /// Whether a record can have a field that is shown.
    pub(crate) const fn any(&self) -> bool {
        self.any
    }

    /// Whether a field is shown.
    pub(crate) fn shows(&self, field: &FieldValue<'_>) -> bool {
        let known = |i: usize| self.keys.get(i).is_some_and(Option::is_some);
        field.index.is_none_or(known)
    }

    /// The key of a field, written; `None` where the field is not shown. A name that the record
    /// brings is written to `scratch`.
    pub(crate) fn key<'k>(
        &'k self,
        field: &FieldValue<'_>,
        scratch: &'k mut Vec<u8>,
        write: impl Fn(&str, &mut Vec<u8>),
    ) -> Option<&'k [u8]> {
        if let Some(i) = field.index {
            return self.keys.get(i)?.as_deref();
        }
        scratch.clear();
        write(&field.name, scratch);
        Some(scratch)
    }
}

/// The parts of a line that do not change while one thread of one process logs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    of: Option<(relay_fmt::rows::Source, u32, Vec<u8>)>,
    text: Vec<u8>,
}

impl Origin {
    /// What `write` makes of the event's source and thread, made again when they change.
    pub(crate) fn get(
        &mut self,
        event: &Event<'_>,
        write: impl FnOnce(&Event<'_>, &mut Vec<u8>),
    ) -> &[u8] {
        let (source, run) = (event.source, event.run);
        let same = self.of.as_ref().is_some_and(|(s, tid, thread)| {
            s == source && *tid == run.tid && *thread == run.thread
        });
        if !same {
            self.of = Some((source.clone(), run.tid, run.thread.clone()));
            self.text.clear();
            write(event, &mut self.text);
        }
        &self.text
    }
}

/// The fields to show of a record in which a name may come twice: the last value counts.
///
/// The second part says what is wrong with the record, where its values do not parse.
pub(crate) fn last_values<'a>(
    values: Values<'a>,
    keys: &Keys,
) -> (Vec<FieldValue<'a>>, Option<relay_fmt::Error>) {
    let mut fields: Vec<FieldValue<'a>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for field in values {
        let field = match field {
            Ok(field) => field,
            Err(error) => return (fields, Some(error)),
        };
        if !keys.shows(&field) {
            continue;
        }
        // Few fields are compared faster than they are hashed; many must not cost their square.
        let place = if field.name.is_empty() {
            None
        } else if fields.len() <= 32 {
            fields.iter().position(|f| f.name == field.name)
        } else {
            if places.is_empty() {
                let names = fields.iter().enumerate();
                places.extend(names.map(|(i, f)| (f.name.clone().into_owned(), i)));
            }
            let next = fields.len();
            let place = *places.entry(field.name.clone().into_owned()).or_insert(next);
            (place < next).then_some(place)
        };
        match place.and_then(|i| fields.get_mut(i)) {
            Some(old) => *old = field,
            None => fields.push(field),
        }
    }
    (fields, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found() {
        assert_eq!(consumed("{0} {{1}} {2:.2} {3:>4$}"), HashSet::from([0, 2, 3]));
        assert_eq!(consumed("{"), HashSet::new());
    }
}
