//! What the operator chose.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::{Cameras, Limit};

/// All of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How viewers show who they are.
    pub verify: Verify,
    /// File of at least 32 bytes that signs sessions and share links, the same for all replicas.
    /// Without it sessions end with the process and only it knows them.
    pub session_key_file: Option<PathBuf>,
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// Failed attempts to sign in that are let through.
    pub attempts: Limit,
}

/// How viewers show who they are.
#[derive(Debug, Clone)]
pub enum Verify {
    /// Nobody is asked.
    None,
    /// Name and password.
    Password(PasswordSettings),
    /// A JSON Web Token (RFC 7519).
    Jwt(JwtSettings),
    /// Headers of a proxy that asked already.
    Proxy(ProxySettings),
}

/// Where the users are; at least one of them.
#[derive(Debug, Clone, Default)]
pub struct PasswordSettings {
    /// One user a line, `name:hash:cameras`.
    pub users_file: Option<PathBuf>,
    /// The plain password of the user `admin`, who may watch everything.
    pub admin_password_file: Option<PathBuf>,
}

/// What a token must be.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// PEM of a public key (RS256, ES256 or EdDSA by its kind), or a secret of at least 32 bytes
    /// (HS256).
    pub key_file: Option<PathBuf>,
    /// JSON Web Key Set (RFC 7517).
    pub jwks_url: Option<Url>,
    /// One of `aud` must be this.
    pub audience: Option<String>,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// Clocks may differ by so much.
    pub leeway: Duration,
    /// Claim with the camera patterns: an array, or a text with spaces between. Missing: none.
    pub cameras_claim: String,
}

/// Which headers say who it is.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Name of the user.
    pub user_header: HeaderName,
    /// Groups of the user, separated by commas.
    pub groups_header: HeaderName,
    /// What a group may watch. Empty: every user may watch everything.
    pub groups: Vec<(String, Cameras)>,
}
