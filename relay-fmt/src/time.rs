//! From ticks to UTC.
//!
//! A record carries the raw tick of its processor's counter (or of CLOCK_MONOTONIC, where the kernel
//! does not trust the counter). Every lease begins with an [`Anchor`], and a writer puts another one
//! in front of the first record that is more than 100 ms of ticks later: so between a record and the
//! anchor before it there is never more than 100 ms.
//!
//! A record's time is wrong by what its anchor is (tick and clocks are read within some 60 ns, unless
//! the thread is stopped in between three times in a row), and by what the [`Rate`] is wrong over the
//! distance to it. The rate of two anchors is right to 100 ns in their distance, 1 ppm over 100 ms. A
//! channel's first anchors stand 1, 2, 4, … ms apart, never further from the record than the channel
//! is old: so that, from its first 2 ms on, it is 100 ns there too; before that the rate of the
//! header holds, which is right to some 200 ppm, over 2 ms at most. While the kernel slews its clock
//! (500 ppm at most) the time of day runs off by up to 50 µs in 100 ms without an anchor; when it
//! is set, records up to the next anchor have the time that it had before.

use crate::bytes::{Cursor, Result};

/// One moment on all clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The raw tick.
    pub tick: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub mono_ns: u64,
    /// CLOCK_REALTIME, UTC nanoseconds since 1970.
    pub real_ns: u64,
}

impl Anchor {
    /// Bytes of an anchor record's payload.
    pub const LEN: usize = 16;

    /// Reads the payload of an anchor record whose header carries `tick`.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn parse(tick: u64, payload: &[u8]) -> Result<Self> {
        let mut input = Cursor::new(payload);
        Ok(Self { tick, mono_ns: input.u64()?, real_ns: input.u64()? })
    }

    /// When `tick` was, in UTC nanoseconds.
    #[must_use]
    pub fn real_of(&self, tick: u64, rate: Rate) -> i64 {
        let distance = rate.nanos(tick.wrapping_sub(self.tick).cast_signed());
        i64::try_from(self.real_ns).unwrap_or(i64::MAX).saturating_add(distance)
    }
}

/// Nanoseconds a tick, as a binary fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds a tick times 2³².
    pub per_tick_q32: u64,
}

impl Rate {
    /// A tick is a nanosecond.
    pub const NANOSECOND: Self = Self { per_tick_q32: 1 << 32 };

    /// The rate between two anchors; `None` when they are less than a microsecond apart or run
    /// against each other.
    #[must_use]
    pub fn between(a: Anchor, b: Anchor) -> Option<Self> {
        let ticks = b.tick.checked_sub(a.tick)?;
        let nanos = b.mono_ns.checked_sub(a.mono_ns)?;
        if nanos < 1_000 || ticks < 1_000 {
            return None;
        }
        let q32 = (u128::from(nanos) << 32) / u128::from(ticks);
        u64::try_from(q32).ok().filter(|q| *q > 0).map(|per_tick_q32| Self { per_tick_q32 })
    }

