//! Two ingests of one camera, and an ingest whose clock jumps.

use std::time::Duration;

use fanlight_e2e::Ingest;
use fanlight_testkit::Signal;
use tokio::time::Instant;

use super::{completeness, judge, memory};
use crate::system::System;
use crate::table::Outcome;

pub(super) async fn rolling_update() -> Outcome {
    let mut system = System::start(1, 2, "test", &[]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    let new = Ingest::start_live("gate", &system.nats_urls(), &["--input", "test"]).await;
    system.ingest.process.signal(Signal::TERM);
    let status = system.ingest.process.wait(Duration::from_secs(10)).await;
    outcome.must(
        status.code() == Some(0),
        format!("the old ingest left with {status}"),
    );
    let stopped = Instant::now();
    system.ingest = new;
    judge(&mut outcome, &watchers, from, stopped).await;
    completeness(&mut outcome, &watchers);
    for watcher in &watchers {
        for stretch in watcher.stretches() {
            let mut runs: Vec<_> = stretch.numbers.iter().map(|n| n.0.clone()).collect();
            runs.dedup();
            outcome.must(runs.len() <= 2, format!("runs were interleaved: {runs:?}"));
        }
    }
    outcome.said = system.said().await;
    outcome.grown = memory(&system) - before;
    outcome
}

/// The restarted ingest's clock is an hour behind: its runs sort below the dead one's.
pub(super) async fn clock_step() -> Outcome {
    let mut system = System::start(1, 2, "test", &[]).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let from = Instant::now();
    system.ingest.process.kill().await;
    system.ingest =
        Ingest::start_with_clock("gate", &system.nats_urls(), "-1h", &["--input", "test"]);
    system.ingest.wait_live(Duration::from_secs(20)).await;
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.said = system.said().await;
    outcome
}

/// An ingest whose clock is an hour ahead, replaced by one whose clock is right: the second one's
/// runs sort below the first one's, and edges take them after 2 s of silence.
pub(super) async fn clock_ahead() -> Outcome {
    let mut system = System::start(1, 2, "test", &[]).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let from = Instant::now();
    let input = ["--input", "test"];
    system.ingest.process.kill().await;
    system.ingest = Ingest::start_with_clock("gate", &system.nats_urls(), "+1h", &input);
    system.ingest.wait_live(Duration::from_secs(20)).await;
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    system.ingest.process.kill().await;
    system.ingest = Ingest::start_live("gate", &system.nats_urls(), &input).await;
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.said = system.said().await;
    outcome
}
