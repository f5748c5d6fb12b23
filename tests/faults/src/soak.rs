//! The long run: a fault every 20 s, drawn at random from a seed, and no leak at the end.

use std::process::ExitCode;
use std::time::Duration;

use fanlight_e2e::{children, is_alive, resident_bytes};
use fanlight_testkit::{Camera, CameraOptions, Signal};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, kill_process};
use tokio::time::Instant;

use crate::system::System;

/// Time between two faults.
const EVERY: Duration = Duration::from_secs(20);

/// When memory and descriptors are read for the first time.
const SETTLED: Duration = Duration::from_secs(300);

/// Resident bytes and open descriptors of ingest and edges, in that order.
fn usage(system: &System) -> Vec<(String, u64, usize)> {
    let mut all = vec![("ingest".to_owned(), system.ingest.process.pid())];
    all.extend(
        system
            .edges
            .iter()
            .enumerate()
            .map(|(i, e)| (format!("edge {i}"), e.process.pid())),
    );
    all.into_iter()
        .map(|(name, pid)| {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            (name, resident_bytes(pid), files)
        })
        .collect()
}

pub(crate) async fn run(minutes: u64, seed: u64) -> ExitCode {
    let mut draw = StdRng::seed_from_u64(seed);
    let mut camera = Camera::start(CameraOptions::default()).await;
    let args = ["--codec", "copy", "--stall-timeout", "5"];
    let mut system = System::start(3, 2, &camera.url(), &args).await;
    let watchers = system.watch_lightly(20).await;
    let start = Instant::now();
    let end = start + Duration::from_secs(minutes * 60);
    let mut settled = None;
    let mut wrong = Vec::new();
    while Instant::now() < end {
        let fault = draw.random_range(0..6);
        let name = inject(fault, &mut system, &mut camera).await;
        let healed = Instant::now();
        tokio::time::sleep(EVERY).await;
        // a pause that grew over the last faults, and a machine that does something else
        let patience = Instant::now() + Duration::from_secs(10);
        for (i, watcher) in watchers.iter().enumerate() {
            let left = patience.saturating_duration_since(Instant::now());
            if watcher.moving_after(healed, 30, left).await.is_none() {
                let at = start.elapsed().as_secs();
                wrong.push(format!("{at} s: viewer {i} has no pictures after: {name}"));
            }
        }
        println!("{:>5} s  {name}", start.elapsed().as_secs());
        if settled.is_none() && start.elapsed() >= SETTLED {
            settled = Some(usage(&system));
        }
    }
    let now = usage(&system);
    for ((name, before, files), (_, after, files_now)) in
        settled.unwrap_or_default().iter().zip(&now)
    {
        println!(
            "{name}: {} -> {} KiB, {files} -> {files_now} files",
            before >> 10,
            after >> 10
        );
        if *after as f64 > *before as f64 * 1.1 {
            wrong.push(format!("{name} grew from {before} to {after} bytes"));
        }
        if *files_now > files + 10 {
            wrong.push(format!("{name} holds {files_now} files instead of {files}"));
        }
    }
    let ffmpeg = children(system.ingest.process.pid());
    if ffmpeg.len() != 1 {
        wrong.push(format!("{} children of ingest instead of 1", ffmpeg.len()));
    }
    drop(system);
    tokio::time::sleep(Duration::from_secs(1)).await;
    if ffmpeg.iter().any(|&p| is_alive(p)) {
        wrong.push("an ffmpeg outlived its ingest".to_owned());
    }
    for line in &wrong {
        println!("FAIL {line}");
    }
    println!(
        "{} passed, {} failed",
        usize::from(wrong.is_empty()),
        usize::from(!wrong.is_empty())
    );
    if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn inject(fault: u32, system: &mut System, camera: &mut Camera) -> &'static str {
    match fault {
        0 | 1 => {
            let signal = if fault == 0 {
                Signal::KILL
            } else {
                Signal::STOP
            };
            for child in children(system.ingest.process.pid()) {
                let _gone = kill_process(Pid::from_raw(child.cast_signed()).unwrap(), signal);
            }
            if fault == 0 {
                "ffmpeg killed"
            } else {
                "ffmpeg stopped"
            }
        }
        2 => {
            camera.kill().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            camera.restart(None).await;
            "camera killed and back"
        }
        3 => {
            camera.process().signal(Signal::STOP);
            tokio::time::sleep(Duration::from_secs(7)).await;
            camera.process().signal(Signal::CONT);
            "camera silent for 7 s"
        }
        4 => {
            system.nats[0].restart().await;
            "NATS node killed and back"
        }
        _ => {
            for node in &mut system.nats {
                node.kill().await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            for node in &mut system.nats {
                node.restart().await;
            }
            "all NATS killed and back"
        }
    }
}
