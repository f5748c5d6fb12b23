//! Wall-clock time as credentials hold it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970; 0 for a clock before that.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The time of so many seconds since 1970, as far as the system can hold it.
pub(crate) fn time(seconds: u64) -> SystemTime {
    // a thousand years is for ever, and does not overflow
    UNIX_EPOCH + Duration::from_secs(seconds.min(32_503_680_000))
}
