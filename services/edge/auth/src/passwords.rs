//! Passwords as argon2id hashes (RFC 9106), with OWASP's parameters: 19 MiB, 2 passes, 1 lane.

use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Longest password; longer ones only cost time.
const MAX: usize = 512;

/// A password that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// It would let everybody in.
    #[error("the password is empty")]
    Empty,
    /// Longer than 512 bytes.
    #[error("the password is longer than {MAX} bytes")]
    TooLong,
    /// The system gave no random bytes for the salt.
    #[error("the password cannot be hashed")]
    Hash,
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// The hash of a password in PHC string form, `$argon2id$v=19$m=19456,t=2,p=1$…`.
///
/// # Errors
/// [`BadPassword`].
pub fn hash_password(password: &str) -> Result<String, BadPassword> {
    match password.len() {
        0 => return Err(BadPassword::Empty),
        1..=MAX => {}
        _ => return Err(BadPassword::TooLong),
    }
    let hash = hasher().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|_| BadPassword::Hash)
}

/// Whether a text is a hash that [`verify`] can judge.
pub(crate) fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        hash.algorithm.as_str() == "argon2id" && hash.hash.is_some() && hash.salt.is_some()
    })
}

/// Costs the same for a hash that does not exist: who has an account is nobody's business.
pub(crate) fn verify(password: &str, hash: Option<&str>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = || NOBODY.get_or_init(|| hash_password("nobody").unwrap_or_default());
    let known = hash.is_some();
    let text = hash.unwrap_or_else(|| nobody());
    let Ok(hash) = PasswordHash::new(text) else {
        return false;
    };
    let password = &password.as_bytes()[..password.len().min(MAX + 1)];
    hasher().verify_password(password, &hash).is_ok() && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_salted_and_verified() {
        let hash = hash_password("correct horse").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_ne!(hash, hash_password("correct horse").unwrap());
        assert!(is_hash(&hash));
        assert!(verify("correct horse", Some(&hash)));
        assert!(!verify("correct hors", Some(&hash)));
        assert!(!verify("nobody", None));
    }

    #[test]
    fn what_is_not_taken() {
        assert_eq!(hash_password(""), Err(BadPassword::Empty));
        assert_eq!(hash_password(&"x".repeat(513)), Err(BadPassword::TooLong));
        for text in [
            "",
            "plain",
            "$2b$12$abcdefghijklmnopqrstuu",
            "$argon2id$v=19$m=19456,t=2,p=1",
        ] {
            assert!(!is_hash(text), "{text}");
        }
    }
}
