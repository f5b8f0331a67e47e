//! Control entries as bytes: for each its tag, a length, and its fields.
//!
//! Readers skip tags that they do not know, and bytes behind the fields that they know.

use super::control::{
    Announce, ChannelPosition, Deleted, Entry, Final, Note, Positions, Quarantine,
    SubBufferPosition, Supersedes, Tombstone, Unproven, WriterPosition,
};
use crate::block::meta::{
    count, narrow, put_callsites, put_source, put_spans, take_callsites, take_source, take_spans,
};
use crate::block::{Error, zstd_frame};
use crate::bytes::{Cursor, put_prefixed, put_varint, unzigzag, zigzag};
use crate::callsite::Level;
use crate::rows::ChannelId;

type Result<T, E = Error> = std::result::Result<T, E>;

const COMPRESS_FROM: usize = 1 << 10;
const COMPRESSED: u8 = 1;
/// The most that the entries of one frame decompress to, in bytes.
const MAX_ENTRIES: u64 = 64 << 20;

/// The content of a control frame.
pub(crate) fn encode(entries: &[Entry]) -> Result<Vec<u8>> {
    let (mut list, mut one) = (Vec::new(), Vec::new());
    for entry in entries {
        one.clear();
        put_varint(&mut list, put_entry(&mut one, entry));
        put_prefixed(&mut list, &one);
    }
    if list.len() as u64 > MAX_ENTRIES {
        let (what, bytes) = ("a control frame", list.len() as u64);
        return Err(Error::TooLarge { what, bytes, most: MAX_ENTRIES });
    }
    let mut out = Vec::new();
    if list.len() > COMPRESS_FROM {
        let mut frame = Vec::new();
        zstd_frame::compress(&list, 3, &mut frame)?;
        out.push(COMPRESSED);
        put_prefixed(&mut out, &frame);
    } else {
        out.push(0);
        put_prefixed(&mut out, &list);
    }
    Ok(out)
}

/// Reads the content of a control frame.
pub(crate) fn decode(content: &[u8]) -> Result<Vec<Entry>> {
    let mut input = Cursor::new(content);
    let (flags, stored) = (input.u8()?, input.prefixed()?);
    let list = if flags & COMPRESSED != 0 {
        &zstd_frame::take(&mut Cursor::new(stored), MAX_ENTRIES)?
    } else {
        stored
    };
    let (mut input, mut entries) = (Cursor::new(list), Vec::new());
    while !input.is_empty() {
        let tag = input.varint()?;
        let mut body = Cursor::new(input.prefixed()?);
        entries.extend(take_entry(tag, &mut body)?);
    }
    Ok(entries)
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) -> u64 {
    match entry {
        Entry::Announce(announce) => {
            put_source(out, &announce.source);
            put_prefixed(out, announce.file.as_bytes());
            put_varint(out, zigzag(announce.seen_ns));
            1
        }
        Entry::Final(last) => {
            put_final(out, last);
            2
        }
        Entry::Positions(positions) => {
            put_varint(out, positions.channels.len() as u64);
            positions.channels.iter().for_each(|channel| put_channel(out, channel));
            3
        }
        Entry::Tombstone(tombstone) => {
            put_tombstone(out, tombstone);
            4
        }
        Entry::Supersedes(supersedes) => {
            put_prefixed(out, supersedes.file.as_bytes());
            put_varint(out, supersedes.offset);
            5
        }
        Entry::Quarantine(quarantine) => {
            put_prefixed(out, quarantine.what.as_bytes());
            put_prefixed(out, quarantine.why.as_bytes());
            6
        }
        Entry::Note(note) => {
            out.push(note.level as u8);
            put_varint(out, zigzag(note.time_ns));
            put_prefixed(out, note.text.as_bytes());
            7
        }
        Entry::Unproven(unproven) => {
            out.extend_from_slice(&unproven.id.0);
            put_varint(out, unproven.durable_ns);
            put_varint(out, unproven.bytes);
            8
        }
        Entry::Deleted(deleted) => {
            put_varint(out, deleted.ranges.len() as u64);
            for (first, count) in &deleted.ranges {
                put_varint(out, *first);
                put_varint(out, *count);
            }
            9
        }
    }
}

fn take_entry(tag: u64, input: &mut Cursor<'_>) -> Result<Option<Entry>> {
    let text = |input: &mut Cursor<'_>| input.text().map(str::to_owned);
    Ok(Some(match tag {
        1 => Entry::Announce(Announce {
            source: take_source(input)?,
            file: text(input)?,
            seen_ns: unzigzag(input.varint()?),
        }),
        2 => Entry::Final(take_final(input)?),
        3 => {
            let mut positions = Positions::default();
            for index in 0..count(input, 40)? {
                positions.channels.push(take_channel(input, index)?);
            }
            Entry::Positions(positions)
        }
        4 => Entry::Tombstone(take_tombstone(input)?),
        5 => Entry::Supersedes(Supersedes { file: text(input)?, offset: input.varint()? }),
        6 => Entry::Quarantine(Quarantine { what: text(input)?, why: text(input)? }),
        7 => {
            let level = Level::from_u8(input.u8()?);
            Entry::Note(Note {
                level: level.ok_or(crate::Error::new("a note has no level"))?,
                time_ns: unzigzag(input.varint()?),
                text: text(input)?,
            })
        }
        8 => Entry::Unproven(Unproven {
            id: ChannelId(input.array()?),
            durable_ns: input.varint()?,
            bytes: input.varint()?,
        }),
        9 => {
            let mut deleted = Deleted::default();
            for _ in 0..count(input, 2)? {
                deleted.ranges.push((input.varint()?, input.varint()?));
            }
            Entry::Deleted(deleted)
        }
        _ => return Ok(None),
    }))
}

