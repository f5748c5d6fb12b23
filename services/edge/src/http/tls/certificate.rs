//! The server's certificate and key: read at the start and again whenever the files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. By content: Kubernetes swaps a symlink far above them.
const LOOK: Duration = Duration::from_secs(2);

/// Encrypted bytes that may wait in a connection beyond the kernel's.
pub(super) const UNSENT: usize = 32 << 10;

/// A pair of PEM files and what they hold.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    now: Mutex<Loaded>,
}

struct Loaded {
    /// The files' bytes, also of a pair that cannot be used, so that it is told once.
    seen: Option<(Vec<u8>, Vec<u8>)>,
    /// A new one after each change: who comes back with a session of before shakes hands anew
    /// and sees the new certificate.
    config: Arc<ServerConfig>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// In words, without the key.
    pub(crate) fn open(cert: &Path, key: &Path) -> Result<Self, String> {
        let files = read(cert, key)?;
        let config = build(&files.0, &files.1)?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            now: Mutex::new(Loaded {
                seen: Some(files),
                config,
            }),
        })
    }

    /// For the next handshake.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now.config)
    }

    /// Looks at the files from time to time until `end`.
    pub(crate) async fn follow(self: Arc<Self>, end: CancellationToken) {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let this = Arc::clone(&self);
            // Files on a network may take long.
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Some(Ok(()))) => tracing::info!("certificate replaced"),
                Ok(Some(Err(error))) => {
                    tracing::error!(error, "new certificate not usable, the one of before stays");
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// `None` when nothing changed.
    fn reload(&self) -> Option<Result<(), String>> {
        let files = read(&self.cert, &self.key);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.seen == files.as_ref().ok().cloned() {
            return None;
        }
        let built = files.as_ref().map_err(String::clone);
        let built = built.and_then(|(cert, key)| build(cert, key));
        now.seen = files.ok();
        Some(built.map(|config| now.config = config))
    }
}

fn read(cert: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    Ok((read(cert)?, read(key)?))
}

/// rustls speaks 1.2 and 1.3 only, with forward secrecy and authenticated ciphers only.
fn build(cert: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate file is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate file holds no certificate".to_owned());
    }
    // The error could quote the file.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "the key file holds no private key in PEM".to_owned())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| format!("certificate and key cannot be used together: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
