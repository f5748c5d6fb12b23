//! Which pages and which names this server answers to. Pure; the routes ask it.
//!
//! Origin: a page of another site must not open streams with a visitor's credentials or from
//! inside their network. Host: without authentication, a foreign name that was made to point
//! here (DNS rebinding) makes Origin and Host equal, so only known names are answered.

use std::net::IpAddr;
use std::str::FromStr;

use url::Url;

/// An entry of `--allow-origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowOrigin {
    /// Every page.
    Any,
    /// Pages opened from disk and sandboxed frames, which say `null`.
    Null,
    /// One origin, such as `https://example.org:8443`.
    Exact(Origin),
}

/// Scheme, host and port of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let bare = bare && url.username().is_empty() && url.password().is_none();
        match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            ("http" | "https", Some(host), Some(port)) if bare => Ok(Self {
                scheme: url.scheme().to_owned(),
                host: host.to_ascii_lowercase(),
                port,
            }),
            _ => Err(()),
        }
    }
}

impl FromStr for AllowOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => Ok(Self::Any),
            "null" => Ok(Self::Null),
            text => text.parse().map(Self::Exact).map_err(|()| {
                "write an origin such as `https://example.org`, or `null`, or `*`".to_owned()
            }),
        }
    }
}

/// What the client called us: `Host`, or a trusted proxy's `X-Forwarded-Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl FromStr for Authority {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // A bare IPv6 address would be cut at its last colon.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| ())?))
            }
            _ => (text, None),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if host.is_empty() || !(plain || bracketed) {
            return Err(());
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl Authority {
    /// The name or address as a URL writes it; `None` when brackets hold no IPv6 address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let is_ip = self.host.starts_with('[').then(|| self.ip().is_some());
        is_ip.unwrap_or(true).then_some(&self.host)
    }

    fn ip(&self) -> Option<IpAddr> {
        let inner = self
            .host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'));
        inner.unwrap_or(&self.host).parse().ok()
    }
}

/// A request's own address as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// What the client called us.
    pub authority: Option<&'a Authority>,
    /// `http` or `https`, when TLS ends here or a trusted proxy says it.
    pub scheme: Option<&'a str>,
    /// Our end of the connection.
    pub local: IpAddr,
}

/// The rules as configured.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// `--allow-origin`.
    pub origins: Vec<AllowOrigin>,
    /// `--allow-host`, lower case; `*` for every name.
    pub hosts: Vec<String>,
    /// Without authentication the Host rule applies.
    pub anonymous: bool,
}

impl Rules {
    /// Whether a page of this origin may open a stream or change something. No `Origin` at all
    /// is not a browser: judged by its credentials alone.
    #[must_use]
    pub fn allows_origin(&self, origin: Option<&str>, own: Own<'_>) -> bool {
        let Some(text) = origin else { return true };
        self.names_origin(text) || is_own(text, own)
    }

    /// Whether `--allow-origin` names it.
    #[must_use]
    pub fn names_origin(&self, text: &str) -> bool {
        let parsed = text.parse::<Origin>().ok();
        self.origins.iter().any(|allowed| match allowed {
            AllowOrigin::Any => true,
            AllowOrigin::Null => text == "null",
            AllowOrigin::Exact(origin) => parsed.as_ref() == Some(origin),
        })
    }

    /// Whether a request may call us what it does.
    #[must_use]
    pub fn allows_host(&self, own: Own<'_>) -> bool {
        if !self.anonymous {
            return true;
        }
        let Some(authority) = own.authority else {
            return false;
        };
        authority.host == "localhost"
            || authority.ip().is_some_and(|ip| {
                let ip = ip.to_canonical();
                ip.is_loopback() || ip == own.local.to_canonical()
            })
            || self
                .hosts
                .iter()
                .any(|host| host == "*" || *host == authority.host)
    }
}

