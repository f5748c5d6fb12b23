//! How often one address may ask for a stream: each has a minute's worth of attempts, which fill
//! up again over a minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::group;

/// Most addresses remembered. Beyond them newcomers are not limited here; `--max-viewers` and the
/// limit of connections hold for all together.
const MAX_ADDRESSES: usize = 8192;

/// Time in which used attempts come back.
const MINUTE: Duration = Duration::from_secs(60);

/// Attempts of late, by address.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Attempts in a minute; 0 is no limit.
    limit: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: HashMap<IpAddr, Used>,
    swept: Instant,
}

/// Attempts used up at a moment; they come back with time.
#[derive(Debug, Clone, Copy)]
struct Used {
    attempts: f64,
    at: Instant,
}

impl Used {
    fn now(self, limit: u32, now: Instant) -> f64 {
        let back = (now - self.at).as_secs_f64() / MINUTE.as_secs_f64() * f64::from(limit);
        (self.attempts - back).max(0.0)
    }
}

impl Rate {
    pub(crate) fn new(limit: u32) -> Self {
        let state = State {
            used: HashMap::new(),
            swept: Instant::now(),
        };
        Self {
            limit,
            state: Mutex::new(state),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait for the next one. An attempt that is refused does not count.
    pub(crate) fn attempt(&self, address: IpAddr) -> Result<(), Duration> {
        if self.limit == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let address = group(address);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = state.used(address, self.limit, now)?;
        if !state.used.contains_key(&address) && !state.has_room(self.limit, now) {
            return Ok(());
        }
        let attempts = used + 1.0;
        state.used.insert(address, Used { attempts, at: now });
        Ok(())
    }

    /// Whether an attempt would be let through.
    ///
    /// # Errors
    /// As [`attempt`](Self::attempt).
    pub(crate) fn would_let(&self, address: IpAddr) -> Result<(), Duration> {
        if self.limit == 0 {
            return Ok(());
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = state.used(group(address), self.limit, Instant::now());
        used.map(|_| ())
    }
}

impl State {
    /// The attempts used up, if that leaves one.
    fn used(&self, address: IpAddr, limit: u32, now: Instant) -> Result<f64, Duration> {
        let used = self.used.get(&address);
        let used = used.map_or(0.0, |used| used.now(limit, now));
        let limit = f64::from(limit);
        if used > limit - 1.0 {
            Err(MINUTE.mul_f64((used + 1.0 - limit) / limit))
        } else {
            Ok(used)
        }
    }

    /// Forgets who has all attempts back; at most once a second, as it looks at everybody.
    fn has_room(&mut self, limit: u32, now: Instant) -> bool {
        if self.used.len() >= MAX_ADDRESSES && now - self.swept >= Duration::from_secs(1) {
            self.swept = now;
            self.used.retain(|_, used| used.now(limit, now) > 0.0);
        }
        self.used.len() < MAX_ADDRESSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_come_back_over_a_minute() {
        let rate = Rate::new(6);
        for _ in 0..6 {
            assert_eq!(rate.attempt(address(1)), Ok(()));
        }
        let wait = rate.attempt(address(1)).unwrap_err();
        assert_eq!(rate.would_let(address(1)), Err(wait));
        assert_eq!(wait.as_secs_f64().round(), 10.0);
        assert_eq!(rate.attempt(address(2)), Ok(()), "another address");
        tokio::time::advance(Duration::from_millis(10_001)).await;
        assert_eq!(rate.attempt(address(1)), Ok(()));
        assert!(rate.attempt(address(1)).is_err());
        tokio::time::advance(Duration::from_secs(61)).await;
        for _ in 0..6 {
            assert_eq!(rate.attempt(address(1)), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_a_flood_locks_nobody_out() {
        let rate = Rate::new(2);
        let most = u32::try_from(MAX_ADDRESSES).unwrap();
        for n in 0..2 * most {
            assert_eq!(rate.attempt(address(n)), Ok(()));
        }
        assert_eq!(rate.state.lock().unwrap().used.len(), MAX_ADDRESSES);
        tokio::time::advance(MINUTE).await;
        assert_eq!(rate.attempt(address(3 * most)), Ok(()));
        assert_eq!(rate.state.lock().unwrap().used.len(), 1);
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = Rate::new(0);
        assert!((0..10_000).all(|_| rate.attempt(address(1)).is_ok()));
        assert!(rate.state.lock().unwrap().used.is_empty());
    }
}
