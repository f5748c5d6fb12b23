//! `fanlight-edge`: serves viewers; also the command-line viewer and the health check.

mod commands;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crate::commands::{HashPasswordArgs, ShareArgs};
use anyhow::Context;
use clap::{Parser, Subcommand};
use fanlight_bus::{Bus, NatsArgs, NatsConfig};
use fanlight_edge::client::{self, WatchArgs};
use fanlight_edge::config::{Defaults, GopCacheArgs};
use fanlight_edge::healthcheck::{self, HealthcheckArgs};
use fanlight_edge::{Edge, EdgeArgs, EdgeConfig, doctor};
use fanlight_ops::admin::{self, AdminState};
use fanlight_ops::doctor::{DoctorFlags, Report};
use fanlight_ops::exit::{self, ConfigError, ConfigProblem};
use fanlight_ops::health::Health;
use fanlight_ops::log::{self, LogArgs};
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;

/// Time for tasks to end after the drain.
const GRACE: Duration = Duration::from_secs(3);

/// Time for spans to leave.
const FLUSH: Duration = Duration::from_secs(1);

/// Serves cameras from the bus to browsers and other viewers.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Watch a stream on the command line: check it, count key pictures, write it to a file
    Watch(WatchArgs),
    /// Print a line of the users file; the password is read from standard input
    HashPassword(HashPasswordArgs),
    /// Print a share link to one camera
    Share(ShareArgs),
    /// Ask a running service whether it is ready
    Healthcheck(HealthcheckArgs),
    /// Check ports, NATS, cameras and clocks with the options given, and say what to do
    Doctor(Box<DoctorArgs>),
}

#[derive(clap::Args)]
struct ServeArgs {
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    cache: GopCacheArgs,
    #[command(flatten)]
    nats: NatsArgs,
    /// Address of the admin listener: /metrics, /livez, /readyz
    #[arg(
        long,
        env = "FANLIGHT_ADMIN_LISTEN",
        default_value = "127.0.0.1:9103",
        value_name = "ADDRESS:PORT"
    )]
    admin_listen: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
}

/// `doctor` takes what serving takes.
#[derive(clap::Args)]
struct DoctorArgs {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    flags: DoctorFlags,
}

fn main() -> ExitCode {
    let cli: Cli = match exit::parse_args() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start the runtime")),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Some(Command::HashPassword(args)) => commands::hash_password(&args),
            Some(Command::Share(args)) => commands::share(&args),
            Some(Command::Watch(args)) => client::run(args).await,
            Some(Command::Healthcheck(args)) => healthcheck::run(args).await,
            Some(Command::Doctor(args)) => Ok(examine(&args).await),
            None => serve(cli.serve).await,
        }
    });
    // A blocked read of standard input or a name lookup must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!(
        "error: {}",
        fanlight_ops::secret::redact(&format!("{error:#}"))
    );
    ExitCode::from(exit::FAILURE)
}

async fn examine(args: &DoctorArgs) -> ExitCode {
    let mut report = Report::new(args.flags);
    let admin = args.serve.admin_listen;
    match resolve(&args.serve) {
        Ok((config, nats)) => doctor::check(&mut report, &config, nats, admin).await,
        Err(error) => report.bad_configuration(&error),
    }
    report.finish("fanlight-edge")
}

async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let (config, nats) = match resolve(&args) {
        Ok(resolved) => resolved,
        Err(error) => return Ok(error.report()),
    };
    let guard = log::init("edge", &args.log);
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let (health, metrics) = (Health::new(), Metrics::new("edge"));
    let admin_listener = admin::bind(args.admin_listen).await?;
    let admin_state = AdminState {
        health: health.clone(),
        metrics: metrics.clone(),
        log: guard.handle(),
    };
    // Outlives the drain, so that a draining replica says so.
    let admin_end = tokio_util::sync::CancellationToken::new();
    let admin = tokio::spawn(admin::serve(admin_listener, admin_state, admin_end.clone()));

    let bus = Bus::nats(nats).await?;
    let edge = Edge::build(config, bus.clone(), metrics, health)?;
    tracing::info!(address = %edge.address()?, version = env!("CARGO_PKG_VERSION"), "edge ready to serve");
    edge.run(shutdown.clone()).await?;
    let clean = shutdown.wait_all(GRACE).await;
    bus.close().await;
    admin_end.cancel();
    admin.await.context("admin listener")??;
    guard.shutdown(FLUSH).await;
    let failed = !clean || shutdown.failed();
    Ok(ExitCode::from(if failed {
        exit::FAILURE
    } else {
        exit::OK
    }))
}

fn resolve(args: &ServeArgs) -> Result<(EdgeConfig, NatsConfig), ConfigError> {
    let edge = args.edge.resolve(&Defaults::edge(), &args.cache.gop_cache);
    let nats = args.nats.resolve("fanlight-edge");
    let nats = nats.map_err(|bad| {
        bad.into_iter()
            .map(|b| ConfigProblem::new(b.key, b.problem, b.remedy))
            .collect::<Vec<_>>()
    });
    match (edge, nats) {
        (Ok(edge), Ok(nats)) => Ok((edge, nats)),
        (edge, nats) => {
            let mut problems = edge.err().map(|e| e.0).unwrap_or_default();
            problems.extend(nats.err().unwrap_or_default());
            Err(ConfigError(problems))
        }
    }
}
