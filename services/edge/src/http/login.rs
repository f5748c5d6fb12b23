//! Signing in and out, and share links: the only routes that change something.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use fanlight_auth::{Asked, Gate, ShareError, SignInError};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::Site;
use super::api::fresh;
use super::client::Client;
use super::refusal::Refusal;
use super::watch::Asker;
use crate::audit;

/// Largest body of a request: two fields and an address.
const MAX_BODY: usize = 4 << 10;

/// Time for a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// What may not stand in a query's value.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'%');

/// What the sign-in form sends.
#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: Option<String>,
}

/// Who is asking, for the page.
#[derive(Serialize)]
struct Session<'a> {
    mode: &'a str,
    user: Option<&'a str>,
    can_share: bool,
}

/// What the page sends for a link.
#[derive(Deserialize)]
struct ShareRequest {
    minutes: f64,
}

#[derive(Serialize)]
struct ShareAnswer {
    url: String,
    expires: u64,
}

fn asked<'a>(parts: &'a Parts, client: &Client) -> Asked<'a> {
    Asked {
        headers: &parts.headers,
        query: parts.uri.query(),
        from_trusted_proxy: client.proxied,
    }
}

/// Whether a request shows somebody who may watch something.
pub(super) async fn is_known(site: &Site, parts: &Parts) -> bool {
    match parts.extensions.get::<Client>() {
        Some(client) => site.gate.grant(&asked(parts, client)).await.is_ok(),
        None => false,
    }
}

/// To the sign-in page, and back to where somebody wanted to go.
pub(super) fn redirect(uri: &Uri) -> Response {
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    let next = utf8_percent_encode(wanted, QUERY);
    see_other(&format!("/login?next={next}"))
}

fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, to);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) async fn page(headers: HeaderMap) -> Response {
    super::html("login.html", &headers)
}

pub(super) async fn session(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, _no_body) = request.into_parts();
    let grant = match parts.extensions.get::<Client>() {
        Some(client) => site.gate.grant(&asked(&parts, client)).await.ok(),
        None => None,
    };
    let user = grant.as_ref().filter(|_| !site.gate.is_anonymous());
    fresh(Json(Session {
        mode: site.gate.mode(),
        user: user.map(|grant| &*grant.who),
        can_share: grant
            .as_ref()
            .is_some_and(|grant| site.gate.can_share(grant)),
    }))
}

pub(super) async fn sign_in(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(client) = parts.extensions.get::<Client>() else {
        return Refusal::not_signed_in().into_response();
    };
    let is_form = !is_json(&parts.headers);
    let credentials = match read(body)
        .await
        .and_then(|bytes| credentials(&bytes, is_form))
    {
        Ok(credentials) => credentials,
        Err(refusal) => return refusal.into_response(),
    };
    let Credentials {
        name,
        password,
        next,
    } = credentials;
    match site.gate.sign_in(client.address, &name, password).await {
        Ok(signed_in) => {
            audit::signed_in(client.address, &signed_in.who);
            let mut response = if is_form {
                see_other(own_path(next.as_deref()))
            } else {
                StatusCode::NO_CONTENT.into_response()
            };
            set_cookie(&mut response, &signed_in.set_cookie(client.is_https()));
            response
        }
        Err(error) => refused(&site, client.address, &name, error).into_response(),
    }
}

fn refused(site: &Site, address: IpAddr, name: &str, error: SignInError) -> Refusal {
    let shown = fanlight_auth::is_name(name).then_some(name);
    audit::sign_in_refused(&site.refusals, address, shown, &error.to_string());
    match error {
        SignInError::NoPasswords => Refusal::new(
            "not_found",
            "nobody signs in with a password here: this server has another --auth",
        ),
        SignInError::Wrong => Refusal::new("wrong_credentials", error.to_string()),
        SignInError::TooMany(wait) => {
            Refusal::new("too_many_attempts", "too many attempts; wait a little")
                .after(wait.as_secs() + 1)
        }
    }
}

/// A path of this server, never another's: `//` and `/\` begin a host.
fn own_path(next: Option<&str>) -> &str {
    let next = next.unwrap_or("/");
    let foreign = next.starts_with("//") || next.contains(['\\', '\r', '\n', '\t']);
    if next.starts_with('/') && !foreign {
        next
    } else {
        "/"
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("application/json"))
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let read = tokio::time::timeout(BODY_LIMIT, axum::body::to_bytes(body, MAX_BODY));
    let bytes = read
        .await
        .map_err(|_| Refusal::new("bad_request", "the body took too long"))?;
    let bytes = bytes.map_err(|_| Refusal::new("bad_request", "the body is longer than 4 KiB"))?;
    Ok(bytes.to_vec())
}

