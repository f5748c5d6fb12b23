//! What ffmpeg wrote is what everybody gets: byte for byte, over NATS and two edges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, Recorder, SOON};
use fanlight_mpegts::Checker;
use fanlight_testkit::{NatsServer, Signal};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the viewers watch.
const WATCHED: Duration = Duration::from_secs(60);

/// Viewers, half of them on each edge; they join over the first seconds.
const VIEWERS: usize = 50;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Where `part` begins in `whole`.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    let head = &part[..part.len().min(188 * 4)];
    whole
        .chunks(188)
        .enumerate()
        .map(|(i, _)| i * 188)
        .find(|&at| whole[at..].starts_with(head))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_viewer_gets_what_ffmpeg_wrote() {
    let nats = NatsServer::start().await;
    let recorder = Recorder::new();
    let program = recorder.program();

    let subscriber = async_nats::connect(nats.url()).await.unwrap();
    let mut media = subscriber.subscribe("fanlight.gate.main.ts").await.unwrap();
    subscriber.flush().await.unwrap();
    let heard = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(message) = media.next().await {
            all.extend_from_slice(&message.payload);
        }
        all
    });

    let edges = [
        Edge::start(&nats.url(), &[]).await,
        Edge::start(&nats.url(), &[]).await,
    ];
    let mut ingest = Ingest::start_live(
        "gate",
        &nats.url(),
        &["--input", "test", "--ffmpeg", &program],
    )
    .await;

    let end = Instant::now() + WATCHED;
    let mut viewers = JoinSet::new();
    for i in 0..VIEWERS {
        let mut viewer = edges[i % 2].watch("gate").await;
        viewers.spawn(async move { viewer.collect_until(end).await.concat() });
        tokio::time::sleep(Duration::from_millis(70)).await;
    }
    let seen = viewers.join_all().await;
    ingest.process.signal(Signal::TERM);
    ingest.process.wait(SOON).await;
    subscriber.drain().await.unwrap();
    let heard = heard.await.unwrap();
    let written = recorder.recording();

    assert!(
        written.len() > 5_000_000,
        "only {} bytes in a minute",
        written.len()
    );
    assert_eq!(
        sha256(&heard),
        sha256(&written[..heard.len()]),
        "a NATS subscriber's copy differs"
    );
    for (i, copy) in seen.iter().enumerate() {
        let start = find(&written, copy).expect("the viewer's start in the recording");
        let same = &written[start..start + copy.len()];
        assert_eq!(
            sha256(copy),
            sha256(same),
            "viewer {i}: copy of {} bytes differs",
            copy.len()
        );
        assert!(
            copy.len() > 4_000_000,
            "viewer {i} saw only {} bytes",
            copy.len()
        );
        let mut checker = Checker::new();
        checker.push(copy.clone().into());
        let report = checker.finish();
        assert_eq!(report.continuity_errors, 0, "viewer {i}");
        assert!(
            report.starts_with_key && report.key_pictures >= 25,
            "viewer {i}: {report:?}"
        );
    }
    for edge in &edges {
        let metrics = edge.metrics().await;
        for zero in [
            "fanlight_edge_sequence_gaps_total",
            "fanlight_edge_skipped_chunks_total",
        ] {
            let value = fanlight_e2e::metric(&metrics, zero, &[r#"camera="gate""#]);
            assert_eq!(value, Some(0.0), "{zero}");
        }
    }
}
