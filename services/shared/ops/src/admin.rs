//! The admin listener: `/metrics`, `/livez`, `/readyz` and `PUT /log-level`. It belongs on a
//! trusted network; nothing of it is ever on the public port.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::log::LogHandle;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// A log level set over the admin listener goes back to the configured one after this time, so
/// that nobody leaves a fleet at `trace`.
pub const LOG_LEVEL_RESET: Duration = Duration::from_secs(15 * 60);

/// Largest body taken: a log filter is a line.
const MAX_BODY: usize = 1024;

/// How long open requests get once the listener is told to stop.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What the admin listener shows and changes.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// Behind `/livez` and `/readyz`.
    pub health: Health,
    /// Behind `/metrics`.
    pub metrics: Metrics,
    /// Behind `/log-level`.
    pub log: LogHandle,
}

/// The admin address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("listen on admin address {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Binds the admin listener; port 0 picks a free one.
///
/// # Errors
/// The address is taken, not ours or not permitted.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError { address, source })
}

/// Serves until `token` is cancelled. Cancel it last: a draining service must still say so.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    state: AdminState,
    token: CancellationToken,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "admin listener ready");
    let stop = token.clone();
    let server = axum::serve(listener, router(state))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        done = std::future::IntoFuture::into_future(server) => done,
        () = async { token.cancelled().await; tokio::time::sleep(CLOSE_GRACE).await } => Ok(()),
    }
}

/// The routes alone, for a listener that is not TCP.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/log-level", put(log_level))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        state.metrics.encode(),
    )
}

async fn livez(State(state): State<AdminState>) -> Response {
    match state.health.liveness() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn readyz(State(state): State<AdminState>) -> impl IntoResponse {
    let report = state.health.readiness();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}

/// The body is a filter such as `debug` or `info,fanlight_edge=trace`. A browser always sends
/// `Origin` with PUT, so refusing it keeps pages from reaching an operator's loopback.
async fn log_level(
    State(state): State<AdminState>,
    headers: HeaderMap,
    filter: String,
) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "requests of web pages are refused\n").into_response();
    }
    let filter = filter.trim();
    match state.log.set_temporarily(filter, LOG_LEVEL_RESET) {
        Ok(()) => {
            tracing::info!(
                filter,
                reset_seconds = LOG_LEVEL_RESET.as_secs(),
                "log level changed"
            );
            Json(serde_json::json!({
                "filter": filter,
                "reset_seconds": LOG_LEVEL_RESET.as_secs(),
            }))
            .into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}
