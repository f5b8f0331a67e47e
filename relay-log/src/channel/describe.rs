//! Descriptions of callsites: in sub-buffers that are never handed back, committed before the first
//! record that needs them.

use super::shared::Channel;
use super::stream::Stream;
use super::sync::Ordering::Relaxed;
use relay_fmt::record::{HEADER_LEN, Kind, padded};
use std::sync::atomic::AtomicU32;

/// The part of a channel that holds descriptions. One writer at a time, under a lock.
#[derive(Debug)]
pub(crate) struct Descriptions {
    stream: parking_lot::Mutex<Stream>,
    /// Sub-buffers that hold them.
    held: AtomicU32,
}

impl Descriptions {
    pub(crate) const fn new() -> Self {
        Self { stream: parking_lot::Mutex::new(Stream::new(0)), held: AtomicU32::new(0) }
    }

    /// How many sub-buffers hold descriptions.
    pub(super) fn held(&self) -> u32 {
        self.held.load(Relaxed)
    }

    /// One more does.
    pub(super) fn hold(&self) {
        self.held.fetch_add(1, Relaxed);
    }
}

impl Channel {
    /// Describes callsite `id`. `false` when the description is too large, when there is no room, or
    /// when `may_wait` is not given and somebody else is describing: then the record must bring its
    /// description itself. Who describes never waits for the collector.
    pub(crate) fn describe(&self, id: u32, description: &[u8], may_wait: bool) -> bool {
        let stream = &self.descriptions.stream;
        let locked = if may_wait { Some(stream.lock()) } else { stream.try_lock() };
        let Some(mut stream) = locked else {
            return false;
        };
        let mut payload = Vec::with_capacity(description.len() + 4);
        relay_fmt::record::put_callsite(&mut payload, id, description);
        let need = padded(HEADER_LEN + payload.len());
        if need > self.room() as usize {
            return false;
        }
        if need > stream.left() {
            // Opened before it is used, so a reader may find it empty.
            let Some(opened) = self.open_meta() else {
                return false;
            };
            stream.install(self, opened);
        }
        stream.put(0, Kind::Callsite, 0, payload.len(), |p| p.put(&payload));
        true
    }
}
