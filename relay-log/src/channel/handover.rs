//! How records that were kept before there was a channel become the beginning of their threads'
//! streams.
//!
//! | state | what a thread with early records does at its first record in a channel |
//! |---|---|
//! | [`NONE`] | has a stream of its own: nobody is handing over |
//! | [`UNDER_WAY`] | waits: its early records are being written by another thread |
//! | [`DONE`] | continues where its early records ended |
//!
//! The thread that hands over counts as being in the middle of a call ([`super::thread::busy`]) from
//! before [`begin`] until after [`finish`]: what its signal handlers log meanwhile goes into the
//! nested stream, and nobody ever waits for himself.

use super::lease::Patience;
use super::stream::{Pending, Stream};
use super::sync::Ordering::{Acquire, Release};
use super::thread::{MAX_CHANNELS, channel};
use super::{os, shelf::Leaked};
use relay_fmt::record::Kind;
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A thread as its records name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) tid: u32,
    pub(crate) name: [u8; 16],
}

impl Who {
    /// The calling thread.
    pub(crate) fn here() -> Self {
        Self { tid: os::tid(), name: os::thread_name() }
    }

    /// The calling thread, which this is, by the name that it has now.
    pub(crate) fn renamed(self) -> Self {
        Self { name: os::thread_name(), ..self }
    }
}

/// A record that was kept, with all that its channel has to know.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The thread's number among those with early records: [`super::thread::early_number`].
    pub(crate) thread: u32,
    pub(crate) who: Who,
    pub(crate) slot: usize,
    pub(crate) tick: u64,
    pub(crate) kind: Kind,
    pub(crate) callsite: u32,
    pub(crate) payload: Vec<u8>,
}

/// Where a thread's stream in a slot goes on: writer, leases so far, next number.
type Position = (u64, u64, u64);

/// By thread and slot.
type Positions = HashMap<(u32, usize), Position>;

const NONE: u32 = 0;
const UNDER_WAY: u32 = 1;
const DONE: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(NONE);
/// The process in a line of forks that hands over: in a child nobody is going to finish it.
static OF: AtomicU32 = AtomicU32::new(0);
static POSITIONS: Leaked<Positions> = Leaked::new();

/// Says that a hand-over begins. Before the first thread can see the channels.
pub(crate) fn begin() {
    OF.store(os::epoch(), Release);
    STATE.store(UNDER_WAY, Release);
}

/// Writes what was kept, each thread's records as the beginning of a stream of its own, and has the
/// threads continue from there. After [`begin`].
pub(crate) fn finish(mut kept: Vec<Kept>) {
    // Stable: a thread's records keep their order.
    kept.sort_by_key(|record| (record.thread, record.slot));
    let streams = kept.chunk_by(|a, b| (a.thread, a.slot) == (b.thread, b.slot));
    let positions: Positions = streams.filter_map(write).collect();
    POSITIONS.set(Box::leak(Box::new(positions)));
    STATE.store(DONE, Release);
}

/// Writes one thread's records of one slot, and leaves the sub-buffer to whoever comes next.
fn write(kept: &[Kept]) -> Option<((u32, usize), Position)> {
    let first = kept.first()?;
    let channel = channel(first.slot)?;
    let mut stream = Stream::on_behalf(Box::leak(Box::new(first.who)));
    for Kept { tick, kind, callsite, payload, .. } in kept {
        let fill = |p: &mut super::Payload<'_>| p.put(payload);
        let (tick, kind, callsite, len) = (*tick, *kind, *callsite, payload.len());
        let record = Pending { tick, kind, callsite, len, fill: &fill };
        // Past the cap it waits or discards only where the channel cannot grow.
        let _ = stream.append_slow(channel, Patience::PastTheCap, &record);
    }
    stream.park(channel);
    let position = (stream.writer(), stream.sequence(), stream.next_number());
    Some(((first.thread, first.slot), position))
}

/// Where thread number `thread` goes on in each slot; waits while that is being decided.
pub(crate) fn continuation(thread: u32) -> Option<[Option<Position>; MAX_CHANNELS]> {
    loop {
        match STATE.load(Acquire) {
            _ if OF.load(Acquire) != os::epoch() => return None,
            UNDER_WAY => std::thread::sleep(Duration::from_micros(50)),
            DONE => break,
            _ => return None,
        }
    }
    let positions = POSITIONS.get()?;
    Some(std::array::from_fn(|slot| positions.get(&(thread, slot)).copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_written_with_its_own_ticks_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let config = super::super::Config::new(dir.path(), "early");
        let made = super::super::Channel::create(config).unwrap();
        super::super::thread::install(7, std::sync::Arc::new(made));
        let kept: Vec<_> = (0..3)
            .map(|n| Kept {
                thread: 900,
                who: Who::here(),
                slot: 7,
                tick: 1_000 + n,
                kind: Kind::Raw,
                callsite: 0,
                payload: vec![n as u8],
            })
            .collect();
        begin();
        finish(kept);
        let (_, leases, next) = continuation(900).unwrap()[7].unwrap();
        assert_eq!((leases, next), (1, 3));
        assert!(continuation(901).unwrap()[7].is_none());
    }
}
