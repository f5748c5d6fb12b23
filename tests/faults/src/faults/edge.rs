//! Edges die, or are drained one after the other.

use std::process::Stdio;
use std::time::Duration;

use fanlight_testkit::{NatsServer, Signal, free_port, program};
use tokio::time::Instant;

use super::{completeness, damage, judge, memory};
use crate::system::{Balancer, System};
use crate::table::Outcome;
use crate::watcher::Watcher;

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
    let system = System::start(1, 3, "test", &[]).await;
    restart_one_by_one(system).await
}

pub(super) async fn rolling_restart_behind_nginx() -> Outcome {
    let mut system = System::start(1, 3, "test", &[]).await;
    system.balancer = Balancer::nginx(&system.edges).await;
    restart_one_by_one(system).await
}

async fn restart_one_by_one(mut system: System) -> Outcome {
    let watchers = system.watch(crate::viewers(60, 300)).await;
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

/// Nobody reads what ingest and edge log: the pipes are full within a second at this level. The
/// pictures must not care.
pub(super) async fn logs_blocked() -> Outcome {
    let nats = NatsServer::start().await;
    let [admin, edge_admin, port] = [free_port(), free_port(), free_port()];
    let local = |port| format!("127.0.0.1:{port}");
    let start = |name: &str, args: &[&str]| {
        let mut command = tokio::process::Command::new(program(name));
        command.args(["--nats-url", &nats.url(), "--log-level", "trace"]);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start it")
    };
    let ingest = [
        "--camera",
        "gate",
        "--input",
        "test",
        "--admin-listen",
        &local(admin),
    ];
    let _ingest = start("fanlight-ingest", &ingest);
    let edge = [
        "--listen",
        &local(port),
        "--admin-listen",
        &local(edge_admin),
    ];
    let edge = start(
        "fanlight-edge",
        &[&edge[..], &["--cameras", "gate"]].concat(),
    );
    let url = format!("http://127.0.0.1:{port}/api/cameras/gate");
    fanlight_testkit::eventually("a live camera", Duration::from_secs(20), async || {
        let camera = fanlight_testkit::get(&url).await.ok()?.json()?;
        (camera["state"] == "live").then_some(())
    })
    .await;
    let mut outcome = Outcome::default();
    let before = fanlight_e2e::resident_bytes(edge.id().expect("it runs"));
    let ws = format!("ws://127.0.0.1:{port}/ws/gate");
    let watchers: Vec<_> = (0..8)
        .map(|i| Watcher::start(ws.clone(), i % 2 == 0))
        .collect();
    let from = Instant::now() + Duration::from_secs(1);
    tokio::time::sleep(Duration::from_secs(8)).await;
    for watcher in &watchers {
        let gap = watcher.longest_gap(from, Instant::now());
        outcome.without = outcome.without.max(gap);
    }
    outcome.must(outcome.without < Duration::from_secs(1), "pictures stopped");
    completeness(&mut outcome, &watchers);
    damage(&mut outcome, &watchers);
    let grown = fanlight_e2e::resident_bytes(edge.id().expect("it runs")).saturating_sub(before);
    outcome.grown = (grown >> 20).cast_signed();
    outcome.said = "live".to_owned();
    outcome
}
