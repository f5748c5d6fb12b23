//! Edges die, or are drained one after the other.

use std::time::Duration;

use fanlight_testkit::Signal;
use tokio::time::Instant;

use super::{completeness, damage, judge, memory};
use crate::system::System;
use crate::table::Outcome;

pub(super) async fn killed() -> Outcome {
    let mut system = System::start(1, 2, "test", &[]).await;
    let watchers = system.watch(8).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    let mut dead = system.edges.remove(0);
    dead.process.kill().await;
    judge(&mut outcome, &watchers, from, from).await;
    outcome.said = system.said().await;
    outcome.grown = memory(&system) - before;
    // One edge less: its memory is no saving.
    outcome.grown = outcome.grown.max(0);
    outcome
}

pub(super) async fn rolling_restart() -> Outcome {
    let mut system = System::start(1, 3, "test", &[]).await;
    let watchers = system.watch(60).await;
    let mut outcome = Outcome::default();
    let from = Instant::now();
    for edge in &mut system.edges {
        // One at a time, as a rolling update goes: the others carry its viewers.
        edge.process.signal(Signal::TERM);
        let status = edge.process.wait(Duration::from_secs(20)).await;
        outcome.must(
            status.code() == Some(0),
            format!("an edge left with {status}"),
        );
        edge.restart().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let (v1, plain): (Vec<_>, Vec<_>) = watchers
        .into_iter()
        .enumerate()
        .partition(|(i, _)| i % 2 == 0);
    let v1: Vec<_> = v1.into_iter().map(|(_, w)| w).collect();
    let plain: Vec<_> = plain.into_iter().map(|(_, w)| w).collect();
    completeness(&mut outcome, &v1);
    for watcher in &v1 {
        let gap = watcher.longest_gap(from, Instant::now());
        outcome.without = outcome.without.max(gap);
        let connections = watcher.stretches().len();
        outcome.must(
            connections == 1,
            format!("a v1 viewer was cut off {} times", connections - 1),
        );
    }
    for watcher in &plain {
        let gap = watcher.longest_gap(from, Instant::now());
        outcome.back = Some(outcome.back.unwrap_or_default().max(gap));
        outcome.must(
            gap <= super::BACK,
            format!("a plain viewer saw nothing for {gap:?}"),
        );
        let codes: Vec<_> = watcher
            .stretches()
            .iter()
            .filter_map(|s| s.closed)
            .collect();
        outcome.must(
            codes.iter().all(|c| *c == Some(1001)),
            format!("closed with {codes:?}"),
        );
    }
    damage(&mut outcome, &plain);
    outcome.said = "server restarting (drain)".to_owned();
    outcome
}
