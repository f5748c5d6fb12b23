//! From a request to a viewer: judge, admit, shake hands, hand over.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use fanlight_auth::{Asked, Grant, How};
use fanlight_bus::StreamId;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tracing::Instrument;

use super::Site;
use super::client::Client;
use super::conn::Conn;
use super::refusal::Refusal;
use super::tls::Stream;
use crate::admission::{self, Permit};
use crate::audit;
use crate::hub::{Command, Membership};
use crate::viewer::{End, Viewer};
use crate::wire::CameraState;
use crate::ws::handshake::{Handshake, Refused};

pub(super) async fn main(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    upgrade(site, super::stream(&camera, None), request).await
}

pub(super) async fn rendition(
    State(site): State<Arc<Site>>,
    Path((camera, rendition)): Path<(String, String)>,
    request: Request,
) -> Response {
    upgrade(site, super::stream(&camera, Some(&rendition)), request).await
}

/// The upgrade of `/`.
pub(super) async fn default(site: Arc<Site>, request: Request) -> Response {
    let camera = site.directory.wait_default().await;
    let stream = camera.map(StreamId::main).ok_or_else(|| {
        let message = "this server has no default camera: connect to /ws/{camera}; /api/cameras lists the cameras";
        Refusal::new("no_default_camera", message)
    });
    upgrade(site, stream, request).await
}

/// One request that asks for a stream.
pub(super) struct Asker<'a> {
    pub(super) site: &'a Site,
    pub(super) client: &'a Client,
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
}

/// Somebody who may watch.
pub(super) struct Admitted {
    pub(super) grant: Grant,
    pub(super) permit: Permit,
    pub(super) state: Arc<CameraState>,
    pub(super) address: std::net::IpAddr,
}

impl Asker<'_> {
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            headers: self.headers,
            query: self.query,
            from_trusted_proxy: self.client.proxied,
        }
    }

    /// What the sender may watch.
    pub(super) async fn grant(&self) -> Result<Grant, Refusal> {
        let grant = self.site.gate.grant(&self.asked()).await;
        grant.map_err(|denied| {
            audit::denied(&self.site.refusals, self.client.address, denied);
            Refusal::not_signed_in()
        })
    }

    /// The grant, if it is for this camera. Whether there is such a camera is no business of
    /// somebody who may not watch it.
    pub(super) async fn grant_for(&self, stream: &StreamId) -> Result<Grant, Refusal> {
        let grant = self.grant().await?;
        if grant.cameras.contains(stream.camera.as_str()) {
            Ok(grant)
        } else {
            audit::not_allowed(
                &self.site.refusals,
                self.client.address,
                &grant,
                &stream.camera,
            );
            Err(Refusal::camera_not_allowed())
        }
    }

    /// Nobody has heard of the camera, or nobody could have yet.
    pub(super) fn unknown(&self) -> Refusal {
        if self.site.directory.is_settled() {
            Refusal::unknown_camera()
        } else {
            Refusal::starting()
        }
    }

    pub(super) fn would_enter(&self, stream: &StreamId, grant: &Grant) -> Result<(), Refusal> {
        let let_in = self.site.attempts.would_let(self.client.address);
        let_in.map_err(Refusal::too_many_attempts)?;
        if self.site.is_draining() {
            return Err(Refusal::draining());
        }
        let entered = self.site.admission.would_enter(self.at_door(stream, grant));
        entered.map_err(Refusal::full)
    }

    fn at_door<'b>(&self, stream: &'b StreamId, grant: &'b Grant) -> admission::Asker<'b> {
        // Guests of a share link are not who made it, and count by address.
        let known = !matches!(grant.how, How::Anonymous | How::Share);
        admission::Asker {
            camera: &stream.camera,
            address: self.client.address,
            user: known.then_some(&grant.who),
        }
    }

    fn too_often(&self, wait: Duration) -> Refusal {
        if let Some(suppressed) = self.site.refusals.allow("too_many_attempts") {
            let remote = self.client.address;
            tracing::warn!(%remote, suppressed, "refused: over --max-attempts-per-address; a proxy in front belongs in --trusted-proxies");
        }
        Refusal::too_many_attempts(wait)
    }

    /// All that must hold before somebody watches.
    pub(super) async fn admit(&self, stream: &StreamId) -> Result<Admitted, Refusal> {
        let attempt = self.site.attempts.attempt(self.client.address);
        attempt.map_err(|wait| self.too_often(wait))?;
        super::guard::origin(self.site, self.client, self.headers)?;
        if self.site.is_draining() {
            return Err(Refusal::draining());
        }
        let grant = self.grant_for(stream).await?;
        let state = self.site.directory.wait_state(stream).await;
        let state = state.ok_or_else(|| self.unknown())?;
        let address = self.client.address;
        let entered = self.site.admission.enter(self.at_door(stream, &grant));
        let permit = entered.map_err(Refusal::full)?;
        Ok(Admitted {
            grant,
            permit,
            state,
            address,
        })
    }
}

