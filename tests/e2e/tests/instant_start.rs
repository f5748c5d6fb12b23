//! A viewer that joins gets a key chunk as its first message, at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, Recorder, SOON, make_video, percentile, resident_bytes};
use fanlight_mpegts::{Checker, is_key_chunk};
use fanlight_testkit::{NatsServer, eventually};
use rand::RngExt;
use tokio::time::Instant;

/// p95 from the upgrade to the first message. The contract says 100 ms; the rest is slack
/// for a machine that runs other tests at the same time.
const JOIN_P95: Duration = Duration::from_millis(200);

async fn random_pause() {
    let pause = rand::rng().random_range(50..450);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timing_join_at_a_random_time() {
    let nats = NatsServer::start().await;
    let _ingest = Ingest::start_live(
        "gate",
        &nats.url(),
        &["--input", "test", "--gop-seconds", "4"],
    )
    .await;

    let warm = Edge::start(&nats.url(), &[]).await;
    let _first = warm.watch("gate").await;
    let mut joins = Vec::new();
    for _ in 0..30 {
        random_pause().await;
        let mut viewer = warm.watch("gate").await;
        let message = viewer.media(SOON).await;
        joins.push(viewer.upgraded.elapsed());
        assert!(is_key_chunk(&message));
    }
    let mut fresh = Vec::new();
    for _ in 0..12 {
        let edge = Edge::start(&nats.url(), &[]).await;
        random_pause().await;
        let mut viewer = edge.watch("gate").await;
        let message = viewer.media(SOON).await;
        fresh.push(viewer.upgraded.elapsed());
        assert!(is_key_chunk(&message));
    }
    let (warm_p95, fresh_p95) = (percentile(joins, 95.0), percentile(fresh, 95.0));
    println!("join p95: warm edge {warm_p95:?}, first viewer of a fresh edge {fresh_p95:?}");
    assert!(warm_p95 < JOIN_P95, "warm edge: {warm_p95:?}");
    assert!(fresh_p95 < JOIN_P95, "fresh edge: {fresh_p95:?}");
}

/// A smart codec's GOP that outgrows the cache is not replayed, does not grow memory, and
/// status says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gop_larger_than_the_cache_waits_for_the_next_key() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("smart.mp4");
    // 30 s at 8 Mbit/s are 30 MB: nearly four times the cache.
    make_video(&video, 30, 450, "1280x720", "8M");
    let nats = NatsServer::start().await;
    let input = video.display().to_string();
    let ingest =
        Ingest::start_live("gate", &nats.url(), &["--input", &input, "--codec", "copy"]).await;
    let edge = Edge::start(&nats.url(), &[]).await;
    let mut first = edge.watch("gate").await;
    first.media(SOON).await;
    let before = (
        resident_bytes(ingest.process.pid()),
        resident_bytes(edge.process.pid()),
    );
    let watching = tokio::spawn(async move {
        first
            .collect_until(Instant::now() + Duration::from_secs(45))
            .await
    });

    let limit = Duration::from_secs(25);
    let status = edge
        .wait_camera(
            "gate",
            "the API says that there is no replay",
            limit,
            |camera| camera["replay"] == false,
        )
        .await;
    assert_eq!(status["state"], "live");
    let mut joiner = edge.watch("gate").await;
    let message = joiner.media(Duration::from_secs(35)).await;
    assert!(
        joiner.upgraded.elapsed() > Duration::from_millis(500),
        "a GOP was replayed"
    );
    assert!(is_key_chunk(&message));

    let after = (
        resident_bytes(ingest.process.pid()),
        resident_bytes(edge.process.pid()),
    );
    let grown = (
        after.0.saturating_sub(before.0) >> 20,
        after.1.saturating_sub(before.1) >> 20,
    );
    // The cache itself, what waits in queues, and the allocator's slack.
    assert!(
        grown.0 <= 24 && grown.1 <= 24,
        "ingest grew by {} MiB, edge by {} MiB",
        grown.0,
        grown.1
    );
    let watched = watching.await.unwrap().concat();
    let mut checker = Checker::new();
    checker.push(watched.into());
    assert_eq!(checker.finish().continuity_errors, 0);
}

/// A stream whose key pictures are missing is reported, with the remedy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_key_pictures_is_reported() {
    let recorder = Recorder::script("cat \"$(dirname \"$0\")/no-keys.ts\"; sleep 100");
    // Pictures that all refer to one key picture, and that one taken out.
    let all = fanlight_e2e::ffmpeg(
        "ffmpeg",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=15",
            "-t",
            "5",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-g",
            "1000",
            "-f",
            "mpegts",
            "-",
        ],
    );
    let mut chunker = fanlight_mpegts::Chunker::new();
    chunker.push(all.into());
    let mut rest = Vec::new();
    while let Some(chunk) = chunker.finish() {
        if !chunk.key {
            rest.extend_from_slice(&chunk.payload);
        }
    }
    std::fs::write(recorder.path("no-keys.ts"), rest).unwrap();

    let nats = NatsServer::start().await;
    let program = recorder.program();
    let args = [
        "--input",
        "test",
        "--ffmpeg",
        &program,
        "--stall-timeout",
        "60",
    ];
    let ingest = Ingest::start("gate", &nats.url(), &args);
    let edge = Edge::start(&nats.url(), &["--cameras", "gate"]).await;
    let seen = edge
        .wait_camera(
            "gate",
            "stalled for want of key pictures",
            Duration::from_secs(45),
            |camera| {
                camera["cause"]
                    .as_str()
                    .is_some_and(|cause| cause.contains("no key pictures"))
            },
        )
        .await;
    assert_eq!(seen["state"], "stalled");
    eventually("camera_up is 0", SOON, async || {
        let up = fanlight_e2e::metric(&ingest.metrics().await, "fanlight_ingest_camera_up", &[])?;
        (up == 0.0).then_some(())
    })
    .await;
}
