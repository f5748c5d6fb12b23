//! Which cameras there are and what they are doing: from announcements and `--cameras`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanlight_bus::{Announcement, CameraId, Rendition, State, StreamId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::unix_ms;
use crate::wire::{CameraState, CameraView};

/// A camera that nobody announced for this long, and that `--cameras` does not name, is
/// removed: its ingest was taken away, and is not merely restarting.
pub const FORGET: Duration = Duration::from_secs(600);

/// Ingests of one stream remembered; two during a handover, more only by mistake.
const MAX_INSTANCES: usize = 4;

/// Streams remembered, against a flood of invented names.
const MAX_STREAMS: usize = 20_000;

/// Longest wait for a camera that may be announced yet.
const START_LIMIT: Duration = Duration::from_secs(4);

/// Longest `ttl` believed, in seconds.
const MAX_TTL: f64 = 60.0;

/// See the module. Shared by handle.
#[derive(Debug)]
pub struct Directory {
    configured: BTreeSet<CameraId>,
    default_camera: Option<CameraId>,
    started_ms: u64,
    inner: Mutex<Inner>,
    /// Becomes `true` when one announcement period was heard: what is unknown then is unknown.
    settled: watch::Sender<bool>,
    /// Counts new cameras, for those who wait for one.
    arrivals: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    streams: BTreeMap<StreamId, Entry>,
    /// Since when the bus is down, unix milliseconds.
    link_down: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    by_instance: Vec<Heard>,
    last_heard: Option<Instant>,
    /// When its last announcement ran out, unix milliseconds.
    silent_since: u64,
    state: Arc<CameraState>,
    gop_seconds: Option<f64>,
    replay: bool,
    run: Option<String>,
}

#[derive(Debug)]
struct Heard {
    announcement: Announcement,
    until: Instant,
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is doing something else now.
    State(StreamId, Arc<CameraState>),
    /// It is gone.
    Removed(StreamId),
}

