//! Shapes of `fanlight.v1`, the API and its errors (docs/wire.md; golden vectors in docs/wire/).

use std::sync::Arc;

use axum::http::StatusCode;
use fanlight_bus::{Announcement, State};
use serde::{Deserialize, Serialize};

use crate::hub::Frame;

/// The subprotocol with JSON text messages beside the media.
pub const SUBPROTOCOL: &str = "fanlight.v1";

/// A camera's state as viewers are told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraState {
    /// What it is doing.
    pub state: State,
    /// Why it is not live, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same in one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_kind: Option<String>,
    /// When the state began, unix milliseconds.
    pub since: u64,
    /// What the picture is, as far as known.
    #[serde(flatten)]
    pub video: Description,
}

/// Codec, size and rate of a picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// RFC 6381 codec string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Arc<str>>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pictures a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
}

impl CameraState {
    /// The state that an announcement tells.
    #[must_use]
    pub fn announced(announcement: &Announcement) -> Self {
        Self {
            state: announcement.state,
            cause: announcement.cause.clone(),
            cause_kind: announcement.cause_kind.clone(),
            since: announcement.since,
            video: Description {
                codec: announcement.codec.as_deref().map(Arc::from),
                width: announcement.width,
                height: announcement.height,
                fps: announcement.fps,
            },
        }
    }

    /// Nothing comes from this camera, for a reason that the edge knows itself.
    #[must_use]
    pub fn offline(kind: &str, cause: &str, since: u64) -> Self {
        Self {
            state: State::Offline,
            cause: Some(cause.to_owned()),
            cause_kind: Some(kind.to_owned()),
            since,
            video: Description::default(),
        }
    }
}

impl Description {
    /// What a key frame says, completed by what was announced: the frame's own headers are
    /// right about it, since announcements travel by another way.
    #[must_use]
    pub fn of(frame: &Frame, announced: &Self) -> Self {
        match (&frame.codec, frame.video) {
            (None, None) => announced.clone(),
            (codec, video) => Self {
                codec: codec.clone().or_else(|| announced.codec.clone()),
                width: video.map(|v| v.width).or(announced.width),
                height: video.map(|v| v.height).or(announced.height),
                fps: video.and_then(|v| v.fps).or(announced.fps),
            },
        }
    }
}

/// A message from the edge to a `fanlight.v1` client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerMessage {
    /// Who and what this stream is.
    Hello {
        /// The camera.
        camera: String,
        /// Its rendition.
        rendition: String,
        /// Its state, and what the next picture is.
        #[serde(flatten)]
        state: CameraState,
        /// Run of the next binary message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
        /// Number of the next binary message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// Describes the next binary message.
    Mark {
        /// Its run.
        run: String,
        /// Its number.
        seq: u64,
        /// Its ingest time on the edge's clock, unix nanoseconds.
        #[serde(with = "nanoseconds")]
        time: u64,
    },
    /// The camera's state changed.
    State(CameraState),
    /// Messages were left out because the client is slow.
    Slow {
        /// How many.
        skipped: u64,
    },
    /// The edge stops.
    Drain {
        /// Milliseconds until the socket is closed.
        deadline: u64,
    },
    /// The answer to `clock`.
    Clock {
        /// As the client sent it.
        t0: f64,
        /// When the question was read, unix nanoseconds.
        #[serde(with = "nanoseconds")]
        t1: u64,
        /// When the answer was written, unix nanoseconds.
        #[serde(with = "nanoseconds")]
        t2: u64,
    },
}

impl ServerMessage {
    /// As JSON text.
    #[must_use]
    pub fn json(&self) -> String {
        // These shapes hold no map with other keys than text, so encoding cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A message from a `fanlight.v1` client. Counts are since the last report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientMessage {
    /// Asks for the edge's clock.
    Clock {
        /// Any number; comes back.
        t0: f64,
    },
    /// What the viewer sees.
    Report {
        /// Ingest to paint, milliseconds.
        #[serde(default)]
        latency: Option<f64>,
        /// Times the picture stood still.
        #[serde(default)]
        stalls: u64,
        /// Pictures decoded.
        #[serde(default)]
        decoded: u64,
        /// Pictures left out or damaged.
        #[serde(default)]
        dropped: u64,
    },
}

/// Unix nanoseconds as a decimal string: above 2^53 JSON numbers lose digits.
mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(time: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A camera in the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraView {
    /// Its name.
    pub camera: String,
    /// Its renditions.
    pub renditions: Vec<String>,
    /// State of the rendition `main`.
    #[serde(flatten)]
    pub state: CameraState,
    /// `640x480`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Seconds between key pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gop_seconds: Option<f64>,
    /// Whether who joins gets a picture at once; `false` when the GOP outgrew the cache.
    pub replay: bool,
    /// The current run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Viewers on this edge.
    pub viewers: usize,
    /// Why a new viewer with the same credentials would be refused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalView>,
}

/// The list of cameras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraList {
    /// By name.
    pub cameras: Vec<CameraView>,
}

/// A refusal inside an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusalView {
    /// The HTTP status an upgrade would get.
    pub status: u16,
    /// And the body.
    #[serde(flatten)]
    pub error: ErrorBody,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Seconds after which trying again may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// Every error code of the public port with its status.
pub const ERROR_CODES: [(&str, StatusCode); 19] = [
    ("bad_request", StatusCode::BAD_REQUEST),
    ("not_signed_in", StatusCode::UNAUTHORIZED),
    ("wrong_credentials", StatusCode::UNAUTHORIZED),
    ("camera_not_allowed", StatusCode::FORBIDDEN),
    ("share_not_allowed", StatusCode::FORBIDDEN),
    ("origin_not_allowed", StatusCode::FORBIDDEN),
    ("host_not_allowed", StatusCode::FORBIDDEN),
    ("unknown_camera", StatusCode::NOT_FOUND),
    ("no_default_camera", StatusCode::NOT_FOUND),
    ("not_found", StatusCode::NOT_FOUND),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
    ("upgrade_required", StatusCode::UPGRADE_REQUIRED),
    ("too_many_viewers", StatusCode::TOO_MANY_REQUESTS),
    ("too_many_attempts", StatusCode::TOO_MANY_REQUESTS),
    ("at_capacity", StatusCode::SERVICE_UNAVAILABLE),
    ("camera_at_capacity", StatusCode::SERVICE_UNAVAILABLE),
    ("camera_offline", StatusCode::SERVICE_UNAVAILABLE),
    ("starting", StatusCode::SERVICE_UNAVAILABLE),
    ("draining", StatusCode::SERVICE_UNAVAILABLE),
];
