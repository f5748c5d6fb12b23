//! Short signed texts: base64url of JSON, a dot, base64url of an HMAC-SHA-256 over what it is for
//! and the text (RFC 2104). Used for session cookies and share links.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest text looked at; ours are shorter.
const MAX: usize = 1024;

/// A signing key.
#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn message(purpose: &str, body: &str) -> Vec<u8> {
        format!("fanlight {purpose}\0{body}").into_bytes()
    }

    /// `purpose` keeps a session from being taken for a share link.
    pub(crate) fn sign<T: Serialize>(&self, purpose: &str, value: &T) -> Option<String> {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).ok()?);
        let tag = hmac::sign(&self.0, &Self::message(purpose, &body));
        Some(format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
    }

    /// A short digest that only this key makes.
    pub(crate) fn print(&self, purpose: &str, text: &str) -> String {
        let tag = hmac::sign(&self.0, &Self::message(purpose, text));
        URL_SAFE_NO_PAD.encode(&tag.as_ref()[..12])
    }

    /// `None` for anything that [`sign`](Self::sign) did not make for this purpose.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: &str, text: &str) -> Option<T> {
        if text.len() > MAX {
            return None;
        }
        let (body, tag) = text.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, &Self::message(purpose, body), &tag).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_for_the_purpose_is_opened() {
        let key = Key::new(b"0123456789abcdef0123456789abcdef");
        let text = key.sign("share", &42_u32).unwrap();
        assert_eq!(key.open("share", &text), Some(42_u32));
        assert_eq!(key.open::<u32>("session", &text), None);
        let other = Key::new(b"another key of more than 32 bytes.");
        assert_eq!(other.open::<u32>("share", &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(key.open::<u32>("share", &changed), None, "{changed}");
        }
        assert!(!format!("{key:?}").contains("0123"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_safe(text in ".{0,200}") {
            let key = Key::new(b"0123456789abcdef0123456789abcdef");
            proptest::prop_assert_eq!(key.open::<u32>("share", &text), None);
        }
    }
}
