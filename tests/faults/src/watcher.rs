//! A viewer that stays: it reconnects as the page does and remembers every picture it got,
//! so that a fault can be judged by what was seen.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanlight_e2e::{Received, Viewer};
use fanlight_mpegts::{Checker, is_key_chunk};
use rand::RngExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What one connection delivered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Stretch {
    /// Arrival and length of each media message.
    pub(crate) pictures: Vec<(Instant, usize)>,
    /// The bytes, for a decoder to judge.
    pub(crate) media: Vec<u8>,
    /// (run, seq) of each media message; only with `fanlight.v1`.
    pub(crate) numbers: Vec<(String, u64)>,
    /// From ingest to arrival, of the pictures that a mark describes; only with `fanlight.v1`.
    pub(crate) delays: Vec<(Instant, Duration)>,
    /// How it ended: a close code, none when it broke off.
    pub(crate) closed: Option<Option<u16>>,
}

#[derive(Debug, Default)]
struct Seen {
    stretches: Vec<Stretch>,
    refused: u32,
}

/// A running viewer.
#[derive(Debug)]
pub(crate) struct Watcher {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    /// Watches `url`; with `v1` it speaks `fanlight.v1` and moves on a drain notice without a
    /// hole.
    pub(crate) fn start(url: String, v1: bool) -> Self {
        Self::run(url, v1, true)
    }

    /// One that forgets the bytes, for long runs and large crowds.
    pub(crate) fn light(url: String, v1: bool) -> Self {
        Self::run(url, v1, false)
    }

    fn run(url: String, v1: bool, keep: bool) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut attempt = 0;
            loop {
                let protocol = v1.then_some("fanlight.v1");
                match Viewer::try_connect(&url, protocol, None).await {
                    Ok(viewer) => {
                        attempt = 0;
                        connection(viewer, &url, v1, keep, &shared).await;
                    }
                    Err(_) => shared.lock().unwrap().refused += 1,
                }
                // The page's backoff: 100 ms at first, doubling to 5 s, half of it random.
                let cap = Duration::from_millis(100 << attempt.min(6)).min(Duration::from_secs(5));
                attempt += 1;
                let pause = cap.mul_f64(rand::rng().random_range(0.5..1.0));
                tokio::time::sleep(pause).await;
            }
        });
        Self { seen, task }
    }

    /// Everything seen so far.
    pub(crate) fn stretches(&self) -> Vec<Stretch> {
        self.seen.lock().unwrap().stretches.clone()
    }

    /// When the first picture after `moment` came.
    pub(crate) fn picture_after(&self, moment: Instant) -> Option<Instant> {
        let seen = self.seen.lock().unwrap();
        let mut times = seen
            .stretches
            .iter()
            .flat_map(|s| s.pictures.iter().map(|p| p.0));
        times.find(|&t| t > moment)
    }

    /// Waits for a picture that came after `moment` and for `n - 1` more; `None` after `limit`.
    pub(crate) async fn moving_after(
        &self,
        moment: Instant,
        n: usize,
        limit: Duration,
    ) -> Option<Instant> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            let after = {
                let seen = self.seen.lock().unwrap();
                let times = seen
                    .stretches
                    .iter()
                    .flat_map(|s| s.pictures.iter().map(|p| p.0));
                times.filter(|&t| t > moment).count()
            };
            if after >= n {
                return self.picture_after(moment);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Delays from ingest between two moments.
    pub(crate) fn delays(&self, from: Instant, to: Instant) -> Vec<Duration> {
        let seen = self.seen.lock().unwrap();
        let all = seen.stretches.iter().flat_map(|s| s.delays.iter());
        all.filter(|(at, _)| (from..=to).contains(at))
            .map(|(_, delay)| *delay)
            .collect()
    }

    /// Connections so far, and whether each got a picture.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().stretches.len()
    }

    /// The longest time without a picture between two moments.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let seen = self.seen.lock().unwrap();
        let inside = seen
            .stretches
            .iter()
            .flat_map(|s| s.pictures.iter().map(|p| p.0))
            .filter(|t| (from..=to).contains(t));
        let mut longest = Duration::ZERO;
        let mut last = from;
        for time in inside.chain([to]) {
            longest = longest.max(time.saturating_duration_since(last));
            last = time;
        }
        longest
    }

    /// Continuity errors, and pictures the decoder complained about. Both are 0 unless the edge
    /// passed on something damaged. At a key picture the counters may jump: that is where a
    /// viewer goes on after a gap or in a new run.
    pub(crate) fn damage(&self) -> (u64, String) {
        let mut errors = 0;
        let mut complaints = String::new();
        for stretch in self.stretches() {
            if stretch.media.is_empty() {
                continue;
            }
            let mut checker = Checker::new();
            let mut media = bytes::Bytes::from(stretch.media.clone());
            // What belongs together for a decoder: after a skip the counters jump, which it
            // would call corrupt.
            let mut pieces = vec![Vec::new()];
            let mut before_last = 0;
            for (_, length) in &stretch.pictures {
                let message = media.split_to(*length);
                let before = checker.report().continuity_errors;
                checker.push(message.clone());
                let jumped = checker.report().continuity_errors - before;
                if jumped > 0 && is_key_chunk(&message) {
                    // Tables that come later count from another start, too.
                    checker = Checker::new();
                    checker.push(message.clone());
                    // A camera that died in the middle of a picture left half of one: what
                    // came last before the jump is the source's, byte for byte.
                    if let Some(piece) = pieces.last_mut() {
                        piece.truncate(before_last);
                    }
                    pieces.push(Vec::new());
                } else {
                    errors += jumped;
                }
                if let Some(piece) = pieces.last_mut() {
                    before_last = piece.len();
                    piece.extend_from_slice(&message);
                }
            }
            for piece in pieces {
                let (_, said) = fanlight_e2e::video_counts(&piece);
                for line in said.lines().filter(|l| is_damage(l)) {
                    complaints.push_str(line);
                    complaints.push('\n');
                }
            }
        }
        (errors, complaints)
    }
}

