//! The command line of `fanlight`: ingest's options for its first camera, a file for more, and
//! the edge's options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use fanlight_edge::config::Defaults;
use fanlight_edge::healthcheck::HealthcheckArgs;
use fanlight_edge::{EdgeArgs, EdgeConfig};
use fanlight_ingest::config::{CameraConfig, CameraOptions, ProcessOptions};
use fanlight_ops::exit::ConfigError;
use fanlight_ops::log::LogArgs;

use crate::cameras;

/// `--gop-cache` of both halves, where it is not given.
const GOP_CACHE: &str = "8MiB";

/// Live camera video in any browser: cameras and pages in one process. Without a camera it
/// shows a test picture.
#[derive(Parser)]
#[command(
    name = "fanlight",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask a running service whether it is ready
    Healthcheck(HealthcheckArgs),
}

#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// YAML file with a map of cameras: `cameras: {front-door: {url: rtsp://…, codec: copy}}`
    #[arg(
        long,
        env = "FANLIGHT_CONFIG",
        value_name = "FILE",
        help_heading = "Camera"
    )]
    config: Option<PathBuf>,

    /// Name of the camera of these options: a-z, 0-9 and `-`
    #[arg(
        long,
        env = "FANLIGHT_CAMERA",
        value_name = "ID",
        help_heading = "Camera"
    )]
    camera: Option<String>,

    #[command(flatten)]
    options: CameraOptions,

    #[command(flatten)]
    edge: EdgeArgs,

    #[command(flatten)]
    process: ProcessOptions,

    /// Address of the admin listener: /metrics, /livez, /readyz
    #[arg(
        long,
        env = "FANLIGHT_ADMIN_LISTEN",
        default_value = "127.0.0.1:9103",
        value_name = "ADDRESS:PORT",
        help_heading = "Operation"
    )]
    admin_listen: SocketAddr,

    #[command(flatten, next_help_heading = "Operation")]
    pub(crate) log: LogArgs,
}

/// Everything, checked.
pub(crate) struct Config {
    pub(crate) cameras: Vec<CameraConfig>,
    pub(crate) edge: EdgeConfig,
    pub(crate) ffmpeg: PathBuf,
    pub(crate) admin_listen: SocketAddr,
}

impl ServeArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem of cameras and edge at once.
    pub(crate) fn resolve(&self) -> Result<Config, ConfigError> {
        let cameras = cameras::resolve(
            self.config.as_deref(),
            self.camera.as_deref(),
            &self.options,
        );
        let gop_cache = self.options.gop_cache.as_deref().unwrap_or(GOP_CACHE);
        let edge = self.edge.resolve(&Defaults::standalone(), gop_cache);
        match (cameras, edge) {
            (Ok(cameras), Ok(mut edge)) => {
                // Known before they announce themselves, so that no page says "unknown camera".
                edge.cameras
                    .extend(cameras.iter().map(|camera| camera.stream.camera.clone()));
                Ok(Config {
                    cameras,
                    edge,
                    ffmpeg: self.process.ffmpeg.clone(),
                    admin_listen: self.admin_listen,
                })
            }
            (cameras, edge) => {
                let mut problems = cameras.err().map(|e| e.0).unwrap_or_default();
                problems.extend(edge.err().map(|e| e.0).unwrap_or_default());
                Err(ConfigError(problems))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_is_there_twice() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn problems_of_both_halves_are_listed() {
        let args = [
            "fanlight", "--size", "1", "--listen", "x", "--camera", "A", "--input", "test",
        ];
        let cli = Cli::try_parse_from(args).unwrap();
        let text = cli.serve.resolve().err().unwrap().to_string();
        for key in ["--camera", "--listen"] {
            assert!(text.contains(key), "{key} is not in\n{text}");
        }
    }

    #[test]
    fn the_test_picture_needs_no_options() {
        let config = Cli::try_parse_from(["fanlight"])
            .unwrap()
            .serve
            .resolve()
            .unwrap();
        assert_eq!(config.cameras.len(), 1);
        assert_eq!(config.edge.cameras.len(), 1);
        assert!(config.edge.listen.ip().is_loopback());
    }
}
