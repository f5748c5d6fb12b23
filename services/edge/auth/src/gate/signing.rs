//! The key of sessions and share links, from a file that may change.

use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use fanlight_ops::exit::ConfigProblem;

use crate::files::{Watched, newer};
use crate::keys;
use crate::signed::Key;

const FLAG: &str = "--session-key-file";

/// The key of sessions and share links.
pub(super) struct Signing {
    key: RwLock<Key>,
    file: Option<Mutex<Watched>>,
}

impl Signing {
    /// The key of `--session-key-file`; where `needed`, a random one without it.
    pub(super) fn open(
        path: Option<&Path>,
        needed: bool,
        problems: &mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        let Some(path) = path else {
            return needed.then(|| Self {
                key: keys::random().into(),
                file: None,
            });
        };
        let made = Watched::open(FLAG, path).and_then(|file| {
            let key = signing_key(&file).ok_or_else(|| {
                let remedy = "make one with: openssl rand -base64 48";
                ConfigProblem::new(FLAG, keys::TOO_SHORT, remedy)
            })?;
            Ok(Self {
                key: key.into(),
                file: Some(file.into()),
            })
        });
        made.map_err(|problem| problems.push(problem)).ok()
    }

    pub(super) fn current(&self) -> Key {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether there is a new key.
    pub(super) fn reread(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(newer) = newer(&file, FLAG) else {
            return false;
        };
        let key = signing_key(&newer);
        *file = newer;
        let Some(key) = key else {
            tracing::error!(key = FLAG, "{}; the old key stays", keys::TOO_SHORT);
            return false;
        };
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        tracing::info!("the session key has changed: everybody signs in again");
        true
    }
}

fn signing_key(file: &Watched) -> Option<Key> {
    let secret = file.text().trim_end_matches(['\r', '\n']);
    let key = keys::signing(secret.as_bytes())?;
    fanlight_ops::secret::register(secret);
    Some(key)
}
