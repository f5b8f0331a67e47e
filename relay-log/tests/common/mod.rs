//! What the tests of the logger share: everything that stands in a live directory, decoded.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fmt::callsite::Callsite;
use relay_fmt::record::{Fragment, Kind, Lease, Records, split_callsite, split_inline};
use relay_log::channel::{ChannelReader, Sub};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};

/// A record with all that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) channel: String,
    pub(crate) pid: u32,
    pub(crate) writer: u64,
    pub(crate) nesting: u8,
    pub(crate) tid: u32,
    pub(crate) thread: String,
    pub(crate) number: u64,
    pub(crate) tick: u64,
    pub(crate) kind: Kind,
    pub(crate) callsite: Option<Callsite>,
    /// The payload behind the span ids and the description.
    pub(crate) values: Vec<u8>,
    /// Span id, and what follows it in `SpanNew` and `SpanFollows`.
    pub(crate) span: u64,
    pub(crate) other: u64,
    /// Bytes of the record, header included.
    pub(crate) len: usize,
}

impl Event {
    pub(crate) fn callsite(&self) -> &Callsite {
        self.callsite.as_ref().unwrap()
    }

    pub(crate) fn message(&self) -> String {
        let callsite = self.callsite();
        // A template of this crate's tests: `{n}` alone or no hole.
        let index = callsite.template.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        if let Some(index) = index.and_then(|i| i.parse::<usize>().ok()) {
            let values = callsite.values(&self.values);
            let found = values.map(Result::unwrap).find(|f| f.index == Some(index));
            return String::from_utf8(found.unwrap().value.as_bytes().unwrap().to_vec()).unwrap();
        }
        callsite.template.replace("{{", "{").replace("}}", "}")
    }

    /// Its fields as `name=value`, the message left out.
    pub(crate) fn fields(&self) -> Vec<String> {
        let values = self.callsite().values(&self.values).map(Result::unwrap);
        let rest = values.filter(|f| f.name != "message");
        rest.map(|f| format!("{}={:?}", f.name, f.value)).collect()
    }
}

/// Whole events of all channels, each writer's in the order of its numbers, without a gap.
pub(crate) fn read(live: &Path) -> Vec<Event> {
    let mut all = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(live).unwrap().map(|f| f.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        all.extend(read_file(live, &file.file_name()));
    }
    all
}

fn read_file(live: &Path, name: &std::ffi::OsStr) -> Vec<Event> {
    let reader = ChannelReader::open(live, name, None).unwrap();
    let mut callsites = HashMap::new();
    let mut raw: BTreeMap<(u64, u64), Event> = BTreeMap::new();
    let subs: Vec<(Sub, Vec<u8>)> = reader
        .scan()
        .unwrap()
        .into_iter()
        .map(|sub| {
            let data = reader.read(&sub, 0).unwrap().unwrap();
            (sub, data.bytes)
        })
        .collect();
    for (sub, bytes) in &subs {
        let mut of: Option<Event> = None;
        for record in Records::new(bytes, sub.generation) {
            let record = record.unwrap();
            match record.kind {
                Kind::Callsite => {
                    let (id, description) = split_callsite(record.payload).unwrap();
                    let callsite = Callsite::decode(description).unwrap();
                    // Threads that come at once may both describe it.
                    let before = callsites.insert(id, callsite.clone());
                    assert!(before.is_none_or(|before| before == callsite));
                }
                Kind::Lease => of = Some(begin(&reader, &Lease::parse(record.payload).unwrap())),
                Kind::Anchor => {}
                kind => {
                    let of = of.as_mut().expect("a lease stands first");
                    let mut event = of.clone();
                    (event.kind, event.tick) = (kind, record.header.tick);
                    event.len = record.header.len as usize;
                    event.values = record.payload.to_vec();
                    event.other = u64::from(record.header.callsite);
                    let key = (event.writer, event.number);
                    assert!(raw.insert(key, event).is_none(), "{key:?} is there twice");
                    of.number += 1;
                }
            }
        }
    }
    let mut expected: HashMap<u64, u64> = HashMap::new();
    for (writer, number) in raw.keys() {
        let next = expected.entry(*writer).or_default();
        assert_eq!(number, next, "a gap in the numbers of writer {writer}");
        *next += 1;
    }
    joined(raw.into_values()).into_iter().map(|event| finish(event, &callsites)).collect()
}

