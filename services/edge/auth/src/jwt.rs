//! JSON Web Tokens (RFC 7519): what a good one is, and what it grants. The algorithm is fixed by
//! the kind of the key, never chosen by the token (RFC 8725 section 3.1).

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use crate::{Cameras, Denied, Grant, How, JwtSettings, clock, keys};

/// Longest token; ours come in a header or a URL.
pub(crate) const MAX_TOKEN: usize = 8 << 10;

/// Longest `sub` that goes into a log.
const MAX_NAME: usize = 128;

/// A key and the one algorithm it is for.
#[derive(Clone)]
pub(crate) struct VerifyKey {
    key: DecodingKey,
    algorithm: Algorithm,
    /// Its id, in a set.
    pub(crate) id: Option<String>,
}

impl VerifyKey {
    /// From a file: PEM of a public key, or a secret.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub(crate) fn from_text(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let made = |key, algorithm| Self {
            key,
            algorithm,
            id: None,
        };
        if !text.contains("-----BEGIN") {
            let secret = text.trim_end_matches(['\r', '\n']);
            return if secret.len() < keys::MIN {
                Err((
                    "it is shorter than 32 bytes",
                    "use a secret of at least 32 bytes for HS256, or the PEM of a public key",
                ))
            } else {
                Ok(made(
                    DecodingKey::from_secret(secret.as_bytes()),
                    Algorithm::HS256,
                ))
            };
        }
        if text.contains("PRIVATE KEY") {
            return Err((
                "it holds a private key",
                "give the public key: the private one belongs to whoever makes the tokens",
            ));
        }
        let pem = text.as_bytes();
        DecodingKey::from_rsa_pem(pem)
            .map(|key| made(key, Algorithm::RS256))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| made(key, Algorithm::ES256)))
            .or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| made(key, Algorithm::EdDSA)))
            .map_err(|_| {
                (
                    "it is no public key that can be used",
                    "use PEM (`-----BEGIN PUBLIC KEY-----`) of an RSA, P-256 or Ed25519 key",
                )
            })
    }

    /// From a set. Symmetric keys are left out: a set is public.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if matches!(&jwk.common.public_key_use, Some(used) if *used != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
            _ => return None,
        };
        Some(Self {
            key: DecodingKey::from_jwk(jwk).ok()?,
            algorithm,
            id: jwk.common.key_id.clone(),
        })
    }

    /// The grant of a token that this key signed.
    pub(crate) fn grant(&self, token: &str, settings: &JwtSettings) -> Result<Grant, Denied> {
        let mut rules = Validation::new(self.algorithm);
        rules.leeway = settings.leeway.as_secs();
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp"]);
        match &settings.audience {
            Some(audience) => {
                rules.set_audience(&[audience]);
                rules.required_spec_claims.insert("aud".to_owned());
            }
            None => rules.validate_aud = false,
        }
        if let Some(issuer) = &settings.issuer {
            rules.set_issuer(&[issuer]);
            rules.required_spec_claims.insert("iss".to_owned());
        }
        let token = decode::<Map<String, Value>>(token, &self.key, &rules);
        let claims = token.map_err(|error| denied(error.kind()))?.claims;
        let cameras = cameras(claims.get(&settings.cameras_claim))
            .ok_or(Denied::Invalid("the cameras claim is not one"))?;
        let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or(0.0);
        Ok(Grant {
            who: who(claims.get("sub")),
            how: How::Token,
            cameras,
            // as long as it is taken, its viewers may stay
            expires: Some(clock::time(expires as u64) + settings.leeway),
            revoked: None,
        })
    }
}

fn denied(error: &ErrorKind) -> Denied {
    Denied::Invalid(match error {
        ErrorKind::ExpiredSignature => return Denied::Expired,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "wrong algorithm",
        ErrorKind::InvalidSignature => "bad signature",
        ErrorKind::InvalidAudience => "wrong audience",
        ErrorKind::InvalidIssuer => "wrong issuer",
        ErrorKind::ImmatureSignature => "not valid yet",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        _ => "not a token",
    })
}

/// An array of patterns, or one text with spaces between; missing is no camera.
fn cameras(claim: Option<&Value>) -> Option<Cameras> {
    let patterns: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    Cameras::from_patterns(patterns).ok()
}

fn who(subject: Option<&Value>) -> Arc<str> {
    let name = subject.and_then(Value::as_str).unwrap_or("token");
    let shown = |c: &char| !c.is_control();
    name.chars()
        .filter(shown)
        .take(MAX_NAME)
        .collect::<String>()
        .into()
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
