//! The edge's metrics (names: design contract read by dashboards, alerts and autoscaling).
//! Handles are resolved once: per edge here, per stream in [`CameraMetrics`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fanlight_bus::StreamId;
use fanlight_ops::metrics::{CameraLabels, LATENCY_BUCKETS, Metrics};
use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Values of `connections_total{result}`.
pub const RESULTS: [&str; 14] = [
    "accepted",
    "bad_request",
    "not_signed_in",
    "camera_not_allowed",
    "origin_not_allowed",
    "unknown_camera",
    "no_default_camera",
    "too_many_attempts",
    "too_many_viewers",
    "at_capacity",
    "camera_at_capacity",
    "camera_offline",
    "starting",
    "draining",
];

/// Values of `disconnects_total{reason}`.
pub const REASONS: [&str; 9] = [
    "client",
    "slow",
    "drain",
    "ping_timeout",
    "protocol",
    "grant_ended",
    "revoked",
    "removed",
    "error",
];

const BY_CAMERA: [&str; 2] = ["camera", "rendition"];

/// Metrics of the whole edge.
pub struct EdgeMetrics {
    labels: CameraLabels,
    families: Families,
    cameras: Mutex<HashMap<StreamId, Arc<CameraMetrics>>>,
    connections: IntCounterVec,
    disconnects: IntCounterVec,
    /// Ingest time to written to the socket, seconds.
    pub delivery_latency: Histogram,
    /// Upgrade to first key chunk written, seconds.
    pub join: Histogram,
    /// Ingest to paint as players report it, seconds.
    pub viewer_latency: Histogram,
    /// Stalls that players report.
    pub viewer_stalls: IntCounter,
    /// Pictures that players decoded.
    pub viewer_decoded: IntCounter,
    /// Pictures that players left out.
    pub viewer_dropped: IntCounter,
    /// Streams subscribed to now.
    pub subscriptions: IntGauge,
    /// 1 while draining.
    pub draining: IntGauge,
    /// Farthest clock of an ingest, seconds.
    pub clock_offset: Gauge,
    /// Messages that the bus client dropped because this process was too slow.
    pub slow_consumer: IntCounter,
    /// The limit on viewers, 0 for none.
    pub viewer_limit: IntGauge,
}

impl std::fmt::Debug for EdgeMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeMetrics").finish_non_exhaustive()
    }
}

struct Families {
    viewers: IntGaugeVec,
    received_chunks: IntCounterVec,
    received_bytes: IntCounterVec,
    sent_chunks: IntCounterVec,
    sent_bytes: IntCounterVec,
    sent_ts_packets: IntCounterVec,
    skipped_chunks: IntCounterVec,
    sequence_gaps: IntCounterVec,
}

/// Metrics of one stream.
#[derive(Debug)]
pub struct CameraMetrics {
    /// Viewers now.
    pub viewers: IntGauge,
    /// Messages from the bus.
    pub received_chunks: IntCounter,
    /// Their payload.
    pub received_bytes: IntCounter,
    /// Messages written to viewers.
    pub sent_chunks: IntCounter,
    /// Their payload, without WebSocket headers.
    pub sent_bytes: IntCounter,
    /// TS packets in it.
    pub sent_ts_packets: IntCounter,
    /// Messages left out for slow viewers.
    pub skipped_chunks: IntCounter,
    /// Holes in the numbers of a run.
    pub sequence_gaps: IntCounter,
}