fn begin(reader: &ChannelReader, lease: &Lease<'_>) -> Event {
    Event {
        channel: reader.identity().name.clone(),
        pid: reader.identity().pid,
        writer: lease.writer,
        nesting: lease.nesting,
        tid: lease.tid,
        thread: String::from_utf8_lossy(lease.name).into_owned(),
        number: lease.first_number,
        tick: 0,
        kind: Kind::Raw,
        callsite: None,
        values: Vec::new(),
        span: 0,
        other: 0,
        len: 0,
    }
}

fn joined(events: impl Iterator<Item = Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    let mut open: Option<(Event, u64)> = None;
    for mut event in events {
        if event.kind != Kind::Fragment {
            assert!(open.is_none(), "a fragment is missing");
            out.push(event);
            continue;
        }
        let payload = std::mem::take(&mut event.values);
        let part = Fragment::parse(&payload).unwrap();
        let (whole, total) = open.get_or_insert_with(|| {
            event.kind = part.kind;
            (event, part.total)
        });
        assert_eq!(whole.values.len() as u64, part.offset);
        whole.values.extend_from_slice(part.bytes);
        if whole.values.len() as u64 == *total {
            out.extend(open.take().map(|(whole, _)| whole));
        }
    }
    assert!(open.is_none(), "the last fragment is missing");
    out
}

fn finish(mut event: Event, callsites: &HashMap<u32, Callsite>) -> Event {
    let id = event.other as u32;
    event.other = 0;
    event.callsite = callsites.get(&id).cloned();
    assert!(id == 0 || event.callsite.is_some(), "callsite {id} is not described");
    if event.kind == Kind::InlineEvent {
        let (description, values) = split_inline(&event.values).unwrap();
        event.callsite = Some(Callsite::decode(description).unwrap());
        event.values = values.to_vec();
    }
    let words = match event.kind {
        Kind::SpanNew | Kind::SpanFollows => 2,
        Kind::SpanEvent | Kind::SpanEnter | Kind::SpanExit | Kind::SpanClose | Kind::SpanRecord => {
            1
        }
        _ => 0,
    };
    let rest = event.values.split_off(8 * words);
    let mut ids = event.values.chunks(8).map(|w| u64::from_le_bytes(w.try_into().unwrap()));
    event.span = ids.next().unwrap_or(0);
    event.other = ids.next().unwrap_or(0);
    event.values = rest;
    event
}

/// The messages of events that pass, in order.
pub(crate) fn messages(events: &[Event], pass: impl Fn(&Event) -> bool) -> Vec<String> {
    let events = events
        .iter()
        .filter(|e| matches!(e.kind, Kind::Event | Kind::SpanEvent | Kind::InlineEvent));
    events.filter(|e| pass(e)).map(Event::message).collect()
}

/// Runs test `name` of this very test program again as a process of its own, in the role `role`.
pub(crate) fn child(name: &str, role: &str, dir: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("RELAY_TEST_ROLE", role)
        .env("RELAY_TEST_DIR", dir)
        .env_remove("RELAY_LOG")
        .output()
        .unwrap()
}

/// The role and directory of this process, when it is such a child.
pub(crate) fn role() -> Option<(String, std::path::PathBuf)> {
    let role = std::env::var("RELAY_TEST_ROLE").ok()?;
    Some((role, std::env::var_os("RELAY_TEST_DIR")?.into()))
}
