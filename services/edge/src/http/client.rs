//! Who a request comes from and what it called us, with `X-Forwarded-*` believed only of
//! trusted proxies.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, Uri, header};

use crate::origin::{Authority, Own};

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    /// TLS ends here.
    pub(crate) tls: bool,
}

/// An entry of `--trusted-proxies`: an address or a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let remedy = || "write an address or a network such as `10.0.0.0/8`".to_owned();
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse().map_err(|_| remedy())?)),
            None => (text, None),
        };
        let base: IpAddr = base.trim().parse().map_err(|_| remedy())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            Err(remedy())
        } else {
            Ok(Self { base, bits })
        }
    }
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |ip: std::net::Ipv4Addr| u32::from(ip).checked_shr(shift);
                cut(base) == cut(address)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |ip: std::net::Ipv6Addr| u128::from(ip).checked_shr(shift);
                cut(base) == cut(address)
            }
            _ => false,
        }
    }
}

/// A request's client and own address.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    authority: Option<Authority>,
    scheme: Option<String>,
    local: IpAddr,
    /// Straight from a trusted proxy.
    pub(crate) proxied: bool,
}

impl Client {
    pub(crate) fn of(ends: Ends, uri: &Uri, headers: &HeaderMap, proxies: &[Network]) -> Self {
        let trusted = |ip: IpAddr| proxies.iter().any(|network| network.contains(ip));
        let remote = ends.remote.ip().to_canonical();
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
        let host = host.or_else(|| uri.authority().map(|a| a.as_str()));
        let mut client = Self {
            address: remote,
            authority: host.and_then(|h| h.parse().ok()),
            scheme: ends.tls.then(|| "https".to_owned()),
            local: ends.local.ip(),
            proxied: trusted(remote),
        };
        if !client.proxied {
            return client;
        }
        // Each proxy appends whom it heard from, so the last entry that is no proxy of ours is
        // the client; what is left of it, the client may have made up.
        for hop in words(headers, "x-forwarded-for").into_iter().rev() {
            let Some(address) = hop_address(hop) else {
                break;
            };
            client.address = address;
            if !trusted(address) {
                break;
            }
        }
        if let Some(host) = words(headers, "x-forwarded-host").last() {
            client.authority = host.parse().ok();
        }
        if let Some(scheme) = words(headers, "x-forwarded-proto").last() {
            client.scheme = Some(scheme.to_ascii_lowercase());
        }
        client
    }

    /// Whether the client came by https: to us, or as far as a trusted proxy says.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme.as_deref() == Some("https")
    }

    pub(crate) fn own(&self) -> Own<'_> {
        Own {
            authority: self.authority.as_ref(),
            scheme: self.scheme.as_deref(),
            local: self.local,
        }
    }
}

fn words<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

/// An address, perhaps with a port as some proxies write it.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let plain = hop.trim_start_matches('[').trim_end_matches(']');
    let address = plain.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()));
    address.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(remote: &str, pairs: &[(&'static str, &str)], proxies: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let ends = Ends {
            remote: SocketAddr::new(remote.parse().unwrap(), 1000),
            local: "192.168.1.5:8103".parse().unwrap(),
            tls: false,
        };
        let proxies: Vec<_> = proxies.iter().map(|p| p.parse().unwrap()).collect();
        Client::of(ends, &Uri::from_static("/"), &headers, &proxies)
    }

    #[test]
    fn forwarded_addresses() {
        let proxies = &["10.0.0.0/8", "fd00::/16"][..];
        for (remote, forwarded, proxies, expected) in [
            ("203.0.113.9", None, proxies, "203.0.113.9"),
            ("203.0.113.9", Some("1.2.3.4"), proxies, "203.0.113.9"),
            ("10.1.1.1", Some("1.2.3.4"), proxies, "1.2.3.4"),
            ("10.1.1.1", Some("1.2.3.4"), &[], "10.1.1.1"),
            (
                "10.1.1.1",
                Some("6.6.6.6, 1.2.3.4, 10.2.2.2"),
                proxies,
                "1.2.3.4",
            ),
            ("10.1.1.1", Some("1.2.3.4:5555"), proxies, "1.2.3.4"),
            (
                "10.1.1.1",
                Some("[2001:db8::1]:5555"),
                proxies,
                "2001:db8::1",
            ),
            ("10.1.1.1", Some("garbage"), proxies, "10.1.1.1"),
            ("10.1.1.1", None, proxies, "10.1.1.1"),
            ("::ffff:10.1.1.1", Some("1.2.3.4"), proxies, "1.2.3.4"),
            ("fd00::7", Some("1.2.3.4"), proxies, "1.2.3.4"),
        ] {
            let pairs: Vec<_> = forwarded.iter().map(|f| ("x-forwarded-for", *f)).collect();
            let expected: IpAddr = expected.parse().unwrap();
            let got = client(remote, &pairs, proxies).address;
            assert_eq!(got, expected, "{remote}, {forwarded:?}, {proxies:?}");
        }
    }

    #[test]
    fn host_and_scheme_are_the_proxys_only_when_it_is_trusted() {
        let pairs = [
            ("host", "edge:8103"),
            ("x-forwarded-host", "cams.example"),
            ("x-forwarded-proto", "HTTPS"),
        ];
        let direct = client("203.0.113.9", &pairs, &["10.0.0.0/8"]);
        assert_eq!(direct.own().authority, Some(&"edge:8103".parse().unwrap()));
        assert_eq!(direct.own().scheme, None);
        let proxied = client("10.0.0.1", &pairs, &["10.0.0.0/8"]);
        assert_eq!(
            proxied.own().authority,
            Some(&"cams.example".parse().unwrap())
        );
        assert_eq!(proxied.own().scheme, Some("https"));
    }

    #[test]
    fn networks() {
        for bad in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()));
        let one: Network = "10.0.0.1".parse().unwrap();
        assert!(!one.contains("10.0.0.2".parse().unwrap()));
    }
}
