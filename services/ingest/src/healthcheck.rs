//! Asks a running ingest on this machine how it is: for containers without curl.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(3);

/// Most of the answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks `/readyz` or `/livez` of the admin listener.
///
/// # Errors
/// Nobody answers, or the answer is not 200: then its text.
pub async fn check(address: SocketAddr, ready: bool) -> io::Result<()> {
    let path = if ready { "/readyz" } else { "/livez" };
    let ask = async {
        let mut stream = TcpStream::connect(local(address)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.split(' ').nth(1) == Some("200") {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Err(io::Error::other(body.trim().to_owned()))
    };
    match tokio::time::timeout(LIMIT, ask).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// An address to listen on everywhere is asked on loopback.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
