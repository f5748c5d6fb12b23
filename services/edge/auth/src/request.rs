//! What a request shows: where credentials may be in it.

use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode_str;

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "fanlight_session";

/// Name of the cookie that may hold a JSON Web Token.
const TOKEN_COOKIE: &str = "fanlight_token";

/// Offered as a WebSocket subprotocol, since browsers let no header be set.
const TOKEN_PROTOCOL: &str = "fanlight.token.";

/// A request, as far as it says who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, still percent-encoded.
    pub query: Option<&'a str>,
    /// Whether it comes straight from one of the trusted proxies.
    pub from_trusted_proxy: bool,
}

impl<'a> Asked<'a> {
    /// A cookie by name (RFC 6265 section 5.4); the first one counts.
    pub(crate) fn cookie(&self, name: &str) -> Option<&'a str> {
        let lines = self.headers.get_all(header::COOKIE).into_iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"'))
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self
            .query?
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        let text = percent_decode_str(value).decode_utf8().ok()?;
        (!text.is_empty()).then(|| text.into_owned())
    }

    /// The value of a header that is there once; twice is nobody's.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).into_iter();
        let value = values.next()?.to_str().ok()?.trim();
        (values.next().is_none() && !value.is_empty()).then_some(value)
    }

    /// A token by header, query, subprotocol or cookie, in this order (RFC 6750 section 2).
    pub(crate) fn token(&self) -> Option<String> {
        let bearer = self.header(&header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| token.trim().to_owned())
        });
        let offered = || {
            let protocols = self
                .headers
                .get_all(header::SEC_WEBSOCKET_PROTOCOL)
                .into_iter();
            protocols
                .filter_map(|line| line.to_str().ok())
                .flat_map(|line| line.split(','))
                .find_map(|name| name.trim().strip_prefix(TOKEN_PROTOCOL))
                .map(str::to_owned)
        };
        bearer
            .or_else(|| self.parameter("token"))
            .or_else(offered)
            .or_else(|| self.cookie(TOKEN_COOKIE).map(str::to_owned))
            .filter(|token| !token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_ways_a_token_comes() {
        let none = headers(&[]);
        for (pairs, query, expected) in [
            (
                headers(&[("authorization", "Bearer a.b.c")]),
                None,
                Some("a.b.c"),
            ),
            (
                headers(&[("authorization", "bearer a.b.c")]),
                Some("token=x"),
                Some("a.b.c"),
            ),
            (headers(&[("authorization", "Basic a.b.c")]), None, None),
            (none.clone(), Some("x=1&token=a%2Eb"), Some("a.b")),
            (none, Some("token="), None),
            (
                headers(&[("sec-websocket-protocol", "fanlight.v1, fanlight.token.a.b")]),
                None,
                Some("a.b"),
            ),
            (
                headers(&[("cookie", "z=1; fanlight_token=a.b")]),
                None,
                Some("a.b"),
            ),
        ] {
            let asked = Asked {
                headers: &pairs,
                query,
                from_trusted_proxy: false,
            };
            assert_eq!(asked.token().as_deref(), expected, "{pairs:?} {query:?}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_is_nobodys() {
        let mut twice = headers(&[("x-forwarded-user", "anna")]);
        twice.append("x-forwarded-user", "root".parse().unwrap());
        let asked = Asked {
            headers: &twice,
            query: None,
            from_trusted_proxy: true,
        };
        assert_eq!(
            asked.header(&HeaderName::from_static("x-forwarded-user")),
            None
        );
    }
}
