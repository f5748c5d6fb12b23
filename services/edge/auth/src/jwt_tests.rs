use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::json;

use super::*;

static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
static EC: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
static ED: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ED25519).unwrap());
const SECRET: &str = "canary-secret-of-at-least-32-bytes-long";

fn settings() -> JwtSettings {
    JwtSettings {
        key_file: None,
        jwks_url: None,
        audience: None,
        issuer: None,
        leeway: Duration::from_secs(30),
        cameras_claim: "cameras".to_owned(),
    }
}

fn now() -> u64 {
    clock::seconds(SystemTime::now())
}

fn claims() -> Value {
    json!({"sub": "anna", "exp": now() + 60, "cameras": ["gate", "yard-*"]})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn by(algorithm: Algorithm, claims: &Value) -> String {
    let pem = |key: &KeyPair| key.serialize_pem();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem(&RSA).as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem(&EC).as_bytes()),
        _ => EncodingKey::from_ed_pem(pem(&ED).as_bytes()),
    };
    encode(&Header::new(algorithm), claims, &key.unwrap()).unwrap()
}

fn secret_key() -> VerifyKey {
    VerifyKey::from_text(SECRET).unwrap_or_else(|(what, _)| panic!("{what}"))
}

fn public_key(pair: &KeyPair) -> VerifyKey {
    VerifyKey::from_text(&pair.public_key_pem()).unwrap_or_else(|(what, _)| panic!("{what}"))
}

#[test]
fn each_kind_of_key_takes_its_own_tokens_only() {
    let keys = [
        (secret_key(), hs256(&claims())),
        (public_key(&RSA), by(Algorithm::RS256, &claims())),
        (public_key(&EC), by(Algorithm::ES256, &claims())),
        (public_key(&ED), by(Algorithm::EdDSA, &claims())),
    ];
    for (at, (key, _)) in keys.iter().enumerate() {
        for (made_by, (_, token)) in keys.iter().enumerate() {
            let grant = key.grant(token, &settings());
            assert_eq!(
                grant.is_ok(),
                at == made_by,
                "key {at}, token {made_by}: {grant:?}"
            );
        }
    }
    let grant = keys[0].0.grant(&keys[0].1, &settings()).unwrap();
    assert_eq!((&*grant.who, grant.how), ("anna", How::Token));
    assert!(grant.cameras.contains("yard-2") && !grant.cameras.contains("vault"));
}

/// The public key is no secret: a token signed with its text as one must not pass (CVE-2015-9235).
#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    for text in [RSA.public_key_pem(), RSA.public_key_pem().trim().to_owned()] {
        let key = EncodingKey::from_secret(text.as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap();
        let denied = public_key(&RSA).grant(&token, &settings()).unwrap_err();
        assert_eq!(denied, Denied::Invalid("wrong algorithm"));
    }
}

#[test]
fn a_token_without_signature_is_refused() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256"] {
        let header = base64.encode(json!({"alg": algorithm, "typ": "JWT"}).to_string());
        let body = base64.encode(claims().to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{body}.{signature}");
            for key in [
                secret_key(),
                public_key(&RSA),
                public_key(&EC),
                public_key(&ED),
            ] {
                assert!(matches!(
                    key.grant(&token, &settings()),
                    Err(Denied::Invalid(_))
                ));
            }
        }
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let token = hs256(&claims());
    for at in (0..token.len()).step_by(3) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(
            secret_key().grant(&changed, &settings()).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn times() {
    let key = secret_key();
    let judge = |claims: &Value| key.grant(&hs256(claims), &settings());
    assert_eq!(
        judge(&with("exp", json!(now() - 31))).unwrap_err(),
        Denied::Expired
    );
    // within the leeway, and for so long
    let grant = judge(&with("exp", json!(now() - 20))).unwrap();
    let left = grant
        .expires
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!(left <= Duration::from_secs(11), "{left:?}");
    let early = judge(&with("nbf", json!(now() + 60))).unwrap_err();
    assert_eq!(early, Denied::Invalid("not valid yet"));
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(
        judge(&endless).unwrap_err(),
        Denied::Invalid("a claim is missing")
    );
    // far beyond what a clock can hold
    assert!(judge(&with("exp", json!(u64::MAX))).is_ok_and(|grant| grant.expires.is_some()));
    assert!(judge(&with("exp", json!(1.0e300))).is_err());
}

#[test]
fn audience_and_issuer() {
    let key = secret_key();
    let mut wanted = settings();
    wanted.audience = Some("cameras".to_owned());
    wanted.issuer = Some("https://id.example".to_owned());
    let mut good = with("aud", json!(["other", "cameras"]));
    good["iss"] = json!("https://id.example");
    assert!(key.grant(&hs256(&good), &wanted).is_ok());
    for (claim, value) in [
        ("aud", json!("other")),
        ("aud", json!(null)),
        ("iss", json!("https://evil.example")),
        ("iss", json!(null)),
    ] {
        let mut bad = good.clone();
        bad[claim] = value;
        assert!(key.grant(&hs256(&bad), &wanted).is_err(), "{bad}");
        bad.as_object_mut().unwrap().remove(claim);
        let missing = key.grant(&hs256(&bad), &wanted).unwrap_err();
        assert_eq!(missing, Denied::Invalid("a claim is missing"));
    }
}

#[test]
fn the_cameras_claim() {
    let key = secret_key();
    for (value, gate, vault) in [
        (json!("gate yard-1"), true, false),
        (json!(["gate"]), true, false),
        (json!(["*"]), true, true),
        (json!("*"), true, true),
        (json!([]), false, false),
        (json!(""), false, false),
    ] {
        let grant = key
            .grant(&hs256(&with("cameras", value.clone())), &settings())
            .unwrap();
        let seen = (
            grant.cameras.contains("gate"),
            grant.cameras.contains("vault"),
        );
        assert_eq!(seen, (gate, vault), "{value}");
    }
    for bad in [json!(7), json!([7]), json!(["GATE"]), json!({"gate": true})] {
        assert!(
            key.grant(&hs256(&with("cameras", bad)), &settings())
                .is_err()
        );
    }
    let mut without = claims();
    without.as_object_mut().unwrap().remove("cameras");
    let grant = key.grant(&hs256(&without), &settings()).unwrap();
    assert!(!grant.cameras.contains("gate"));
}

#[test]
fn key_files_that_cannot_be_used() {
    for (text, word) in [
        ("short".to_owned(), "shorter"),
        (RSA.serialize_pem(), "private"),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
            "no public key",
        ),
    ] {
        let Err((what, _)) = VerifyKey::from_text(&text) else {
            panic!("{text} was taken")
        };
        assert!(what.contains(word), "{what}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_safe(text in "[A-Za-z0-9_=.-]{0,200}") {
        proptest::prop_assert!(secret_key().grant(&text, &settings()).is_err());
    }
}
