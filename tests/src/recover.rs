//! The oracle: reads the bytes of a channel by the documented rules, with no code of the channel.
//!
//! A record exists if and only if `committed` says generation g and covers its end, the lease slot
//! of g says g, and its header repeats the low bits of g. Everything below follows from that
//! sentence and from the byte offsets in the documentation; nothing is shared with the code that is
//! being judged, so that a mistake there cannot hide here.

use std::collections::{BTreeMap, HashMap};

const HEADER_BYTES: usize = 4096;
const SUB_HEADER_BYTES: usize = 256;
const RECORD_HEADER: usize = 16;
const FRAGMENT_PREFIX: usize = 24;
const LEASE: u8 = 1;
const ANCHOR: u8 = 2;
const CALLSITE: u8 = 3;
const FRAGMENT: u8 = 12;
const LAST_KIND: u8 = 14;

/// Something that must never be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Numbers of a writer are missing: from, to (the first that is there again).
    Gap(u64, u64, u64),
    /// A writer's number is there twice.
    Double(u64, u64),
    /// What is committed is no record, or no part of one.
    Torn(String),
}

/// One sub-buffer as an image has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubImage<'a> {
    /// Which one.
    pub index: u32,
    /// The generation of what is committed.
    pub generation: u64,
    /// The generation that the collector has archived.
    pub archived: u64,
    /// The state's number.
    pub state: u8,
    /// Numbered records in earlier generations.
    pub prior: u64,
    /// What is committed.
    pub bytes: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(there) = bytes.get(at..at + 8) {
        word.copy_from_slice(there);
    }
    u64::from_le_bytes(word)
}

/// Bytes of a sub-buffer, as the image's header says.
#[must_use]
pub fn sub_buffer_size(image: &[u8]) -> Option<usize> {
    let log2 = *image.get(60)?;
    (image.starts_with(b"RELAYCHN") && (12..=23).contains(&log2)).then(|| 1 << log2)
}

/// The sub-buffers of an image that hold something, and what is wrong with the others.
#[must_use]
pub fn subs(image: &[u8]) -> (Vec<SubImage<'_>>, Vec<Violation>) {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let Some(size) = sub_buffer_size(image) else {
        wrong.push(Violation::Torn("no channel header".into()));
        return (found, wrong);
    };
    for (index, sub) in image[HEADER_BYTES..].chunks_exact(size).enumerate() {
        let committed = word(sub, 8);
        if committed == 0 {
            continue;
        }
        let (generation, len) = (committed >> 24, (committed & 0xff_ffff) as usize);
        let slot = 128 + 64 * (generation & 1) as usize;
        let Some(bytes) = sub[SUB_HEADER_BYTES..].get(..len) else {
            wrong.push(Violation::Torn(format!("sub-buffer {index} commits {len} bytes")));
            continue;
        };
        if word(sub, slot) != generation {
            wrong.push(Violation::Torn(format!("sub-buffer {index}: slot of {generation}")));
            continue;
        }
        let (archived, state, prior) = (word(sub, 64), sub[0], word(sub, slot + 8));
        found.push(SubImage { index: index as u32, generation, archived, state, prior, bytes });
    }
    (found, wrong)
}

#[derive(Debug, Clone, Default)]
struct Place {
    generation: u64,
    offset: usize,
    writer: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Part {
    number: u64,
    kind: u8,
    payload: Vec<u8>,
}

/// Collects records from bytes of sub-buffers, each byte once.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    places: HashMap<u32, Place>,
    parts: BTreeMap<u64, Vec<Part>>,
    violations: Vec<Violation>,
}

/// What each writer wrote: number and payload, in the order of the numbers, fragments joined.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// By writer.
    pub writers: BTreeMap<u64, Vec<(u64, Vec<u8>)>>,
    /// What must never be found.
    pub violations: Vec<Violation>,
    /// Chains of fragments that end before they are complete, at the end of a stream.
    pub unfinished: u64,
}

impl Oracle {
    /// How many bytes of generation `generation` of sub-buffer `index` have been taken.
    #[must_use]
    pub fn taken(&self, index: u32, generation: u64) -> usize {
        self.places.get(&index).filter(|p| p.generation == generation).map_or(0, |p| p.offset)
    }

    fn torn(&mut self, index: u32, generation: u64, offset: usize, what: &str) {
        self.violations.push(Violation::Torn(format!(
            "sub-buffer {index}, generation {generation}, byte {offset}: {what}"
        )));
    }

