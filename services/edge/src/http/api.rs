//! `/api/cameras`: what there is to watch, in JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::Site;
use super::client::Client;
use super::refusal::Refusal;
use super::watch::Asker;
use crate::wire::CameraList;

pub(super) async fn cameras(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, _no_body) = request.into_parts();
    let Some(client) = parts.extensions.get::<Client>() else {
        return Refusal::not_signed_in().into_response();
    };
    let asker = Asker {
        site: &site,
        client,
        headers: &parts.headers,
        query: parts.uri.query(),
    };
    let grant = match asker.grant().await {
        Ok(grant) => grant,
        Err(refusal) => return refusal.into_response(),
    };
    let mut cameras = site.directory.list(|stream| site.hubs.viewers(stream));
    cameras.retain(|view| grant.cameras.contains(&view.camera));
    fresh(Json(CameraList { cameras }))
}

pub(super) async fn camera(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    let (parts, _no_body) = request.into_parts();
    match one(&site, &camera, &parts).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn one(site: &Site, camera: &str, request: &Parts) -> Result<Response, Refusal> {
    let client = request.extensions.get::<Client>();
    let client = client.ok_or_else(Refusal::unknown_camera)?;
    let asker = Asker {
        site,
        client,
        headers: &request.headers,
        query: request.uri.query(),
    };
    let Ok(stream) = super::stream(camera, None) else {
        // no name of a camera: still nobody's business who may not watch anything
        asker.grant().await?;
        return Err(Refusal::unknown_camera());
    };
    let grant = asker.grant_for(&stream).await?;
    if site.directory.wait_state(&stream).await.is_none() {
        return Err(asker.unknown());
    }
    let mut views = site.directory.list(|stream| site.hubs.viewers(stream));
    let index = views.iter().position(|view| view.camera == camera);
    let mut view = index
        .map(|i| views.swap_remove(i))
        .ok_or_else(Refusal::unknown_camera)?;
    let refused = super::guard::origin(site, client, &request.headers)
        .and_then(|()| asker.would_enter(&stream, &grant));
    view.refusal = refused.err().map(Refusal::view);
    Ok(fresh(Json(view)))
}

pub(super) fn fresh(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
