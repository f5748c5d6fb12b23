//! What holds for every route: known names only, and headers that keep browsers strict.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;
use super::client::{Client, Ends};
use super::refusal::Refusal;

pub(super) async fn guard(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(ends) = request.extensions().get::<Ends>().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let client = Client::of(ends, request.uri(), request.headers(), &site.proxies);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let https = client.is_https();
    let checked = check(&site, &client, &request);
    let mut response = match checked {
        Ok(()) => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    finish(&site, origin.as_ref(), https, &mut response);
    response
}

fn check(site: &Site, client: &Client, request: &Request) -> Result<(), Refusal> {
    if !site.rules.allows_host(client.own()) {
        if let Some(suppressed) = site.refusals.allow("host") {
            let host = request.headers().get(header::HOST);
            tracing::warn!(
                ?host,
                remote = %client.address,
                suppressed,
                "refused: called by a name that is not ours; --allow-host adds one"
            );
        }
        let message =
            "this server does not go by that name; its operator can add one with --allow-host";
        return Err(Refusal::new("host_not_allowed", message));
    }
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if reads {
        return Ok(());
    }
    origin(site, client, request.headers())?;
    if is_cross_site(request.headers()) {
        let message = "a page of another site may change nothing here";
        return Err(Refusal::new("origin_not_allowed", message));
    }
    Ok(())
}

/// Whether a browser says that another site's page asks, and names no origin that could be
/// judged. Who sends neither is no browser and is judged by its credentials.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    let own = |site: &HeaderValue| site == "same-origin" || site == "none";
    !headers.contains_key(header::ORIGIN) && site.is_some_and(|site| !own(site))
}

/// Whether the request's page may open streams and change things.
pub(super) fn origin(site: &Site, client: &Client, headers: &HeaderMap) -> Result<(), Refusal> {
    let origin = headers.get(header::ORIGIN);
    // An origin that is not even text is nobody's.
    let text = origin.map(|value| value.to_str().unwrap_or("?"));
    if site.rules.allows_origin(text, client.own()) {
        return Ok(());
    }
    if let Some(suppressed) = site.refusals.allow("origin") {
        tracing::warn!(
            ?origin,
            remote = %client.address,
            suppressed,
            "refused: a page of another origin; --allow-origin adds one"
        );
    }
    let message =
        "pages of this origin may not watch here; the operator can allow it with --allow-origin";
    Err(Refusal::new("origin_not_allowed", message))
}

fn finish(site: &Site, origin: Option<&HeaderValue>, https: bool, response: &mut Response) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let denied = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    if denied && site.gate.mode() == "jwt" {
        let challenge = HeaderValue::from_static("Bearer realm=\"fanlight\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, site.policy.clone());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page that may watch may also read what there is to watch.
    let named = origin.filter(|o| o.to_str().is_ok_and(|text| site.rules.names_origin(text)));
    if let Some(origin) = named
        && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_say_which_site_asks() {
        for (headers, expected) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "?")], true),
            // judged by --allow-origin
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://app.example"),
                ],
                false,
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_cross_site(&map), expected, "{headers:?}");
        }
    }
}
