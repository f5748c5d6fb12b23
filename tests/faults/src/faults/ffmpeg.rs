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

/// A stand-in whose first run does `then` after 600,000 bytes, in the middle of a packet, and
/// whose later runs are whole.
fn once(then: &str) -> Recorder {
    Recorder::script(&format!(
        "flag=\"$0.ran\"\nif [ -e \"$flag\" ]; then exec ffmpeg \"$@\"; fi\ntouch \"$flag\"\n\
         ffmpeg \"$@\" | head -c 600050\n{then}\n"
    ))
}

/// Waits until the stand-in's first run has done its worst.
async fn after_first_run(system: &System, stand_in: &Recorder) {
    let flag = format!("{}.ran", stand_in.program());
    fanlight_testkit::eventually("the stand-in", Duration::from_secs(10), async || {
        std::path::Path::new(&flag).exists().then_some(())
    })
    .await;
    let bytes = async || {
        let metrics = system.ingest.metrics().await;
        fanlight_e2e::metric(&metrics, "fanlight_ingest_received_bytes_total", &[])
    };
    fanlight_testkit::eventually("the fault", Duration::from_secs(30), async || {
        (bytes().await >= Some(600_000.0)).then_some(())
    })
    .await;
}

pub(super) async fn half_packet() -> Outcome {
    let stand_in = once("exec sleep 60");
    let program = stand_in.program();
    let args = ["--ffmpeg", &program, "--stall-timeout", "3"];
    let system = System::start(1, 1, "test", &args).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    after_first_run(&system, &stand_in).await;
    let from = Instant::now();
    // The watchdog's own time is no part of the time to recover.
    let noticed = from + Duration::from_millis(3_200);
    tokio::time::sleep_until(noticed).await;
    outcome.said = system.said().await;
    judge(&mut outcome, &watchers, from, noticed).await;
    outcome.grown = memory(&system) - before;
    outcome
}

pub(super) async fn output_closed() -> Outcome {
    let stand_in = once("exec sleep 60 >&-");
    let program = stand_in.program();
    let system = System::start(1, 1, "test", &["--ffmpeg", &program]).await;
    let watchers = system.watch(4).await;
    let mut outcome = Outcome::default();
    let before = memory(&system);
    after_first_run(&system, &stand_in).await;
    let from = Instant::now();
    judge(&mut outcome, &watchers, from, from).await;
    outcome.said = system.said().await;
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
