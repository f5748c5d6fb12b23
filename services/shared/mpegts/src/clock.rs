//! 90 kHz timestamps that wrap at 33 bits (every 26.5 hours).

use std::time::Duration;

/// A PTS or DTS: 33 bits, units of 1/90000 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp(u64);

// === impl Timestamp ===

impl Timestamp {
    /// Ticks a second.
    pub const HZ: u64 = 90_000;
    const WRAP: u64 = 1 << 33;

    /// The timestamp of the low 33 bits of `ticks`.
    pub const fn new(ticks: u64) -> Timestamp {
        Timestamp(ticks % Timestamp::WRAP)
    }

    /// The 33-bit value.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// Ticks from `earlier` to this one by the shorter way round, so it is right across a wrap.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        let forward = (self.0 + Timestamp::WRAP - earlier.0) % Timestamp::WRAP;
        if forward < Timestamp::WRAP / 2 {
            forward as i64
        } else {
            forward as i64 - Timestamp::WRAP as i64
        }
    }
}

/// The length of `ticks` of 1/90000 s; 0 for a negative number.
pub(crate) fn ticks_to_duration(ticks: i64) -> Duration {
    Duration::from_nanos(ticks.max(0) as u64 * 100_000 / 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_survive_the_wrap() {
        let last = Timestamp::new((1 << 33) - 3_000);
        let first = Timestamp::new((1 << 33) + 3_000);
        assert_eq!(first.ticks(), 3_000);
        assert_eq!(first.since(last), 6_000);
        assert_eq!(last.since(first), -6_000);
    }

    #[test]
    fn ticks_become_time() {
        assert_eq!(ticks_to_duration(90_000), Duration::from_secs(1));
        assert_eq!(ticks_to_duration(-5), Duration::ZERO);
        assert_eq!(ticks_to_duration((1 << 32) - 1).as_secs(), 47_721);
    }
}
