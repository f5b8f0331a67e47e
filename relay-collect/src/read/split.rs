//! The records of a live channel's sub-buffers, each with its place.

use super::live::{SubBytes, Tail};
use crate::live::Hand;
use relay_fmt::record::{Kind, Record, Records};
use relay_fmt::time::Anchor;
use std::collections::HashMap;
use std::sync::Arc;

/// Where a numbered record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sub_buffer: u32,
    pub(crate) generation: u64,
    /// One past its last byte, padding included.
    pub(crate) end: u32,
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

/// A numbered record, and all that its row needs.
#[derive(Debug)]
pub(crate) struct Split<'a> {
    pub(crate) place: Place,
    /// Its first byte.
    pub(crate) from: u32,
    /// Numbered records in earlier generations, and in this one before it.
    pub(crate) prior: u64,
    pub(crate) prior_records: u32,
    pub(crate) hand: Arc<Hand>,
    pub(crate) anchor: Anchor,
    pub(crate) record: Record<'a>,
}

/// Takes sub-buffers apart. Of each writer nothing is returned that is behind its last record in the
/// first look, nor what `skip` says.
pub(crate) fn split<'a>(
    tail: &mut Tail,
    grabbed: &'a [SubBytes],
    notes: &mut Vec<String>,
    skip: impl Fn(&Place) -> bool,
) -> Vec<Split<'a>> {
    let mut all = Vec::new();
    let mut last: HashMap<u64, u64> = HashMap::new();
    for of in grabbed {
        let before = all.len();
        let file = tail.file.clone();
        all_of(&mut |anchor| tail.see(anchor), &file, of, &mut all, notes);
        add_last(all.get(before..).unwrap_or_default(), of.first, &mut last);
    }
    all.retain(|split| {
        let place = &split.place;
        last.get(&place.writer).is_some_and(|most| place.number <= *most) && !skip(place)
    });
    all
}

/// Takes one sub-buffer apart, and says what does not parse. `see` is shown anchors.
pub(crate) fn all_of<'a>(
    see: &mut dyn FnMut(Anchor),
    file: &str,
    of: &'a SubBytes,
    all: &mut Vec<Split<'a>>,
    notes: &mut Vec<String>,
) {
    if let Err(error) = one(see, of, all) {
        let (sub, generation) = (of.sub.index, of.sub.generation);
        notes.push(format!(
            "{file}: sub-buffer {sub}, generation {generation}: {error}; what follows in it is left out"
        ));
    }
}

/// Notes the last number of each writer within the first bytes of a sub-buffer.
pub(crate) fn add_last(all: &[Split<'_>], bytes: u32, last: &mut HashMap<u64, u64>) {
    for split in all.iter().filter(|split| split.place.end <= bytes) {
        let most = last.entry(split.place.writer).or_insert(0);
        *most = split.place.number.max(*most);
    }
}

fn one<'a>(
    see: &mut dyn FnMut(Anchor),
    of: &'a SubBytes,
    all: &mut Vec<Split<'a>>,
) -> Result<(), relay_fmt::Error> {
    let mut hand: Option<(Arc<Hand>, Anchor, u64)> = None;
    let mut numbered = 0u32;
    for record in Records::new(&of.bytes, of.sub.generation) {
        let record = record?;
        match record.kind {
            Kind::Lease => {
                let new = Hand::of(&record)?;
                see(new.anchor);
                let (anchor, number) = (new.anchor, new.next_number);
                hand = Some((Arc::new(new), anchor, number));
                continue;
            }
            Kind::Anchor => {
                let anchor = Anchor::parse(record.header.tick, record.payload)?;
                see(anchor);
                if let Some(hand) = &mut hand {
                    hand.1 = anchor;
                }
                continue;
            }
            kind if !kind.is_numbered() => continue,
            _ => {}
        }
        let Some((hand, anchor, number)) = &mut hand else {
            return Err(relay_fmt::Error::new("records of no writer"));
        };
        all.push(Split {
            place: Place {
                sub_buffer: of.sub.index,
                generation: of.sub.generation,
                end: u32::try_from(record.end).unwrap_or(u32::MAX),
                writer: hand.writer,
                number: *number,
            },
            from: u32::try_from(record.offset).unwrap_or(u32::MAX),
            prior: of.sub.prior,
            prior_records: numbered,
            hand: Arc::clone(hand),
            anchor: *anchor,
            record,
        });
        *number = number.wrapping_add(1);
        numbered += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_log::channel::{ChannelReader, Config, RawChannel};

    #[test]
    fn what_only_the_second_look_saw_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { sub_buffer: 4096, ..Config::new(dir.path(), "app") };
        let channel = RawChannel::create(config).unwrap();
        let mut writer = channel.writer();
        (0..400u32).for_each(|i| writer.write(&i.to_le_bytes()).unwrap());
        let reader = ChannelReader::open(dir.path(), channel.file_name().as_ref(), None).unwrap();
        let mut tail = Tail::new(channel.file_name(), reader);
        let seen = tail.look(false).unwrap();
        let mut grabbed = tail.grab(seen).unwrap();
        assert!(grabbed.len() > 2, "several sub-buffers");
        let numbers = |tail: &mut Tail, grabbed: &[SubBytes]| -> Vec<u64> {
            let mut notes = Vec::new();
            let split = split(tail, grabbed, &mut notes, |place| place.number < 10);
            assert!(notes.is_empty(), "{notes:?}");
            split.iter().map(|s| s.place.number).collect()
        };
        assert_eq!(numbers(&mut tail, &grabbed), (10..400).collect::<Vec<_>>());
        // The last sub-buffer was begun after the first look at it.
        grabbed.last_mut().unwrap().first = 0;
        let kept = numbers(&mut tail, &grabbed);
        assert!(kept.len() < 390 && kept == (10..10 + kept.len() as u64).collect::<Vec<_>>());
        // The first look saw only the beginning of the last sub-buffer: all before it counts.
        for of in &mut grabbed {
            of.first = 0;
        }
        grabbed.last_mut().unwrap().first = 256;
        let more = numbers(&mut tail, &grabbed);
        assert!(more.len() > kept.len() && more.len() < 390, "{} {}", kept.len(), more.len());
        assert_eq!(more, (10..10 + more.len() as u64).collect::<Vec<_>>());
    }
}