    /// Takes committed bytes; they must begin where the last ones of the generation ended.
    pub fn feed(&mut self, index: u32, generation: u64, from: usize, bytes: &[u8]) {
        let mut place = self.places.remove(&index).unwrap_or_default();
        if generation < place.generation {
            self.torn(index, generation, from, "generations go backwards");
        }
        if generation != place.generation {
            place = Place { generation, offset: 0, writer: None };
        }
        if from != place.offset {
            self.torn(index, generation, from, "bytes are missing or there twice");
        }
        place.offset = from + bytes.len();
        let mut at = 0;
        while at < bytes.len() {
            match self.record(&mut place.writer, generation, &bytes[at..]) {
                Ok(end) => at += end,
                Err(what) => {
                    self.torn(index, generation, from + at, what);
                    break;
                }
            }
        }
        self.places.insert(index, place);
    }

    fn record(
        &mut self,
        writer: &mut Option<(u64, u64)>,
        generation: u64,
        bytes: &[u8],
    ) -> Result<usize, &'static str> {
        if bytes.len() < RECORD_HEADER {
            return Err("a record header is cut short");
        }
        let head = word(bytes, 0);
        let (len, kind) = ((head & 0xff_ffff) as usize, (head >> 32) as u8);
        if (head >> 24) as u8 != generation as u8 {
            return Err("a record of another generation");
        }
        if !(1..=LAST_KIND).contains(&kind) {
            return Err("an unknown kind");
        }
        let end = len.div_ceil(8) * 8;
        if len < RECORD_HEADER || end > bytes.len() {
            return Err("a record reaches past what is committed");
        }
        let payload = &bytes[RECORD_HEADER..len];
        match kind {
            LEASE if payload.len() < 46 => return Err("a lease is cut short"),
            LEASE => *writer = Some((word(payload, 0), word(payload, 16))),
            ANCHOR | CALLSITE => {}
            _ => {
                let (id, number) = writer.as_mut().ok_or("a record without a lease")?;
                let part = Part { number: *number, kind, payload: payload.to_vec() };
                self.parts.entry(*id).or_default().push(part);
                *number += 1;
            }
        }
        Ok(end)
    }

    /// Sorts, looks for gaps and doubles, joins fragments.
    #[must_use]
    pub fn finish(mut self) -> Streams {
        let mut streams =
            Streams { violations: std::mem::take(&mut self.violations), ..Streams::default() };
        for (writer, mut parts) in self.parts {
            parts.sort_by_key(|p| p.number);
            let mut expected = 0;
            for part in &parts {
                match part.number.cmp(&expected) {
                    std::cmp::Ordering::Less => {
                        streams.violations.push(Violation::Double(writer, part.number));
                    }
                    std::cmp::Ordering::Greater => {
                        streams.violations.push(Violation::Gap(writer, expected, part.number));
                    }
                    std::cmp::Ordering::Equal => {}
                }
                expected = part.number + 1;
            }
            let joined = streams.join(writer, parts);
            streams.writers.insert(writer, joined);
        }
        streams
    }
}

impl Streams {
    fn join(&mut self, writer: u64, parts: Vec<Part>) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        let mut chain: Option<(u64, u64, Vec<u8>)> = None;
        for part in parts {
            let open = chain.take();
            if part.kind != FRAGMENT {
                if open.is_some() {
                    let what = format!("writer {writer}: a chain is broken at {}", part.number);
                    self.violations.push(Violation::Torn(what));
                }
                out.push((part.number, part.payload));
                continue;
            }
            let (total, offset) = (word(&part.payload, 0), word(&part.payload, 8));
            let (number, of, mut bytes) = open.unwrap_or((part.number, total, Vec::new()));
            if of != total || offset != bytes.len() as u64 || part.payload.len() < FRAGMENT_PREFIX {
                let what = format!("writer {writer}: fragment {} does not fit", part.number);
                self.violations.push(Violation::Torn(what));
                continue;
            }
            bytes.extend_from_slice(&part.payload[FRAGMENT_PREFIX..]);
            if bytes.len() as u64 >= total {
                out.push((number, bytes));
            } else {
                chain = Some((number, of, bytes));
            }
        }
        self.unfinished += u64::from(chain.is_some());
        out
    }
}

/// Everything that an image holds.
#[must_use]
pub fn recover(image: &[u8]) -> Streams {
    let (subs, wrong) = subs(image);
    let mut oracle = Oracle { violations: wrong, ..Oracle::default() };
    for sub in subs {
        oracle.feed(sub.index, sub.generation, 0, sub.bytes);
    }
    oracle.finish()
}
