//! The plain listener beside https: sends everybody there, and serves nothing.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::origin::Authority;

/// Answers everything with the same address under https at `port`.
pub(super) fn router(port: u16) -> Router {
    Router::new().fallback(async move |request: Request| {
        let (parts, _no_body) = request.into_parts();
        match target(&parts.uri, &parts.headers, port) {
            Some(target) => {
                // 301 is what every client knows; 308 keeps the method of the others.
                let status = match parts.method {
                    Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
                    _ => StatusCode::PERMANENT_REDIRECT,
                };
                (status, [(header::LOCATION, target)]).into_response()
            }
            None => bad_host(),
        }
    })
}

fn bad_host() -> Response {
    (
        StatusCode::BAD_REQUEST,
        "the Host header names no host; use https\n",
    )
        .into_response()
}

/// Only the name is taken from `Host`, and only if it is one.
fn target(uri: &Uri, headers: &HeaderMap, port: u16) -> Option<HeaderValue> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    let port = match port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // An asterisk-form request has no path.
    let path = if path.starts_with('/') { path } else { "/" };
    HeaderValue::from_str(&format!("https://{}{port}{path}", authority.host()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_to(host: &str, path: &str, port: u16) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let target = target(&path.parse().unwrap(), &headers, port)?;
        Some(target.to_str().unwrap().to_owned())
    }

    #[test]
    fn keeps_name_path_and_query_only() {
        for (host, path, port, expected) in [
            ("cams.example", "/", 443, Some("https://cams.example/")),
            (
                "cams.example:80",
                "/a?b=c",
                8103,
                Some("https://cams.example:8103/a?b=c"),
            ),
            ("[::1]:8080", "/x", 443, Some("https://[::1]/x")),
            (
                "192.0.2.1",
                "//evil.example",
                443,
                Some("https://192.0.2.1//evil.example"),
            ),
            ("user@evil.example", "/", 443, None),
            ("evil.example/path", "/", 443, None),
            ("a b", "/", 443, None),
            ("[evil.example]", "/", 443, None),
            ("", "/", 443, None),
            ("cams.example:x", "/", 443, None),
        ] {
            assert_eq!(sent_to(host, path, port).as_deref(), expected, "{host}");
        }
        assert!(target(&Uri::from_static("/"), &HeaderMap::new(), 443).is_none());
    }
}
