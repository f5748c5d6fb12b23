//! At most one log line per key and period, with the number of lines left out in between.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Keys kept at a time. Above it the stalest is forgotten, which can only let a line through.
const MAX_KEYS: usize = 1024;

/// Limits repeated lines. Cheap enough for every frame: one short lock, no allocation for a key
/// that is already known.
///
/// ```
/// # use std::time::Duration;
/// # use fanlight_ops::throttle::Throttle;
/// let throttle = Throttle::new(Duration::from_secs(1));
/// if let Some(suppressed) = throttle.allow("publish") {
///     tracing::warn!(suppressed, "chunk not published");
/// }
/// ```
#[derive(Debug)]
pub struct Throttle<K = &'static str> {
    period: Duration,
    keys: Mutex<HashMap<K, Entry>>,
}

#[derive(Debug)]
struct Entry {
    last: Instant,
    suppressed: u64,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// One line per `period` and key.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            keys: Mutex::new(HashMap::new()),
        }
    }

    /// `Some(n)` when a line may be written now, `n` being the lines held back since the last one
    /// of this key; `None` when this one is held back.
    pub fn allow(&self, key: K) -> Option<u64> {
        let now = Instant::now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = keys.get_mut(&key) {
            if now.duration_since(entry.last) < self.period {
                entry.suppressed += 1;
                return None;
            }
            entry.last = now;
            return Some(std::mem::take(&mut entry.suppressed));
        }
        if keys.len() >= MAX_KEYS
            && let Some(stalest) = keys
                .iter()
                .min_by_key(|(_, e)| e.last)
                .map(|(k, _)| k.clone())
        {
            keys.remove(&stalest);
        }
        keys.insert(
            key,
            Entry {
                last: now,
                suppressed: 0,
            },
        );
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_per_period_and_key_with_the_count_of_the_rest() {
        let throttle = Throttle::new(Duration::from_secs(10));
        assert_eq!(throttle.allow("a"), Some(0));
        assert_eq!(throttle.allow("b"), Some(0));
        for _ in 0..3 {
            assert_eq!(throttle.allow("a"), None);
        }
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(throttle.allow("a"), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(throttle.allow("a"), Some(4));
        assert_eq!(throttle.allow("a"), None);
        assert_eq!(throttle.allow("b"), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_keys_stays_bounded() {
        let throttle = Throttle::new(Duration::from_secs(10));
        for key in 0..5_000_u32 {
            assert_eq!(throttle.allow(key), Some(0));
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        assert_eq!(throttle.keys.lock().unwrap().len(), MAX_KEYS);
        assert_eq!(throttle.allow(4_999), None, "the newest key is still known");
    }
}
