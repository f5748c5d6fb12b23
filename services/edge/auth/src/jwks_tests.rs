use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// An identity provider's key set over HTTP, which may change.
struct Provider {
    body: Arc<std::sync::Mutex<String>>,
    asked: Arc<AtomicUsize>,
    url: Url,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let body: Arc<std::sync::Mutex<String>> = Arc::default();
        let asked: Arc<AtomicUsize> = Arc::default();
        let (current, count) = (Arc::clone(&body), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 2048];
                let _read = stream.read(&mut request).await;
                count.fetch_add(1, Ordering::Relaxed);
                let body = current.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _gone = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Self {
            body,
            asked,
            url: url.parse().unwrap(),
        }
    }

    fn publish(&self, keys: &[Value]) {
        *self.body.lock().unwrap() = json!({ "keys": keys }).to_string();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

struct Signer(EncodingKey, &'static str);

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self(
            EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
            id,
        )
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.0, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.1.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn token(&self) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.1.to_owned());
        let exp = crate::clock::seconds(std::time::SystemTime::now()) + 60;
        encode(
            &header,
            &json!({"sub": "anna", "exp": exp, "cameras": "*"}),
            &self.0,
        )
        .unwrap()
    }
}

fn settings() -> JwtSettings {
    JwtSettings {
        key_file: None,
        jwks_url: None,
        audience: None,
        issuer: None,
        leeway: Duration::ZERO,
        cameras_claim: "cameras".to_owned(),
    }
}

#[tokio::test]
async fn keys_rotate() {
    let provider = Provider::start().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    provider.publish(&[old.jwk()]);
    let set = Jwks::new(provider.url.clone()).unwrap();
    assert_eq!(set.refresh().await.unwrap(), 1);
    assert!(set.grant(&old.token(), &settings()).await.is_ok());
    assert_eq!(provider.asked(), 1);
    // an unknown key id asks once, and the token is good at once
    provider.publish(&[old.jwk(), new.jwk()]);
    assert!(set.grant(&new.token(), &settings()).await.is_ok());
    assert_eq!(provider.asked(), 2);
    // a flood of bad ones does not ask again
    let stranger = Signer::new("stranger");
    for _ in 0..20 {
        assert!(set.grant(&stranger.token(), &settings()).await.is_err());
    }
    assert_eq!(provider.asked(), 2);
    // a key that is withdrawn is gone with the next set
    provider.publish(&[new.jwk()]);
    assert_eq!(set.refresh().await.unwrap(), 1);
    assert!(set.grant(&old.token(), &settings()).await.is_err());
    assert!(set.grant(&new.token(), &settings()).await.is_ok());
}

#[tokio::test]
async fn a_bad_set_leaves_the_old_keys() {
    let provider = Provider::start().await;
    let signer = Signer::new("one");
    provider.publish(&[signer.jwk()]);
    let set = Jwks::new(provider.url.clone()).unwrap();
    set.refresh().await.unwrap();
    for (body, word) in [
        ("{".to_owned(), "not a key set"),
        (r#"{"keys": []}"#.to_owned(), "no key"),
        // a symmetric key in a public set is nobody's
        (
            r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#.to_owned(),
            "no key",
        ),
        (" ".repeat(MAX_BYTES + 1), "larger"),
    ] {
        *provider.body.lock().unwrap() = body;
        let error = set.refresh().await.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(set.grant(&signer.token(), &settings()).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_is_gone_is_told_without_its_url() {
    let set = Jwks::new("http://user:canary-9@127.0.0.1:1/keys".parse().unwrap()).unwrap();
    let error = set.refresh().await.unwrap_err().to_string();
    assert!(!error.contains("canary-9"), "{error}");
}
