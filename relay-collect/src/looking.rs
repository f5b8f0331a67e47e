//! Looking at a channel: what waits in it, and what can be handed back.

use crate::live::{Live, SubPosition};
use relay_fmt::archive::Final;
use relay_log::channel::{Counter, OnFull, Scan, Status, Sub};
use std::time::{Duration, Instant};

/// What a look at a channel showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Whether the channel could be read: nothing follows from a look that failed.
    pub(crate) seen: bool,
    /// Everything committed until then was seen, UTC nanoseconds.
    pub(crate) at_ns: u64,
    /// All sub-buffers; none where nothing can have happened to any since the last look, which had
    /// nothing to do.
    pub(crate) subs: Vec<Sub>,
    /// Sub-buffers of which it is not known what they hold.
    pub(crate) busy: Vec<u32>,
    pub(crate) waiting: u64,
    pub(crate) pressure: bool,
    /// A request for durability that was there before the look, if it is not fulfilled.
    pub(crate) sync_wanted: Option<u64>,
}

/// Whether a channel is so quiet that its header page tells all: whoever writes takes the word *asleep*
/// back there. A program with ten thousand idle threads has as many sub-buffers to look at.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) enum Quiet {
    #[default]
    No,
    /// The word was set then.
    Asked(Instant),
    /// The word stands, and a look then, long enough after it was set, found nothing to do.
    Since(Instant),
}

/// Sub-buffers that have not held still since a request for durability was seen. Once each has, all that was
/// committed before the request was seen too, however fast others are by then.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    request: u64,
    subs: Vec<u32>,
}

impl Unsettled {
    /// Takes into account which did not hold still at a look for a request.
    fn see(&mut self, request: u64, busy: &[u32]) {
        if self.request == request {
            self.subs.retain(|index| busy.contains(index));
        } else {
            *self = Self { request, subs: busy.to_vec() };
        }
    }
}

/// Sub-buffers that did not hold still at any look for a while. A writer that is only fast fills its
/// sub-buffer, and goes on to another.
#[derive(Debug, Default)]
pub(crate) struct Restless {
    subs: Vec<u32>,
    looks: u32,
    since: Option<Instant>,
}

/// So many looks in a row, at least.
const RESTLESS_LOOKS: u32 = 3;
/// And so long, while others write.
const RESTLESS: Duration = Duration::from_secs(10);

impl Restless {
    /// Takes into account which did not hold still at a look. Returns those that have not for long; where
    /// there is no more time (`last`), that is a few looks.
    fn see(&mut self, busy: &[u32], last: bool) -> Option<&[u32]> {
        self.subs.retain(|index| busy.contains(index));
        if self.subs.is_empty() {
            if busy.is_empty() {
                return None;
            }
            *self = Self { subs: busy.to_vec(), looks: 0, since: Some(Instant::now()) };
        }
        self.looks += 1;
        let long = last || self.since.is_some_and(|since| since.elapsed() >= RESTLESS);
        (long && self.looks >= RESTLESS_LOOKS).then_some(&self.subs)
    }
}

/// So long after the word was set a look is sure to see what was committed by who had not seen it yet.
/// A processor's stores are seen by others within microseconds.
const SETTLED: Duration = Duration::from_millis(100);
/// A quiet channel is looked at wholly so often all the same.
const TRUSTED: Duration = Duration::from_secs(10);

impl Live {
    /// Has the next record wake the collector, where that is not so already.
    pub(crate) fn doze(&mut self) {
        // A channel that cannot be written is looked at when the sleep is over.
        if matches!(self.quiet, Quiet::No) && self.reader.set_asleep(true).is_ok() {
            self.quiet = Quiet::Asked(Instant::now());
        }
    }

    /// Takes a look that began then into account.
    fn settle(&mut self, status: &Status, at: Instant, idle: bool) {
        self.quiet = match self.quiet {
            Quiet::Asked(asked) if status.asleep && !(idle && at > asked + SETTLED) => {
                Quiet::Asked(asked)
            }
            Quiet::Asked(_) | Quiet::Since(_) if status.asleep && idle => Quiet::Since(at),
            _ => Quiet::No,
        };
    }

    /// Looks at it. `in_memory`: the archives stand in memory.
    pub(crate) fn look(&mut self, in_memory: bool) -> Result<Look, rustix::io::Errno> {
        // The header first: what was committed before a request for durability is in the scan.
        let at = Instant::now();
        let at_ns = u64::try_from(crate::notes::now_ns()).unwrap_or_default();
        let status = self.reader.status()?;
        let asked = status.waiters > 0 || status.sync_wanted > status.synced;
        if let Quiet::Since(since) = self.quiet
            && (status.asleep && self.alive && !asked && at < since + TRUSTED)
        {
            return Ok(Look { seen: true, at_ns: self.seen_ns, ..Look::default() });
        }
        let Scan { subs, busy } = self.reader.scan_again(&self.subs)?;
        self.subs.clone_from(&subs);
        self.seen_ns = at_ns;
        let mut waiting = 0;
        for sub in &subs {
            if sub.is_meta() {
                continue;
            }
            waiting += u64::from(self.waiting(sub));
        }
        let idle = waiting == 0 && busy.is_empty() && !subs.iter().any(|sub| self.is_done(sub));
        self.settle(&status, at, idle);
        self.durable |= status.sync_wanted > 0;
        let pressure = status.waiters > 0 || waiting >= status.cap / 2;
        // A collector whose archives stood in memory may have said that nothing ever is.
        let refused = status.synced == u64::MAX && !in_memory;
        let sync_wanted =
            (status.sync_wanted > status.synced || refused).then_some(status.sync_wanted);
        self.unsettled.see(status.sync_wanted, &busy);
        Ok(Look { seen: true, at_ns, subs, busy, waiting, pressure, sync_wanted })
    }

