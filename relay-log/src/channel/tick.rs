//! What time it is, in ticks: the cheapest clock that the kernel itself trusts.

use super::identity::TickSource;
use relay_fmt::time::{Anchor, Rate};

/// How far a record may be from the anchor before it, in nanoseconds.
pub(crate) const ANCHOR_EVERY_NS: u64 = 100_000_000;

/// Asks the C library, which knows where valgrind has taken the vDSO away.
fn nanos(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is there during the call; a clock that the kernel does not know leaves it as it is.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// CLOCK_REALTIME, UTC nanoseconds.
pub(crate) fn real_ns() -> u64 {
    nanos(libc::CLOCK_REALTIME)
}

/// CLOCK_MONOTONIC, nanoseconds.
pub(crate) fn mono_ns() -> u64 {
    nanos(libc::CLOCK_MONOTONIC)
}

/// The counter of this processor; where there is none that Relay knows, CLOCK_MONOTONIC.
#[inline(always)]
pub(crate) fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction; it reads a counter and nothing else.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    mono_ns()
}

/// Whether [`tsc`] gives the ticks of this source.
pub(crate) const fn is_counter(source: TickSource) -> bool {
    cfg!(not(target_arch = "x86_64")) || matches!(source, TickSource::Tsc)
}

/// The tick of a source.
#[inline(always)]
pub(crate) fn now(source: TickSource) -> u64 {
    match source {
        TickSource::Tsc => tsc(),
        TickSource::Monotonic => mono_ns(),
    }
}

/// Chooses the source: the counter only where the kernel keeps its own time by it.
pub(crate) fn choose() -> TickSource {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let trusted = cfg!(target_arch = "x86_64")
        && std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "tsc");
    if trusted { TickSource::Tsc } else { TickSource::Monotonic }
}

/// This moment on all clocks.
///
/// The tick is taken between two readings of CLOCK_MONOTONIC when those are near each other, so that
/// being descheduled in between does not tear the anchor; after a few tries any reading will do.
pub(crate) fn anchor(source: TickSource) -> Anchor {
    let mut best: Option<(u64, Anchor)> = None;
    for _ in 0..3 {
        let before = now(source);
        let mono_ns = mono_ns();
        let real_ns = real_ns();
        let after = now(source);
        let width = after.wrapping_sub(before);
        let tick = before.wrapping_add(width / 2);
        if best.is_none_or(|(least, _)| width < least) {
            best = Some((width, Anchor { tick, mono_ns, real_ns }));
        }
        // Two clock readings take some 60 ns; 2,000 ticks are half a microsecond and more.
        if width < 2_000 {
            break;
        }
    }
    best.map_or(Anchor { tick: 0, mono_ns: 0, real_ns: 0 }, |(_, anchor)| anchor)
}

/// A first idea of the rate; the keeper and the anchors in the channel make it better.
pub(crate) fn first_rate(source: TickSource, earlier: Anchor) -> Rate {
    if source == TickSource::Monotonic {
        return Rate::NANOSECOND;
    }
    // 200 µs against 30 ns of uncertainty: 150 ppm until anchors are 50 ms apart.
    while mono_ns().saturating_sub(earlier.mono_ns) < 200_000 {
        std::hint::spin_loop();
    }
    Rate::between(earlier, anchor(source)).unwrap_or(Rate::NANOSECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_turn_into_the_time_of_day() {
        let source = choose();
        let first = anchor(source);
        std::thread::sleep(std::time::Duration::from_millis(60));
        let rate = first_rate(source, first);
        // However long this thread is kept from running in between.
        let (before, tick, after) = (real_ns() as i64, now(source), real_ns() as i64);
        let told = first.real_of(tick, rate);
        let near = before - 2_000_000..after + 2_000_000;
        assert!(near.contains(&told), "{told} is not near {before} to {after}");
    }
}