/// Scheme and port count as far as they are known: behind a proxy that ends TLS and is not
/// named in `--trusted-proxies`, only the name is.
fn is_own(text: &str, own: Own<'_>) -> bool {
    let (Ok(origin), Some(authority)) = (text.parse::<Origin>(), own.authority) else {
        return false;
    };
    let default = match own.scheme.unwrap_or(&origin.scheme) {
        "https" => 443,
        _ => 80,
    };
    origin.host == authority.host
        && own.scheme.is_none_or(|scheme| scheme == origin.scheme)
        && origin.port == authority.port.unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: &str = "192.168.1.5";

    fn rules(origins: &[&str], hosts: &[&str]) -> Rules {
        Rules {
            origins: origins.iter().map(|o| o.parse().unwrap()).collect(),
            hosts: hosts.iter().map(|&h| h.to_owned()).collect(),
            anonymous: true,
        }
    }

    fn origin_allowed(
        allow: &[&str],
        origin: Option<&str>,
        host: &str,
        scheme: Option<&str>,
    ) -> bool {
        let authority = host.parse().ok();
        let own = Own {
            authority: authority.as_ref(),
            scheme,
            local: LAN.parse().unwrap(),
        };
        rules(allow, &[]).allows_origin(origin, own)
    }

    #[test]
    fn origins() {
        let own = "cams.example:8103";
        for (allow, origin, host, scheme, expected) in [
            (&[][..], None, own, None, true),
            (&[], Some("http://cams.example:8103"), own, None, true),
            (&[], Some("https://cams.example:8103"), own, None, true),
            (
                &[],
                Some("https://cams.example:8103"),
                own,
                Some("http"),
                false,
            ),
            (&[], Some("http://cams.example"), own, None, false),
            (
                &[],
                Some("https://cams.example"),
                "cams.example",
                None,
                true,
            ),
            (
                &[],
                Some("https://cams.example"),
                "cams.example",
                Some("https"),
                true,
            ),
            (
                &[],
                Some("http://cams.example"),
                "cams.example",
                Some("https"),
                false,
            ),
            (
                &[],
                Some("https://CAMS.example"),
                "Cams.Example",
                None,
                true,
            ),
            (&[], Some("http://[::1]:8103"), "[::1]:8103", None, true),
            (&[], Some("http://evil.example"), own, None, false),
            (
                &[],
                Some("http://cams.example:8103.evil.example"),
                own,
                None,
                false,
            ),
            (
                &[],
                Some("http://cams.example:8103@evil.example"),
                own,
                None,
                false,
            ),
            (&[], Some("null"), own, None, false),
            (&[], Some(""), own, None, false),
            (&[], Some("garbage"), own, None, false),
            (&["null"], Some("null"), own, None, true),
            (&["null"], Some("http://evil.example"), own, None, false),
            (&["*"], Some("http://evil.example"), own, None, true),
            (&["*"], Some("null"), own, None, true),
            (
                &["https://app.example"],
                Some("https://app.example"),
                own,
                None,
                true,
            ),
            (
                &["https://app.example"],
                Some("https://app.example:443"),
                own,
                None,
                true,
            ),
            (
                &["https://app.example"],
                Some("http://app.example"),
                own,
                None,
                false,
            ),
            (
                &["https://app.example"],
                Some("https://app.example:8443"),
                own,
                None,
                false,
            ),
            (
                &["https://app.example"],
                Some("https://sub.app.example"),
                own,
                None,
                false,
            ),
        ] {
            assert_eq!(
                origin_allowed(allow, origin, host, scheme),
                expected,
                "allow {allow:?}, origin {origin:?}, host {host}, scheme {scheme:?}"
            );
        }
    }

    #[test]
    fn hosts_without_authentication() {
        for (allow, host, expected) in [
            (&[][..], "localhost", true),
            (&[], "LOCALHOST:8103", true),
            (&[], "127.0.0.1:8103", true),
            (&[], "127.9.9.9", true),
            (&[], "[::1]:8103", true),
            (&[], "192.168.1.5:8103", true),
            (&[], "192.168.1.6:8103", false),
            (&[], "rebound.evil.example:8103", false),
            (&[], "localhost.evil.example", false),
            (&[], "cams.example", false),
            (&["cams.example"], "cams.example:9000", true),
            (&["cams.example"], "Cams.Example", true),
            (&["cams.example"], "x.cams.example", false),
            (&["*"], "anything.example", true),
        ] {
            let authority: Authority = host.parse().unwrap();
            let own = Own {
                authority: Some(&authority),
                scheme: None,
                local: LAN.parse().unwrap(),
            };
            assert_eq!(
                rules(&[], allow).allows_host(own),
                expected,
                "allow {allow:?}, host {host}"
            );
        }
    }

    #[test]
    fn with_authentication_every_name_is_answered() {
        let mut rules = rules(&[], &[]);
        rules.anonymous = false;
        let own = Own {
            authority: None,
            scheme: None,
            local: LAN.parse().unwrap(),
        };
        assert!(rules.allows_host(own));
    }

    #[test]
    fn hosts_that_are_none() {
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "host:port",
            "host:99999",
            "a\"b",
        ] {
            assert!(bad.parse::<Authority>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn allow_origin_wants_an_origin() {
        for bad in [
            "example.org",
            "https://example.org/path",
            "ftp://example.org",
            "https://u@e.org",
        ] {
            assert!(bad.parse::<AllowOrigin>().is_err(), "{bad}");
        }
    }
}
