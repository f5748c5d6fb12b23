//! The options of one camera: raw as flags or YAML give them, and validated.
//!
//! Every raw option is optional text, so that defaults are applied in one place and every
//! problem is found in one pass, whoever the options came from.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use fanlight_bus::StreamId;
use fanlight_ops::exit::ConfigProblem;
use serde::{Deserialize, Deserializer};

use super::value::{Bitrate, ByteSize, Fps, Seconds, Size};
use crate::source::Source;

/// The text of `--input`, which may hold a password and is never printed. What is secret in it
/// is known to the redactor as soon as it is judged.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct InputText(String);

impl std::fmt::Debug for InputText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InputText")
    }
}

impl FromStr for InputText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl From<&str> for InputText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Options of one camera as given; [`resolve`](Self::resolve) makes a [`CameraConfig`].
#[derive(Clone, Default, clap::Args, Deserialize)]
#[command(next_help_heading = "Camera")]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CameraOptions {
    /// Where the picture comes from: rtsp://, rtsps://, http(s)://, a file, /dev/video0 or `test`
    #[arg(
        long,
        env = "FANLIGHT_INPUT",
        hide_env_values = true,
        value_name = "SOURCE"
    )]
    #[serde(rename = "url", alias = "input")]
    pub input: Option<InputText>,

    /// A file that holds the input, for URLs with a password
    #[arg(long, env = "FANLIGHT_INPUT_FILE", value_name = "FILE")]
    #[serde(rename = "urlFile", alias = "inputFile", alias = "input-file")]
    pub input_file: Option<PathBuf>,

    /// h264, mpeg1 (for JSMpeg) or copy (as the camera sends it) [default: h264]
    #[arg(long, env = "FANLIGHT_CODEC", value_name = "CODEC")]
    pub codec: Option<String>,

    /// Picture size [default: 640x480]
    #[arg(long, env = "FANLIGHT_SIZE", value_name = "WIDTHxHEIGHT")]
    pub size: Option<String>,

    /// Pictures a second [default: 15]
    #[arg(long, env = "FANLIGHT_FPS", value_name = "RATE")]
    #[serde(deserialize_with = "text")]
    pub fps: Option<String>,

    /// Bits a second [default: 800k]
    #[arg(long, env = "FANLIGHT_BITRATE", value_name = "RATE")]
    #[serde(deserialize_with = "text")]
    pub bitrate: Option<String>,

    /// The encoder's rate buffer, in bits: smaller is steadier, larger looks better [default: half
    /// a second of --bitrate]
    #[arg(long, env = "FANLIGHT_BUFFER", value_name = "BITS")]
    #[serde(deserialize_with = "text")]
    pub buffer: Option<String>,

    /// Seconds between two key pictures [default: 2]
    #[arg(long, env = "FANLIGHT_GOP_SECONDS", value_name = "SECONDS")]
    #[serde(deserialize_with = "text", alias = "gop-seconds")]
    pub gop_seconds: Option<String>,

    /// x264's balance of CPU and picture: ultrafast ... veryslow [default: veryfast]
    #[arg(long, env = "FANLIGHT_PRESET", value_name = "NAME")]
    pub preset: Option<String>,

    /// tcp or udp [default: tcp]
    #[arg(long, env = "FANLIGHT_RTSP_TRANSPORT", value_name = "PROTOCOL")]
    #[serde(alias = "rtsp-transport")]
    pub rtsp_transport: Option<String>,

    /// More output options for ffmpeg, split like a shell does
    #[arg(
        long,
        env = "FANLIGHT_FFMPEG_ARGS",
        value_name = "ARGS",
        allow_hyphen_values = true
    )]
    #[serde(alias = "ffmpeg-args")]
    pub ffmpeg_args: Option<String>,

    /// What ffmpeg logs: quiet, error, warning, info, verbose, debug, trace [default: warning]
    #[arg(long, env = "FANLIGHT_FFMPEG_LOGLEVEL", value_name = "LEVEL")]
    #[serde(alias = "ffmpeg-loglevel")]
    pub ffmpeg_loglevel: Option<String>,

    /// Memory for the pictures since the last key picture [default: 8MiB]
    #[arg(long, env = "FANLIGHT_GOP_CACHE", value_name = "BYTES")]
    #[serde(deserialize_with = "text", alias = "gop-cache")]
    pub gop_cache: Option<String>,

    /// Memory for pictures the broker has not taken yet [default: 8MiB]
    #[arg(long, env = "FANLIGHT_OUTBOX", value_name = "BYTES")]
    #[serde(deserialize_with = "text")]
    pub outbox: Option<String>,

    /// Silence after which ffmpeg is restarted [default: 5s]
    #[arg(long, env = "FANLIGHT_STALL_TIMEOUT", value_name = "TIME")]
    #[serde(deserialize_with = "text", alias = "stall-timeout")]
    pub stall_timeout: Option<String>,

    /// Time for the first picture after ffmpeg was started [default: 20s]
    #[arg(long, env = "FANLIGHT_START_TIMEOUT", value_name = "TIME")]
    #[serde(deserialize_with = "text", alias = "start-timeout")]
    pub start_timeout: Option<String>,
}

