//! The command line of `fanlight-ingest`: read raw, checked completely, problems listed all
//! at once.

mod camera;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use fanlight_bus::{CameraId, NatsArgs, NatsConfig, Rendition, StreamId};
use fanlight_ops::doctor::DoctorFlags;
use fanlight_ops::exit::{ConfigError, ConfigProblem};
use fanlight_ops::log::LogArgs;

pub use camera::{
    CameraConfig, CameraOptions, CodecChoice, Encoding, InputText, RtspTransport, flag_key,
};
pub use value::{Bitrate, ByteSize, Fps, Remedy, Seconds, Size};

/// Publishes one camera: ffmpeg's output, a picture a message, to NATS.
#[derive(Debug, Clone, Parser)]
#[command(name = "fanlight-ingest", version, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of publishing.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What to publish.
    #[command(flatten)]
    pub ingest: IngestArgs,
}

/// The options of publishing.
#[derive(Debug, Clone, Parser)]
pub struct IngestArgs {
    /// Name of the camera: a-z, 0-9 and `-`
    #[arg(long, env = "FANLIGHT_CAMERA", value_name = "ID")]
    pub camera: Option<String>,

    /// Name of this encoding of the camera
    #[arg(
        long,
        env = "FANLIGHT_RENDITION",
        default_value = "main",
        value_name = "NAME"
    )]
    pub rendition: String,

    /// The camera's options.
    #[command(flatten)]
    pub options: CameraOptions,

    /// The options of the process.
    #[command(flatten)]
    pub process: ProcessOptions,

    /// How to reach the broker.
    #[command(flatten)]
    pub nats: NatsArgs,

    /// Address of /metrics, /livez and /readyz
    #[arg(
        long,
        env = "FANLIGHT_ADMIN_LISTEN",
        default_value = "127.0.0.1:9104",
        value_name = "ADDRESS",
        help_heading = "Operation",
        global = true
    )]
    pub admin_listen: String,

    /// The log's options.
    #[command(flatten, next_help_heading = "Operation")]
    pub log: LogArgs,
}

/// Commands beside publishing.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Asks a running ingest on this machine whether it is well; exit 0 or 1
    Healthcheck {
        /// Ask for readiness instead of liveness
        #[arg(long)]
        ready: bool,
    },
    /// Checks ffmpeg, the camera and NATS with the options given, and says what to do; exit 0 or 1
    Doctor(Box<DoctorArgs>),
}

/// `doctor` takes what publishing takes.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The options to check.
    #[command(flatten)]
    pub ingest: IngestArgs,

    /// Its own.
    #[command(flatten, next_help_heading = "Output")]
    pub flags: DoctorFlags,
}

/// Options that all cameras of a process share.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operation")]
pub struct ProcessOptions {
    /// The ffmpeg to run, or a program with the same command line
    #[arg(
        long,
        env = "FANLIGHT_FFMPEG",
        default_value = "ffmpeg",
        value_name = "PATH"
    )]
    pub ffmpeg: PathBuf,
}

/// Everything `fanlight-ingest` needs, validated.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// The camera.
    pub camera: CameraConfig,
    /// The ffmpeg to probe and run.
    pub ffmpeg: PathBuf,
    /// The broker.
    pub nats: NatsConfig,
    /// Where to serve metrics and health.
    pub admin_listen: SocketAddr,
}

impl IngestArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem at once, each with its flag and what would be right.
    pub fn validate(&self) -> Result<IngestConfig, ConfigError> {
        let mut problems = Vec::new();
        let stream = self.stream(&mut problems);
        // Judged even without a usable name, to list everything.
        let name = stream.clone().unwrap_or_else(placeholder);
        let camera = self.options.resolve(name, &flag_key);
        let camera = camera.map_err(|bad| problems.extend(bad)).ok();
        let client = format!(
            "fanlight-ingest {}",
            self.camera.as_deref().unwrap_or_default()
        );
        let nats = self.nats.resolve(&client).map_err(|bad| {
            let bad = bad.into_iter();
            problems.extend(bad.map(|b| ConfigProblem::new(b.key, b.problem, b.remedy)));
        });
        let admin = self.admin_address().map_err(|bad| problems.push(bad)).ok();
        let config = (|| {
            stream?;
            Some(IngestConfig {
                camera: camera?,
                ffmpeg: self.process.ffmpeg.clone(),
                nats: nats.ok()?,
                admin_listen: admin?,
            })
        })();
        config.ok_or(ConfigError(problems))
    }

    /// Where the admin listener is.
    ///
    /// # Errors
    /// The text is no address.
    pub fn admin_address(&self) -> Result<SocketAddr, ConfigProblem> {
        self.admin_listen.parse().map_err(|_| {
            ConfigProblem::new(
                "--admin-listen",
                format!("`{}` is not an address", self.admin_listen.escape_default()),
                "write ADDRESS:PORT, for example `127.0.0.1:9104`",
            )
        })
    }

    fn stream(&self, problems: &mut Vec<ConfigProblem>) -> Option<StreamId> {
        let remedy = "name the camera in a-z, 0-9 and `-`, for example `front-door`";
        let camera = match self.camera.as_deref() {
            None => {
                problems.push(ConfigProblem::new(
                    "--camera",
                    "there is no camera id",
                    remedy,
                ));
                None
            }
            Some(text) => {
                let id = text.parse::<CameraId>();
                id.map_err(|e| problems.push(ConfigProblem::new("--camera", e.to_string(), remedy)))
                    .ok()
            }
        };
        let rendition = self.rendition.parse::<Rendition>();
        let rendition = rendition.map_err(|e| {
            problems.push(ConfigProblem::new(
                "--rendition",
                e.to_string(),
                "for example `main`",
            ));
        });
        Some(StreamId {
            camera: camera?,
            rendition: rendition.ok()?,
        })
    }
}

fn placeholder() -> StreamId {
    #[allow(clippy::expect_used, reason = "a constant that is a label")]
    StreamId::main("unnamed".parse().expect("a DNS label"))
}
