//! What ingest counts (names and labels are a contract: dashboards and alerts read them).

use std::sync::Arc;

use fanlight_bus::{PublishError, StreamId};
use fanlight_mpegts::{ErrorCounts, TsErrorKind, VideoFormat};
use fanlight_ops::metrics::Metrics;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::cause::CauseKind;
use crate::outbox::DropReason;

const STREAM: [&str; 2] = ["camera", "rendition"];

/// The handles of one camera, resolved once. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct CameraMetrics {
    stream: StreamId,
    info: IntGaugeVec,
    /// 1 while live.
    pub up: IntGauge,
    /// Bytes read from ffmpeg.
    pub received_bytes: IntCounter,
    /// Packets in them.
    pub ts_packets: IntCounter,
    /// Pictures in them.
    pub frames: IntCounter,
    /// Messages the broker took.
    pub published_chunks: IntCounter,
    /// Payload bytes in them.
    pub published_bytes: IntCounter,
    /// When the last message was made.
    pub last_chunk: Gauge,
    /// Current wait before the next attempt.
    pub backoff: Gauge,
    /// From start to the first key picture.
    pub start_duration: Histogram,
    publish_errors: IntCounterVec,
    dropped: IntCounterVec,
    restarts: IntCounterVec,
    ts_errors: Arc<[IntCounter]>,
}