    /// The nanoseconds in a number of ticks.
    #[must_use]
    pub fn nanos(self, ticks: i64) -> i64 {
        let nanos = (i128::from(ticks) * i128::from(self.per_tick_q32)) >> 32;
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// The ticks in a number of nanoseconds.
    #[must_use]
    pub fn ticks(self, nanos: u64) -> u64 {
        let ticks = (u128::from(nanos) << 32) / u128::from(self.per_tick_q32.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// The best rate that a channel's anchors give: the one over the longest distance.
#[derive(Debug, Clone, Copy)]
pub struct RateEstimate {
    fallback: Rate,
    first: Option<Anchor>,
    rate: Rate,
    distance_ns: u64,
}

impl RateEstimate {
    /// Anchors closer than this say less than the fallback, in nanoseconds.
    const MIN_DISTANCE: u64 = 1_500_000;

    /// Begins with what the channel's header says.
    #[must_use]
    pub const fn new(fallback: Rate) -> Self {
        Self { fallback, first: None, rate: fallback, distance_ns: 0 }
    }

    /// Takes another anchor into account.
    pub fn see(&mut self, anchor: Anchor) {
        let Some(first) = self.first else {
            self.first = Some(anchor);
            return;
        };
        if anchor.tick < first.tick {
            self.first = Some(anchor);
            return;
        }
        let distance = anchor.mono_ns.saturating_sub(first.mono_ns);
        if distance < Self::MIN_DISTANCE || distance < self.distance_ns.saturating_mul(2) {
            return;
        }
        if let Some(rate) = Rate::between(first, anchor) {
            self.rate = rate;
            self.distance_ns = distance;
        }
    }

    /// The rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        if self.distance_ns == 0 { self.fallback } else { self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_distance_wins() {
        let at = |tick, ns| Anchor { tick, mono_ns: ns, real_ns: ns };
        let mut estimate = RateEstimate::new(Rate::NANOSECOND);
        estimate.see(at(0, 0));
        estimate.see(at(2_000, 1_000));
        assert_eq!(estimate.rate(), Rate::NANOSECOND, "too near to say anything");
        estimate.see(at(200_000_000, 100_000_000));
        assert_eq!(estimate.rate().per_tick_q32, 1 << 31);
    }

    /// A machine: a counter, and a time of day that somebody sets.
    struct Machine {
        khz: u64,
        steps: &'static [(u64, i64)],
    }

    impl Machine {
        fn tick(&self, mono_ns: u64) -> u64 {
            77 + (u128::from(mono_ns) * u128::from(self.khz) / 1_000_000) as u64
        }

        fn real(&self, mono_ns: u64) -> i64 {
            let set = self.steps.iter().filter(|(at, _)| *at <= mono_ns).map(|(_, by)| by);
            1_790_000_000_000_000_000 + mono_ns as i64 + set.sum::<i64>()
        }

        /// `off` is how long after the tick the clocks were read.
        fn anchor(&self, mono_ns: u64, off: u64) -> Anchor {
            let read = mono_ns + off;
            Anchor { tick: self.tick(mono_ns), mono_ns: read, real_ns: self.real(read) as u64 }
        }
    }

    /// Hours forth and back, in the middle of what lies between two anchors.
    const STEPS: &[(u64, i64)] =
        &[(40_000_000, 3_600_000_000_000), (777_000_000, -7_200_000_000_000), (778_000_000, 5)];

    proptest! {
        #[test]
        fn times_are_right_between_anchors_whatever_the_clock_is_set_to(
            khz in 800_000u64..5_000_000, offs in proptest::collection::vec(0u64..60, 16),
        ) {
            let machine = Machine { khz, steps: STEPS };
            // The header's idea of the rate is 200 ppm off.
            let exact = (1_000_000u128 << 32) / u128::from(khz);
            let header = Rate { per_tick_q32: (exact + exact / 5_000) as u64 };
            let mut rate = RateEstimate::new(header);
            rate.see(machine.anchor(0, 30));
            let mut last = machine.anchor(1_000, 0);
            let (mut due, mut anchors) = (1_000_000, 0);
            for at in (1_000..1_000_000_000).step_by(99_991) {
                if at > due {
                    last = machine.anchor(at, offs[anchors % 16]);
                    rate.see(last);
                    due = at + at.min(100_000_000);
                    anchors += 1;
                }
                let told = last.real_of(machine.tick(at), rate.rate());
                // The time of day as it was going at the anchor.
                let is = machine.real(last.mono_ns) + at as i64 - last.mono_ns as i64;
                prop_assert!((told - is).abs() <= 1_000, "{told} for {is}, at {at}");
            }
            prop_assert!((14..25).contains(&anchors), "{anchors} anchors");
        }

        #[test]
        fn times_come_back_within_a_nanosecond(
            khz in 1_000_000u64..5_000_000, ticks in 0u64..1 << 48, real in 0u64..1 << 61,
        ) {
            let rate = Rate { per_tick_q32: ((1_000_000u128 << 32) / u128::from(khz)) as u64 };
            let anchor = Anchor { tick: 5, mono_ns: 0, real_ns: real };
            let nanos = anchor.real_of(5 + ticks, rate) - real as i64;
            let exact = (u128::from(ticks) * u128::from(rate.per_tick_q32)) >> 32;
            prop_assert!((i128::from(nanos) - exact as i128).abs() <= 1);
        }

        #[test]
        fn any_anchor_gives_some_time(tick: u64, at: u64, real: u64, q: u64) {
            let anchor = Anchor { tick: at, mono_ns: 0, real_ns: real };
            let _ = anchor.real_of(tick, Rate { per_tick_q32: q });
        }
    }
}
