//! The opening handshake (RFC 6455 section 4.2), judged from the request's headers alone.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire::SUBPROTOCOL;

/// A request that is no valid WebSocket handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not an upgrade to WebSocket at all.
    #[error("this address is a WebSocket: connect to it with ws:// or wss://")]
    NotAnUpgrade,
    /// Another version than 13.
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    /// The key is missing or not 16 bytes in base64.
    #[error("header `Sec-WebSocket-Key` is not 16 bytes in base64")]
    Key,
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Whether `fanlight.v1` messages go beside the media.
    pub v1: bool,
    accept: String,
    protocol: Option<String>,
}

/// Whether the request asks for a WebSocket, right or wrong.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
}

impl Handshake {
    /// Judges a request.
    ///
    /// # Errors
    /// What is missing.
    pub fn of(version: Version, headers: &HeaderMap) -> Result<Self, Refused> {
        if version != Version::HTTP_11
            || !is_upgrade(headers)
            || !has_token(headers, header::CONNECTION, "upgrade")
        {
            return Err(Refused::NotAnUpgrade);
        }
        let text = |name| {
            headers
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok())
        };
        if text(header::SEC_WEBSOCKET_VERSION).map(str::trim) != Some("13") {
            return Err(Refused::Version);
        }
        let key = text(header::SEC_WEBSOCKET_KEY).map_or("", str::trim);
        if !is_16_bytes_in_base64(key) {
            return Err(Refused::Key);
        }
        let offered: Vec<&str> = headers
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .filter(|p| is_token(p))
            .collect();
        let v1 = offered.contains(&SUBPROTOCOL);
        // Browsers fail a connection whose subprotocols were all passed over, and JSMpeg asks
        // for one named `null`.
        let chosen = if v1 {
            Some(SUBPROTOCOL)
        } else {
            offered.first().copied()
        };
        Ok(Self {
            v1,
            accept: derive_accept_key(key.as_bytes()),
            protocol: chosen.map(str::to_owned),
        })
    }

    /// The 101 answer.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(protocol) = self.protocol.as_deref().and_then(|p| p.parse().ok()) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// 16 bytes are 22 characters of base64 and two of padding.
fn is_16_bytes_in_base64(key: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(alphabet)
}

/// A token of RFC 9110 section 5.6.2, which is what a subprotocol is.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && (text.len() <= 64 || (text.starts_with("fanlight.token.") && text.len() <= 8 << 10))
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn with(protocols: &[&str]) -> Handshake {
        let mut pairs = GOOD.to_vec();
        pairs.extend(protocols.iter().map(|p| ("sec-websocket-protocol", *p)));
        Handshake::of(Version::HTTP_11, &headers(&pairs)).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let response = with(&[]).response();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn subprotocols() {
        for (offered, v1, answered) in [
            (&["fanlight.v1"][..], true, "fanlight.v1"),
            (&["null"], false, "null"),
            (&["other, fanlight.v1"], true, "fanlight.v1"),
            (&["other", "fanlight.v1"], true, "fanlight.v1"),
            (&["a, b"], false, "a"),
        ] {
            let handshake = with(offered);
            assert_eq!(handshake.v1, v1, "{offered:?}");
            assert_eq!(
                handshake.response().headers()["sec-websocket-protocol"],
                answered
            );
        }
    }

    #[test]
    fn refusals() {
        let without =
            |name: &str| -> Vec<_> { GOOD.into_iter().filter(|(n, _)| *n != name).collect() };
        for (missing, refused) in [
            ("upgrade", Refused::NotAnUpgrade),
            ("connection", Refused::NotAnUpgrade),
            ("sec-websocket-version", Refused::Version),
            ("sec-websocket-key", Refused::Key),
        ] {
            let given = headers(&without(missing));
            assert_eq!(
                Handshake::of(Version::HTTP_11, &given),
                Err(refused),
                "{missing}"
            );
        }
        let mut short = without("sec-websocket-key");
        short.push(("sec-websocket-key", "c2hvcnQ="));
        assert_eq!(
            Handshake::of(Version::HTTP_11, &headers(&short)),
            Err(Refused::Key)
        );
        assert_eq!(
            Handshake::of(Version::HTTP_10, &headers(&GOOD)),
            Err(Refused::NotAnUpgrade)
        );
    }
}
