use fanlight_bus::StreamId;
use fanlight_ops::metrics::{ANY_CAMERA, Metrics};

use super::*;

fn gate(number: usize) -> StreamId {
    StreamId::main(format!("gate-{number}").parse().unwrap())
}

/// What a scrape stores: every line that is no comment.
fn series(metrics: &Metrics) -> usize {
    let text = metrics.encode();
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// All that the edge counts about one viewer, from the upgrade to its end.
fn visit(edge: &EdgeMetrics, number: usize, camera: &CameraMetrics) {
    edge.connection(RESULTS[number % RESULTS.len()]);
    camera.viewers.inc();
    edge.join.observe(0.02);
    camera.sent_chunks.inc_by(30);
    camera.sent_bytes.inc_by(100_000);
    camera.sent_ts_packets.inc_by(532);
    camera.skipped_chunks.inc();
    edge.delivery_latency.observe(number as f64 / 1e4);
    edge.viewer_latency.observe(number as f64 / 1e3);
    edge.viewer_stalls.inc();
    edge.disconnect(REASONS[number % REASONS.len()]);
}

#[test]
fn two_hundred_cameras_fit_and_five_thousand_viewers_add_nothing() {
    let metrics = Metrics::new("edge");
    let edge = EdgeMetrics::new(&metrics, 1000);
    let cameras: Vec<_> = (0..200).map(|n| edge.camera(&gate(n))).collect();
    let before = series(&metrics);
    for number in 0..5000 {
        visit(&edge, number, &cameras[number % cameras.len()]);
    }
    assert_eq!(series(&metrics), before);
    // An edge's share of the budget in docs/metrics.md: ten of them and 200 ingests with 74 each
    // are 32,000.
    assert!((1600..=1720).contains(&before), "{before} series");
}

#[test]
fn cameras_above_the_limit_share_a_label() {
    let metrics = Metrics::new("edge");
    let edge = EdgeMetrics::new(&metrics, 50);
    let cameras: Vec<_> = (0..50).map(|n| edge.camera(&gate(n))).collect();
    let full = series(&metrics);
    let more: Vec<_> = (50..200).map(|n| edge.camera(&gate(n))).collect();
    let of_one = more[0].viewers.clone();
    assert_eq!(
        series(&metrics),
        full + 8,
        "one set of series for all others"
    );
    for camera in cameras.iter().chain(&more) {
        camera.viewers.inc();
    }
    assert_eq!(of_one.get(), 150);
    let line = format!("fanlight_edge_viewers{{camera=\"{ANY_CAMERA}\",rendition=\"main\"}} 150");
    assert!(metrics.encode().lines().any(|l| l == line), "{line}");
}
