//! What waits in one sub-buffer, taken apart into runs.

use crate::live::{Hand, Live, SubPosition};
use relay_fmt::record::{Kind, Records};
use relay_fmt::time::Anchor;
use relay_log::channel::Sub;
use rustix::io::Errno;

/// Consecutive bytes of one writer.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// First byte, counted in the sub-buffer's records.
    pub(crate) from: u32,
    /// One past the last byte.
    pub(crate) to: u32,
    /// Who writes, as of `from`; after the lease record where there is one.
    pub(crate) hand: Hand,
    /// Numbered records in it.
    pub(crate) records: u32,
    /// Numbered records of the generation before it.
    pub(crate) prior_records: u32,
}

/// What was taken out of a sub-buffer.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) sub: Sub,
    /// Where `bytes` begin, counted in the sub-buffer's records.
    pub(crate) start: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<Part>,
    /// Who writes behind the last part.
    pub(crate) hand: Option<Hand>,
    /// Where something does not parse, and why.
    pub(crate) bad: Option<(u32, relay_fmt::Error)>,
}

impl Taken {
    /// The bytes of a part.
    pub(crate) fn bytes_of(&self, part: &Part) -> &[u8] {
        let from = (part.from - self.start) as usize;
        self.bytes.get(from..(part.to - self.start) as usize).unwrap_or_default()
    }

    /// One past the last byte that a part covers.
    pub(crate) fn to(&self) -> Option<u32> {
        self.parts.last().map(|part| part.to)
    }
}

impl Live {
    /// Copies out what waits in a sub-buffer, into memory that was used before; `None` when it went on to
    /// another generation.
    pub(crate) fn take(&mut self, sub: &Sub, mut bytes: Vec<u8>) -> Result<Option<Taken>, Errno> {
        let at = self.archived.subs.get(&sub.index).filter(|at| at.generation == sub.generation);
        let at = at.cloned().unwrap_or_default();
        // After a restart it is not known who writes there: then from the start, again.
        let start = if at.hand.is_some() { at.bytes } else { 0 };
        let Some(len) = sub.committed.checked_sub(start) else { return Ok(None) };
        bytes.resize(len as usize, 0);
        if !self.reader.read_into(sub, start, &mut bytes)? {
            return Ok(None);
        }
        let mut taken =
            Taken { sub: *sub, start, bytes, parts: Vec::new(), hand: at.hand.clone(), bad: None };
        self.split(&mut taken, &at);
        Ok(Some(taken))
    }

    fn split(&mut self, taken: &mut Taken, at: &SubPosition) {
        let (start, generation) = (taken.start, taken.sub.generation);
        let mut records = at.records;
        let mut open: Option<Part> = None;
        let mut hand = taken.hand.take();
        let mut known = 0;
        let mut all = Records::new(&taken.bytes, generation);
        while let Some(record) = all.next() {
            let read = record.and_then(|record| {
                let from = start + record.offset as u32;
                let fresh = from >= at.bytes;
                match record.kind {
                    Kind::Lease => {
                        let new = Hand::of(&record)?;
                        self.rate.see(new.anchor);
                        taken.parts.extend(open.take());
                        hand = Some(new);
                    }
                    Kind::Anchor => {
                        let anchor = Anchor::parse(record.header.tick, record.payload)?;
                        self.rate.see(anchor);
                        if let Some(hand) = &mut hand {
                            hand.anchor = anchor;
                        }
                    }
                    _ => {}
                }
                let site = record.header.callsite;
                if site != 0 && site != known {
                    self.missing |= self.callsite(site).is_none();
                    known = site;
                }
                let by = hand.as_mut().ok_or(relay_fmt::Error::new("records of no writer"))?;
                let (mut numbered, mut end) = (u32::from(record.kind.is_numbered()), record.end);
                if fresh && numbered > 0 {
                    while let Some(like) = all.next_like(&record) {
                        (numbered, end) = (numbered + 1, like.end);
                    }
                }
                if fresh {
                    let part = open.get_or_insert_with(|| Part {
                        from,
                        to: from,
                        hand: by.clone(),
                        records: 0,
                        prior_records: records,
                    });
                    part.to = start + end as u32;
                    part.records += numbered;
                    records += numbered;
                }
                by.next_number = by.next_number.saturating_add(u64::from(numbered));
                Ok(())
            });
            if let Err(error) = read {
                let behind = open.as_ref().or(taken.parts.last()).map_or(at.bytes, |part| part.to);
                taken.bad = Some((behind, error));
                break;
            }
        }
        taken.parts.extend(open);
        taken.hand = hand;
    }
}
