//! Why a request is not served: one JSON shape on every route.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::admission::Full;
use crate::wire::{ERROR_CODES, ErrorBody, RefusalView};

/// A refusal. The code decides the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(
            ERROR_CODES.iter().any(|(known, _)| *known == code),
            "{code}"
        );
        Self {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn unknown_camera() -> Self {
        Self::new(
            "unknown_camera",
            "no camera of this name; /api/cameras lists them",
        )
    }

    pub(crate) fn not_signed_in() -> Self {
        Self::new("not_signed_in", "sign in to watch")
    }

    pub(crate) fn camera_not_allowed() -> Self {
        Self::new("camera_not_allowed", "you may not watch this camera")
    }

    pub(crate) fn starting() -> Self {
        let message = "this server has just started and has not heard of the cameras yet";
        Self::new("starting", message).after(2)
    }

    pub(crate) fn draining() -> Self {
        let message = "this server is restarting; try again, another one may answer";
        Self::new("draining", message).after(1)
    }

    pub(crate) fn offline(cause: Option<&str>) -> Self {
        let message = format!(
            "the camera is offline: {}",
            cause.unwrap_or("it sends no picture")
        );
        Self::new("camera_offline", message).after(5)
    }

    pub(crate) fn too_many_attempts(wait: Duration) -> Self {
        let message = "too many attempts come from your address; wait a little";
        Self::new("too_many_attempts", message).after(wait.as_secs() + 1)
    }

    pub(crate) fn full(full: Full) -> Self {
        match full {
            Full::Edge => {
                Self::new("at_capacity", "this server has as many viewers as it takes").after(10)
            }
            Full::Camera => Self::new(
                "camera_at_capacity",
                "this camera has as many viewers as it takes",
            )
            .after(10),
            Full::Address => Self::new(
                "too_many_viewers",
                "too many viewers come from your address",
            )
            .after(10),
            Full::User => Self::new(
                "too_many_viewers",
                "you are watching too many times already",
            )
            .after(10),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        ERROR_CODES
            .iter()
            .find(|(code, _)| *code == self.code)
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status)| *status)
    }

    fn body(self) -> ErrorBody {
        ErrorBody {
            code: self.code.to_owned(),
            message: self.message.into_owned(),
            retry_after: self.retry_after,
        }
    }

    pub(crate) fn view(self) -> RefusalView {
        RefusalView {
            status: self.status().as_u16(),
            error: self.body(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after);
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        response
    }
}
