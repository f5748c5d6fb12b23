//! Who may watch: the options of [`fanlight_auth`], checked.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::http::HeaderName;
use fanlight_auth::{
    Cameras, Gate, Grant, JwtSettings, Limit, PasswordSettings, ProxySettings, Settings, Verify,
};
use fanlight_ops::exit::ConfigProblem;
use tokio::time::Instant;
use url::{Host, Url};

/// How viewers show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Everybody may watch everything
    None,
    /// Name and password, on a sign-in page
    Password,
    /// A JSON Web Token of somebody else's
    Jwt,
    /// A proxy in front asks, and tells who it is
    Proxy,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Jwt => "jwt",
            Self::Proxy => "proxy",
        }
    }
}

/// Options of `--auth`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Who may watch")]
pub struct AuthArgs {
    /// How viewers show who they are
    #[arg(
        long,
        env = "FANLIGHT_AUTH",
        default_value = "none",
        value_name = "MODE"
    )]
    pub auth: Option<Mode>,

    /// Users, one `NAME:HASH:CAMERAS` a line; `fanlight-edge hash-password` prints such lines
    #[arg(long, env = "FANLIGHT_USERS_FILE", value_name = "FILE")]
    pub users_file: Option<PathBuf>,

    /// Password of the user `admin`, who may watch every camera
    #[arg(long, env = "FANLIGHT_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,

    /// At least 32 bytes that sign sessions and share links, the same for all replicas
    #[arg(long, env = "FANLIGHT_SESSION_KEY_FILE", value_name = "FILE")]
    pub session_key_file: Option<PathBuf>,

    /// Hours after which a viewer has to sign in again
    #[arg(
        long,
        env = "FANLIGHT_SESSION_HOURS",
        default_value = "12",
        value_name = "HOURS"
    )]
    pub session_hours: Option<f64>,

    /// Public key of tokens as PEM (RS256, ES256, EdDSA), or a secret of at least 32 bytes (HS256)
    #[arg(long, env = "FANLIGHT_JWT_KEY_FILE", value_name = "FILE")]
    pub jwt_key_file: Option<PathBuf>,

    /// JSON Web Key Set with the public keys of tokens
    #[arg(
        long,
        env = "FANLIGHT_JWT_JWKS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub jwt_jwks_url: Option<String>,

    /// Audience (`aud`) that tokens must name
    #[arg(long, env = "FANLIGHT_JWT_AUDIENCE", value_name = "NAME")]
    pub jwt_audience: Option<String>,

    /// Issuer (`iss`) that tokens must name
    #[arg(long, env = "FANLIGHT_JWT_ISSUER", value_name = "NAME")]
    pub jwt_issuer: Option<String>,

    /// Seconds by which clocks may differ
    #[arg(
        long,
        env = "FANLIGHT_JWT_LEEWAY",
        default_value = "30",
        value_name = "SECONDS"
    )]
    pub jwt_leeway: Option<u32>,

    /// Claim with the cameras of a token: an array or a text of ids, `yard-*` or `*`
    #[arg(
        long,
        env = "FANLIGHT_JWT_CAMERAS_CLAIM",
        default_value = "cameras",
        value_name = "CLAIM"
    )]
    pub jwt_cameras_claim: Option<String>,

    /// Header in which the proxy names the user
    #[arg(
        long,
        env = "FANLIGHT_PROXY_USER_HEADER",
        default_value = "X-Forwarded-User",
        value_name = "HEADER"
    )]
    pub proxy_user_header: Option<String>,

    /// Header in which the proxy names the user's groups, with commas between
    #[arg(
        long,
        env = "FANLIGHT_PROXY_GROUPS_HEADER",
        default_value = "X-Forwarded-Groups",
        value_name = "HEADER"
    )]
    pub proxy_groups_header: Option<String>,

    /// Cameras of a group, for example `guards=gate,yard-*`; repeat or separate with spaces. Without any, every user may watch all
    #[arg(
        long,
        env = "FANLIGHT_PROXY_GROUP_CAMERAS",
        value_delimiter = ' ',
        value_name = "GROUP=CAMERAS"
    )]
    pub proxy_group_cameras: Vec<String>,
}

/// The moment a grant ends; far-off ends are cut to ten years, which no viewer sees.
#[must_use]
pub fn deadline(grant: &Grant) -> Option<Instant> {
    let left = grant.expires?.duration_since(SystemTime::now());
    let most = Duration::from_secs(10 * 365 * 24 * 3600);
    Some(Instant::now() + left.unwrap_or_default().min(most))
}