/// What a decoder says about a damaged picture, not about time stamps.
fn is_damage(line: &str) -> bool {
    let line = line.to_lowercase();
    [
        "error while decoding",
        "concealing",
        "corrupt",
        "invalid nal",
        "missing reference",
        "no frame!",
    ]
    .iter()
    .any(|sign| line.contains(sign))
}

/// Follows one connection to its end. On a drain notice it moves to a second one: that starts
/// at a key picture of the past, and what was seen already is passed over by its number.
async fn connection(mut viewer: Viewer, url: &str, v1: bool, keep: bool, shared: &Mutex<Seen>) {
    let index = {
        let mut seen = shared.lock().unwrap();
        seen.stretches.push(Stretch::default());
        seen.stretches.len() - 1
    };
    let mut next: Option<(String, u64)> = None;
    let mut marked = None;
    loop {
        match viewer.next().await {
            Received::Control(control) => match control["type"].as_str() {
                Some("hello" | "mark") => {
                    next = number(&control);
                    marked = control["time"].as_str().and_then(|time| time.parse().ok());
                }
                Some("drain") => {
                    if let Some(new) = second(url).await {
                        tokio::spawn(std::mem::replace(&mut viewer, new).leave());
                        next = None;
                    }
                }
                _ => {}
            },
            Received::Media(media) => {
                let mut seen = shared.lock().unwrap();
                let stretch = &mut seen.stretches[index];
                let delay = marked
                    .take()
                    .map(|time: u64| unix_ns().saturating_sub(time));
                if v1 && let Some((run, seq)) = next.take() {
                    next = Some((run.clone(), seq + 1));
                    let seen = |last: &(String, u64)| last.0 == run && last.1 >= seq;
                    if stretch.numbers.last().is_some_and(seen) {
                        continue;
                    }
                    stretch.numbers.push((run, seq));
                }
                let now = Instant::now();
                let delay = delay.map(|ns| (now, Duration::from_nanos(ns)));
                stretch.delays.extend(delay);
                stretch.pictures.push((now, media.len()));
                if keep {
                    stretch.media.extend_from_slice(&media);
                }
            }
            Received::Closed(code) => {
                shared.lock().unwrap().stretches[index].closed = Some(code);
                return;
            }
        }
    }
}

/// The second socket of a drain. Behind a load balancer that still routes to the old edge, the
/// first tries are refused.
async fn second(url: &str) -> Option<Viewer> {
    for _ in 0..20 {
        if let Ok(new) = Viewer::try_connect(url, Some("fanlight.v1"), None).await {
            return Some(new);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    None
}

fn unix_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

fn number(control: &serde_json::Value) -> Option<(String, u64)> {
    Some((
        control["run"].as_str()?.to_owned(),
        control["seq"].as_u64()?,
    ))
}
