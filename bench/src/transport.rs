//! A viewer's connection: TCP as it is, or under TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A connection that is read and written like a socket.
#[derive(Debug)]
pub enum Transport {
    /// Bytes go out as they are.
    Plain(TcpStream),
    /// They are encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A client's TLS settings that trust the certificates of one PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn trust(file: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).context("--tls-ca")? {
        roots.add(certificate.context("--tls-ca")?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Transport {
    /// Wraps a connected, still blocking socket; the handshake is made with the first write.
    ///
    /// # Errors
    /// TLS cannot begin.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ClientConfig>>) -> anyhow::Result<Self> {
        let Some(config) = tls else {
            return Ok(Self::Plain(socket));
        };
        let name = ServerName::from(socket.peer_addr()?.ip());
        let client = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    /// The socket itself.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    /// Whether bytes may be waiting that the kernel does not hold any more.
    #[must_use]
    pub fn buffers(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