async fn upgrade(
    site: Arc<Site>,
    stream: Result<StreamId, Refusal>,
    mut request: Request,
) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    let client = request.extensions().get::<Client>().cloned();
    // The body of a GET is nobody's, and would keep this future on one thread.
    let (parts, _no_body) = request.into_parts();
    let answer = match (stream, client) {
        (Ok(stream), Some(client)) => begin(&site, &stream, &client, &parts, upgraded).await,
        (Ok(_), None) => Err(Refusal::unknown_camera()),
        (Err(refusal), _) => Err(refusal),
    };
    match answer {
        Ok(response) => {
            site.metrics.connection("accepted");
            response
        }
        Err(refusal) => {
            count(&site, &refusal);
            refusal.into_response()
        }
    }
}

pub(super) fn count(site: &Site, refusal: &Refusal) {
    let known = crate::metrics::RESULTS.contains(&refusal.code);
    site.metrics
        .connection(if known { refusal.code } else { "bad_request" });
}

async fn begin(
    site: &Arc<Site>,
    stream: &StreamId,
    client: &Client,
    request: &Parts,
    upgraded: OnUpgrade,
) -> Result<Response, Refusal> {
    let handshake = Handshake::of(request.version, &request.headers).map_err(|refused| {
        let code = match refused {
            Refused::NotAnUpgrade | Refused::Version => "upgrade_required",
            Refused::Key => "bad_request",
        };
        Refusal::new(code, refused.to_string())
    })?;
    let asker = Asker {
        site,
        client,
        headers: &request.headers,
        query: request.uri.query(),
    };
    let admitted = asker.admit(stream).await?;
    let membership = site.hubs.join(stream, Arc::clone(&admitted.state));
    let task_site = Arc::clone(site);
    let v1 = handshake.v1;
    site.shutdown.tracker.spawn(async move {
        let Ok(upgraded) = upgraded.await else {
            return; // the client left before the answer
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Conn>>() else {
            tracing::error!("the upgraded connection is not ours");
            return;
        };
        let socket = parts.io.into_inner().into_stream();
        // A copy, seldom of anything: hyper's own is a piece of its whole read buffer.
        let early = Box::from(&*parts.read_buf);
        drop(parts.read_buf);
        watch(&task_site, admitted, membership, socket, v1, early).await;
    });
    Ok(handshake.response())
}

/// Serves one viewer and logs its coming and going.
async fn watch(
    site: &Site,
    admitted: Admitted,
    membership: Membership,
    socket: Stream,
    v1: bool,
    early: Box<[u8]>,
) {
    let Admitted {
        grant,
        permit,
        address,
        ..
    } = admitted;
    if site.is_draining() {
        // The drain began while the handshake ran; its round of notices may have passed by.
        membership.tell(Command::Drain);
    }
    let came = Coming::new(
        site,
        &membership,
        &grant,
        address,
        if v1 { "fanlight.v1" } else { "plain" },
    );
    let mut viewer = Box::new(Viewer::new(socket, membership, &grant, v1));
    let span = tracing::debug_span!(parent: None, "viewer", camera = %came.stream.camera, rendition = came.stream.variant(), viewer = came.viewer);
    let end = viewer.run(&early).instrument(span).await;
    drop((viewer, permit));
    came.left(site, end);
}

/// A viewer's line in the log when it comes, and the one when it leaves.
pub(super) struct Coming {
    viewer: u64,
    stream: StreamId,
    address: std::net::IpAddr,
    who: Arc<str>,
    since: Instant,
}

impl Coming {
    pub(super) fn new(
        site: &Site,
        membership: &Membership,
        grant: &Grant,
        address: std::net::IpAddr,
        protocol: &'static str,
    ) -> Self {
        let hub = membership.hub();
        let viewer = site.viewer_number();
        tracing::info!(
            target: "audit",
            viewer,
            camera = %hub.stream().camera,
            rendition = hub.stream().variant(),
            remote = %address,
            who = %grant.who,
            protocol,
            viewers = hub.viewers(),
            "viewer connected"
        );
        Self {
            viewer,
            stream: hub.stream().clone(),
            address,
            who: Arc::clone(&grant.who),
            since: Instant::now(),
        }
    }

    pub(super) fn left(self, site: &Site, end: End) {
        let reason = end.label();
        site.metrics.disconnect(reason);
        tracing::info!(
            target: "audit",
            viewer = self.viewer,
            camera = %self.stream.camera,
            rendition = self.stream.variant(),
            remote = %self.address,
            who = %self.who,
            reason,
            seconds = self.since.elapsed().as_secs(),
            viewers = site.hubs.viewers(&self.stream),
            "viewer disconnected"
        );
    }
}

/// The type of a transport stream (RFC 3555 section 4.2.9).
pub(super) const MPEG_TS: HeaderValue = HeaderValue::from_static("video/mp2t");
