//! `/api/cameras`: what there is to watch, in JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::Site;
use super::client::Client;
use super::refusal::Refusal;
use super::watch::{self, Asker};
use crate::wire::CameraList;

pub(super) async fn cameras(State(site): State<Arc<Site>>, request: Request) -> Response {
    let grant = match site.auth.grant(request.headers()) {
        Ok(grant) => grant,
        Err(_) => return watch::not_signed_in().into_response(),
    };
    let mut cameras = site.directory.list(|stream| site.hubs.viewers(stream));
    cameras.retain(|view| {
        view.camera
            .parse()
            .is_ok_and(|id| grant.cameras.contains(&id))
    });
    fresh(Json(CameraList { cameras }))
}

pub(super) async fn camera(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    let client = request.extensions().get::<Client>().cloned();
    let (parts, _no_body) = request.into_parts();
    match one(&site, &camera, client, &parts.headers).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn one(
    site: &Site,
    camera: &str,
    client: Option<Client>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let stream = super::stream(camera, None)?;
    let client = client.ok_or_else(Refusal::unknown_camera)?;
    let asker = Asker {
        site,
        client: &client,
        headers,
    };
    asker.grant(&stream)?;
    if site.directory.wait_state(&stream).await.is_none() {
        return Err(asker.unknown());
    }
    let mut views = site.directory.list(|stream| site.hubs.viewers(stream));
    let index = views.iter().position(|view| view.camera == camera);
    let mut view = index
        .map(|i| views.swap_remove(i))
        .ok_or_else(Refusal::unknown_camera)?;
    let refused =
        super::guard::origin(site, &client, headers).and_then(|()| asker.would_enter(&stream));
    view.refusal = refused.err().map(Refusal::view);
    Ok(fresh(Json(view)))
}

fn fresh(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