fn credentials(bytes: &[u8], is_form: bool) -> Result<Credentials, Refusal> {
    let wrong = || {
        Refusal::new(
            "bad_request",
            "send `name` and `password`, as a form or as JSON",
        )
    };
    if !is_form {
        return serde_json::from_slice(bytes).map_err(|_| wrong());
    }
    let mut fields: std::collections::HashMap<_, _> =
        form_urlencoded::parse(bytes).into_owned().collect();
    Ok(Credentials {
        name: fields.remove("name").ok_or_else(wrong)?,
        password: fields.remove("password").ok_or_else(wrong)?,
        next: fields.remove("next"),
    })
}

fn set_cookie(response: &mut Response, text: &str) {
    let headers = response.headers_mut();
    if let Ok(cookie) = HeaderValue::from_str(text) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

pub(super) async fn sign_out(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, _no_body) = request.into_parts();
    let client = parts.extensions.get::<Client>();
    if let Some(client) = client
        && let Some(who) = site.gate.sign_out(&asked(&parts, client))
    {
        audit::signed_out(client.address, &who);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let secure = client.is_some_and(Client::is_https);
    set_cookie(&mut response, &Gate::forget_cookie(secure));
    response
}

pub(super) async fn share(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    match link(&site, &camera, &parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn link(site: &Site, camera: &str, parts: &Parts, body: Body) -> Result<Response, Refusal> {
    let client = parts.extensions.get::<Client>();
    let client = client.ok_or_else(Refusal::not_signed_in)?;
    let asker = Asker {
        site,
        client,
        headers: &parts.headers,
        query: parts.uri.query(),
    };
    let grant = asker.grant().await?;
    let stream = super::stream(camera, None).map_err(|_| Refusal::camera_not_allowed())?;
    let wrong = || {
        Refusal::new(
            "bad_request",
            "send `{\"minutes\": 60}`, from a second to 7 days",
        )
    };
    let wanted: ShareRequest = serde_json::from_slice(&read(body).await?).map_err(|_| wrong())?;
    let lifetime = Duration::try_from_secs_f64(wanted.minutes * 60.0).map_err(|_| wrong())?;
    let shared = site
        .gate
        .share(&grant, camera, lifetime)
        .map_err(|error| match error {
            ShareError::NotAllowed => Refusal::new("share_not_allowed", error.to_string()),
            ShareError::Camera => {
                audit::not_allowed(&site.refusals, client.address, &grant, &stream.camera);
                Refusal::camera_not_allowed()
            }
            ShareError::Lifetime => wrong(),
        })?;
    audit::shared(client.address, &grant, &stream.camera, shared.expires);
    Ok(fresh(Json(ShareAnswer {
        url: shared.path,
        expires: shared.expires,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_are_gone_to() {
        for (next, expected) in [
            (None, "/"),
            (Some("/cameras/gate?share=x"), "/cameras/gate?share=x"),
            (Some("https://evil.example/"), "/"),
            (Some("//evil.example/"), "/"),
            (Some("/\\evil.example/"), "/"),
            (Some("/a\r\nSet-Cookie: x"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (Some(""), "/"),
        ] {
            assert_eq!(own_path(next), expected, "{next:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_an_end_in_time_and_size() {
        let began = tokio::time::Instant::now();
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let refusal = read(Body::from_stream(never)).await.unwrap_err();
        assert_eq!(refusal.code, "bad_request");
        assert_eq!(began.elapsed().as_secs(), BODY_LIMIT.as_secs());
        let most = vec![b'x'; MAX_BODY];
        assert_eq!(read(Body::from(most.clone())).await.unwrap(), most);
        let more = vec![b'x'; MAX_BODY + 1];
        assert!(read(Body::from(more)).await.is_err());
    }

    #[test]
    fn bodies() {
        let form = credentials(b"name=anna&password=a%26b+c&next=%2F", true).unwrap();
        assert_eq!((&*form.name, &*form.password), ("anna", "a&b c"));
        assert!(credentials(br#"{"name": "anna", "password": "x"}"#, false).is_ok());
        assert!(credentials(b"name=anna", true).is_err());
        assert!(credentials(b"\xff", false).is_err());
    }
}
