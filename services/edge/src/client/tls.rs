//! TLS of the command-line viewer.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_tungstenite::Connector;

/// Trusts the authorities of `ca`, or those of the system.
pub(super) fn connector(ca: Option<&Path>) -> anyhow::Result<Connector> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let context = || format!("read {}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(context)? {
                roots
                    .add(certificate.with_context(context)?)
                    .with_context(context)?;
            }
            ensure!(!roots.is_empty(), "{} holds no certificate", path.display());
        }
        None => {
            // Without a readable store only ws:// works, and wss:// says why not.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}
