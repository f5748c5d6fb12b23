//! The camera goes away, falls silent, or comes back different.

use std::time::Duration;

use fanlight_testkit::{Camera, CameraOptions, Signal};
use tokio::time::Instant;

use super::{judge, memory};
use crate::system::System;
use crate::table::Outcome;

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
