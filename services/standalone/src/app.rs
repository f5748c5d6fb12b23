//! Puts ingests and edge together over the in-process bus.

use std::time::Duration;

use anyhow::Context;
use fanlight_bus::Bus;
use fanlight_edge::Edge;
use fanlight_ingest::{Ffmpeg, Ingest};
use fanlight_ops::admin::{self, AdminState};
use fanlight_ops::health::Health;
use fanlight_ops::log::LogGuard;
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Everything has to be over by then: ffmpeg takes less than 4 s to go.
const GRACE: Duration = Duration::from_millis(4500);

/// Runs until a signal; `false` when something had to be aborted.
///
/// # Errors
/// An address cannot be listened on.
pub(crate) async fn run(config: Config, ffmpeg: Ffmpeg, guard: &LogGuard) -> anyhow::Result<bool> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let edge_metrics = Metrics::new("edge");
    let ingest_metrics = edge_metrics.sharing("ingest");
    let health = Health::new();
    let bus = Bus::memory();

    // Both addresses are taken before any ffmpeg runs.
    let admin_listener = admin::bind(config.admin_listen).await?;
    let edge = Edge::build(
        config.edge,
        bus.clone(),
        edge_metrics.clone(),
        health.clone(),
    )?;
    let address = edge.address().context("ask for the page's address")?;
    let scheme = if edge.is_https() { "https" } else { "http" };

    let state = AdminState {
        health: health.clone(),
        metrics: edge_metrics,
        log: guard.handle(),
    };
    let admin_end = CancellationToken::new();
    let admin_task = tokio::spawn(admin::serve(admin_listener, state, admin_end.clone()));
    for camera in config.cameras {
        tracing::info!(camera = %camera.stream.camera, rendition = camera.stream.variant(), source = %camera.source, codec = ?camera.codec, "camera");
        let ingest = Ingest::build(
            camera,
            ffmpeg.clone(),
            bus.clone(),
            &ingest_metrics,
            &health,
        );
        shutdown.spawn("ingest", ingest.run(shutdown.token.clone()));
    }
    // On stdout, apart from the log: it is what the user waits for.
    println!("Open {scheme}://{address}/ in a browser. Ctrl-C ends it.");

    let served = edge.run(shutdown.clone()).await;
    // An edge that ends by itself takes the rest with it.
    shutdown.token.cancel();
    let clean = shutdown.wait_all(GRACE).await && !shutdown.failed();
    bus.close().await;
    admin_end.cancel();
    let _not_needed_any_more = tokio::time::timeout(Duration::from_millis(200), admin_task).await;
    served?;
    Ok(clean)
}
