//! The real programs as tests use them: started with free ports, waited for until ready,
//! watched by clients that share no code with them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first fault"
)]

mod authority;
mod edge;
mod ingest;
mod media;
mod raw;
mod recorder;
mod viewer;

pub use authority::{Authority, Pair};
pub use edge::{Edge, Standalone};
pub use ingest::Ingest;
pub use media::{ffmpeg, make_video, video_counts};
pub use raw::{Frame, RawSocket, masked};
pub use recorder::Recorder;
pub use viewer::{Received, Viewer};

use std::time::Duration;

/// Long enough for a busy machine, short enough for a hung test to be seen.
pub const SOON: Duration = Duration::from_secs(20);

/// Value of a sample in Prometheus text: the first line of family `name` that holds every
/// one of `labels` (each written `key="value"`).
#[must_use]
pub fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    text.lines()
        .filter(|line| line.starts_with(name))
        .filter(|line| matches!(line.as_bytes().get(name.len()), Some(b' ' | b'{')))
        .find(|line| labels.iter().all(|label| line.contains(label)))
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
}

/// The `p`-th percentile of some durations.
///
/// # Panics
/// Without any.
#[must_use]
pub fn percentile(mut values: Vec<Duration>, p: f64) -> Duration {
    values.sort();
    let index = ((values.len() - 1) as f64 * p / 100.0).ceil() as usize;
    values[index]
}

/// Resident memory of a process in bytes.
///
/// # Panics
/// When it has ended.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the process runs");
    statm
        .split(' ')
        .nth(1)
        .expect("two fields")
        .parse::<u64>()
        .expect("a number")
        * 4096
}

/// Ids of the live children of a process.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in brackets may hold anything; the fields after it may not.
        let Some((_, fields)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = fields.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent == Some(pid.to_string().as_str()) && state != Some("Z") {
            found.push(child);
        }
    }
    found
}

/// Whether a process exists and is not a zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(!stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(false)
}
