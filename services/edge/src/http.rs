//! The public listener: page, assets, API and streams. All routes are on this screen.

mod api;
mod assets;
pub(crate) mod client;
mod conn;
mod guard;
mod live;
mod login;
mod proxied;
mod redirect;
mod refusal;
mod serve;
pub(crate) mod tls;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fanlight_auth::Gate;
use fanlight_bus::{CameraId, StreamId};
use fanlight_ops::shutdown::Shutdown;
use fanlight_ops::throttle::Throttle;

use self::assets::Asset;
use self::client::Network;
use self::refusal::Refusal;
use crate::admission::Admission;
use crate::directory::Directory;
use crate::hub::Hubs;
use crate::metrics::EdgeMetrics;
use crate::origin::Rules;
use crate::rate::Rate;

pub(crate) use serve::{Listeners, listen, serve};

/// Everything a request may need.
pub(crate) struct Site {
    pub(crate) hubs: Hubs,
    pub(crate) directory: Arc<Directory>,
    pub(crate) admission: Admission,
    /// To open a stream.
    pub(crate) attempts: Rate,
    pub(crate) gate: Gate,
    pub(crate) rules: Rules,
    pub(crate) proxies: Vec<Network>,
    /// They begin each connection with a PROXY header.
    pub(crate) proxy_protocol: bool,
    pub(crate) metrics: Arc<EdgeMetrics>,
    pub(crate) shutdown: Shutdown,
    pub(crate) draining: AtomicBool,
    /// `Content-Security-Policy` of every answer.
    pub(crate) policy: HeaderValue,
    pub(crate) refusals: Throttle,
    pub(crate) next_viewer: AtomicU64,
}

impl Site {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    fn viewer_number(&self) -> u64 {
        self.next_viewer.fetch_add(1, Ordering::Relaxed)
    }
}

/// At most one line a second for each kind of refusal.
pub(crate) const REFUSAL_LINES: Duration = Duration::from_secs(1);

/// No script or style inside the page, no plugins. The page may open streams of another server
/// (its address field), so connections are not limited to our own.
pub(crate) fn policy(frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self' http: https: ws: wss:; \
         worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors {frame_ancestors}"
    )
}

pub(crate) fn router(site: &Arc<Site>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/cameras/{camera}", get(camera_page))
        .route("/cameras/{camera}/live.ts", get(live::live))
        .route("/ws/{camera}", get(watch::main))
        .route("/ws/{camera}/{rendition}", get(watch::rendition))
        .route("/api/cameras", get(api::cameras))
        .route("/api/cameras/{camera}", get(api::camera))
        .route("/api/cameras/{camera}/share", post(login::share))
        .route("/api/session", get(login::session))
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/{file}", get(asset))
        .fallback(async || Refusal::new("not_found", "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Refusal::new("method_not_allowed", "this address is not asked that way")
        })
        .layer(from_fn_with_state(Arc::clone(site), guard::guard))
        .with_state(Arc::clone(site))
}

/// The wall; with an upgrade the stream of the default camera, for pages written for a server
/// of one camera.
async fn root(State(site): State<Arc<Site>>, request: Request) -> Response {
    if crate::ws::handshake::is_upgrade(request.headers()) {
        watch::default(site, request).await
    } else {
        page(&site, request).await
    }
}

async fn camera_page(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    match camera.parse::<CameraId>() {
        // The page itself says what is wrong with a camera, and whether it may be watched.
        Ok(_) => page(&site, request).await,
        Err(_) => Refusal::unknown_camera().into_response(),
    }
}

/// The page for those who may watch something; the others are led to the sign-in page.
async fn page(site: &Site, request: Request) -> Response {
    let (parts, _no_body) = request.into_parts();
    if login::is_known(site, &parts).await {
        html("index.html", &parts.headers)
    } else {
        login::redirect(&parts.uri)
    }
}

fn html(name: &str, headers: &HeaderMap) -> Response {
    match Asset::find(name) {
        Some(page) => page.respond(headers),
        None => Refusal::new("not_found", "the page was not built in").into_response(),
    }
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match Asset::find(&file) {
        Some(asset) => asset.respond(&headers),
        None => Refusal::new("not_found", "there is nothing at this address").into_response(),
    }
}

/// The stream that a path names.
fn stream(camera: &str, rendition: Option<&str>) -> Result<StreamId, Refusal> {
    let camera = camera.parse().map_err(|_| Refusal::unknown_camera())?;
    let rendition = rendition.map_or_else(|| Ok(fanlight_bus::Rendition::main()), str::parse);
    let rendition = rendition.map_err(|_| Refusal::unknown_camera())?;
    Ok(StreamId { camera, rendition })
}
