//! The faults, one function each, in the order of the reliability table.

mod broker;
mod camera;
mod edge;
mod ffmpeg;
mod handover;
mod network;
mod slow;

use std::pin::Pin;
use std::time::Duration;

use fanlight_e2e::resident_bytes;
use tokio::time::Instant;

use crate::system::System;
use crate::table::Outcome;
use crate::watcher::Watcher;

/// A fault by name.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Part of the short form.
    pub(crate) short: bool,
    pub(crate) inject: fn() -> Pin<Box<dyn Future<Output = Outcome>>>,
}

macro_rules! fault {
    ($name:literal, $short:literal, $inject:path) => {
        Fault {
            name: $name,
            short: $short,
            inject: || Box::pin($inject()),
        }
    };
}

/// Every fault.
pub(crate) fn all() -> Vec<Fault> {
    vec![
        fault!("ffmpeg killed", true, ffmpeg::killed),
        fault!("ffmpeg stopped (SIGSTOP)", true, ffmpeg::stopped),
        fault!(
            "ffmpeg writes garbage between pictures",
            true,
            ffmpeg::garbage
        ),
        fault!(
            "ffmpeg stops in the middle of a packet",
            true,
            ffmpeg::half_packet
        ),
        fault!(
            "ffmpeg closes its output and stays",
            true,
            ffmpeg::output_closed
        ),
        fault!(
            "camera killed and back after 1 s",
            true,
            camera::killed_and_back
        ),
        fault!(
            "camera silent with TCP open, then back",
            false,
            camera::silent
        ),
        fault!("camera changes its picture size", true, camera::other_size),
        fault!(
            "camera has another password for 3 s",
            false,
            camera::new_password
        ),
        fault!(
            "NATS node killed (3-node cluster)",
            true,
            broker::node_killed
        ),
        fault!("all NATS killed, back after 3 s", true, broker::all_killed),
        fault!(
            "network between edges and NATS cut for 30 s",
            false,
            network::cut
        ),
        fault!(
            "edge stopped for 15 s at 8 Mbit/s (slow consumer)",
            false,
            network::slow_consumer
        ),
        fault!("edge killed (2 behind haproxy)", true, edge::killed),
        fault!(
            "rolling restart of 3 edges behind haproxy",
            true,
            edge::rolling_restart
        ),
        fault!(
            "rolling restart of 3 edges behind nginx",
            true,
            edge::rolling_restart_behind_nginx
        ),
        fault!(
            "logs of ingest and edge are not read",
            true,
            edge::logs_blocked
        ),
        fault!(
            "second ingest takes over (rolling update)",
            true,
            handover::rolling_update
        ),
        fault!(
            "clock of ingest 1 h back at its restart",
            true,
            handover::clock_step
        ),
        fault!(
            "clock of ingest 1 h ahead, then right again",
            false,
            handover::clock_ahead
        ),
        fault!("1 stuck and 3 trickling viewers among 40", true, slow::few),
        fault!(
            "1 stuck and 20 trickling viewers among 500",
            false,
            slow::many
        ),
    ]
}

/// How long a viewer may wait for moving pictures: the contract, and slack for a busy machine.
pub(crate) const BACK: Duration = Duration::from_millis(2_000 + 1_500);

/// Memory before a fault, to compare with afterwards.
pub(crate) fn memory(system: &System) -> i64 {
    let edges: u64 = system
        .edges
        .iter()
        .map(|e| resident_bytes(e.process.pid()))
        .sum();
    ((edges + resident_bytes(system.ingest.process.pid())) >> 20).cast_signed()
}

/// Judges what all viewers saw of a fault at `from` whose cause was gone at `healed`.
pub(crate) async fn judge(
    outcome: &mut Outcome,
    watchers: &[Watcher],
    from: Instant,
    healed: Instant,
) {
    for watcher in watchers {
        let Some(_) = watcher
            .moving_after(healed, 10, Duration::from_secs(20))
            .await
        else {
            outcome
                .wrong
                .push("a viewer has no moving pictures after 20 s".to_owned());
            continue;
        };
    }
    let now = Instant::now();
    for watcher in watchers {
        if let Some(first) = watcher.picture_after(healed) {
            let back = first - healed;
            outcome.back = Some(outcome.back.unwrap_or_default().max(back));
        }
        outcome.without = outcome.without.max(watcher.longest_gap(from, now));
    }
    let back = outcome.back.unwrap_or(Duration::MAX);
    outcome.must(back <= BACK, format!("moving pictures only after {back:?}"));
    damage(outcome, watchers);
}

/// No viewer may have got anything a decoder stumbles over.
pub(crate) fn damage(outcome: &mut Outcome, watchers: &[Watcher]) {
    for watcher in watchers.iter().take(4) {
        let (errors, complaints) = watcher.damage();
        outcome.corrupt += errors as usize + complaints.lines().count();
        outcome.must(errors == 0, format!("{errors} continuity errors"));
        outcome.must(complaints.is_empty(), complaints);
    }
}

/// Counts what viewers of `fanlight.v1` missed or got twice.
pub(crate) fn completeness(outcome: &mut Outcome, watchers: &[Watcher]) {
    for watcher in watchers {
        for stretch in watcher.stretches() {
            for pair in stretch.numbers.windows(2) {
                let ((run, seq), (next_run, next)) = (&pair[0], &pair[1]);
                if run == next_run && *next != seq + 1 {
                    outcome.lost += 1;
                    outcome.wrong.push(format!("number {next} after {seq}"));
                }
            }
        }
    }
}
