//! The gate of all routes.

mod accounts;
mod signing;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanlight_ops::exit::ConfigProblem;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::accounts::Accounts;
use self::signing::Signing;
use self::tokens::Tokens;
use crate::jwks;
use crate::request::{Asked, SESSION_COOKIE};
use crate::share::{self, Share};
use crate::signed::Key;
use crate::{Attempts, Denied, Grant, How, MAX_SHARE, ProxySettings, Settings, Verify, proxy};

/// Time between looks at the files.
const POLL: Duration = Duration::from_secs(2);

/// Judges every request. Clones share one state.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    mode: Mode,
    /// Signs sessions and share links; without it there are no links.
    key: Option<Signing>,
    lifetime: Duration,
    attempts: Attempts,
}

enum Mode {
    None,
    Password(Box<Accounts>),
    Jwt(Box<Tokens>),
    Proxy(Box<ProxySettings>),
}

/// Somebody's session has begun.
#[derive(Clone)]
pub struct SignedIn {
    /// Who it is.
    pub who: Arc<str>,
    cookie: String,
    lifetime: Duration,
}

impl SignedIn {
    /// The value of `Set-Cookie` (RFC 6265). `secure` where the request came by https: then the
    /// cookie never goes another way.
    #[must_use]
    pub fn set_cookie(&self, secure: bool) -> String {
        set_cookie(&self.cookie, self.lifetime.as_secs(), secure)
    }
}

// The cookie is a credential.
impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

fn set_cookie(value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// Why nobody was signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// This mode has no passwords.
    #[error("there are no passwords here")]
    NoPasswords,
    /// No such user, or another password.
    #[error("this name and password do not fit together")]
    Wrong,
    /// Too many failures of late.
    #[error("too many attempts")]
    TooMany(Duration),
}

/// A share link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Path and query, `/cameras/gate?share=…`.
    pub path: String,
    /// When it ends, seconds since 1970.
    pub expires: u64,
}

/// Why there is no share link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not for everybody: a guest cannot share on, and without a key nobody can.
    #[error("you cannot make share links here")]
    NotAllowed,
    /// Not this camera.
    #[error("you may not watch this camera")]
    Camera,
    /// Longer than a week, or no time at all.
    #[error("a link can last from 1 s to 7 days")]
    Lifetime,
}

