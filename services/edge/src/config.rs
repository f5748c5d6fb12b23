//! The edge's options. Everything is checked before anything starts, and every problem is told
//! at once.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderValue;
use fanlight_auth::Gate;
use fanlight_bus::CameraId;
use fanlight_ops::exit::{ConfigError, ConfigProblem};

use crate::admission::Limits;
use crate::auth::{AuthArgs, Mode};
use crate::http::client::Network;
use crate::http::tls::{TlsArgs, TlsConfig};
use crate::origin::AllowOrigin;

/// Largest `--gop-cache`.
const MAX_GOP_CACHE: u64 = 1 << 30;

/// What differs between the programs that hold an edge.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Of `--listen`.
    pub listen: SocketAddr,
    /// Of `--drain-delay`, seconds.
    pub drain_delay: f64,
    /// Of `--drain-seconds`.
    pub drain_seconds: f64,
}

impl Defaults {
    /// A replica behind a load balancer.
    #[must_use]
    pub fn edge() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8103)),
            drain_delay: 5.0,
            drain_seconds: 30.0,
        }
    }

    /// A program on somebody's desk: only for them, and gone at once.
    #[must_use]
    pub fn standalone() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8103)),
            drain_delay: 0.0,
            drain_seconds: 0.0,
        }
    }
}

/// Options of the edge.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Viewers")]
pub struct EdgeArgs {
    /// Address of the public listener: page, API and streams
    #[arg(long, env = "FANLIGHT_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Cameras that are known before they announce themselves; repeat or separate with commas
    #[arg(
        long,
        env = "FANLIGHT_CAMERAS",
        value_delimiter = ',',
        value_name = "CAMERA"
    )]
    pub cameras: Vec<String>,

    /// Camera that a WebSocket at `/` gets; without it the only camera there is
    #[arg(long, env = "FANLIGHT_DEFAULT_CAMERA", value_name = "CAMERA")]
    pub default_camera: Option<String>,

    /// Let everybody who reaches the listener watch, also from other machines
    #[arg(long, env = "FANLIGHT_ALLOW_ANONYMOUS")]
    pub allow_anonymous: bool,

    /// Origin whose pages may watch here: https://example.org, null (pages opened from disk), or *; repeat or separate with commas
    #[arg(
        long,
        env = "FANLIGHT_ALLOW_ORIGIN",
        value_delimiter = ',',
        value_name = "ORIGIN"
    )]
    pub allow_origin: Vec<String>,

    /// Host name that this server goes by, needed without authentication; repeat or separate with commas
    #[arg(
        long,
        env = "FANLIGHT_ALLOW_HOST",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub allow_host: Vec<String>,

    /// Proxy whose X-Forwarded-For, -Host and -Proto are believed: an address or a network; repeat or separate with commas
    #[arg(
        long,
        env = "FANLIGHT_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_name = "NETWORK"
    )]
    pub trusted_proxies: Vec<String>,

    /// The trusted proxies begin each connection with a PROXY header (version 1 or 2) that names the client
    #[arg(long, env = "FANLIGHT_PROXY_PROTOCOL")]
    pub proxy_protocol: bool,

    /// Pages that may show ours in a frame, as in Content-Security-Policy
    #[arg(
        long,
        env = "FANLIGHT_FRAME_ANCESTORS",
        default_value = "'self'",
        value_name = "SOURCES"
    )]
    pub frame_ancestors: Option<String>,

    /// Most viewers of this process; 0 for no limit
    #[arg(
        long,
        env = "FANLIGHT_MAX_VIEWERS",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_viewers: usize,

    /// Most viewers of one camera; 0 for no limit
    #[arg(
        long,
        env = "FANLIGHT_MAX_VIEWERS_PER_CAMERA",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_viewers_per_camera: usize,

    /// Most viewers from one address (IPv6: one /64 network); 0 for no limit
    #[arg(
        long,
        env = "FANLIGHT_MAX_VIEWERS_PER_ADDRESS",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_viewers_per_address: usize,

    /// Most viewers of one signed-in user; 0 for no limit
    #[arg(
        long,
        env = "FANLIGHT_MAX_VIEWERS_PER_USER",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_viewers_per_user: usize,

    /// Most attempts of one address (IPv6: one /64 network) in a minute to open a stream; 0 for no limit
    #[arg(
        long,
        env = "FANLIGHT_MAX_ATTEMPTS_PER_ADDRESS",
        default_value = "6000",
        value_name = "N"
    )]
    pub max_attempts_per_address: Option<u32>,

    /// Seconds a camera's subscription stays after its last viewer
    #[arg(
        long,
        env = "FANLIGHT_LINGER",
        default_value = "30",
        value_name = "SECONDS"
    )]
    pub linger: Option<f64>,

    /// Seconds from the stop signal to the first notice, for load balancers to see that this replica is not ready
    #[arg(long, env = "FANLIGHT_DRAIN_DELAY", value_name = "SECONDS")]
    pub drain_delay: Option<f64>,

    /// Seconds over which viewers are sent away at a stop; 0 closes all at once
    #[arg(long, env = "FANLIGHT_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<f64>,

    /// Cameras that have metrics of their own; those above share the label `__any__`
    #[arg(
        long,
        env = "FANLIGHT_METRICS_CAMERAS",
        default_value = "1000",
        value_name = "N"
    )]
    pub metrics_cameras: Option<usize>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take it for the program's")]
    pub who: AuthArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take it for the program's")]
    pub tls: TlsArgs,
}

