//! Viewers on bad links among good ones.

use std::time::Duration;

use fanlight_e2e::resident_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::damage;
use crate::system::System;
use crate::table::Outcome;
use crate::watcher::Watcher;

/// A viewer that asks for the stream and reads `bytes_a_second` of it.
async fn slow_viewer(address: String, bytes_a_second: usize) {
    let mut stream = TcpStream::connect(&address).await.expect("connect");
    let request = format!(
        "GET /ws/gate HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("ask");
    if bytes_a_second == 0 {
        return std::future::pending().await;
    }
    let mut buffer = vec![0; bytes_a_second / 10];
    while let Ok(1..) = stream.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn few() -> Outcome {
    stuck_and_trickling(36, 3, 2.0).await
}

pub(super) async fn many() -> Outcome {
    stuck_and_trickling(479, 20, 1.2).await
}

/// One viewer that takes nothing and some that take 10 KB/s among `good` ones, whose p99 may
/// grow by `factor`.
async fn stuck_and_trickling(good: usize, trickling: usize, factor: f64) -> Outcome {
    let system = System::start(1, 1, "test", &["--bitrate", "800k"]).await;
    let edge = &system.edges[0];
    let watchers: Vec<_> = (0..good)
        .map(|i| match i {
            0..4 => Watcher::start(edge.ws("gate"), i % 2 == 0),
            _ => Watcher::light(edge.ws("gate"), i % 2 == 0),
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut outcome = Outcome::default();
    let calm = Instant::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let before = resident_bytes(edge.process.pid());
    let from = Instant::now();
    let mut slow = vec![tokio::spawn(slow_viewer(edge.address(), 0))];
    slow.extend((0..trickling).map(|_| tokio::spawn(slow_viewer(edge.address(), 10_000))));
    // a stuck one is reset after 10 s without progress, and fills its buffers before
    tokio::time::sleep(Duration::from_secs(25)).await;
    let end = Instant::now();
    let grown = resident_bytes(edge.process.pid()).saturating_sub(before);
    outcome.grown = (grown >> 20).cast_signed();
    outcome.must(grown < 5 << 20, format!("the edge grew by {grown} bytes"));
    for watcher in &watchers {
        outcome.without = outcome.without.max(watcher.longest_gap(from, end));
        outcome.must(
            watcher.connections() == 1,
            "a healthy viewer was disconnected",
        );
    }
    outcome.must(
        outcome.without < Duration::from_secs(1),
        "a healthy viewer's picture stopped",
    );
    super::completeness(&mut outcome, &watchers);
    damage(&mut outcome, &watchers);
    let p99 = |from, to| {
        let delays = watchers.iter().flat_map(|w| w.delays(from, to)).collect();
        fanlight_e2e::percentile(delays, 99.0)
    };
    let (alone, among) = (p99(calm, from), p99(from, end));
    // below a few milliseconds the machine's own noise is larger than any effect
    let limit = alone.mul_f64(factor).max(alone + Duration::from_millis(5));
    outcome.must(
        among <= limit,
        format!("p99 went from {alone:?} to {among:?}"),
    );
    let metrics = edge.metrics().await;
    let reset = fanlight_e2e::metric(
        &metrics,
        "fanlight_edge_disconnects_total",
        &[r#"reason="slow""#],
    );
    outcome.must(
        reset >= Some(1.0),
        format!("the stuck viewer was not reset: {reset:?}"),
    );
    for task in slow {
        task.abort();
    }
    outcome.said = format!(
        "slow, to the slow ones; p99 {:.1} -> {:.1} ms",
        alone.as_secs_f64() * 1e3,
        among.as_secs_f64() * 1e3
    );
    outcome
}