    /// Whether anything that was there at a look may not be archived.
    pub(crate) fn is_left(&self, look: &Look) -> bool {
        !look.busy.is_empty() || self.shown_is_left(look)
    }

    /// What is to be said of sub-buffers that do not hold still, where that is so for long.
    pub(crate) fn complain(&mut self, look: &Look, last: bool) -> Option<String> {
        let subs = self.restless.see(&look.busy, last)?;
        let subs = subs.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let file = &self.file;
        Some(format!(
            "live/{file}: sub-buffers {subs} do not hold still and are left where they are"
        ))
    }

    /// Whether anything that was committed before the request for durability may not be archived.
    pub(crate) fn is_owed(&self, look: &Look) -> bool {
        !self.unsettled.subs.is_empty() || self.shown_is_left(look)
    }

    fn shown_is_left(&self, look: &Look) -> bool {
        look.subs.iter().any(|sub| !sub.is_meta() && self.waiting(sub) > 0)
    }

    /// Whether nothing will be added to a sub-buffer, all of it is archived, and it is not handed back.
    pub(crate) fn is_done(&self, sub: &Sub) -> bool {
        sub.is_ready() && sub.archived != sub.generation && self.waiting(sub) == 0
    }

    /// Hands a sub-buffer back if it is done; `dirty`: its block may not be synced yet.
    pub(crate) fn hand_back_if_done(&mut self, sub: &Sub, dirty: bool) {
        if !self.is_done(sub) {
            return;
        }
        // Said before: whoever finds this collector dead must know.
        self.unsynced = self.unsynced || (dirty && self.reader.set_unsynced(true).is_ok());
        if self.unsynced || !dirty {
            // What cannot be handed back now is handed back by the next look.
            let _ = self.reader.hand_back(sub);
        }
    }

    /// Everything that is archived is synced.
    pub(crate) fn synced(&mut self) {
        self.unsynced = self.unsynced && self.reader.set_unsynced(false).is_err();
        // Idle channels are not written to again and again.
        if self.archived.blocks > self.durable_blocks
            && self.reader.set_durable(self.archived_ns).is_ok()
        {
            self.durable_blocks = self.archived.blocks;
        }
    }

    /// The last word about a channel.
    pub(crate) fn end(&self, subs: &[Sub]) -> Final {
        let status = self.reader.status().ok();
        let highest =
            subs.iter().map(|sub| sub.index).chain(self.archived.subs.keys().copied()).max();
        let mut claimed = vec![0u64; highest.map_or(0, |highest| highest as usize + 1)];
        // A channel may claim anything: too much must not become little.
        let all = |at: &SubPosition| at.prior.saturating_add(u64::from(at.records));
        let here = self.archived.subs.iter().map(|(i, at)| (*i, all(at)));
        // A generation that was overwritten unseen is claimed all the same.
        for (index, count) in here.chain(subs.iter().map(|sub| (sub.index, sub.prior))) {
            if let Some(claimed) = claimed.get_mut(index as usize) {
                *claimed = count.max(*claimed);
            }
        }
        let counter = |counter: Counter| {
            status.and_then(|status| status.counters.get(counter as usize).copied()).unwrap_or(0)
        };
        let discarded =
            counter(Counter::DiscardedFull).saturating_add(counter(Counter::DiscardedDisk));
        let clean = status.is_some_and(|status| status.closed);
        Final {
            id: self.id(),
            claimed: claimed.iter().fold(discarded, |sum, count| sum.saturating_add(*count)),
            discarded,
            per_sub_buffer: claimed,
            clean,
            overwrites: self.reader.identity().on_full == OnFull::Overwrite,
            reason: if clean { "ended in order".into() } else { "its process is gone".into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RESTLESS_LOOKS, Restless, Unsettled};

    #[test]
    fn what_held_still_once_is_not_complained_of() {
        let mut restless = Restless::default();
        for _ in 0..2 {
            for look in 1..RESTLESS_LOOKS {
                assert_eq!(restless.see(&[3, 7], true), None, "look {look}");
            }
            assert_eq!(restless.see(&[7], false), None, "not for long");
            assert_eq!(restless.see(&[7, 9], true), Some(&[7][..]), "9 is another's turn");
            assert_eq!(restless.see(&[], true), None);
        }
    }

    #[test]
    fn a_request_waits_for_each_that_was_busy_and_for_no_other() {
        let mut unsettled = Unsettled::default();
        unsettled.see(1, &[3, 7]);
        assert_eq!(unsettled.subs, [3, 7]);
        // 7 held still; 9 became busy later, and what it held before was seen before.
        unsettled.see(1, &[3, 9]);
        assert_eq!(unsettled.subs, [3]);
        // Busy again, but it held still once since the request.
        unsettled.see(1, &[7, 9]);
        assert!(unsettled.subs.is_empty());
        // Another request is another question.
        unsettled.see(2, &[7, 9]);
        assert_eq!(unsettled.subs, [7, 9]);
    }
}
