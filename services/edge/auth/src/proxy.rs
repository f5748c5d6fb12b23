//! Identities told by a proxy in front, such as oauth2-proxy or Authelia.

use std::sync::Arc;

use crate::{Asked, Cameras, Denied, Grant, How, ProxySettings};

/// Longest name that is taken.
const MAX_NAME: usize = 128;

/// Believed only from a trusted proxy: anybody else can write these headers too.
pub(crate) fn grant(settings: &ProxySettings, asked: &Asked<'_>) -> Result<Grant, Denied> {
    if !asked.from_trusted_proxy {
        return Err(Denied::Invalid("not through a trusted proxy"));
    }
    let who = asked
        .header(&settings.user_header)
        .ok_or(Denied::NotSignedIn)?;
    if who.len() > MAX_NAME {
        return Err(Denied::Invalid("the user's name is too long"));
    }
    Ok(Grant {
        who: Arc::from(who),
        how: How::Proxy,
        cameras: cameras(settings, asked),
        expires: None,
        revoked: None,
    })
}

fn cameras(settings: &ProxySettings, asked: &Asked<'_>) -> Cameras {
    if settings.groups.is_empty() {
        return Cameras::All;
    }
    let named: Vec<&str> = asked
        .header(&settings.groups_header)
        .map(|line| line.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let mut patterns = Vec::new();
    for (group, cameras) in &settings.groups {
        if !named.contains(&group.as_str()) {
            continue;
        }
        match cameras {
            Cameras::All => return Cameras::All,
            Cameras::Matching(some) => patterns.extend(some.iter().cloned()),
        }
    }
    Cameras::Matching(patterns.into())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;

    fn settings(groups: &[(&str, &[&str])]) -> ProxySettings {
        let cameras = |patterns: &[&str]| Cameras::from_patterns(patterns.iter().copied()).unwrap();
        ProxySettings {
            user_header: HeaderName::from_static("x-forwarded-user"),
            groups_header: HeaderName::from_static("x-forwarded-groups"),
            groups: groups
                .iter()
                .map(|(g, p)| ((*g).to_owned(), cameras(p)))
                .collect(),
        }
    }

    fn asked(headers: &HeaderMap, trusted: bool) -> Asked<'_> {
        Asked {
            headers,
            query: None,
            from_trusted_proxy: trusted,
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let mut headers = HeaderMap::new();
        let settings = settings(&[]);
        assert_eq!(
            grant(&settings, &asked(&headers, true)).unwrap_err(),
            Denied::NotSignedIn
        );
        headers.insert("x-forwarded-user", "anna".parse().unwrap());
        assert!(grant(&settings, &asked(&headers, false)).is_err());
        let anna = grant(&settings, &asked(&headers, true)).unwrap();
        assert_eq!((&*anna.who, anna.cameras), ("anna", Cameras::All));
    }

    #[test]
    fn groups_add_up() {
        let settings = settings(&[
            ("yard", &["yard-*"]),
            ("doors", &["gate"]),
            ("boss", &["*"]),
        ]);
        for (groups, gate, yard, vault) in [
            ("", false, false, false),
            ("doors", true, false, false),
            ("doors, yard", true, true, false),
            ("boss", true, true, true),
            ("nobody", false, false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-user", "anna".parse().unwrap());
            headers.insert("x-forwarded-groups", groups.parse().unwrap());
            let cameras = grant(&settings, &asked(&headers, true)).unwrap().cameras;
            let seen = ["gate", "yard-1", "vault"].map(|camera| cameras.contains(camera));
            assert_eq!(seen, [gate, yard, vault], "{groups}");
        }
    }
}
