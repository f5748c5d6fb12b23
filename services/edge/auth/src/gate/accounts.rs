//! Users with passwords and their sessions. A session is its cookie; what is kept here is only
//! what ends it early.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use fanlight_ops::exit::ConfigProblem;
use tokio::sync::{Semaphore, watch};

use crate::files::{Watched, newer};
use crate::session::Session;
use crate::share::Share;
use crate::signed::Key;
use crate::users::{self, User, Users};
use crate::{Cameras, Denied, Grant, How, PasswordSettings, clock, passwords};

const USERS: &str = "--users-file";
const ADMIN: &str = "--admin-password-file";

/// Name of the user of `--admin-password-file`.
const ADMIN_NAME: &str = "admin";

/// Hashes computed at once: each takes 19 MiB and some 20 ms of a core.
const AT_ONCE: usize = 2;

/// Sessions and share links with viewers that may have to be told; those without are forgotten
/// beyond this.
const MAX_LIVE: usize = 4096;

pub(super) struct Accounts {
    users_file: Option<Mutex<Watched>>,
    admin_file: Option<Mutex<Watched>>,
    users: RwLock<Users>,
    live: Mutex<HashMap<String, Live>>,
    /// Sessions that were signed out, until they would have ended anyway.
    ended: Mutex<HashMap<String, u64>>,
    hashing: Semaphore,
}

/// A session or share link that was granted something.
struct Live {
    user: String,
    revoke: watch::Sender<bool>,
}

impl Accounts {
    pub(super) fn open(
        settings: &PasswordSettings,
        problems: &mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        let before = problems.len();
        let mut open = |flag, path: &Option<std::path::PathBuf>| {
            let path: &Path = path.as_deref()?;
            let file = Watched::open(flag, path);
            file.map_err(|problem| problems.push(problem)).ok()
        };
        let users_file = open(USERS, &settings.users_file);
        let admin_file = open(ADMIN, &settings.admin_password_file);
        if settings.users_file.is_none() && settings.admin_password_file.is_none() {
            problems.push(ConfigProblem::new(
                "--auth password",
                "there are no users",
                "name a file with --users-file or --admin-password-file",
            ));
        }
        let users = all_users(users_file.as_ref(), admin_file.as_ref());
        let users = users.map_err(|found| problems.extend(found)).ok()?;
        (problems.len() == before).then(|| Self {
            users_file: users_file.map(Mutex::new),
            admin_file: admin_file.map(Mutex::new),
            users: RwLock::new(users),
            live: Mutex::default(),
            ended: Mutex::default(),
            hashing: Semaphore::new(AT_ONCE),
        })
    }

