use super::*;

#[test]
fn a_service_has_its_prefix_process_metrics_and_build_info() {
    let metrics = Metrics::new("edge");
    metrics
        .gauge("viewer_limit", "Most viewers admitted.")
        .set(5000);
    let text = metrics.encode();
    assert!(
        text.contains("\nfanlight_edge_viewer_limit 5000\n"),
        "{text}"
    );
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    let info = text
        .lines()
        .find(|l| l.starts_with("fanlight_edge_build_info{"))
        .unwrap();
    assert!(
        info.contains(version) && info.contains("revision=") && info.ends_with(" 1"),
        "{info}"
    );
    for name in ["process_start_time_seconds", "process_cpu_seconds_total"] {
        assert!(
            text.contains(&format!("\n{name} ")),
            "{name} is missing in {text}"
        );
    }
}

#[test]
fn two_services_share_one_registry_and_one_process() {
    let edge = Metrics::new("edge");
    let ingest = edge.sharing("ingest");
    edge.nats().set(true, 0);
    ingest.nats().set(false, 0);
    let text = edge.encode();
    let families = |text: &str| {
        text.lines()
            .filter(|l| l.starts_with('#'))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        families(&text),
        families(&ingest.encode()),
        "one page for both"
    );
    assert_eq!(
        text.matches("# TYPE process_start_time_seconds ").count(),
        1
    );
    assert!(text.contains("\nfanlight_edge_nats_connected 1\n"));
    assert!(text.contains("\nfanlight_ingest_nats_connected 0\n"));
    assert!(text.contains("\nfanlight_ingest_build_info{"));
}

#[test]
fn closed_label_sets_start_at_0() {
    let metrics = Metrics::new("edge");
    let counter =
        metrics.closed_counter("disconnects_total", "Ends.", "reason", &["slow", "drain"]);
    let text = metrics.encode();
    assert!(
        text.contains("fanlight_edge_disconnects_total{reason=\"drain\"} 0\n"),
        "{text}"
    );
    assert!(
        text.contains("fanlight_edge_disconnects_total{reason=\"slow\"} 0\n"),
        "{text}"
    );
    counter.with_label_values(&["slow"]).inc();
    assert!(metrics.encode().contains("{reason=\"slow\"} 1\n"));
}

#[test]
fn cameras_of_one_process_share_a_family() {
    let metrics = Metrics::new("ingest");
    for camera in ["front", "yard"] {
        let frames = metrics.counter_vec("frames_total", "Pictures.", &["camera", "rendition"]);
        frames.with_label_values(&[camera, "main"]).inc();
    }
    let text = metrics.encode();
    assert_eq!(
        text.matches("# TYPE fanlight_ingest_frames_total counter")
            .count(),
        1
    );
    assert!(text.contains("fanlight_ingest_frames_total{camera=\"front\",rendition=\"main\"} 1\n"));
    assert!(text.contains("fanlight_ingest_frames_total{camera=\"yard\",rendition=\"main\"} 1\n"));
}

#[test]
fn reconnects_are_a_running_total_however_often_it_is_told() {
    let metrics = Metrics::new("ingest");
    let (a, b) = (metrics.nats(), metrics.nats());
    a.set(true, 2);
    b.set(true, 2);
    b.set(false, 2);
    a.set(true, 3);
    assert!(
        metrics
            .encode()
            .contains("\nfanlight_ingest_nats_reconnects_total 3\n")
    );
}

#[test]
fn histograms_gauges_and_infos_are_exposed() {
    let metrics = Metrics::new("edge");
    metrics
        .histogram("delivery_latency_seconds", "Latency.", LATENCY_BUCKETS)
        .observe(0.004);
    metrics.float_gauge("backoff_seconds", "Wait.").set(1.5);
    metrics
        .float_gauge_vec("at_seconds", "When.", &["camera"])
        .with_label_values(&["a"])
        .set(0.25);
    metrics
        .gauge_vec("viewers", "Viewers.", &["camera"])
        .with_label_values(&["a"])
        .set(3);
    metrics.counter("viewer_stalls_total", "Stalls.").inc();
    metrics.info("ffmpeg_info", "Always 1.", &[("ffmpeg_version", "5.1")]);
    let text = metrics.encode();
    for line in [
        "fanlight_edge_delivery_latency_seconds_bucket{le=\"0.005\"} 1",
        "fanlight_edge_backoff_seconds 1.5",
        "fanlight_edge_at_seconds{camera=\"a\"} 0.25",
        "fanlight_edge_viewers{camera=\"a\"} 3",
        "fanlight_edge_viewer_stalls_total 1",
        "fanlight_edge_ffmpeg_info{ffmpeg_version=\"5.1\"} 1",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in {text}"
        );
    }
}

#[test]
#[should_panic(expected = "exists as another type")]
fn one_name_cannot_mean_two_kinds() {
    let metrics = Metrics::new("edge");
    let _ = metrics.counter("x_total", "X.");
    let _ = metrics.gauge("x_total", "X.");
}
