//! Share links: one camera, for a while, for whoever has the link.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanlight_ops::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::signed::Key;
use crate::{Cameras, Denied, Grant, How, clock, keys};

/// Longest life of a link.
pub const MAX_SHARE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who made a link on the command line: whoever has the key.
pub(crate) const OPERATOR: &str = "(operator)";

const PURPOSE: &str = "share";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    camera: String,
    /// Seconds since 1970.
    exp: u64,
    /// Who made it.
    by: String,
}

impl Share {
    pub(crate) fn new(camera: &str, by: &str, now: SystemTime, lifetime: Duration) -> Self {
        Self {
            camera: camera.to_owned(),
            exp: clock::seconds(now) + lifetime.min(MAX_SHARE).as_secs(),
            by: by.to_owned(),
        }
    }

    pub(crate) fn camera(&self) -> &str {
        &self.camera
    }

    pub(crate) fn by(&self) -> &str {
        &self.by
    }

    pub(crate) fn expires(&self) -> u64 {
        self.exp
    }

    pub(crate) fn sign(&self, key: &Key) -> Option<String> {
        key.sign(PURPOSE, self)
    }

    pub(crate) fn open(text: &str, key: &Key, now: SystemTime) -> Result<Self, Denied> {
        let share: Self = key
            .open(PURPOSE, text)
            .ok_or(Denied::Invalid("bad share link"))?;
        if share.exp <= clock::seconds(now) {
            return Err(Denied::Expired);
        }
        Ok(share)
    }

    pub(crate) fn grant(&self) -> Grant {
        Grant {
            who: Arc::from(format!("share by {}", self.by)),
            how: How::Share,
            cameras: Cameras::one(&self.camera),
            expires: Some(clock::time(self.exp)),
            revoked: None,
        }
    }
}

/// The path and query of a share link, `/cameras/gate?share=…`, made outside of a running edge.
///
/// # Errors
/// A sentence when the key is too short.
pub fn make_link(key: &Secret, camera: &str, lifetime: Duration) -> Result<String, &'static str> {
    let key = keys::signing(key.expose().as_bytes()).ok_or(keys::TOO_SHORT)?;
    let share = Share::new(camera, OPERATOR, SystemTime::now(), lifetime);
    let token = share.sign(&key).ok_or("the link cannot be signed")?;
    Ok(path(camera, &token))
}

pub(crate) fn path(camera: &str, token: &str) -> String {
    format!("/cameras/{camera}?share={token}")
}
