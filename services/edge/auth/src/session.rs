//! The session cookie: who signed in, until when, and with which password.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::Denied;
use crate::clock;
use crate::signed::Key;

const PURPOSE: &str = "session";

/// What the cookie says. It is signed, not secret: it holds nothing that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// Seconds since 1970.
    pub(crate) exp: u64,
    /// [`User::print`](crate::users::User::print): another password ends the session.
    pub(crate) pw: String,
    pub(crate) id: String,
}

impl Session {
    pub(crate) fn new(user: &str, print: &str, now: SystemTime, lifetime: Duration) -> Self {
        Self {
            user: user.to_owned(),
            exp: clock::seconds(now) + lifetime.as_secs(),
            pw: print.to_owned(),
            id: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>()),
        }
    }

    pub(crate) fn sign(&self, key: &Key) -> Option<String> {
        key.sign(PURPOSE, self)
    }

    pub(crate) fn open(text: &str, key: &Key, now: SystemTime) -> Result<Self, Denied> {
        let session: Self = key
            .open(PURPOSE, text)
            .ok_or(Denied::Invalid("bad session cookie"))?;
        if session.exp <= clock::seconds(now) {
            return Err(Denied::Expired);
        }
        Ok(session)
    }
}
