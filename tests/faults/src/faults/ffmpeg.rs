//! ffmpeg dies, hangs, or writes nonsense.

use std::time::Duration;

use fanlight_e2e::{Recorder, children};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::{judge, memory};
use crate::system::System;
use crate::table::Outcome;

fn signal_ffmpeg(system: &System, signal: Signal) {
    for child in children(system.ingest.process.pid()) {
        let pid = Pid::from_raw(child.cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

pub(super) async fn killed() -> Outcome {
    let system = System::start(1, 2, "test", &[]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    signal_ffmpeg(&system, Signal::KILL);
    judge(
        &mut outcome,
        &watchers,
        from,
        from + Duration::from_millis(100),
    )
    .await;
    outcome.said = system.said().await;
    outcome.grown = memory(&system) - before;
    outcome
}

pub(super) async fn stopped() -> Outcome {
    let system = System::start(1, 2, "test", &["--stall-timeout", "3"]).await;
    let watchers = system.watch(6).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    signal_ffmpeg(&system, Signal::STOP);
    // The watchdog's own time is no part of the time to recover.
    let noticed = from + Duration::from_millis(3_200);
    tokio::time::sleep_until(noticed).await;
    outcome.said = system.said().await;
    judge(&mut outcome, &watchers, from, noticed).await;
    outcome.grown = memory(&system) - before;
    outcome
}

/// A stand-in that puts 1,000 bytes of noise into the stream every few hundred kilobytes, not
/// aligned to packets.
pub(super) async fn garbage() -> Outcome {
    let stand_in = Recorder::script(
        "ffmpeg \"$@\" | python3 -uc '
import os, sys
done = 0
while data := os.read(0, 65536):
    os.write(1, data)
    done += len(data)
    if done > 300000:
        done = 0
        os.write(1, os.urandom(1000))
'",
    );
    let program = stand_in.program();
    let system = System::start(1, 1, "test", &["--ffmpeg", &program]).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    outcome.without = watchers
        .iter()
        .map(|w| w.longest_gap(from, Instant::now()))
        .max()
        .unwrap_or_default();
    outcome.must(outcome.without < Duration::from_secs(3), "pictures stopped");
    let metrics = system.ingest.metrics().await;
    let seen = fanlight_e2e::metric(&metrics, "fanlight_ingest_ts_errors_total", &["sync"]);
    outcome.must(
        seen > Some(0.0),
        format!("the noise was not counted: {seen:?}"),
    );
    outcome.said = system.said().await;
    outcome.grown = memory(&system) - before;
    outcome
}