impl Gate {
    /// Reads all files.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn open(settings: Settings) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let password = matches!(settings.verify, Verify::Password(_));
        let file = settings.session_key_file.as_deref();
        let key = Signing::open(file, password, &mut problems);
        let mode = match settings.verify {
            Verify::None => Some(Mode::None),
            Verify::Password(files) => Accounts::open(&files, &mut problems)
                .map(Box::new)
                .map(Mode::Password),
            Verify::Jwt(settings) => Tokens::open(settings, &mut problems)
                .map(Box::new)
                .map(Mode::Jwt),
            Verify::Proxy(settings) => Some(Mode::Proxy(Box::new(settings))),
        };
        match mode {
            Some(mode) if problems.is_empty() => Ok(Self {
                inner: Arc::new(Inner {
                    mode,
                    key,
                    lifetime: settings.session_lifetime,
                    attempts: Attempts::new(settings.attempts),
                }),
            }),
            _ => Err(problems),
        }
    }

    /// Whether nobody is asked: then the Host rule guards against DNS rebinding.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.inner.mode, Mode::None)
    }

    /// Whether there is something to sign in with at the sign-in page.
    #[must_use]
    pub fn has_passwords(&self) -> bool {
        matches!(self.inner.mode, Mode::Password(_))
    }

    /// `none`, `password`, `jwt` or `proxy`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self.inner.mode {
            Mode::None => "none",
            Mode::Password(_) => "password",
            Mode::Jwt(_) => "jwt",
            Mode::Proxy(_) => "proxy",
        }
    }

    /// What the sender of a request may watch.
    ///
    /// # Errors
    /// [`Denied`]; all of them are 401.
    pub async fn grant(&self, asked: &Asked<'_>) -> Result<Grant, Denied> {
        if self.is_anonymous() {
            return Ok(Grant::anonymous());
        }
        match self.own_grant(asked).await {
            Ok(grant) => Ok(grant),
            Err(denied) => match asked.parameter("share") {
                Some(token) => self.shared_grant(&token),
                None => Err(denied),
            },
        }
    }

    async fn own_grant(&self, asked: &Asked<'_>) -> Result<Grant, Denied> {
        match &self.inner.mode {
            Mode::None => Ok(Grant::anonymous()),
            Mode::Password(accounts) => {
                let cookie = asked.cookie(SESSION_COOKIE).ok_or(Denied::NotSignedIn)?;
                accounts.grant(cookie, &self.signing_key()?)
            }
            Mode::Jwt(tokens) => {
                let token = asked.token().ok_or(Denied::NotSignedIn)?;
                tokens.grant(&token).await
            }
            Mode::Proxy(settings) => proxy::grant(settings, asked),
        }
    }

    fn shared_grant(&self, token: &str) -> Result<Grant, Denied> {
        let share = Share::open(token, &self.signing_key()?, SystemTime::now())?;
        match &self.inner.mode {
            Mode::Password(accounts) => accounts.shared(&share),
            _ => Ok(share.grant()),
        }
    }

    fn signing_key(&self) -> Result<Key, Denied> {
        let key = self.inner.key.as_ref().map(Signing::current);
        key.ok_or(Denied::Invalid("there is no key for links"))
    }

    /// Judges a name and a password; takes as long for a name that does not exist.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn sign_in(
        &self,
        address: IpAddr,
        name: &str,
        password: String,
    ) -> Result<SignedIn, SignInError> {
        let Mode::Password(accounts) = &self.inner.mode else {
            return Err(SignInError::NoPasswords);
        };
        let inner = &self.inner;
        inner
            .attempts
            .begin(address, name)
            .map_err(SignInError::TooMany)?;
        let user = accounts
            .verify(name, password)
            .await
            .ok_or(SignInError::Wrong)?;
        inner.attempts.forgive(address, name);
        let key = self.signing_key().map_err(|_| SignInError::Wrong)?;
        let cookie = accounts
            .begin(name, &user, &key, inner.lifetime)
            .ok_or(SignInError::Wrong)?;
        Ok(SignedIn {
            who: Arc::from(name),
            cookie,
            lifetime: inner.lifetime,
        })
    }

    /// Ends the session of a request's cookie in this process: its viewers are closed with 4403.
    /// Returns who it was.
    pub fn sign_out(&self, asked: &Asked<'_>) -> Option<Arc<str>> {
        let Mode::Password(accounts) = &self.inner.mode else {
            return None;
        };
        accounts.end(asked.cookie(SESSION_COOKIE)?, &self.signing_key().ok()?)
    }

    /// The value of `Set-Cookie` that forgets a session.
    #[must_use]
    pub fn forget_cookie(secure: bool) -> String {
        set_cookie("", 0, secure)
    }

    /// Whether this grant may make share links.
    #[must_use]
    pub fn can_share(&self, grant: &Grant) -> bool {
        self.inner.key.is_some() && !matches!(grant.how, How::Anonymous | How::Share)
    }

    /// A link to one camera for somebody without an account.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn share(
        &self,
        grant: &Grant,
        camera: &str,
        lifetime: Duration,
    ) -> Result<Shared, ShareError> {
        if !self.can_share(grant) {
            return Err(ShareError::NotAllowed);
        }
        if !grant.cameras.contains(camera) {
            return Err(ShareError::Camera);
        }
        if lifetime.as_secs() == 0 || lifetime > MAX_SHARE {
            return Err(ShareError::Lifetime);
        }
        let now = SystemTime::now();
        // A link does not outlive the right it was made with.
        let left = grant.expires.filter(|_| grant.how == How::Token);
        let left = left.map_or(lifetime, |end| end.duration_since(now).unwrap_or_default());
        let share = Share::new(camera, &grant.who, now, lifetime.min(left));
        let key = self.signing_key().map_err(|_| ShareError::NotAllowed)?;
        let token = share.sign(&key).ok_or(ShareError::NotAllowed)?;
        Ok(Shared {
            path: share::path(camera, &token),
            expires: share.expires(),
        })
    }

    /// Looks at the files every two seconds and at the key set every ten minutes, until `end`.
    pub async fn run(&self, end: CancellationToken) {
        let mut fetch_at = Instant::now();
        loop {
            if Instant::now() >= fetch_at {
                fetch_at = Instant::now() + self.fetch().await;
            }
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(POLL) => self.reread(),
            }
        }
    }

    /// Time to the next fetch.
    async fn fetch(&self) -> Duration {
        let Mode::Jwt(tokens) = &self.inner.mode else {
            return jwks::PERIOD;
        };
        let Some(set) = &tokens.set else {
            return jwks::PERIOD;
        };
        match set.refresh().await {
            Ok(keys) => {
                tracing::debug!(keys, "key set read");
                jwks::PERIOD
            }
            Err(error) => {
                tracing::warn!(%error, "the key set could not be read; the old keys stay");
                jwks::RETRY
            }
        }
    }

    /// Takes in files that changed. One that cannot be used is told and the old one stays.
    pub fn reread(&self) {
        let new_key = self.inner.key.as_ref().is_some_and(Signing::reread);
        match &self.inner.mode {
            Mode::None | Mode::Proxy(_) => {}
            Mode::Password(accounts) => accounts.reread(new_key),
            Mode::Jwt(tokens) => tokens.reread(),
        }
    }
}

/// Open to everybody.
impl Default for Gate {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                mode: Mode::None,
                key: None,
                lifetime: Duration::ZERO,
                attempts: Attempts::new(crate::Limit::default()),
            }),
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
