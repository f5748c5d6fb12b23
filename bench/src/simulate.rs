//! A model of a region under load: viewers join, nodes are lost, players come back. Deterministic
//! for a seed; docs/scaling.md says where its numbers come from and what it leaves out.
//!
//! ```text
//! player (backoff) -> load balancer -> edge: accept, CPU -> NATS: GOP -> edge: link -> picture
//! ```

pub mod backoff;
pub mod coefficients;
mod flow;
pub mod limit;
pub mod steady;
pub mod world;

pub use coefficients::{Coefficients, Site, Spread};
pub use limit::{Limit, find_limit};
pub use steady::{Resource, Steady};
pub use world::{Fault, Outcome, run};

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not, 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 up to, but not, `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }
}
