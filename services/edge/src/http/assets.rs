//! The page and the player, compiled in. File names carry no hash, so browsers ask each time
//! and mostly hear that nothing changed.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

/// A file of the bundle.
#[derive(Debug)]
pub(super) struct Asset {
    name: &'static str,
    /// Start of its SHA-256, in hex.
    etag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    pub(super) fn respond(&self, request: &HeaderMap) -> Response {
        let gzip = self.gzip.filter(|_| accepts_gzip(request));
        // Each form has its own tag: a cache must not take one for the other.
        let etag = match gzip {
            Some(_) => format!("\"{}-gz\"", self.etag),
            None => format!("\"{}\"", self.etag),
        };
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*");
        let mut response = Response::new(match known {
            true => Body::empty(),
            false => Body::from(gzip.unwrap_or(self.plain)),
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        let fixed = [
            (header::CONTENT_TYPE, content_type(self.name)),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "Accept-Encoding"),
            // Code that is the same for everybody: pages of other origins import the player.
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (
                header::HeaderName::from_static("cross-origin-resource-policy"),
                "cross-origin",
            ),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| ((*n).parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_page_is_there_in_both_forms_and_is_revalidated() {
        let page = Asset::find("index.html").expect("the page");
        let plain = page.respond(&request(&[]));
        assert_eq!(plain.headers()["content-type"], "text/html; charset=utf-8");
        let tag = plain.headers()["etag"].to_str().unwrap().to_owned();
        let again = page.respond(&request(&[("if-none-match", &tag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let packed = page.respond(&request(&[("accept-encoding", "br, gzip")]));
        assert_eq!(
            packed.headers().get("content-encoding").is_some(),
            page.gzip.is_some()
        );
        assert!(Asset::find("../Cargo.toml").is_none());
    }

    #[test]
    fn gzip_only_where_it_is_taken() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(
                accepts_gzip(&request(&[("accept-encoding", value)])),
                expected,
                "{value}"
            );
        }
    }
}
