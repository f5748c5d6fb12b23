//! `fanlight`: any number of cameras and their pages in one process, without a broker.

mod app;
mod cameras;
mod config;

use std::process::ExitCode;
use std::time::Duration;

use fanlight_edge::healthcheck;
use fanlight_ops::exit::{self, ConfigError};
use fanlight_ops::log;

use crate::config::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = match exit::parse_args() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let result = match cli.command {
        Some(Command::Healthcheck(args)) => healthcheck::run(args).await,
        None => serve(cli.serve).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!(
            "error: {}",
            fanlight_ops::secret::redact(&format!("{error:#}"))
        );
        ExitCode::from(exit::FAILURE)
    })
}

async fn serve(args: config::ServeArgs) -> anyhow::Result<ExitCode> {
    let config = match args.resolve() {
        Ok(config) => config,
        Err(error) => return Ok(error.report()),
    };
    let guard = log::init("standalone", &args.log);
    let ffmpeg = match fanlight_ingest::Ffmpeg::probe(&config.ffmpeg).await {
        Ok(ffmpeg) => ffmpeg,
        Err(problem) => return Ok(ConfigError(vec![problem]).report()),
    };
    let clean = app::run(config, ffmpeg, &guard).await?;
    guard.shutdown(Duration::from_millis(500)).await;
    Ok(ExitCode::from(if clean { exit::OK } else { exit::FAILURE }))
}
