//! Attempts to sign in, limited by client address and by user name.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that are let through in each window.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Of one address.
    pub by_address: usize,
    /// Of one user name, from wherever.
    pub by_name: usize,
    /// The window.
    pub window: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            by_address: 5,
            by_name: 10,
            window: Duration::from_secs(60),
        }
    }
}

/// Most addresses and names remembered. Beyond them nobody new may try: a flood must not make room
/// for more guesses.
const MAX_KEYS: usize = 4096;

/// Failed attempts of late.
#[derive(Debug)]
pub struct Attempts {
    limit: Limit,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: Window<IpAddr>,
    names: Window<String>,
}

/// When each key's failures happened, at most the limit of them.
#[derive(Debug)]
struct Window<K>(HashMap<K, Vec<Instant>>);

impl<K> Default for Window<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Window<K> {
    /// How long the key has to wait, if it has to.
    fn wait(&self, key: &K, limit: usize, window: Duration, now: Instant) -> Option<Duration> {
        let times = self.0.get(key)?;
        let oldest = *times.iter().rev().nth(limit.checked_sub(1)?)?;
        (oldest + window)
            .checked_duration_since(now)
            .filter(|d| !d.is_zero())
    }

    fn add(&mut self, key: K, limit: usize, now: Instant) {
        let times = self.0.entry(key).or_default();
        times.push(now);
        if times.len() > limit {
            times.remove(0);
        }
    }

    /// Whether there is room for one more key, after forgetting those that do not count any more.
    fn has_room(&mut self, key: &K, window: Duration, now: Instant) -> bool {
        if self.0.len() >= MAX_KEYS && !self.0.contains_key(key) {
            let counts = |times: &mut Vec<Instant>| times.last().is_some_and(|t| *t + window > now);
            self.0.retain(|_, times| counts(times));
        }
        self.0.len() < MAX_KEYS || self.0.contains_key(key)
    }
}

impl Attempts {
    /// No failure yet.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            state: Mutex::default(),
        }
    }

    /// Counts an attempt as failed until [`forgive`](Self::forgive) says otherwise, so that many
    /// at once do not all slip through while the first is being judged.
    ///
    /// # Errors
    /// How long to wait when there were too many.
    pub fn begin(&self, address: IpAddr, name: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let Limit {
            by_address,
            by_name,
            window,
        } = self.limit;
        let (address, name) = (network(address), short(name));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = [
            state.addresses.wait(&address, by_address, window, now),
            state.names.wait(&name, by_name, window, now),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        if !state.addresses.has_room(&address, window, now)
            || !state.names.has_room(&name, window, now)
        {
            return Err(window);
        }
        state.addresses.add(address, by_address, now);
        state.names.add(name, by_name, now);
        Ok(())
    }

    /// The attempt was right: it does not count.
    pub fn forgive(&self, address: IpAddr, name: &str) {
        let address = network(address);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = state.addresses.0.get_mut(&address) {
            times.pop();
        }
        if let Some(times) = state.names.0.get_mut(&short(name)) {
            times.pop();
        }
    }
}

/// One customer has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        address => address,
    }
}

/// Longer names than users have are all the same to us.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_five_failures_a_minute() {
        let attempts = Attempts::new(Limit::default());
        for _ in 0..5 {
            assert_eq!(attempts.begin(address(1), "anna"), Ok(()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let wait = attempts.begin(address(1), "ben").unwrap_err();
        assert_eq!(wait, Duration::from_secs(55));
        assert_eq!(attempts.begin(address(2), "anna"), Ok(()));
        tokio::time::advance(wait).await;
        assert_eq!(attempts.begin(address(1), "ben"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_has_ten_from_everywhere() {
        let attempts = Attempts::new(Limit::default());
        for from in 0..10 {
            assert_eq!(attempts.begin(address(from), "anna"), Ok(()));
        }
        assert!(attempts.begin(address(99), "anna").is_err());
        assert_eq!(attempts.begin(address(99), "ben"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_does_not_count() {
        let attempts = Attempts::new(Limit::default());
        for _ in 0..50 {
            assert_eq!(attempts.begin(address(1), "anna"), Ok(()));
            attempts.forgive(address(1), "anna");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_address() {
        let attempts = Attempts::new(Limit::default());
        for n in 0..5 {
            let from = format!("2001:db8::{n}").parse().unwrap();
            assert_eq!(attempts.begin(from, &n.to_string()), Ok(()));
        }
        assert!(
            attempts
                .begin("2001:db8::99".parse().unwrap(), "x")
                .is_err()
        );
        assert_eq!(
            attempts.begin("2001:db8:0:1::1".parse().unwrap(), "x"),
            Ok(())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let attempts = Attempts::new(Limit::default());
        for n in 0..20_000_u32 {
            let _full = attempts.begin(IpAddr::from(n.to_be_bytes()), &n.to_string());
        }
        let state = attempts.state.lock().unwrap();
        assert!(state.addresses.0.len() <= MAX_KEYS && state.names.0.len() <= MAX_KEYS);
    }
}