/// The options, checked.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Public listener.
    pub listen: SocketAddr,
    /// TLS on it.
    pub tls: Option<TlsConfig>,
    /// Cameras known before they speak.
    pub cameras: Vec<CameraId>,
    /// Camera of `/`.
    pub default_camera: Option<CameraId>,
    /// Who may watch.
    pub gate: Gate,
    /// Origins whose pages may watch.
    pub allow_origin: Vec<AllowOrigin>,
    /// Names we go by, lower case.
    pub allow_host: Vec<String>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// They speak the PROXY protocol.
    pub proxy_protocol: bool,
    /// For `frame-ancestors`.
    pub frame_ancestors: String,
    /// How many may watch.
    pub limits: Limits,
    /// Attempts of one address in a minute to open a stream; 0 is no limit.
    pub attempts: u32,
    /// Most bytes of a ring.
    pub gop_cache: usize,
    /// Time that a hub stays after its last viewer.
    pub linger: Duration,
    /// From the signal to the first notice.
    pub drain_delay: Duration,
    /// Over which viewers are sent away.
    pub drain: Duration,
    /// Cameras with series of their own.
    pub metrics_cameras: usize,
}

/// `--gop-cache`, apart from [`EdgeArgs`] because ingest has the same flag.
#[derive(Debug, Clone, clap::Args)]
pub struct GopCacheArgs {
    /// Most bytes kept of one camera's current GOP for viewers that join: 8M, 512K
    #[arg(
        long,
        env = "FANLIGHT_GOP_CACHE",
        default_value = "8M",
        value_name = "BYTES"
    )]
    pub gop_cache: String,
}

/// Collects problems.
#[derive(Debug, Default)]
struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(ConfigProblem::new(key, problem, remedy));
    }

    fn parse_all<T: std::str::FromStr>(&mut self, key: &str, texts: &[String]) -> Vec<T>
    where
        T::Err: std::fmt::Display,
    {
        let mut all = Vec::new();
        for text in texts {
            match text.trim().parse() {
                Ok(value) => all.push(value),
                Err(error) => self.add(
                    key,
                    format!("`{}`", text.escape_debug()),
                    format!("{error}"),
                ),
            }
        }
        all
    }

    fn cameras(&mut self, key: &str, texts: &[String]) -> Vec<CameraId> {
        let mut all = Vec::new();
        for text in texts {
            match text.trim().parse() {
                Ok(camera) => all.push(camera),
                // The error says both what is wrong and what would be right.
                Err(error) => {
                    let error = fanlight_bus::InvalidLabel::to_string(&error);
                    let (problem, remedy) = error.split_once(": ").unwrap_or((&error, ""));
                    self.add(key, problem, remedy);
                }
            }
        }
        all
    }

    fn seconds(&mut self, key: &str, value: f64) -> Duration {
        match Duration::try_from_secs_f64(value) {
            Ok(duration) if value <= 86_400.0 => duration,
            _ => {
                self.add(key, format!("`{value}`"), "write seconds from 0 to 86400");
                Duration::ZERO
            }
        }
    }
}

