//! Puts the edge together: the only place that knows every part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use fanlight_bus::{Announcement, Bus, BusError};
use fanlight_ops::health::{Condition, Health};
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;
use fanlight_ops::throttle::Throttle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::admission::Admission;
use crate::clock::{Clocks, unix_ns};
use crate::config::EdgeConfig;
use crate::directory::{Change, Directory};
use crate::drain;
use crate::http::{self, Site};
use crate::hub::{Command, HubConfig, Hubs};
use crate::metrics::EdgeMetrics;
use crate::origin::Rules;
use crate::rate::Rate;

/// How often announcements are looked through for those that ran out.
const TICK: Duration = Duration::from_secs(1);

/// How often the log tells what was sent.
const REPORT: Duration = Duration::from_secs(30);

/// How often a status subscription that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The edge could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public listener.
    #[error("listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The bus.
    #[error("subscribe to announcements")]
    Bus(#[from] BusError),
}

/// The edge, bound and not yet serving.
pub struct Edge {
    config: EdgeConfig,
    bus: Bus,
    metrics: Metrics,
    health: Health,
    listeners: http::Listeners,
    conditions: Conditions,
}

struct Conditions {
    listener: Condition,
    nats: Condition,
    announcements: Condition,
    /// Shown, but no reason to take replicas out of service: a broker's outage would empty it.
    link: Condition,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Edge {
    /// Binds the public listener; nothing is served before [`run`](Self::run).
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn build(
        config: EdgeConfig,
        bus: Bus,
        metrics: Metrics,
        health: Health,
    ) -> Result<Self, StartError> {
        let conditions = Conditions {
            listener: health.condition("listener", "not bound yet"),
            nats: health.condition("nats", "not connected yet"),
            announcements: health
                .condition("announcements", "one announcement period was not heard yet"),
            link: health.info("nats_link", "not connected yet"),
        };
        let listeners = http::listen(config.listen, config.tls.as_ref())
            .map_err(|(address, source)| StartError::Listen { address, source })?;
        Ok(Self {
            config,
            bus,
            metrics,
            health,
            listeners,
            conditions,
        })
    }

    /// The address of the public listener; the port is the real one where 0 was asked for.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listeners.local_addr()
    }

    /// Whether the public listener speaks TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.config.tls.is_some()
    }

    /// Serves until `shutdown.token` is cancelled and the drain is over. Tasks that are left
    /// are in `shutdown.tracker`.
    ///
    /// # Errors
    /// [`StartError::Bus`] when the bus is closed already.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let Self {
            config,
            bus,
            metrics,
            health,
            listeners,
            conditions,
        } = self;
        let edge_metrics = Arc::new(EdgeMetrics::new(&metrics, config.metrics_cameras));
        edge_metrics
            .viewer_limit
            .set(config.limits.viewers.try_into().unwrap_or(i64::MAX));
        let directory = Arc::new(Directory::new(
            config
                .cameras
                .iter()
                .cloned()
                .chain(config.default_camera.clone()),
            config.default_camera.clone(),
        ));
        let clocks = Arc::new(Clocks::default());
        let hub_config = HubConfig {
            gop_cache: config.gop_cache,
            linger: config.linger,
        };
        let hubs = Hubs::new(
            bus.clone(),
            hub_config,
            Arc::clone(&edge_metrics),
            Arc::clone(&clocks),
            shutdown.clone(),
        );
        let policy = HeaderValue::from_str(&http::policy(&config.frame_ancestors));
        let site = Arc::new(Site {
            hubs: hubs.clone(),
            directory: Arc::clone(&directory),
            admission: Admission::new(config.limits),
            attempts: Rate::new(config.attempts),
            gate: config.gate.clone(),
            rules: Rules {
                origins: config.allow_origin.clone(),
                hosts: config.allow_host.clone(),
                anonymous: config.gate.is_anonymous(),
            },
            proxies: config.trusted_proxies.clone(),
            proxy_protocol: config.proxy_protocol,
            metrics: Arc::clone(&edge_metrics),
            shutdown: shutdown.clone(),
            draining: AtomicBool::new(false),
            policy: policy.unwrap_or_else(|_| HeaderValue::from_static("default-src 'self'")),
            refusals: Throttle::new(http::REFUSAL_LINES),
            next_viewer: AtomicU64::new(1),
        });
        let (gate, stop) = (config.gate.clone(), shutdown.token.clone());
        shutdown.spawn("auth", async move { gate.run(stop).await });
        let end = CancellationToken::new();
        shutdown.spawn(
            "http",
            http::serve(Arc::clone(&site), listeners, end.clone()),
        );
        conditions.listener.set_ok();

        let mut watcher = Watcher {
            bus,
            directory,
            clocks,
            hubs: hubs.clone(),
            nats: metrics.nats(),
            metrics: Arc::clone(&edge_metrics),
            conditions,
            reported: (0, 0),
            slow_seen: 0,
            bad: Throttle::new(Duration::from_secs(10)),
        };
        tokio::select! {
            result = watcher.run() => result?,
            () = shutdown.token.cancelled() => {}
        }

        health.set_draining();
        edge_metrics.draining.set(1);
        site.draining.store(true, Ordering::Release);
        let viewers = hubs.total_viewers();
        // The directory goes on: viewers that stay a while still hear of their camera.
        tokio::select! {
            () = drain::drain(&hubs, &shutdown, config.drain_delay, config.drain)
                .instrument(tracing::debug_span!(parent: None, "drain", viewers)) => {}
            () = async {
                // A bus that is closed early does not cut the drain short.
                let _closed = watcher.run().await;
                std::future::pending().await
            } => {}
        }
        end.cancel();
        watcher.report();
        Ok(())
    }
}

