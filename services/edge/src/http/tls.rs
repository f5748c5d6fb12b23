//! TLS on the public listener: options, certificate, handshake.

mod certificate;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fanlight_ops::exit::ConfigProblem;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub(crate) use certificate::Certificate;
pub(crate) use stream::Stream;

/// Options of TLS on the public listener.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// PEM file of the certificate and its chain: the listener then speaks https and wss; read again when it changes
    #[arg(long, env = "FANLIGHT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file of the certificate's private key
    #[arg(long, env = "FANLIGHT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Address of a listener for plain HTTP that sends everybody to https
    #[arg(long, env = "FANLIGHT_REDIRECT_LISTEN", value_name = "ADDRESS:PORT")]
    pub redirect_listen: Option<String>,

    /// Port that --redirect-listen sends to, where it is not the one of --listen
    #[arg(long, env = "FANLIGHT_REDIRECT_PORT", value_name = "PORT")]
    pub redirect_port: Option<u16>,
}

/// TLS, checked.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) redirect: Option<Redirect>,
}

/// The plain listener beside the one under TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redirect {
    pub(crate) listen: SocketAddr,
    /// Where to; without it the port of the public listener.
    pub(crate) port: Option<u16>,
}

impl TlsArgs {
    /// Reads the files. What is wrong is added to `problems`.
    pub fn resolve(&self, problems: &mut Vec<ConfigProblem>) -> Option<TlsConfig> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) => {
                if self.redirect_listen.is_some() {
                    problems.push(ConfigProblem::new(
                        "--redirect-listen",
                        "there is no https to send anybody to",
                        "give --tls-cert and --tls-key too",
                    ));
                }
                return None;
            }
            (cert, _) => {
                let (given, missing) = match cert {
                    Some(_) => ("--tls-cert", "--tls-key"),
                    None => ("--tls-key", "--tls-cert"),
                };
                let remedy = "give both --tls-cert and --tls-key";
                let problem = format!("{given} without {missing}");
                problems.push(ConfigProblem::new(given, problem, remedy));
                return None;
            }
        };
        let redirect = self.redirect_listen.as_deref().and_then(|text| {
            let listen = text.parse().map_err(|_| {
                let problem = format!("`{}`", text.escape_debug());
                let remedy = "write an address and a port, for example `0.0.0.0:8080`";
                problems.push(ConfigProblem::new("--redirect-listen", problem, remedy));
            });
            let port = self.redirect_port;
            listen.ok().map(|listen| Redirect { listen, port })
        });
        match Certificate::open(cert, key) {
            Ok(certificate) => Some(TlsConfig {
                certificate: Arc::new(certificate),
                redirect,
            }),
            Err(problem) => {
                let remedy = "name PEM files of a certificate chain and its private key";
                problems.push(ConfigProblem::new("--tls-cert", problem, remedy));
                None
            }
        }
    }
}

/// Shakes hands within `patience`.
pub(super) async fn accept(
    tcp: TcpStream,
    certificate: &Certificate,
    patience: Duration,
) -> io::Result<Stream> {
    let acceptor = TlsAcceptor::from(certificate.config());
    let mut stream = tokio::time::timeout(patience, acceptor.accept(tcp)).await??;
    stream
        .get_mut()
        .1
        .set_buffer_limit(Some(certificate::UNSENT));
    Ok(Stream::tls(stream))
}

#[cfg(test)]
mod tests;