impl EdgeArgs {
    /// Checks everything. `gop_cache` is the text of `--gop-cache`.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn resolve(&self, defaults: &Defaults, gop_cache: &str) -> Result<EdgeConfig, ConfigError> {
        let mut problems = Problems::default();
        let listen = match self.listen.as_deref().map(str::parse) {
            None => defaults.listen,
            Some(Ok(listen)) => listen,
            Some(Err(_)) => {
                let given = self.listen.as_deref().unwrap_or_default().escape_debug();
                let remedy = format!(
                    "write an address and a port, for example `{}`",
                    defaults.listen
                );
                problems.add("--listen", format!("`{given}`"), remedy);
                defaults.listen
            }
        };
        let is_open = self.who.mode() == Mode::None && !listen.ip().to_canonical().is_loopback();
        if is_open && !self.allow_anonymous {
            problems.add(
                "--listen",
                format!(
                    "{listen} is reached from other machines, and --auth none lets everybody watch"
                ),
                "listen on 127.0.0.1, choose another --auth, or give --allow-anonymous to mean it",
            );
        }
        let cameras = problems.cameras("--cameras", &self.cameras);
        let default_camera = self.default_camera.clone().into_iter().collect::<Vec<_>>();
        let default_camera = problems.cameras("--default-camera", &default_camera).pop();
        let frame_ancestors = self
            .frame_ancestors
            .clone()
            .unwrap_or_else(|| "'self'".to_owned());
        if frame_ancestors.contains([';', ',']) || HeaderValue::from_str(&frame_ancestors).is_err()
        {
            problems.add(
                "--frame-ancestors",
                format!("`{}`", frame_ancestors.escape_debug()),
                "write sources such as `'self' https://example.org`, or `*`, or `'none'`",
            );
        }
        let gop_cache = bytes(gop_cache).unwrap_or_else(|| {
            let remedy = "write bytes from 64K to 1G, for example `8M`";
            problems.add(
                "--gop-cache",
                format!("`{}`", gop_cache.escape_debug()),
                remedy,
            );
            0
        });
        let trusted_proxies: Vec<Network> =
            problems.parse_all("--trusted-proxies", &self.trusted_proxies);
        if self.proxy_protocol && trusted_proxies.is_empty() {
            problems.add(
                "--proxy-protocol",
                "no proxy is trusted, and anybody could write such a header",
                "name the load balancer's address or network with --trusted-proxies",
            );
        }
        let gate = self.who.open(!trusted_proxies.is_empty(), &mut problems.0);
        // without a gate there is a problem, and so no configuration
        let gate = gate.unwrap_or_default();
        let config = EdgeConfig {
            listen,
            tls: self.tls.resolve(&mut problems.0),
            cameras,
            default_camera,
            gate,
            allow_origin: problems.parse_all("--allow-origin", &self.allow_origin),
            allow_host: self
                .allow_host
                .iter()
                .map(|h| h.trim().to_ascii_lowercase())
                .collect(),
            trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            frame_ancestors,
            limits: Limits {
                viewers: self.max_viewers,
                per_camera: self.max_viewers_per_camera,
                per_address: self.max_viewers_per_address,
                per_user: self.max_viewers_per_user,
            },
            attempts: self.max_attempts_per_address.unwrap_or(6000),
            gop_cache,
            linger: problems.seconds("--linger", self.linger.unwrap_or(30.0)),
            drain_delay: problems.seconds(
                "--drain-delay",
                self.drain_delay.unwrap_or(defaults.drain_delay),
            ),
            drain: problems.seconds(
                "--drain-seconds",
                self.drain_seconds.unwrap_or(defaults.drain_seconds),
            ),
            metrics_cameras: self.metrics_cameras.unwrap_or(1000),
        };
        ConfigError::check(problems.0).map(|()| config)
    }
}