impl CameraMetrics {
    /// Registers one camera's series, all of them at 0.
    #[must_use]
    pub fn new(metrics: &Metrics, stream: &StreamId) -> Self {
        let labels = [stream.camera.as_str(), stream.rendition.as_str()];
        let counter = |name: &str, help: &str| {
            metrics
                .counter_vec(name, help, &STREAM)
                .with_label_values(&labels)
        };
        let with = |label| [STREAM[0], STREAM[1], label];
        let closed = |name: &str, help: &str, label, values: &mut dyn Iterator<Item = &str>| {
            let vec = metrics.counter_vec(name, help, &with(label));
            for value in values {
                let _ = vec.with_label_values(&[labels[0], labels[1], value]);
            }
            vec
        };
        let ts_errors = closed(
            "ts_errors_total",
            "Faults in the transport stream that ffmpeg wrote.",
            "kind",
            &mut TsErrorKind::ALL.iter().map(|k| k.label()),
        );
        Self {
            stream: stream.clone(),
            info: metrics.gauge_vec(
                "camera_info",
                "Always 1; the labels say what the camera sends.",
                &["camera", "rendition", "codec", "width", "height"],
            ),
            up: metrics
                .gauge_vec("camera_up", "1 while the camera is live, else 0.", &STREAM)
                .with_label_values(&labels),
            received_bytes: counter("received_bytes_total", "Bytes read from ffmpeg."),
            ts_packets: counter("ts_packets_total", "Transport packets read from ffmpeg."),
            frames: counter("frames_total", "Pictures read from ffmpeg."),
            published_chunks: counter("published_chunks_total", "Messages the broker took."),
            published_bytes: counter("published_bytes_total", "Payload bytes of these messages."),
            last_chunk: metrics
                .float_gauge_vec(
                    "last_chunk_timestamp_seconds",
                    "Unix time of the last message made; 0 before the first.",
                    &STREAM,
                )
                .with_label_values(&labels),
            backoff: metrics
                .float_gauge_vec(
                    "backoff_seconds",
                    "Wait before ffmpeg is started again; 0 while it runs.",
                    &STREAM,
                )
                .with_label_values(&labels),
            start_duration: metrics.histogram(
                "ffmpeg_start_duration_seconds",
                "From the start of ffmpeg to its first key picture.",
                &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0],
            ),
            publish_errors: closed(
                "publish_errors_total",
                "Messages the broker refused, once for each attempt.",
                "reason",
                &mut PublishError::REASONS.into_iter(),
            ),
            dropped: closed(
                "dropped_chunks_total",
                "Messages that were made and never sent.",
                "reason",
                &mut DropReason::ALL.iter().map(|r| r.label()),
            ),
            restarts: closed(
                "ffmpeg_restarts_total",
                "Times ffmpeg had to be started again, by cause.",
                "reason",
                &mut CauseKind::ALL.iter().map(|k| k.label()),
            ),
            ts_errors: TsErrorKind::ALL
                .iter()
                .map(|kind| ts_errors.with_label_values(&[labels[0], labels[1], kind.label()]))
                .collect(),
        }
    }

    fn count(&self, vec: &IntCounterVec, label: &str, n: u64) {
        let (camera, rendition) = (self.stream.camera.as_str(), self.stream.rendition.as_str());
        vec.with_label_values(&[camera, rendition, label]).inc_by(n);
    }

    /// Messages that were made and never sent.
    pub fn dropped(&self, reason: DropReason, n: usize) {
        self.count(&self.dropped, reason.label(), n as u64);
    }

    /// A message the broker refused.
    pub fn publish_error(&self, error: &PublishError) {
        self.count(&self.publish_errors, error.reason(), 1);
    }

    /// Messages the broker refused for lack of permission.
    pub fn denied(&self, n: u64) {
        self.count(&self.publish_errors, PublishError::DENIED, n);
    }

    /// ffmpeg has to be started again.
    pub fn restart(&self, kind: CauseKind) {
        self.count(&self.restarts, kind.label(), 1);
    }

    /// Faults seen since the last call.
    pub fn ts_errors(&self, new: &ErrorCounts) {
        for (counter, (_, n)) in self.ts_errors.iter().zip(new.iter()) {
            counter.inc_by(n);
        }
    }

    /// What the camera sends now; the former series goes away.
    pub fn set_info(&self, old: Option<&VideoFormat>, new: Option<&VideoFormat>) {
        let labels = |format: &VideoFormat| {
            [
                self.stream.camera.to_string(),
                self.stream.rendition.to_string(),
                format.codec.to_string(),
                format.width.to_string(),
                format.height.to_string(),
            ]
        };
        if let Some(old) = old {
            let _was_not_there = self.info.remove_label_values(&labels(old));
        }
        if let Some(new) = new {
            self.info.with_label_values(&labels(new)).set(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_there_from_the_start() {
        let metrics = Metrics::new("ingest");
        let camera = CameraMetrics::new(&metrics, &StreamId::main("gate".parse().unwrap()));
        let text = metrics.encode();
        for name in [
            "camera_up",
            "received_bytes_total",
            "ts_packets_total",
            "frames_total",
            "published_chunks_total",
            "published_bytes_total",
            "last_chunk_timestamp_seconds",
            "backoff_seconds",
        ] {
            let line = format!("fanlight_ingest_{name}{{camera=\"gate\",rendition=\"main\"}} 0");
            assert!(text.contains(&line), "{line}\n{text}");
        }
        for line in [
            "fanlight_ingest_publish_errors_total{camera=\"gate\",reason=\"disconnected\",rendition=\"main\"} 0",
            "fanlight_ingest_dropped_chunks_total{camera=\"gate\",reason=\"overflow\",rendition=\"main\"} 0",
            "fanlight_ingest_ffmpeg_restarts_total{camera=\"gate\",reason=\"auth\",rendition=\"main\"} 0",
            "fanlight_ingest_ts_errors_total{camera=\"gate\",kind=\"continuity\",rendition=\"main\"} 0",
            "fanlight_ingest_ffmpeg_start_duration_seconds_count 0",
            "fanlight_ingest_build_info{",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let format = |width| VideoFormat {
            codec: "avc1.42C01E".into(),
            width,
            height: 480,
            fps: None,
        };
        camera.set_info(None, Some(&format(640)));
        camera.set_info(Some(&format(640)), Some(&format(320)));
        let text = metrics.encode();
        assert!(
            text.contains("width=\"320\"") && !text.contains("width=\"640\""),
            "{text}"
        );
    }
}
