//! The way between edge and NATS is cut, or the edge stops reading from it.

use std::time::Duration;

use fanlight_e2e::metric;
use fanlight_testkit::Signal;
use tokio::time::Instant;

use super::{judge, memory};
use crate::system::System;
use crate::table::Outcome;

/// How long the link is cut.
const CUT: Duration = Duration::from_secs(30);

pub(super) async fn cut() -> Outcome {
    let (system, link) = System::start_linked(2, "test", &[]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    link.cut(true);
    tokio::time::sleep(CUT).await;
    outcome.said = system.said().await;
    outcome.must(
        !outcome.said.starts_with("live"),
        "the API calls a camera live that nothing comes from",
    );
    let connected = watchers.iter().all(|w| w.stretches().len() == 1);
    outcome.must(
        connected,
        "a viewer was disconnected by an outage of the broker",
    );
    link.cut(false);
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.grown = memory(&system) - before;
    outcome
}

/// An edge that does not get to run for a while: its broker cuts it off as a slow consumer, or
/// keeps megabytes for it. Neither may reach a viewer.
pub(super) async fn slow_consumer() -> Outcome {
    let system = System::start(1, 1, "test", &["--bitrate", "8M", "--size", "1280x720"]).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    system.edges[0].process.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(15)).await;
    system.edges[0].process.signal(Signal::CONT);
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.said = system.said().await;
    let metrics = system.edges[0].metrics().await;
    let connected = metric(&metrics, "fanlight_edge_nats_connected", &[]);
    outcome.must(
        connected == Some(1.0),
        "the edge is not connected to NATS again",
    );
    outcome.grown = memory(&system) - before;
    outcome
}