// The input may hold a password, and so may anything a user puts in the wrong place.
impl std::fmt::Debug for CameraOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CameraOptions").finish_non_exhaustive()
    }
}

/// YAML writes `fps: 15` and `bitrate: 800k`: a number is as good as text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Integer(i64),
        Number(f64),
    }
    Ok(
        Option::<Scalar>::deserialize(deserializer)?.map(|scalar| match scalar {
            Scalar::Text(text) => text,
            Scalar::Integer(number) => number.to_string(),
            Scalar::Number(number) => number.to_string(),
        }),
    )
}

/// What ffmpeg does with the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecChoice {
    /// H.264 baseline, for WebCodecs and MSE.
    H264,
    /// MPEG-1, for JSMpeg.
    Mpeg1,
    /// As the camera sends it.
    Copy,
}

/// How RTSP media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtspTransport {
    /// Inside the RTSP connection: no loss, no waiting for packets out of order.
    Tcp,
    /// In packets of its own, for cameras that know nothing else.
    Udp,
}

/// Settings of the encoder; unused with [`CodecChoice::Copy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// Picture size.
    pub size: Size,
    /// Pictures a second.
    pub fps: Fps,
    /// Average and largest rate.
    pub bitrate: Bitrate,
    /// Rate buffer in bits.
    pub buffer: u64,
    /// Pictures from one key picture to the next.
    pub gop: u32,
    /// x264 preset.
    pub preset: String,
}

/// One camera, validated.
#[derive(Debug, Clone)]
pub struct CameraConfig {
    /// What it is called.
    pub stream: StreamId,
    /// Where the picture comes from.
    pub source: Source,
    /// What ffmpeg does with it.
    pub codec: CodecChoice,
    /// Settings of the encoder and of the test picture.
    pub encoding: Encoding,
    /// How RTSP media travels.
    pub rtsp_transport: RtspTransport,
    /// More output options.
    pub ffmpeg_args: Vec<String>,
    /// What ffmpeg logs.
    pub ffmpeg_loglevel: String,
    /// Bytes for the current GOP.
    pub gop_cache: usize,
    /// Bytes that wait for the broker.
    pub outbox: usize,
    /// Silence after which ffmpeg is restarted.
    pub stall_timeout: Duration,
    /// Time for the first picture of a run.
    pub start_timeout: Duration,
}

const LOG_LEVELS: [&str; 9] = [
    "quiet", "panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace",
];

const PRESETS: [&str; 10] = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];

/// Collects problems and names each by its key.
struct Judge<'a> {
    key: &'a dyn Fn(&str) -> String,
    problems: Vec<ConfigProblem>,
}