fn put_final(out: &mut Vec<u8>, last: &Final) {
    out.extend_from_slice(&last.id.0);
    put_varint(out, last.claimed);
    put_varint(out, last.discarded);
    out.push(u8::from(last.clean) | u8::from(last.overwrites) << 1);
    put_prefixed(out, last.reason.as_bytes());
    put_varint(out, last.per_sub_buffer.len() as u64);
    last.per_sub_buffer.iter().for_each(|records| put_varint(out, *records));
}

fn take_final(input: &mut Cursor<'_>) -> Result<Final> {
    let id = ChannelId(input.array()?);
    let (claimed, discarded) = (input.varint()?, input.varint()?);
    let flags = input.u8()?;
    let (clean, overwrites) = (flags & 1 != 0, flags & 2 != 0);
    let reason = input.text()?.to_owned();
    let mut per_sub_buffer = Vec::new();
    for _ in 0..count(input, 1)? {
        per_sub_buffer.push(input.varint()?);
    }
    Ok(Final { id, claimed, discarded, per_sub_buffer, clean, overwrites, reason })
}

fn put_channel(out: &mut Vec<u8>, channel: &ChannelPosition) {
    put_source(out, &channel.source);
    put_varint(out, channel.sub_buffers.len() as u64);
    for at in &channel.sub_buffers {
        put_varint(out, u64::from(at.index));
        put_varint(out, at.generation);
        put_varint(out, u64::from(at.archived_bytes));
        put_varint(out, at.prior_generations);
        put_varint(out, u64::from(at.records));
    }
    put_varint(out, channel.writers.len() as u64);
    for at in &channel.writers {
        put_varint(out, at.writer);
        put_varint(out, at.next_number);
        put_varint(out, zigzag(at.floor_ns));
    }
    let (mut callsites, mut spans) = (Vec::new(), Vec::new());
    put_spans(&mut spans, &channel.spans, &mut callsites);
    put_callsites(out, &callsites);
    out.extend_from_slice(&spans);
}

fn take_channel(input: &mut Cursor<'_>, index: usize) -> Result<ChannelPosition> {
    let source = take_source(input)?;
    let (mut sub_buffers, mut writers) = (Vec::new(), Vec::new());
    for _ in 0..count(input, 5)? {
        sub_buffers.push(SubBufferPosition {
            index: narrow(input.varint()?)?,
            generation: input.varint()?,
            archived_bytes: narrow(input.varint()?)?,
            prior_generations: input.varint()?,
            records: narrow(input.varint()?)?,
        });
    }
    for _ in 0..count(input, 3)? {
        writers.push(WriterPosition {
            writer: input.varint()?,
            next_number: input.varint()?,
            floor_ns: unzigzag(input.varint()?),
        });
    }
    let callsites = take_callsites(input)?;
    let mut spans = take_spans(input, &callsites)?;
    let index = narrow(index as u64)?;
    spans.iter_mut().for_each(|span| span.source = index);
    Ok(ChannelPosition { source, sub_buffers, writers, spans })
}

fn put_tombstone(out: &mut Vec<u8>, tombstone: &Tombstone) {
    put_prefixed(out, tombstone.file.as_bytes());
    put_varint(out, tombstone.number);
    put_varint(out, tombstone.rows);
    put_varint(out, zigzag(tombstone.min_order_ns));
    put_varint(out, zigzag(tombstone.max_order_ns));
    put_varint(out, tombstone.channels.len() as u64);
    for (id, rows) in &tombstone.channels {
        out.extend_from_slice(&id.0);
        put_varint(out, *rows);
    }
}

fn take_tombstone(input: &mut Cursor<'_>) -> Result<Tombstone> {
    let file = input.text()?.to_owned();
    let (number, rows) = (input.varint()?, input.varint()?);
    let (min_order_ns, max_order_ns) = (unzigzag(input.varint()?), unzigzag(input.varint()?));
    let mut channels = Vec::new();
    for _ in 0..count(input, 17)? {
        channels.push((ChannelId(input.array()?), input.varint()?));
    }
    Ok(Tombstone { file, number, rows, min_order_ns, max_order_ns, channels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_tags_and_later_fields_are_skipped() {
        let note = Note { level: Level::Warn, time_ns: -1, text: "t".into() };
        let (mut list, mut one) = (Vec::new(), Vec::new());
        put_varint(&mut list, 1_000_000);
        put_prefixed(&mut list, b"from the future");
        put_varint(&mut list, put_entry(&mut one, &Entry::Note(note.clone())));
        one.extend_from_slice(b"a later field");
        put_prefixed(&mut list, &one);
        let mut content = vec![0];
        put_prefixed(&mut content, &list);
        assert_eq!(decode(&content).unwrap(), [Entry::Note(note)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tag in 0u64..10, bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = take_entry(tag, &mut Cursor::new(&bytes));
        }
    }
}