impl Directory {
    /// Knows the configured cameras only.
    #[must_use]
    pub fn new(configured: impl IntoIterator<Item = CameraId>, default: Option<CameraId>) -> Self {
        let configured: BTreeSet<_> = configured.into_iter().collect();
        let started_ms = unix_ms();
        let streams = configured
            .iter()
            .map(|camera| (StreamId::main(camera.clone()), Entry::silent(started_ms)))
            .collect();
        Self {
            configured,
            default_camera: default,
            started_ms,
            inner: Mutex::new(Inner {
                streams,
                link_down: None,
            }),
            settled: watch::Sender::new(false),
            arrivals: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an announcement.
    pub fn heard(&self, announcement: Announcement) -> Option<Change> {
        let now = Instant::now();
        let stream = announcement.stream();
        let ttl = announcement.ttl.clamp(0.1, MAX_TTL);
        let mut inner = self.lock();
        let link_down = inner.link_down;
        let known = inner.streams.contains_key(&stream);
        if !known && inner.streams.len() >= MAX_STREAMS {
            return None;
        }
        let entry = inner
            .streams
            .entry(stream.clone())
            .or_insert_with(|| Entry::silent(self.started_ms));
        entry.last_heard = Some(now);
        entry
            .by_instance
            .retain(|h| h.announcement.instance != announcement.instance);
        if entry.by_instance.len() >= MAX_INSTANCES {
            entry.by_instance.remove(0);
        }
        entry.by_instance.push(Heard {
            announcement,
            until: now + Duration::from_secs_f64(ttl),
        });
        let changed = entry.refresh(now, link_down);
        let state = Arc::clone(&entry.state);
        drop(inner);
        if !known {
            self.arrivals.send_modify(|n| *n += 1);
        }
        changed.then_some(Change::State(stream, state))
    }

    /// Lets announcements run out and forgets cameras. Call it about every second.
    #[must_use]
    pub fn tick(&self) -> Vec<Change> {
        let now = Instant::now();
        let mut changes = Vec::new();
        let mut inner = self.lock();
        let link_down = inner.link_down;
        inner.streams.retain(|stream, entry| {
            let gone = entry.last_heard.is_some_and(|at| now - at >= FORGET);
            let keep = !gone || link_down.is_some() || self.is_configured(stream);
            if !keep {
                changes.push(Change::Removed(stream.clone()));
            } else if entry.refresh(now, link_down) {
                changes.push(Change::State(stream.clone(), Arc::clone(&entry.state)));
            }
            keep
        });
        changes
    }

    /// Takes note of the bus's link.
    #[must_use]
    pub fn link(&self, connected: bool) -> Vec<Change> {
        let now = Instant::now();
        let mut inner = self.lock();
        match (connected, inner.link_down) {
            (true, Some(_)) => {
                inner.link_down = None;
                // Silence during the outage says nothing about the cameras.
                for entry in inner.streams.values_mut() {
                    for heard in &mut entry.by_instance {
                        heard.until = heard
                            .until
                            .max(now + Duration::from_secs_f64(Announcement::TTL_SECONDS));
                    }
                    entry.last_heard = entry.last_heard.map(|_| now);
                }
            }
            (false, None) => inner.link_down = Some(unix_ms()),
            _ => return Vec::new(),
        }
        let link_down = inner.link_down;
        let mut changes = Vec::new();
        for (stream, entry) in &mut inner.streams {
            if entry.refresh(now, link_down) {
                changes.push(Change::State(stream.clone(), Arc::clone(&entry.state)));
            }
        }
        changes
    }

    /// One announcement period was heard.
    pub fn settle(&self) {
        self.settled.send_replace(true);
    }

    fn is_configured(&self, stream: &StreamId) -> bool {
        stream.rendition == Rendition::main() && self.configured.contains(&stream.camera)
    }

    /// The state of a stream, if it is known.
    #[must_use]
    pub fn state(&self, stream: &StreamId) -> Option<Arc<CameraState>> {
        self.lock()
            .streams
            .get(stream)
            .map(|entry| Arc::clone(&entry.state))
    }

    /// Whether what is unknown now is unknown for good.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// As [`state`](Self::state); an edge that has just started waits one announcement period
    /// before it says that a camera is unknown, and not much longer while there is no bus.
    pub async fn wait_state(&self, stream: &StreamId) -> Option<Arc<CameraState>> {
        tokio::time::timeout(START_LIMIT, self.settled_state(stream))
            .await
            .unwrap_or(None)
    }

    async fn settled_state(&self, stream: &StreamId) -> Option<Arc<CameraState>> {
        let (mut settled, mut arrivals) = (self.settled.subscribe(), self.arrivals.subscribe());
        loop {
            if let Some(state) = self.state(stream) {
                return Some(state);
            }
            if *settled.borrow_and_update() {
                return self.state(stream);
            }
            tokio::select! {
                _ = settled.changed() => {}
                _ = arrivals.changed() => {}
            }
        }
    }

    /// The camera of `GET /` with an upgrade: the one configured as default, or the only one.
    pub async fn wait_default(&self) -> Option<CameraId> {
        if self.default_camera.is_some() {
            return self.default_camera.clone();
        }
        let mut settled = self.settled.subscribe();
        // Before that a second camera may only not have spoken yet.
        let all_spoke = settled.wait_for(|settled| *settled);
        let _late_is_not_at_all = tokio::time::timeout(START_LIMIT, all_spoke).await;
        let cameras: BTreeSet<_> = self
            .lock()
            .streams
            .keys()
            .map(|s| s.camera.clone())
            .collect();
        if cameras.len() == 1 {
            cameras.into_iter().next()
        } else {
            None
        }
    }

    /// All cameras for the API, by name. `viewers` counts a stream's.
    #[must_use]
    pub fn list(&self, viewers: impl Fn(&StreamId) -> usize) -> Vec<CameraView> {
        let inner = self.lock();
        let mut views: Vec<CameraView> = Vec::new();
        for (stream, entry) in &inner.streams {
            let watching = viewers(stream);
            let is_main = stream.rendition == Rendition::main();
            match views
                .last_mut()
                .filter(|v| v.camera == stream.camera.as_str())
            {
                Some(view) => {
                    view.renditions.push(stream.rendition.to_string());
                    view.viewers += watching;
                    if is_main {
                        entry.describe(view);
                    }
                }
                None => views.push(entry.view(stream, watching)),
            }
        }
        views
    }
}

impl Entry {
    fn silent(since: u64) -> Self {
        Self {
            by_instance: Vec::new(),
            last_heard: None,
            silent_since: since,
            state: Arc::new(no_ingest(since)),
            gop_seconds: None,
            replay: true,
            run: None,
        }
    }

    /// Works out what is true now; `true` when viewers should be told.
    fn refresh(&mut self, now: Instant, link_down: Option<u64>) -> bool {
        let spoke = !self.by_instance.is_empty();
        if link_down.is_none() {
            self.by_instance.retain(|heard| heard.until > now);
            if spoke && self.by_instance.is_empty() {
                self.silent_since = unix_ms();
            }
        }
        // The live one with the highest run is the one that edges follow.
        let best = self
            .by_instance
            .iter()
            .map(|h| &h.announcement)
            .max_by(|a, b| {
                let rank = |x: &Announcement| (x.state == State::Live, x.state != State::Stopping);
                rank(a)
                    .cmp(&rank(b))
                    .then_with(|| a.run.cmp(&b.run))
                    .then_with(|| a.time.cmp(&b.time))
            });
        let mut state = best.map_or_else(|| no_ingest(self.silent_since), CameraState::announced);
        if let Some(best) = best {
            self.gop_seconds = best.gop_seconds;
            self.replay = best.replay;
            self.run.clone_from(&best.run);
        }
        if let Some(since) = link_down {
            let video = std::mem::take(&mut state.video);
            state = CameraState::offline(
                "nats",
                "the server lost its connection to NATS and is reconnecting",
                since,
            );
            state.video = video;
        }
        let changed = *self.state != state;
        if changed {
            self.state = Arc::new(state);
        }
        changed
    }

    fn describe(&self, view: &mut CameraView) {
        let video = &self.state.video;
        view.state = CameraState::clone(&self.state);
        view.size = video
            .width
            .zip(video.height)
            .map(|(w, h)| format!("{w}x{h}"));
        view.gop_seconds = self.gop_seconds;
        view.replay = self.replay;
        view.run.clone_from(&self.run);
    }

    fn view(&self, stream: &StreamId, viewers: usize) -> CameraView {
        let mut view = CameraView {
            camera: stream.camera.to_string(),
            renditions: vec![stream.rendition.to_string()],
            state: CameraState::clone(&self.state),
            size: None,
            gop_seconds: None,
            replay: true,
            run: None,
            viewers,
            refusal: None,
        };
        self.describe(&mut view);
        view
    }
}

fn no_ingest(since: u64) -> CameraState {
    CameraState::offline("no_ingest", "no ingest announces this camera", since)
}
