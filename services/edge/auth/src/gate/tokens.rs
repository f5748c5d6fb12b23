//! The keys that JSON Web Tokens are judged by: a file, a set by URL, or both.

use std::sync::{Mutex, PoisonError, RwLock};

use fanlight_ops::exit::ConfigProblem;

use crate::files::{Watched, newer};
use crate::jwks::Jwks;
use crate::jwt::{MAX_TOKEN, VerifyKey};
use crate::{Denied, Grant, JwtSettings};

const FLAG: &str = "--jwt-key-file";

/// Where the keys for tokens are.
pub(super) struct Tokens {
    settings: JwtSettings,
    file: Option<Mutex<Watched>>,
    key: RwLock<Option<VerifyKey>>,
    pub(super) set: Option<Jwks>,
}

impl Tokens {
    pub(super) fn open(settings: JwtSettings, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let before = problems.len();
        let mut file = None;
        let mut key = None;
        if let Some(path) = &settings.key_file {
            match Watched::open(FLAG, path) {
                Ok(read) => {
                    match VerifyKey::from_text(read.text()) {
                        Ok(made) => key = Some(made),
                        Err((what, remedy)) => {
                            problems.push(ConfigProblem::new(FLAG, what, remedy))
                        }
                    }
                    file = Some(read.into());
                }
                Err(problem) => problems.push(problem),
            }
        }
        let set = settings.jwks_url.clone().map(Jwks::new).transpose();
        let set = set.map_err(|what| {
            let remedy = "give the https URL of a JSON Web Key Set";
            problems.push(ConfigProblem::new("--jwt-jwks-url", what, remedy));
        });
        (problems.len() == before).then_some(Self {
            settings,
            file,
            key: key.into(),
            set: set.ok().flatten(),
        })
    }

    pub(super) async fn grant(&self, token: &str) -> Result<Grant, Denied> {
        if token.len() > MAX_TOKEN {
            return Err(Denied::Invalid("the token is too long"));
        }
        let key = self
            .key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match (key, &self.set) {
            (Some(key), None) => key.grant(token, &self.settings),
            (Some(key), Some(set)) => match key.grant(token, &self.settings) {
                Ok(grant) => Ok(grant),
                Err(_) => set.grant(token, &self.settings).await,
            },
            (None, Some(set)) => set.grant(token, &self.settings).await,
            (None, None) => Err(Denied::Invalid("there is no key for tokens")),
        }
    }

    pub(super) fn reread(&self) {
        let Some(file) = &self.file else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(newer) = newer(&file, FLAG) else {
            return;
        };
        let made = VerifyKey::from_text(newer.text());
        *file = newer;
        match made {
            Ok(key) => {
                *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
                tracing::info!("the key for tokens has changed");
            }
            Err((what, _)) => {
                tracing::error!(key = FLAG, "{what}; the old key stays");
            }
        }
    }
}
