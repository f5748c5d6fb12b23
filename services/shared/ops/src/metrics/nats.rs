//! The connection to NATS as both services export it.

use prometheus::{IntCounter, IntGauge};

use super::Metrics;

/// `nats_connected` and `nats_reconnects_total` under the service's prefix.
#[derive(Debug, Clone)]
pub struct NatsMetrics {
    connected: IntGauge,
    reconnects: IntCounter,
}

impl NatsMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            connected: metrics.gauge("nats_connected", "1 while connected to NATS, else 0."),
            reconnects: metrics.counter(
                "nats_reconnects_total",
                "Connections to NATS made again after one was lost.",
            ),
        }
    }

    /// Takes over the connection's state. `reconnects` is its running total; cameras that share
    /// one connection may all report it.
    pub fn set(&self, connected: bool, reconnects: u64) {
        self.connected.set(i64::from(connected));
        self.reconnects
            .inc_by(reconnects.saturating_sub(self.reconnects.get()));
    }
}
