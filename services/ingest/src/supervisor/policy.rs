//! How long to wait before the next attempt.

use std::time::Duration;

use crate::cause::CauseKind;

/// First and longest wait where trying again can help by itself. A camera that was away for a
/// moment is back within 2 s; one that is off is asked six times a minute.
const FIRST: Duration = Duration::from_millis(250);
const CAP: Duration = Duration::from_secs(10);

/// The same where somebody has to change something. Cameras lock users out after a handful of
/// wrong passwords.
const FIRST_PERMANENT: Duration = Duration::from_secs(2);
const CAP_PERMANENT: Duration = Duration::from_secs(60);

/// The wait after the `failures`-th failure in a row (from 1). `random` in 0..1 takes up to a
/// quarter away, so that a hundred cameras behind one switch do not come back in step.
#[must_use]
pub fn delay(kind: CauseKind, failures: u32, random: f64) -> Duration {
    let (first, cap) = if kind.is_permanent() {
        (FIRST_PERMANENT, CAP_PERMANENT)
    } else {
        (FIRST, CAP)
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(cap).mul_f64(1.0 - random.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_cap() {
        let waits: Vec<_> = (1..9)
            .map(|n| delay(CauseKind::Refused, n, 0.0).as_millis())
            .collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        let waits: Vec<_> = (1..8)
            .map(|n| delay(CauseKind::Auth, n, 0.0).as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(CauseKind::Refused, u32::MAX, 0.0), CAP);
    }

    #[test]
    fn jitter_takes_away_up_to_a_quarter() {
        assert_eq!(
            delay(CauseKind::Refused, 3, 1.0),
            Duration::from_millis(750)
        );
        assert_eq!(
            delay(CauseKind::Refused, 3, 0.5),
            Duration::from_millis(875)
        );
    }
}