/// `8M`, `512K`, `1048576`.
fn bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let text = text
        .strip_suffix("iB")
        .or_else(|| text.strip_suffix('B'))
        .unwrap_or(text);
    let (number, shift) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    let count = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    ((64 << 10)..=MAX_GOP_CACHE)
        .contains(&count)
        .then(|| usize::try_from(count).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        edge: EdgeArgs,
        #[command(flatten)]
        cache: GopCacheArgs,
    }

    fn resolve(args: &[&str]) -> Result<EdgeConfig, String> {
        let cli = Cli::try_parse_from([&["edge"], args].concat()).map_err(|e| e.to_string())?;
        cli.edge
            .resolve(&Defaults::edge(), &cli.cache.gop_cache)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn open_to_everybody_only_when_it_is_meant() {
        let refused = resolve(&[]).unwrap_err();
        assert!(
            refused.contains("--listen") && refused.contains("--allow-anonymous"),
            "{refused}"
        );
        assert!(resolve(&["--allow-anonymous"]).is_ok());
        assert!(resolve(&["--listen", "127.0.0.1:0"]).is_ok());
        assert!(resolve(&["--listen", "[::1]:0"]).is_ok());
        assert!(resolve(&["--listen", "[::]:0"]).is_err());
        assert!(resolve(&["--listen", "192.168.1.5:80"]).is_err());
        let args = Cli::try_parse_from(["fanlight"]).unwrap().edge;
        assert!(args.resolve(&Defaults::standalone(), "8M").is_ok());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let told = resolve(&[
            "--listen",
            "8103",
            "--cameras",
            "ok,Bad",
            "--default-camera=-x",
            "--allow-origin",
            "example.org",
            "--trusted-proxies",
            "10.0.0.0/99",
            "--frame-ancestors",
            "a; script-src *",
            "--gop-cache",
            "1",
            "--linger=-1",
            "--drain-seconds",
            "1e9",
        ])
        .unwrap_err();
        for key in [
            "--listen",
            "--cameras",
            "--default-camera",
            "--allow-origin",
            "--trusted-proxies",
            "--frame-ancestors",
            "--gop-cache",
            "--linger",
            "--drain-seconds",
        ] {
            assert!(
                told.contains(&format!("`{key}`")),
                "{key} is missing in: {told}"
            );
        }
        assert!(!told.contains("`--drain-delay`"), "{told}");
    }

    #[test]
    fn values() {
        let config = resolve(&[
            "--allow-anonymous",
            "--cameras",
            "a,b",
            "--allow-origin",
            "null",
            "--allow-host",
            "Cams.Example",
            "--max-viewers",
            "7",
        ])
        .unwrap();
        assert_eq!(config.cameras.len(), 2);
        assert_eq!(config.allow_origin, [AllowOrigin::Null]);
        assert_eq!(config.allow_host, ["cams.example"]);
        assert_eq!((config.limits.viewers, config.gop_cache), (7, 8 << 20));
        assert_eq!(config.linger, Duration::from_secs(30));
        assert_eq!(
            (config.drain_delay, config.drain),
            (Duration::from_secs(5), Duration::from_secs(30))
        );
    }

    #[test]
    fn byte_counts() {
        for (text, expected) in [
            ("8M", Some(8 << 20)),
            ("8MiB", Some(8 << 20)),
            ("512k", Some(512 << 10)),
            ("65536", Some(65536)),
            ("1G", Some(1 << 30)),
            ("2G", None),
            ("0", None),
            ("M", None),
            ("", None),
            ("8 M", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
