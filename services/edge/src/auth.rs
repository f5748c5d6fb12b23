//! Who may watch what. Every route asks for a [`Grant`]; how it is earned is the mode's
//! business, and the viewer only knows when its grant ends.

use std::sync::Arc;

use axum::http::HeaderMap;
use fanlight_bus::CameraId;
use tokio::sync::watch;
use tokio::time::Instant;

/// How viewers show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Everybody may watch everything.
    None,
}

/// The gate of all routes.
#[derive(Debug, Clone)]
pub enum Auth {
    /// [`Mode::None`].
    None,
}

/// What somebody may watch, and until when.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who it is, for the log.
    pub who: Arc<str>,
    /// Which cameras.
    pub cameras: Cameras,
    /// Viewers are closed with 4401 then.
    pub expires: Option<Instant>,
    /// Viewers are closed with 4403 when it becomes `true`.
    pub revoked: Option<watch::Receiver<bool>>,
}

/// Which cameras a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cameras {
    /// All there are and will be.
    All,
    /// Those that match one of the patterns: a name, or the start of names and `*`.
    Matching(Vec<String>),
}

impl Cameras {
    /// Whether a camera is among them.
    #[must_use]
    pub fn contains(&self, camera: &CameraId) -> bool {
        let name = camera.as_str();
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|p| match p.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => p == name,
            }),
        }
    }
}

/// The request shows nobody who may watch anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not signed in")]
pub struct NotSignedIn;

impl Auth {
    /// The gate of a mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        match mode {
            Mode::None => Self::None,
        }
    }

    /// Whether anybody may watch without credentials: then the Host rule guards against DNS
    /// rebinding.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        match self {
            Self::None => true,
        }
    }

    /// The grant of a request.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub fn grant(&self, _headers: &HeaderMap) -> Result<Grant, NotSignedIn> {
        match self {
            Self::None => Ok(Grant {
                who: Arc::from("anonymous"),
                cameras: Cameras::All,
                expires: None,
                revoked: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cameras = Cameras::Matching(vec!["gate".to_owned(), "yard-*".to_owned()]);
        for (name, expected) in [
            ("gate", true),
            ("gate-2", false),
            ("yard-2", true),
            ("yard", false),
        ] {
            assert_eq!(cameras.contains(&name.parse().unwrap()), expected, "{name}");
        }
        assert!(Cameras::All.contains(&"x".parse().unwrap()));
    }
}