impl Judge<'_> {
    fn refuse(&mut self, name: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.problems
            .push(ConfigProblem::new((self.key)(name), problem, remedy));
    }

    fn parse<T>(&mut self, name: &str, given: Option<&str>, default: &str) -> Option<T>
    where
        T: FromStr<Err = &'static str>,
    {
        let text = given.unwrap_or(default).trim();
        text.parse()
            .map_err(|remedy| self.refuse(name, unusable(text), remedy))
            .ok()
    }

    fn choose<T: Copy>(
        &mut self,
        name: &str,
        given: Option<&str>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let (first, _) = choices.first()?;
        let text = given.unwrap_or(first).trim();
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = choices
                .iter()
                .map(|(word, _)| format!("`{word}`"))
                .collect();
            self.refuse(name, unusable(text), format!("choose {}", words.join(", ")));
        }
        found.map(|(_, choice)| *choice)
    }
}

fn unusable(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(80)
        .flat_map(char::escape_default)
        .collect();
    format!("`{shown}` cannot be used")
}

impl CameraOptions {
    /// Checks everything and fills in the defaults. `key` gives an option's name as the user
    /// knows it, from its flag without dashes: [`flag_key`] for the command line.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn resolve(
        &self,
        stream: StreamId,
        key: &dyn Fn(&str) -> String,
    ) -> Result<CameraConfig, Vec<ConfigProblem>> {
        let mut judge = Judge {
            key,
            problems: Vec::new(),
        };
        let source = self.source(&mut judge);
        let codec = judge.choose(
            "codec",
            self.codec.as_deref(),
            &[
                ("h264", CodecChoice::H264),
                ("mpeg1", CodecChoice::Mpeg1),
                ("copy", CodecChoice::Copy),
            ],
        );
        let encoding = self.encoding(&mut judge, codec);
        let rtsp_transport = judge.choose(
            "rtsp-transport",
            self.rtsp_transport.as_deref(),
            &[("tcp", RtspTransport::Tcp), ("udp", RtspTransport::Udp)],
        );
        let ffmpeg_args = shlex::split(self.ffmpeg_args.as_deref().unwrap_or_default());
        if ffmpeg_args.is_none() {
            let remedy = "close every quote, for example `-metadata title=\"front door\"`";
            judge.refuse("ffmpeg-args", "a quote is not closed", remedy);
        }
        let levels: Vec<_> = LOG_LEVELS.iter().map(|l| (*l, *l)).collect();
        let level = Some(self.ffmpeg_loglevel.as_deref().unwrap_or("warning"));
        let ffmpeg_loglevel = judge.choose("ffmpeg-loglevel", level, &levels);
        let gop_cache = judge.parse::<ByteSize>("gop-cache", self.gop_cache.as_deref(), "8MiB");
        let outbox = judge.parse::<ByteSize>("outbox", self.outbox.as_deref(), "8MiB");
        let stall = judge.parse::<Seconds>("stall-timeout", self.stall_timeout.as_deref(), "5s");
        let start = judge.parse::<Seconds>("start-timeout", self.start_timeout.as_deref(), "20s");
        let config = (|| {
            Some(CameraConfig {
                stream,
                source: source?,
                codec: codec?,
                encoding: encoding?,
                rtsp_transport: rtsp_transport?,
                ffmpeg_args: ffmpeg_args?,
                ffmpeg_loglevel: ffmpeg_loglevel?.to_owned(),
                gop_cache: gop_cache?.0,
                outbox: outbox?.0,
                stall_timeout: stall?.0,
                start_timeout: start?.0,
            })
        })();
        config
            .filter(|_| judge.problems.is_empty())
            .ok_or(judge.problems)
    }

    fn source(&self, judge: &mut Judge<'_>) -> Option<Source> {
        let (name, text) = match (&self.input, &self.input_file) {
            (Some(_), Some(_)) => {
                judge.refuse(
                    "input",
                    "an input and an input file are given",
                    "give one of them",
                );
                return None;
            }
            (Some(input), None) => ("input", input.clone()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => ("input-file", InputText(text)),
                Err(error) => {
                    let problem = format!("read {}: {error}", path.display());
                    judge.refuse(
                        "input-file",
                        problem,
                        "name a readable file that holds the input",
                    );
                    return None;
                }
            },
            (None, None) => {
                let remedy =
                    "give rtsp://user:password@camera/stream, a file, /dev/video0 or `test`";
                judge.refuse("input", "there is no input", remedy);
                return None;
            }
        };
        let source = Source::parse(text.0.trim());
        source
            .and_then(|source| source.exists().map(|()| source))
            .map_err(|bad| judge.refuse(name, bad.problem, bad.remedy))
            .ok()
    }

    fn encoding(&self, judge: &mut Judge<'_>, codec: Option<CodecChoice>) -> Option<Encoding> {
        let size = judge.parse::<Size>("size", self.size.as_deref(), "640x480");
        let fps = judge.parse::<Fps>("fps", self.fps.as_deref(), "15");
        let bitrate = judge.parse::<Bitrate>("bitrate", self.bitrate.as_deref(), "800k");
        let buffer = self.buffer.as_deref();
        let buffer = buffer.map(|text| judge.parse::<Bitrate>("buffer", Some(text), ""));
        let gop = judge.parse::<Seconds>("gop-seconds", self.gop_seconds.as_deref(), "2");
        let presets: Vec<_> = PRESETS.iter().map(|p| (*p, *p)).collect();
        let preset = Some(self.preset.as_deref().unwrap_or("veryfast"));
        let preset = judge.choose("preset", preset, &presets);
        if codec == Some(CodecChoice::Mpeg1) {
            // ISO 11172-2: 12 bits for each side, a table of rates.
            if size.is_some_and(|s| s.width > 4094 || s.height > 4094) {
                judge.refuse(
                    "size",
                    "MPEG-1 ends at 4094 pixels a side",
                    "choose a smaller size",
                );
            }
            if fps.is_some_and(|fps| !Fps::MPEG1.contains(&fps)) {
                let remedy = "choose 5, 10, 12, 15, 23.976, 24, 25, 29.97, 30, 50, 59.94 or 60";
                judge.refuse("fps", "MPEG-1 cannot say this rate", remedy);
            }
        }
        if gop.is_some_and(|gop| gop.0 > Duration::from_secs(60)) {
            judge.refuse(
                "gop-seconds",
                "is longer than a minute",
                "write seconds up to 60",
            );
        }
        let (fps, gop) = (fps?, gop?);
        let bitrate = bitrate?;
        Some(Encoding {
            size: size?,
            fps,
            bitrate,
            buffer: match buffer {
                Some(given) => given?.0,
                None => bitrate.0 / 2,
            },
            gop: ((fps.as_f64() * gop.0.as_secs_f64()).round() as u32).max(1),
            preset: preset?.to_owned(),
        })
    }

    /// Options that say nothing with `--codec copy`, for a hint in the log.
    #[must_use]
    pub fn unused_with_copy(&self) -> Vec<&'static str> {
        let given = [
            ("--size", self.size.is_some()),
            ("--fps", self.fps.is_some()),
            ("--bitrate", self.bitrate.is_some()),
            ("--buffer", self.buffer.is_some()),
            ("--gop-seconds", self.gop_seconds.is_some()),
            ("--preset", self.preset.is_some()),
        ];
        given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect()
    }
}

/// The name of an option on the command line.
#[must_use]
pub fn flag_key(name: &str) -> String {
    format!("--{name}")
}

impl CameraConfig {
    /// Whether the source is made to the size and rate asked for, rather than taken as it is.
    #[must_use]
    pub fn encodes(&self) -> bool {
        self.codec != CodecChoice::Copy
    }
}
