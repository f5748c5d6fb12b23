//! What ingest tells everybody about a camera (`fanlight.<camera>.<rendition>.status`).

use serde::{Deserialize, Serialize};

use crate::{CameraId, Rendition, RunId, StreamId};

/// What a camera is doing, as its ingest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// ffmpeg was started and has delivered nothing yet.
    Starting,
    /// Pictures come.
    Live,
    /// ffmpeg runs, but there is nothing to show.
    Stalled,
    /// No ffmpeg: waiting for the next attempt, or the announcement ran out.
    Offline,
    /// The ingest is going away.
    Stopping,
}

impl State {
    /// The word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Offline => "offline",
            Self::Stopping => "stopping",
        }
    }
}

/// One announcement: sent on every change and every 2 s.
///
/// Readers ignore keys they do not know, so that keys can be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// The camera.
    pub camera: CameraId,
    /// Which of its encodings.
    pub rendition: Rendition,
    /// What it is doing.
    pub state: State,
    /// Why it is not live, in words for a person; never holds a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same as a word for programs (`auth`, `refused`, `dns`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_kind: Option<String>,
    /// RFC 6381 codec string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Picture width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Picture height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pictures a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Seconds between the last two key pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gop_seconds: Option<f64>,
    /// Whether the current GOP can be replayed; `false` when it outgrew the cache, so that
    /// who joins waits for the next key picture.
    #[serde(default = "yes")]
    pub replay: bool,
    /// The current run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When the state began, in unix milliseconds.
    pub since: u64,
    /// Seconds after which, with no newer announcement, the camera counts as offline.
    pub ttl: f64,
    /// The ingest process that speaks.
    pub instance: String,
    /// When this was sent, in unix nanoseconds of the ingest's clock.
    pub time: u64,
}

fn yes() -> bool {
    true
}

impl Announcement {
    /// Seconds between two announcements of an unchanged state.
    pub const PERIOD_SECONDS: u64 = 2;

    /// Default `ttl`: two announcements may be lost.
    pub const TTL_SECONDS: f64 = 6.0;

    /// The stream this is about.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId {
            camera: self.camera.clone(),
            rendition: self.rendition.clone(),
        }
    }

    /// The current run, when it is a valid run id.
    #[must_use]
    pub fn run_id(&self) -> Option<RunId> {
        self.run.as_deref()?.parse().ok()
    }
}