impl EdgeMetrics {
    /// Registers everything. At most `cameras` cameras have series of their own.
    #[must_use]
    pub fn new(metrics: &Metrics, cameras: usize) -> Self {
        let by_camera = |name: &str, help: &str| metrics.counter_vec(name, help, &BY_CAMERA);
        Self {
            labels: CameraLabels::new(cameras),
            families: Families {
                viewers: metrics.gauge_vec("viewers", "Viewers connected now.", &BY_CAMERA),
                received_chunks: by_camera("received_chunks_total", "Media messages received."),
                received_bytes: by_camera("received_bytes_total", "Media bytes received."),
                sent_chunks: by_camera("sent_chunks_total", "Media messages sent to viewers."),
                sent_bytes: by_camera("sent_bytes_total", "Media bytes sent to viewers."),
                sent_ts_packets: by_camera("sent_ts_packets_total", "TS packets sent to viewers."),
                skipped_chunks: by_camera(
                    "skipped_chunks_total",
                    "Media messages left out for slow viewers.",
                ),
                sequence_gaps: by_camera(
                    "sequence_gaps_total",
                    "Holes in the sequence numbers of a run.",
                ),
            },
            cameras: Mutex::default(),
            connections: metrics.closed_counter(
                "connections_total",
                "Viewers that asked to join, by result.",
                "result",
                &RESULTS,
            ),
            disconnects: metrics.closed_counter(
                "disconnects_total",
                "Viewers that left, by reason.",
                "reason",
                &REASONS,
            ),
            delivery_latency: metrics.histogram(
                "delivery_latency_seconds",
                "From ingest time to written to the viewer's socket.",
                LATENCY_BUCKETS,
            ),
            join: metrics.histogram(
                "join_seconds",
                "From the upgrade to the first key chunk written.",
                LATENCY_BUCKETS,
            ),
            viewer_latency: metrics.histogram(
                "viewer_latency_seconds",
                "From ingest time to paint, as players report it.",
                LATENCY_BUCKETS,
            ),
            viewer_stalls: metrics.counter("viewer_stalls_total", "Stalls that players report."),
            viewer_decoded: metrics.counter(
                "viewer_decoded_pictures_total",
                "Pictures that players decoded.",
            ),
            viewer_dropped: metrics.counter(
                "viewer_dropped_pictures_total",
                "Pictures that players left out.",
            ),
            subscriptions: metrics.gauge("subscriptions", "Streams subscribed to now."),
            draining: metrics.gauge("draining", "1 while draining."),
            clock_offset: metrics.float_gauge(
                "clock_offset_seconds",
                "Estimated distance of the farthest ingest's clock; positive when the edge's is ahead.",
            ),
            slow_consumer: metrics.counter(
                "slow_consumer_events_total",
                "Messages that the bus client dropped because the edge read too slowly.",
            ),
            viewer_limit: metrics.gauge("viewer_limit", "Most viewers taken; 0 for no limit."),
        }
    }

    /// Metrics of a stream; its series are there from the first call on.
    #[must_use]
    pub fn camera(&self, stream: &StreamId) -> Arc<CameraMetrics> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let camera = self.labels.label(stream.camera.as_str());
            let labels = [&*camera, stream.rendition.as_str()];
            let f = &self.families;
            Arc::new(CameraMetrics {
                viewers: f.viewers.with_label_values(&labels),
                received_chunks: f.received_chunks.with_label_values(&labels),
                received_bytes: f.received_bytes.with_label_values(&labels),
                sent_chunks: f.sent_chunks.with_label_values(&labels),
                sent_bytes: f.sent_bytes.with_label_values(&labels),
                sent_ts_packets: f.sent_ts_packets.with_label_values(&labels),
                skipped_chunks: f.skipped_chunks.with_label_values(&labels),
                sequence_gaps: f.sequence_gaps.with_label_values(&labels),
            })
        };
        Arc::clone(cameras.entry(stream.clone()).or_insert_with(make))
    }

    /// Forgets a stream's handles; its counters stay in the registry until the end.
    pub fn forget(&self, stream: &StreamId) {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.remove(stream);
    }

    /// Counts an attempt to join; `result` is one of [`RESULTS`].
    pub fn connection(&self, result: &str) {
        debug_assert!(RESULTS.contains(&result), "{result}");
        self.connections.with_label_values(&[result]).inc();
    }

    /// Counts a viewer that left; `reason` is one of [`REASONS`].
    pub fn disconnect(&self, reason: &str) {
        debug_assert!(REASONS.contains(&reason), "{reason}");
        self.disconnects.with_label_values(&[reason]).inc();
    }

    /// TS packets and bytes sent so far, of all cameras.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        let sum = |family: &IntCounterVec| -> u64 {
            let families = family.collect();
            let all = families.iter().flat_map(|f| f.get_metric());
            all.map(|m| m.get_counter().get_value() as u64).sum()
        };
        (
            sum(&self.families.sent_ts_packets),
            sum(&self.families.sent_bytes),
        )
    }
}