/// Follows announcements and the bus's link for directory, clocks, health and metrics.
struct Watcher {
    bus: Bus,
    directory: Arc<Directory>,
    clocks: Arc<Clocks>,
    hubs: Hubs,
    nats: fanlight_ops::metrics::NatsMetrics,
    metrics: Arc<EdgeMetrics>,
    conditions: Conditions,
    reported: (u64, u64),
    slow_seen: u64,
    bad: Throttle,
}

impl Watcher {
    async fn run(&mut self) -> Result<(), StartError> {
        let mut status = self.bus.subscribe_status().await?;
        let mut connection = self.bus.connection();
        let mut settles: Option<Instant> = None;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut report = interval(REPORT);
        report.reset();
        connection.mark_changed();
        loop {
            let settle = async {
                match settles {
                    Some(at) if !self.directory.is_settled() => sleep_until(at).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = status.next() => match heard {
                    Some(Ok(announcement)) => self.heard(announcement),
                    Some(Err(error)) => {
                        if let Some(suppressed) = self.bad.allow("announcement") {
                            tracing::warn!(%error, suppressed, "announcement dropped");
                        }
                    }
                    // Closed only with the bus, at the end; or cut off, then again.
                    None => {
                        tokio::time::sleep(RETRY).await;
                        status = self.bus.subscribe_status().await?;
                    }
                },
                Ok(()) = connection.changed() => {
                    let link = connection.borrow_and_update().clone();
                    if link.ever_connected && settles.is_none() {
                        let period = Duration::from_secs(Announcement::PERIOD_SECONDS);
                        settles = Some(Instant::now() + period);
                    }
                    self.link(&link);
                }
                () = settle => {
                    self.directory.settle();
                    self.conditions.announcements.set_ok();
                }
                _ = tick.tick() => {
                    let changes = self.directory.tick();
                    self.apply(changes);
                    self.metrics.clock_offset.set(self.clocks.largest_seconds());
                }
                _ = report.tick() => self.report(),
            }
        }
    }

    fn heard(&mut self, announcement: Announcement) {
        self.clocks
            .observe(&announcement.instance, announcement.time, unix_ns());
        // Its series are there from now on, at 0.
        let _series = self.metrics.camera(&announcement.stream());
        let change = self.directory.heard(announcement);
        self.apply(change);
    }

    fn link(&mut self, link: &fanlight_bus::Connection) {
        let connected = link.is_connected();
        self.nats.set(connected, link.reconnects);
        self.metrics
            .slow_consumer
            .inc_by(link.slow_consumer_events.saturating_sub(self.slow_seen));
        self.slow_seen = link.slow_consumer_events;
        if link.ever_connected {
            self.conditions.nats.set_ok();
        }
        let reason = link.last_error.as_deref().unwrap_or("not connected");
        if connected {
            self.conditions.link.set_ok();
        } else {
            self.conditions.link.set_failed(reason);
        }
        let changes = self.directory.link(connected);
        self.apply(changes);
    }

    fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::State(stream, state) => {
                    tracing::info!(
                        camera = %stream.camera,
                        rendition = stream.variant(),
                        state = state.state.as_str(),
                        cause = state.cause.as_deref(),
                        "camera state"
                    );
                    self.hubs.set_state(&stream, state);
                }
                Change::Removed(stream) => {
                    tracing::info!(camera = %stream.camera, rendition = stream.variant(), "camera removed: nobody announces it");
                    self.hubs.command(&stream, Command::Removed);
                    self.metrics.forget(&stream);
                }
            }
        }
    }

    /// The line that tells what was sent since the last one.
    fn report(&mut self) {
        let (packets, bytes) = self.metrics.sent();
        let (packets_before, bytes_before) =
            std::mem::replace(&mut self.reported, (packets, bytes));
        let viewers = self.hubs.total_viewers();
        if viewers > 0 || packets > packets_before {
            tracing::info!(
                packets = packets - packets_before,
                bytes = bytes - bytes_before,
                viewers,
                "sent"
            );
        }
    }
}
