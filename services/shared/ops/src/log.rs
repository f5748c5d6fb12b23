//! Logging for one process: human lines on a terminal, JSON otherwise, to standard error. Every
//! line and every panic passes the redactor; the level can be changed for a while at run time.

mod format;
mod level;
mod writer;

use std::io::IsTerminal;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, WorkerGuard};
use tracing_log::LogTracer;
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use level::{LevelError, LogHandle};

use crate::trace::Exporter;

/// Crates that would write payloads or a line per message above `info`, whatever the filter says:
/// tungstenite prints whole frames in hex at `trace`.
const CAPPED: &[&str] = &[
    "async_nats",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "reqwest",
    "rustls",
    "tokio_tungstenite",
    "tonic",
    "tower",
    "tungstenite",
];

/// How long the last spans may take to leave when the guard is dropped.
const FLUSH: Duration = Duration::from_secs(3);

/// The flags of the log, for `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as info,fanlight_edge=debug
    #[arg(
        long,
        env = "FANLIGHT_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER",
        value_parser = level::parse_argument
    )]
    pub log_level: String,

    /// How to write a line; auto means human on a terminal and JSON otherwise
    #[arg(
        long,
        env = "FANLIGHT_LOG_FORMAT",
        default_value = "auto",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: LogFormat::Auto,
        }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human when standard error is a terminal, else JSON.
    Auto,
    /// One line of text with `key=value` fields.
    Human,
    /// One JSON object a line; fields of the event and its spans at the top level.
    Json,
}

/// Keeps logging and tracing alive; hold it until the end of `main`.
#[derive(Debug)]
pub struct LogGuard {
    handle: LogHandle,
    exporter: Option<Exporter>,
    /// Last: what is said while the exporter ends is still written.
    _writer: WorkerGuard,
}

/// Time between looks for lines that were lost.
const LOST: Duration = Duration::from_secs(10);

/// Says how many lines were lost, once standard error is read again.
async fn report_lost(counter: ErrorCounter) {
    let mut told = 0;
    loop {
        tokio::time::sleep(LOST).await;
        let lost = counter.dropped_lines();
        if lost > told {
            tracing::warn!(
                lost = lost - told,
                "log lines were lost: standard error was not read"
            );
            told = lost;
        }
    }
}

impl LogGuard {
    /// The handle that changes the level.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// Sends the spans that wait, for at most `timeout`. True when all left, or none were there.
    pub async fn shutdown(mut self, timeout: Duration) -> bool {
        match self.exporter.take() {
            Some(exporter) => exporter.shutdown(timeout).await,
            None => true,
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(exporter) = self.exporter.take() {
            exporter.shutdown_blocking(FLUSH);
        }
    }
}

/// Starts logging, the panic hook and, when the `OTEL_*` environment asks for it, the export of
/// spans. `service` is `ingest`, `edge` or `standalone`. Call it once, inside the tokio runtime;
/// a second call leaves the first in place.
pub fn init(service: &'static str, args: &LogArgs) -> LogGuard {
    let filter = EnvFilter::try_new(&args.log_level)
        .unwrap_or_else(|_| EnvFilter::default().add_directive(LevelFilter::INFO.into()));
    let (filter, reload) = reload::Layer::<EnvFilter, Registry>::new(filter);
    let handle = LogHandle::new(reload, args.log_level.clone());
    let exporter = Exporter::from_env(service);

    let terminal = std::io::stderr().is_terminal();
    let human = match args.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let cap = filter_fn(not_capped).with_max_level_hint(LevelFilter::TRACE);
    let (writer, guard) = writer::RedactingStderr::new(!human);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(report_lost(writer.lost()));
    }
    let lines = fmt::layer()
        .fmt_fields(fmt::format::JsonFields::new())
        .event_format(format::Line {
            human,
            colour: terminal && colour_wanted(),
        })
        .with_writer(writer)
        .with_filter(filter.and(cap));
    let (spans, problem) = match exporter {
        Ok(exporter) => (exporter, None),
        Err(problem) => (None, Some(problem)),
    };
    let subscriber = Registry::default()
        .with(lines)
        .with(spans.as_ref().map(|exporter| exporter.layer()));
    let started = tracing::subscriber::set_global_default(subscriber).is_ok();
    // Records of the `log` crate never pass below info, whatever the filter says later.
    let _ = LogTracer::builder()
        .with_max_level(tracing_log::log::LevelFilter::Info)
        .init();
    writer::install_panic_hook();
    if let Some(problem) = problem {
        tracing::error!(error = %problem, "traces are not exported");
    }
    LogGuard {
        handle,
        exporter: spans.filter(|_| started),
        _writer: guard,
    }
}

fn not_capped(metadata: &tracing::Metadata<'_>) -> bool {
    let target = metadata.target();
    *metadata.level() <= tracing::Level::INFO
        || !CAPPED.iter().any(|name| {
            target.strip_prefix(name).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || rest.starts_with(['_', '-'])
            })
        })
}

/// <https://no-color.org>
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