    fn user(&self, name: &str) -> Option<User> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(name).cloned()
    }

    /// The user, if the password is theirs.
    pub(super) async fn verify(&self, name: &str, password: String) -> Option<User> {
        let user = self.user(name);
        let hash = user.as_ref().map(|user| user.hash.clone());
        let _turn = self.hashing.acquire().await.ok()?;
        let judged =
            tokio::task::spawn_blocking(move || passwords::verify(&password, hash.as_deref()));
        judged.await.unwrap_or(false).then_some(user).flatten()
    }

    /// The cookie of a new session.
    pub(super) fn begin(
        &self,
        name: &str,
        user: &User,
        key: &Key,
        lifetime: Duration,
    ) -> Option<String> {
        Session::new(name, &user.print(key), SystemTime::now(), lifetime).sign(key)
    }

    pub(super) fn grant(&self, cookie: &str, key: &Key) -> Result<Grant, Denied> {
        let session = Session::open(cookie, key, SystemTime::now())?;
        if lock(&self.ended).contains_key(&session.id) {
            return Err(Denied::Invalid("signed out"));
        }
        let user = self
            .user(&session.user)
            .ok_or(Denied::Invalid("no such user any more"))?;
        if session.pw != user.print(key) {
            return Err(Denied::Invalid("the password has changed"));
        }
        Ok(Grant {
            who: Arc::from(session.user.as_str()),
            how: How::Password,
            cameras: user.cameras,
            expires: Some(clock::time(session.exp)),
            revoked: Some(self.watch(&session.id, &session.user)),
        })
    }

    /// A share link is good as long as its maker may watch the camera.
    pub(super) fn shared(&self, share: &Share) -> Result<Grant, Denied> {
        let mut grant = share.grant();
        if share.by() != crate::share::OPERATOR {
            let maker = self.user(share.by());
            let maker = maker.ok_or(Denied::Invalid("whoever shared this is gone"))?;
            if !maker.cameras.contains(share.camera()) {
                return Err(Denied::Invalid(
                    "whoever shared this may not watch it any more",
                ));
            }
            let id = format!(
                "share {} {} {}",
                share.by(),
                share.camera(),
                share.expires()
            );
            grant.revoked = Some(self.watch(&id, share.by()));
        }
        Ok(grant)
    }

    fn watch(&self, id: &str, user: &str) -> watch::Receiver<bool> {
        let mut live = lock(&self.live);
        if live.len() >= MAX_LIVE {
            live.retain(|_, one| one.revoke.receiver_count() > 0);
        }
        let one = live.entry(id.to_owned()).or_insert_with(|| Live {
            user: user.to_owned(),
            revoke: watch::Sender::new(false),
        });
        one.revoke.subscribe()
    }

    /// Ends a session; returns whose it was.
    pub(super) fn end(&self, cookie: &str, key: &Key) -> Option<Arc<str>> {
        let now = SystemTime::now();
        let session = Session::open(cookie, key, now).ok()?;
        if let Some(one) = lock(&self.live).remove(&session.id) {
            one.revoke.send_replace(true);
        }
        let mut ended = lock(&self.ended);
        ended.retain(|_, exp| *exp > clock::seconds(now));
        ended.insert(session.id, session.exp);
        Some(Arc::from(session.user))
    }

    /// Takes in changed files. Sessions of users who are gone, have another password or other
    /// cameras end; with a new key all of them do.
    pub(super) fn reread(&self, new_key: bool) {
        let mut changed = false;
        for (file, flag) in [(&self.users_file, USERS), (&self.admin_file, ADMIN)] {
            let Some(file) = file else { continue };
            let mut file = lock(file);
            if let Some(newer) = newer(&file, flag) {
                *file = newer;
                changed = true;
            }
        }
        if changed {
            let read = |file: &Option<Mutex<Watched>>| file.as_ref().map(|file| lock(file).clone());
            let (users, admin) = (read(&self.users_file), read(&self.admin_file));
            match all_users(users.as_ref(), admin.as_ref()) {
                Ok(users) => self.replace(users),
                Err(problems) => {
                    for problem in problems {
                        tracing::error!(%problem, "the users stay as they were");
                    }
                }
            }
        }
        if new_key {
            self.revoke(|_| true);
        }
    }

    fn replace(&self, users: Users) {
        tracing::info!(users = users.len(), "the users have changed");
        let mut current = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, users);
        self.revoke(|name| match (old.get(name), current.get(name)) {
            (Some(old), Some(new)) => {
                old.origin != new.origin
                    || (old.cameras != new.cameras && new.cameras != Cameras::All)
            }
            _ => true,
        });
    }

    fn revoke(&self, of: impl Fn(&str) -> bool) {
        lock(&self.live).retain(|_, one| {
            let revoked = of(&one.user);
            if revoked {
                one.revoke.send_replace(true);
            }
            !revoked
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The users of both files.
fn all_users(
    users_file: Option<&Watched>,
    admin_file: Option<&Watched>,
) -> Result<Users, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let users = users_file.map_or(Ok(Users::new()), |file| users::parse(file.text()));
    let mut users = users.unwrap_or_else(|found| {
        problems.extend(found);
        Users::new()
    });
    if let Some(file) = admin_file {
        let password = file.text().trim_end_matches(['\r', '\n']);
        fanlight_ops::secret::register(password);
        match passwords::hash_password(password) {
            Err(error) => problems.push(ConfigProblem::new(
                ADMIN,
                error.to_string(),
                "write the password into the file, for example with: openssl rand -base64 18",
            )),
            Ok(hash) => {
                let admin = User {
                    hash,
                    origin: password.to_owned(),
                    cameras: Cameras::All,
                };
                if users.insert(ADMIN_NAME.to_owned(), admin).is_some() {
                    problems.push(ConfigProblem::new(
                        USERS,
                        "it has a user `admin`, who is the one of --admin-password-file",
                        "give one of them another name, or leave one of the flags out",
                    ));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(users)
    } else {
        Err(problems)
    }
}
