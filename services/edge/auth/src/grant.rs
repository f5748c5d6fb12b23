//! The answer to a request: a grant, or why there is none.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::Cameras;

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nobody is asked.
    Anonymous,
    /// The cookie of a session that began with a password.
    Password,
    /// A JSON Web Token.
    Token,
    /// Headers of a trusted proxy.
    Proxy,
    /// A share link.
    Share,
}

impl How {
    /// For the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Password => "password",
            Self::Token => "token",
            Self::Proxy => "proxy",
            Self::Share => "share",
        }
    }
}

/// What somebody may watch, and until when.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who it is, for the log and for limits by user. Never a credential.
    pub who: Arc<str>,
    /// How they showed it.
    pub how: How,
    /// Which cameras.
    pub cameras: Cameras,
    /// Viewers are closed with 4401 then.
    pub expires: Option<SystemTime>,
    /// Viewers are closed with 4403 when it becomes `true`.
    pub revoked: Option<watch::Receiver<bool>>,
}

impl Grant {
    /// Everything, for everybody.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            who: Arc::from("anonymous"),
            how: How::Anonymous,
            cameras: Cameras::All,
            expires: None,
            revoked: None,
        }
    }
}

/// The request shows nobody who may watch anything. To the client all of these are the same; the
/// audit log says which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credential at all.
    #[error("not signed in")]
    NotSignedIn,
    /// A credential that was good once.
    #[error("expired")]
    Expired,
    /// A credential that is not good; the reason.
    #[error("{0}")]
    Invalid(&'static str),
}