impl AuthArgs {
    /// The chosen mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.auth.unwrap_or(Mode::None)
    }

    /// Reads the files and opens the gate. `None` when there are problems, which are added.
    pub fn open(&self, proxies: bool, problems: &mut Vec<ConfigProblem>) -> Option<Gate> {
        let before = problems.len();
        self.misplaced(problems);
        let verify = match self.mode() {
            Mode::None => Verify::None,
            Mode::Password => Verify::Password(PasswordSettings {
                users_file: self.users_file.clone(),
                admin_password_file: self.admin_password_file.clone(),
            }),
            Mode::Jwt => Verify::Jwt(self.jwt(problems)),
            Mode::Proxy => Verify::Proxy(self.proxy(proxies, problems)),
        };
        let hours = self.session_hours.unwrap_or(12.0);
        if !(0.0001..=8760.0).contains(&hours) {
            let remedy = "write hours from 0.0001 to 8760";
            problems.push(ConfigProblem::new(
                "--session-hours",
                format!("`{hours}`"),
                remedy,
            ));
        }
        let gate = Gate::open(Settings {
            verify,
            session_key_file: self.session_key_file.clone(),
            session_lifetime: Duration::try_from_secs_f64(hours * 3600.0).unwrap_or_default(),
            attempts: Limit::default(),
        });
        let gate = gate.map_err(|found| problems.extend(found)).ok();
        gate.filter(|_| problems.len() == before)
    }

    /// Options of another mode are a mistake that may leave a door open.
    fn misplaced(&self, problems: &mut Vec<ConfigProblem>) {
        let mode = self.mode();
        for (flag, given, of) in [
            ("--users-file", self.users_file.is_some(), Mode::Password),
            (
                "--admin-password-file",
                self.admin_password_file.is_some(),
                Mode::Password,
            ),
            ("--jwt-key-file", self.jwt_key_file.is_some(), Mode::Jwt),
            ("--jwt-jwks-url", self.jwt_jwks_url.is_some(), Mode::Jwt),
            ("--jwt-audience", self.jwt_audience.is_some(), Mode::Jwt),
            ("--jwt-issuer", self.jwt_issuer.is_some(), Mode::Jwt),
            (
                "--proxy-group-cameras",
                !self.proxy_group_cameras.is_empty(),
                Mode::Proxy,
            ),
        ] {
            if given && mode != of {
                let (is, of) = (mode.name(), of.name());
                problems.push(ConfigProblem::new(
                    flag,
                    format!("it has no effect with --auth {is}"),
                    format!("give --auth {of}, or leave it out"),
                ));
            }
        }
    }

    fn jwt(&self, problems: &mut Vec<ConfigProblem>) -> JwtSettings {
        if self.jwt_key_file.is_none() && self.jwt_jwks_url.is_none() {
            problems.push(ConfigProblem::new(
                "--auth jwt",
                "there is no key to judge tokens by",
                "give --jwt-key-file or --jwt-jwks-url",
            ));
        }
        let url = self.jwt_jwks_url.as_deref().map(|text| {
            // whoever can change the answer can make tokens
            text.parse().ok().filter(|url: &Url| match url.scheme() {
                "https" => true,
                "http" => is_loopback(url),
                _ => false,
            })
        });
        if matches!(url, Some(None)) {
            problems.push(ConfigProblem::new(
                "--jwt-jwks-url",
                "it is no https URL",
                "write for example https://id.example.org/keys; http is for 127.0.0.1 alone",
            ));
        }
        JwtSettings {
            key_file: self.jwt_key_file.clone(),
            jwks_url: url.flatten(),
            audience: self.jwt_audience.clone(),
            issuer: self.jwt_issuer.clone(),
            leeway: Duration::from_secs(self.jwt_leeway.unwrap_or(30).into()),
            cameras_claim: self
                .jwt_cameras_claim
                .clone()
                .unwrap_or_else(|| "cameras".to_owned()),
        }
    }

    fn proxy(&self, proxies: bool, problems: &mut Vec<ConfigProblem>) -> ProxySettings {
        if !proxies {
            problems.push(ConfigProblem::new(
                "--auth proxy",
                "no proxy is trusted, so nobody could watch",
                "name the proxy's address or network with --trusted-proxies",
            ));
        }
        let mut header = |flag: &str, given: &Option<String>, default: &'static str| {
            let name = given.as_deref().unwrap_or(default);
            name.parse().unwrap_or_else(|_| {
                let given = format!("`{}`", name.escape_debug());
                let remedy = format!("write the name of a header, for example {default}");
                problems.push(ConfigProblem::new(flag, given, remedy));
                HeaderName::from_static("x-forwarded-user")
            })
        };
        let user = header(
            "--proxy-user-header",
            &self.proxy_user_header,
            "X-Forwarded-User",
        );
        let groups_header = header(
            "--proxy-groups-header",
            &self.proxy_groups_header,
            "X-Forwarded-Groups",
        );
        let mut groups = Vec::new();
        for text in &self.proxy_group_cameras {
            let parsed = text.split_once('=').and_then(|(group, cameras)| {
                let cameras = Cameras::from_patterns(cameras.split(',')).ok()?;
                (!group.is_empty()).then(|| (group.to_owned(), cameras))
            });
            match parsed {
                Some(group) => groups.push(group),
                None => problems.push(ConfigProblem::new(
                    "--proxy-group-cameras",
                    format!("`{}`", text.escape_debug()),
                    "write GROUP=CAMERAS, for example `guards=gate,yard-*`",
                )),
            }
        }
        ProxySettings {
            user_header: user,
            groups_header,
            groups,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
