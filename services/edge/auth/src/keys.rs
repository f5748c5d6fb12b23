//! The key that signs sessions and share links.

use crate::signed::Key;

/// Bytes a key must have: those of the hash it is used with (RFC 2104 section 3).
pub(crate) const MIN: usize = 32;

pub(crate) const TOO_SHORT: &str = "the session key is shorter than 32 bytes";

pub(crate) fn signing(secret: &[u8]) -> Option<Key> {
    (secret.len() >= MIN).then(|| Key::new(secret))
}

/// A key for this process alone.
pub(crate) fn random() -> Key {
    Key::new(&rand::random::<[u8; MIN]>())
}
