//! Stopping: close frames, exit 0, no ffmpeg left; and not even SIGKILL leaves one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, SOON, Standalone, children, is_alive};
use fanlight_testkit::{NatsServer, Signal, eventually};

/// The contract: gone within 5 s.
const GONE: Duration = Duration::from_secs(5);

async fn all_gone(pids: Vec<u32>) {
    assert!(!pids.is_empty(), "there was no ffmpeg");
    eventually("ffmpeg gone", GONE, async || {
        (!pids.iter().any(|&p| is_alive(p))).then_some(())
    })
    .await;
}

async fn standalone_stops_on(signal: Signal) {
    let mut system = Standalone::start(&["--input", "test"]).await;
    let camera = fanlight_testkit::get(&system.url("/api/cameras"))
        .await
        .unwrap()
        .json()
        .unwrap();
    let id = camera["cameras"][0]["camera"]
        .as_str()
        .expect("one camera")
        .to_owned();
    let mut viewers = Vec::new();
    for protocol in [None, Some("fanlight.v1")] {
        let mut viewer = fanlight_e2e::Viewer::connect(&system.ws(&id), protocol).await;
        viewer.media(SOON).await;
        viewers.push(viewer);
    }
    let ffmpeg = children(system.process.pid());
    system.process.signal(signal);
    for viewer in &mut viewers {
        assert_eq!(viewer.closed(GONE).await, Some(1001));
    }
    let status = system.process.wait(GONE).await;
    assert_eq!(status.code(), Some(0), "{}", system.process.output());
    all_gone(ffmpeg).await;
}

#[tokio::test]
async fn standalone_stops_on_ctrl_c() {
    standalone_stops_on(Signal::INT).await;
}

#[tokio::test]
async fn standalone_stops_on_sigterm() {
    standalone_stops_on(Signal::TERM).await;
}

#[tokio::test]
async fn the_services_stop_on_sigterm() {
    let nats = NatsServer::start().await;
    let mut ingest = Ingest::start_live("gate", &nats.url(), &["--input", "test"]).await;
    let mut edge = Edge::start(&nats.url(), &["--drain-delay", "0", "--drain-seconds", "1"]).await;
    let mut viewer = edge.watch("gate").await;
    viewer.media(SOON).await;
    let ffmpeg = children(ingest.process.pid());
    edge.process.signal(Signal::TERM);
    assert_eq!(viewer.closed(GONE).await, Some(1001));
    assert_eq!(
        edge.process.wait(GONE).await.code(),
        Some(0),
        "{}",
        edge.process.output()
    );
    ingest.process.signal(Signal::TERM);
    assert_eq!(
        ingest.process.wait(GONE).await.code(),
        Some(0),
        "{}",
        ingest.process.output()
    );
    all_gone(ffmpeg).await;
}

#[tokio::test]
async fn sigkill_of_ingest_leaves_no_ffmpeg() {
    let nats = NatsServer::start().await;
    let mut ingest = Ingest::start_live("gate", &nats.url(), &["--input", "test"]).await;
    let ffmpeg = children(ingest.process.pid());
    // A stopped ffmpeg would not notice a closed pipe.
    for &pid in &ffmpeg {
        let pid = rustix_pid(pid);
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
    }
    ingest.process.kill().await;
    all_gone(ffmpeg).await;
}

fn rustix_pid(pid: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid")
}
