//! Two hosts' clocks differ. Each ingest's offset is estimated from its announcements, so that
//! delays shown to people and exported are not the difference of two clocks.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Announcements that an estimate looks back on: a minute at one each 2 s.
const SAMPLES: usize = 30;

/// A sample this far from the estimate means that a clock was set. Two in a row are believed.
const STEP_NS: i64 = 500_000_000;

/// An ingest that was silent this long is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Unix time in nanoseconds.
#[must_use]
pub fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// Unix time in milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_ns() / 1_000_000
}

/// Estimates one ingest's offset: of the recent announcements the one that travelled fastest
/// says it best. Its travel time counts as offset, so delays are told from there.
#[derive(Debug, Default)]
struct Offset {
    samples: VecDeque<i64>,
    outliers: u8,
}

impl Offset {
    /// Takes a sample: received minus sent, in nanoseconds.
    fn add(&mut self, sample: i64) {
        if let Some(estimate) = self.estimate()
            && (sample - estimate).abs() > STEP_NS
        {
            self.outliers += 1;
            if self.outliers < 2 {
                return;
            }
            self.samples.clear();
        }
        self.outliers = 0;
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    fn estimate(&self) -> Option<i64> {
        self.samples.iter().min().copied()
    }
}

/// Offsets of all ingests, by instance.
#[derive(Debug, Default)]
pub struct Clocks {
    offsets: Mutex<HashMap<String, (Offset, Instant)>>,
}

impl Clocks {
    /// Takes note of an announcement: sent at `sent` by the ingest's clock, received now.
    pub fn observe(&self, instance: &str, sent: u64, received: u64) {
        let now = Instant::now();
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.retain(|_, (_, at)| now.saturating_duration_since(*at) < FORGET);
        let (offset, at) = offsets
            .entry(instance.to_owned())
            .or_insert_with(|| (Offset::default(), now));
        *at = now;
        offset.add(received.wrapping_sub(sent).cast_signed());
    }

    /// A time of the ingest's clock on this edge's clock, both unix nanoseconds.
    #[must_use]
    pub fn local(&self, instance: &str, time: u64) -> u64 {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = offsets
            .get(instance)
            .and_then(|(offset, _)| offset.estimate());
        time.saturating_add_signed(offset.unwrap_or(0))
    }

    /// The offset that is farthest from 0, in seconds: how much the edge's clock is ahead.
    #[must_use]
    pub fn largest_seconds(&self) -> f64 {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = offsets
            .values()
            .filter_map(|(offset, _)| offset.estimate())
            .max_by_key(|ns| ns.unsigned_abs());
        largest.unwrap_or(0) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn the_fastest_announcement_counts() {
        let clocks = Clocks::default();
        let base = 1_767_225_600_000_000_000_u64;
        for delay in [7, 2, 90] {
            let received = base.saturating_add_signed(-3_000 * MS + delay * MS);
            clocks.observe("a", base, received);
        }
        // The ingest's clock is 3 s ahead; the fastest message took 2 ms.
        assert_eq!(clocks.local("a", base), base - 2_998_000_000);
        assert_eq!(clocks.local("b", base), base, "nothing known");
        assert!((clocks.largest_seconds() + 2.998).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_the_second_sample() {
        let mut offset = Offset::default();
        for _ in 0..5 {
            offset.add(MS);
        }
        offset.add(3_600_000 * MS);
        assert_eq!(
            offset.estimate(),
            Some(MS),
            "one late message changes nothing"
        );
        offset.add(3_600_000 * MS);
        assert_eq!(offset.estimate(), Some(3_600_000 * MS));
        offset.add(MS);
        offset.add(MS);
        assert_eq!(offset.estimate(), Some(MS));
    }

    #[test]
    fn old_samples_run_out() {
        let mut offset = Offset::default();
        offset.add(0);
        for _ in 0..SAMPLES {
            offset.add(5 * MS);
        }
        assert_eq!(offset.estimate(), Some(5 * MS));
    }
}
