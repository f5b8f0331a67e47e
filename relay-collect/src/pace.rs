//! How well blocks are compressed: as well as was asked for, and worse while a backlog grows.

use std::time::{Duration, Instant};

/// Below half of what made it fall for so long, the level rises by a step.
const CALM: Duration = Duration::from_secs(1);
/// From so many blocks of backlog on, blocks are compressed at each step's level.
const STEPS: [(u64, i32); 3] = [(0, i32::MAX), (2, 1), (6, -4)];

/// The level that blocks are compressed at.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The level that was asked for: it is never higher.
    most: i32,
    /// Index into [`STEPS`].
    step: usize,
    /// Since when there is too little backlog for this step.
    calm: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(most: i32) -> Self {
        Self { most, step: 0, calm: None }
    }

    /// Takes a backlog of so many bytes, with blocks of so many, into account. It falls at once, and
    /// rises step by step, when the backlog has been small for a while.
    pub(crate) fn see(&mut self, backlog: u64, block: u64, now: Instant) {
        let blocks = backlog / block.max(1);
        let wanted = STEPS.iter().rposition(|(from, _)| blocks >= *from).unwrap_or_default();
        if wanted > self.step {
            (self.step, self.calm) = (wanted, None);
            return;
        }
        let (from, _) = STEPS.get(self.step).copied().unwrap_or_default();
        if self.step == 0 || backlog.saturating_mul(2) >= from.saturating_mul(block) {
            self.calm = None;
        } else if now.duration_since(*self.calm.get_or_insert(now)) >= CALM {
            (self.step, self.calm) = (self.step - 1, None);
        }
    }

    /// The level.
    pub(crate) fn level(&self) -> i32 {
        STEPS.get(self.step).map_or(self.most, |(_, level)| self.most.min(*level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_at_once_and_rises_slowly() {
        let (mut pace, begin) = (Pace::new(3), Instant::now());
        let mut see = |millis: u64, backlog: u64| {
            pace.see(backlog, 10, begin + Duration::from_millis(millis));
            pace.level()
        };
        assert_eq!(see(0, 19), 3);
        assert_eq!(see(1, 20), 1);
        assert_eq!(see(2, 1_000), -4);
        // Less, but not little.
        assert_eq!(see(5_000, 30), -4);
        assert_eq!(see(5_001, 29), -4);
        assert_eq!(see(6_000, 29), -4);
        // A moment of backlog begins the wait anew.
        assert_eq!(see(6_000, 40), -4);
        assert_eq!(see(6_001, 5), -4);
        assert_eq!(see(7_000, 5), -4);
        assert_eq!(see(7_001, 5), 1);
        assert_eq!(see(7_002, 5), 1);
        assert_eq!(see(8_002, 5), 3);
        assert_eq!(see(99_000, 5), 3);
    }

    #[test]
    fn it_is_never_above_what_was_asked_for() {
        let mut pace = Pace::new(-7);
        pace.see(1 << 40, 1, Instant::now());
        assert_eq!(pace.level(), -7);
    }
}
