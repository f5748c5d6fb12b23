//! `fanlight-ingest`: publishes one camera.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fanlight_bus::Bus;
use fanlight_ingest::config::{Cli, Command};
use fanlight_ingest::{Ffmpeg, Ingest, IngestArgs, IngestConfig, doctor, healthcheck};
use fanlight_ops::admin::{self, AdminState};
use fanlight_ops::exit::{self, ConfigError};
use fanlight_ops::health::Health;
use fanlight_ops::log::{self, LogGuard};
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;

/// Everything has to be over by then; ffmpeg and the goodbye take less than 4 s.
const GRACE: Duration = Duration::from_millis(4500);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli: Cli = match exit::parse_args() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let args = cli.ingest;
    match cli.command {
        Some(Command::Healthcheck { ready }) => return check(&args, ready).await,
        Some(Command::Doctor(args)) => return doctor::run(&args).await,
        None => {}
    }
    let config = match args.validate() {
        Ok(config) => config,
        Err(error) => return error.report(),
    };
    let guard = log::init("ingest", &args.log);
    let ffmpeg = match Ffmpeg::probe(&config.ffmpeg).await {
        Ok(ffmpeg) => ffmpeg,
        Err(problem) => return ConfigError(vec![problem]).report(),
    };
    let unused = args.options.unused_with_copy();
    if !config.camera.encodes() && !unused.is_empty() {
        tracing::info!(
            options = unused.join(" "),
            "options without effect with --codec copy"
        );
    }
    let result = run(config, ffmpeg, &guard).await;
    if let Err(error) = &result {
        tracing::error!(error = %format_args!("{error:#}"), "ended");
    }
    guard.shutdown(Duration::from_millis(500)).await;
    match result {
        Ok(true) => ExitCode::from(exit::OK),
        Ok(false) | Err(_) => ExitCode::from(exit::FAILURE),
    }
}

/// Runs until a signal; false when something had to be aborted.
async fn run(config: IngestConfig, ffmpeg: Ffmpeg, guard: &LogGuard) -> anyhow::Result<bool> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let metrics = Metrics::new("ingest");
    let health = Health::new();
    tracing::info!(
        camera = %config.camera.stream.camera, rendition = config.camera.stream.variant(), source = %config.camera.source, codec = ?config.camera.codec,
        ffmpeg = ffmpeg.version(), version = env!("CARGO_PKG_VERSION"), "starting"
    );
    let listener = admin::bind(config.admin_listen)
        .await
        .context("--admin-listen")?;
    let bus = Bus::nats(config.nats).await.context("connect to nats")?;
    let ingest = Ingest::build(config.camera, ffmpeg, bus.clone(), &metrics, &health);
    let state = AdminState {
        health: health.clone(),
        metrics,
        log: guard.handle(),
    };
    let token = shutdown.token.clone();
    let admin_stop = tokio_util::sync::CancellationToken::new();
    let admin_task = tokio::spawn(admin::serve(listener, state, admin_stop.clone()));
    shutdown.spawn("ingest", ingest.run(token.clone()));
    token.cancelled().await;
    health.set_draining();
    let clean = shutdown.wait_all(GRACE).await && !shutdown.failed();
    bus.close().await;
    admin_stop.cancel();
    let _not_needed_any_more = tokio::time::timeout(Duration::from_millis(200), admin_task).await;
    tracing::info!(clean, "stopped");
    Ok(clean)
}

async fn check(args: &IngestArgs, ready: bool) -> ExitCode {
    let address = match args.admin_address() {
        Ok(address) => address,
        Err(problem) => return ConfigError(vec![problem]).report(),
    };
    match healthcheck::check(address, ready).await {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}
