//! Counts by microsecond, with ten significant bits.

use std::collections::BTreeMap;

use serde::Serialize;

/// See the module. Printed as JSON it is a map from microseconds to a count, so that those of
/// several processes can be added.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    /// Adds a value in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        let us = u32::try_from(nanoseconds / 1000).unwrap_or(u32::MAX);
        let drop = (32 - us.leading_zeros()).saturating_sub(10);
        *self.0.entry(us >> drop << drop).or_default() += 1;
    }

    /// The value, in microseconds, that a share `q` (0 to 1) of all are at or below.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u32> {
        let total: u64 = self.0.values().sum();
        let rank = (total as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.0.iter().find_map(|(us, count)| {
            seen += count;
            (seen >= rank).then_some(*us)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_within_a_thousandth() {
        let mut h = Histogram::default();
        for us in 1..=100_000_u64 {
            h.add(us * 1000);
        }
        for (q, expected) in [(0.5, 50_000.0), (0.99, 99_000.0), (1.0, 100_000.0)] {
            let got = f64::from(h.quantile(q).unwrap());
            assert!((got / expected - 1.0).abs() < 0.002, "{q}: {got}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
