//! `live.ts`: the same stream as plain HTTP, for ffplay, VLC and curl.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fanlight_bus::State as CameraIs;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::Site;
use super::client::Client;
use super::refusal::Refusal;
use super::watch::{Admitted, Asker, Coming, MPEG_TS, count};
use crate::admission::Permit;
use crate::clock::unix_ns;
use crate::hub::{Command, Cursor, Frame, Membership};
use crate::viewer::End;
use crate::ws::close::Close;

/// Bytes taken from the ring at a time.
const TAKE: usize = 64 << 10;

pub(super) async fn live(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    let (parts, _no_body) = request.into_parts();
    match begin(&site, &camera, &parts).await {
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

async fn begin(site: &Arc<Site>, camera: &str, request: &Parts) -> Result<Response, Refusal> {
    let client = request.extensions.get::<Client>();
    let client = client.ok_or_else(Refusal::unknown_camera)?;
    let stream = super::stream(camera, None)?;
    let admitted = Asker {
        site,
        client,
        headers: &request.headers,
        query: request.uri.query(),
    }
    .admit(&stream)
    .await?;
    let is_on = matches!(admitted.state.state, CameraIs::Live | CameraIs::Starting);
    if !is_on && !site.hubs.has_picture(&stream) {
        return Err(Refusal::offline(admitted.state.cause.as_deref()));
    }
    let Admitted {
        grant,
        permit,
        state,
        address,
    } = admitted;
    let membership = site.hubs.join(&stream, state);
    let coming = Coming::new(site, &membership, &grant, address, "http");
    let expires = crate::auth::deadline(&grant);
    let mut revoked = grant.revoked;
    let ends = async move {
        let expired = async {
            match expires {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let taken_away = async {
            match &mut revoked {
                Some(revoked) => {
                    if revoked.wait_for(|r| *r).await.is_err() {
                        std::future::pending().await
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => Close::GrantEnded,
            () = taken_away => Close::Revoked,
        }
    };
    let body = Live {
        site: Arc::clone(site),
        cursor: membership.cursor(Instant::now()),
        membership,
        joined: Instant::now(),
        queue: VecDeque::new(),
        got_first: false,
        ends: ends.boxed(),
        end: End::Closed(Close::Client(1006)),
        coming: Some(coming),
        _permit: permit,
    };
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, MPEG_TS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The body. hyper asks for more only when the socket takes more, so a slow client falls behind
/// here like a WebSocket viewer does; one that takes nothing is reset by its connection.
struct Live {
    site: Arc<Site>,
    membership: Membership,
    cursor: Cursor,
    joined: Instant,
    queue: VecDeque<Arc<Frame>>,
    got_first: bool,
    ends: BoxFuture<'static, Close>,
    end: End,
    coming: Option<Coming>,
    _permit: Permit,
}

impl Live {
    fn take(&mut self) {
        let Self {
            membership,
            cursor,
            queue,
            ..
        } = self;
        let skipped = membership.with_ring(|ring| {
            let skipped = cursor.catch_up(ring, Instant::now());
            cursor.take(ring, TAKE, |frame| queue.push_back(Arc::clone(frame)));
            skipped
        });
        membership.hub().metrics.skipped_chunks.inc_by(skipped);
    }

    fn sent(&mut self, frame: &Frame) {
        let metrics = &self.membership.hub().metrics;
        metrics.sent_chunks.inc();
        metrics.sent_bytes.inc_by(frame.payload_len());
        metrics.sent_ts_packets.inc_by(frame.packets());
        let edge = self.membership.edge_metrics();
        if !std::mem::replace(&mut self.got_first, true) {
            self.membership.got_picture();
            edge.join.observe(self.joined.elapsed().as_secs_f64());
        }
        if frame.live && frame.arrived >= self.joined {
            let latency = unix_ns().saturating_sub(frame.time);
            edge.delivery_latency.observe(latency as f64 / 1e9);
        }
    }
}

impl http_body::Body for Live {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.membership.register(cx.waker());
        let why = match self.membership.command() {
            Command::None => match self.ends.as_mut().poll(cx) {
                Poll::Ready(close) => Some(close),
                Poll::Pending => None,
            },
            Command::Drain | Command::Close => Some(Close::Draining),
            Command::Removed => Some(Close::Removed),
        };
        if let Some(close) = why {
            self.end = End::Closed(close);
            return Poll::Ready(None);
        }
        if self.queue.is_empty() {
            self.take();
        }
        match self.queue.pop_front() {
            Some(frame) => {
                self.sent(&frame);
                Poll::Ready(Some(Ok(http_body::Frame::data(frame.payload()))))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(coming) = self.coming.take() {
            coming.left(&self.site, self.end);
        }
    }
}
