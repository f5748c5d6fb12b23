//! The camera goes away, falls silent, or comes back different.

use std::time::Duration;

use fanlight_testkit::{Camera, CameraOptions, Signal};
use tokio::time::Instant;

use super::{damage, judge, memory};
use crate::system::System;
use crate::table::Outcome;

/// The longest pause before a refused password is tried again, and the start after it.
const RETRY_AUTH: Duration = Duration::from_secs(70);

const ARGS: [&str; 4] = ["--codec", "copy", "--stall-timeout", "5"];

pub(super) async fn killed_and_back() -> Outcome {
    let mut camera = Camera::start(CameraOptions::default()).await;
    let system = System::start(1, 2, &camera.url(), &ARGS).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    camera.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    outcome.said = system.said().await;
    outcome.must(
        !outcome.said.starts_with("live"),
        "the API calls a dead camera live",
    );
    camera.restart(None).await;
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.grown = memory(&system) - before;
    outcome
}

pub(super) async fn silent() -> Outcome {
    let camera = Camera::start(CameraOptions::default()).await;
    let system = System::start(1, 2, &camera.url(), &ARGS).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    camera.process().signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(7)).await;
    outcome.said = system.said().await;
    outcome.must(
        !outcome.said.starts_with("live"),
        "the API calls a silent camera live",
    );
    camera.process().signal(Signal::CONT);
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    outcome.grown = memory(&system) - before;
    outcome
}

/// A wrong password is tried again slowly, since cameras lock out who guesses: the time back is
/// that of the next try.
pub(super) async fn new_password() -> Outcome {
    let mut camera = Camera::start(CameraOptions::default()).await;
    let system = System::start(1, 2, &camera.url(), &ARGS).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    let other = CameraOptions {
        credentials: Some(("cam", "another")),
        ..CameraOptions::default()
    };
    camera.restart(Some(other)).await;
    let said = system.edges[0].wait_camera(
        "gate",
        "the cause in the API",
        Duration::from_secs(15),
        |c| c["cause_kind"] == "auth",
    );
    outcome.said = format!(
        "{}: {}",
        "offline",
        said.await["cause"].as_str().unwrap_or_default()
    );
    camera.restart(Some(CameraOptions::default())).await;
    let healed = Instant::now();
    for watcher in &watchers {
        let back = watcher.moving_after(healed, 10, RETRY_AUTH).await;
        outcome.must(back.is_some(), format!("no pictures within {RETRY_AUTH:?}"));
        let back = back.map(|at| at - healed);
        outcome.back = outcome.back.max(back);
        outcome.without = outcome
            .without
            .max(watcher.longest_gap(from, Instant::now()));
    }
    damage(&mut outcome, &watchers);
    outcome.grown = memory(&system) - before;
    outcome
}

pub(super) async fn other_size() -> Outcome {
    let mut camera = Camera::start(CameraOptions::default()).await;
    let system = System::start(1, 2, &camera.url(), &ARGS).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    let extra = vec!["--size".to_owned(), "320x240".to_owned()];
    camera
        .restart(Some(CameraOptions {
            extra,
            ..CameraOptions::default()
        }))
        .await;
    judge(&mut outcome, &watchers, from, Instant::now()).await;
    let now = system.edges[0]
        .wait_camera(
            "gate",
            "the new size in the API",
            Duration::from_secs(10),
            |c| c["width"] == 320,
        )
        .await;
    outcome.said = format!("live, {}x{}", now["width"], now["height"]);
    outcome.grown = memory(&system) - before;
    outcome
}
