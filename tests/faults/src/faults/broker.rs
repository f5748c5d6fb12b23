//! NATS loses a node, or is gone altogether for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::{damage, judge, memory};
use crate::system::System;
use crate::table::Outcome;

pub(super) async fn node_killed() -> Outcome {
    let mut system = System::start(3, 2, "test", &[]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    // Ingest and edges sit on nodes of their own choice: each node dies in turn, and is back
    // before the next.
    for i in 0..3 {
        let from = Instant::now();
        system.nats[i].kill().await;
        judge(&mut outcome, &watchers, from, from).await;
        system.nats[i].restart().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    outcome.said = system.said().await;
    outcome.grown = memory(&system) - before;
    outcome
}

pub(super) async fn all_killed() -> Outcome {
    let mut system = System::start(3, 2, "test", &[]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    for node in &mut system.nats {
        node.kill().await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    outcome.said = system.said().await;
    let connected = watchers.iter().all(|w| w.stretches().len() == 1);
    outcome.must(
        connected,
        "a viewer was disconnected by an outage of the broker",
    );
    for node in &mut system.nats {
        node.restart().await;
    }
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    damage(&mut outcome, &watchers);
    outcome.grown = memory(&system) - before;
    outcome
}
