//! JSON Web Key Sets (RFC 7517) by URL: fetched at the start and every ten minutes, and once more
//! when a token names a key that is not known, but not more than once a minute for that.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::decode_header;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::jwt::VerifyKey;
use crate::{Denied, Grant, JwtSettings};

/// Time between fetches.
pub(crate) const PERIOD: Duration = Duration::from_secs(600);

/// Time between fetches for unknown keys: a flood of bad tokens is not passed on.
const UNKNOWN_PERIOD: Duration = Duration::from_secs(60);

/// Time to the next fetch after one that failed.
pub(crate) const RETRY: Duration = Duration::from_secs(15);

/// Time for one fetch.
const LIMIT: Duration = Duration::from_secs(5);

/// Largest set.
const MAX_BYTES: usize = 256 << 10;

/// The keys of a set.
pub(crate) struct Jwks {
    url: Url,
    client: reqwest::Client,
    keys: RwLock<Vec<VerifyKey>>,
    /// When the set was last asked for because of an unknown key.
    asked: Mutex<Option<Instant>>,
}

/// Why there is no new set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0}")]
    Http(String),
    #[error("status {0}")]
    Status(u16),
    #[error("larger than 256 KiB")]
    TooLarge,
    #[error("not a key set")]
    Format,
    #[error("holds no key that can be used (RSA, P-256 or Ed25519, for signatures)")]
    Empty,
}

impl Jwks {
    pub(crate) fn new(url: Url) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            url,
            client: client.map_err(without_url)?,
            keys: RwLock::default(),
            asked: Mutex::default(),
        })
    }

    /// Fetches the set; the old one stays when that fails.
    pub(crate) async fn refresh(&self) -> Result<usize, FetchError> {
        let failed = |error| FetchError::Http(without_url(error));
        let mut answer = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .map_err(failed)?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
        }
        let set: JwkSet = serde_json::from_slice(&body).map_err(|_| FetchError::Format)?;
        let keys: Vec<_> = set.keys.iter().filter_map(VerifyKey::from_jwk).collect();
        if keys.is_empty() {
            return Err(FetchError::Empty);
        }
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(count)
    }

    /// The grant of a token, after asking for the set anew if its key is not known.
    pub(crate) async fn grant(&self, token: &str, settings: &JwtSettings) -> Result<Grant, Denied> {
        match self.judge(token, settings) {
            None => {
                self.ask_for_unknown().await;
                self.judge(token, settings)
                    .unwrap_or(Err(Denied::Invalid("signed with an unknown key")))
            }
            Some(answer) => answer,
        }
    }

    /// `None` when no key fits the token's key id.
    fn judge(&self, token: &str, settings: &JwtSettings) -> Option<Result<Grant, Denied>> {
        let Ok(header) = decode_header(token) else {
            return Some(Err(Denied::Invalid("not a token")));
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let fitting = keys
            .iter()
            .filter(|key| header.kid.is_none() || key.id == header.kid);
        let mut last = None;
        for key in fitting {
            match key.grant(token, settings) {
                Ok(grant) => return Some(Ok(grant)),
                Err(denied) => last = Some(Err(denied)),
            }
        }
        last
    }

    async fn ask_for_unknown(&self) {
        // Those who come meanwhile wait for this one fetch.
        let mut asked = self.asked.lock().await;
        let now = Instant::now();
        if asked.is_some_and(|at| now < at + UNKNOWN_PERIOD) {
            return;
        }
        *asked = Some(now);
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the key set could not be read; the old keys stay");
        }
    }
}

/// The URL may hold a credential.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
