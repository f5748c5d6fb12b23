//! `fanlight-edge healthcheck`: asks a running service's admin listener, for containers that
//! hold no other program.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use fanlight_ops::exit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Time for the whole answer.
const LIMIT: Duration = Duration::from_secs(3);

/// Most of an answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

/// Options of `healthcheck`.
#[derive(Debug, Clone, clap::Args)]
pub struct HealthcheckArgs {
    /// Admin listener to ask
    #[arg(
        long,
        env = "FANLIGHT_ADMIN_LISTEN",
        default_value = "127.0.0.1:9103",
        value_name = "ADDRESS:PORT"
    )]
    pub admin_listen: SocketAddr,

    /// Ask whether it is alive (/livez) instead of ready (/readyz)
    #[arg(long)]
    pub live: bool,
}

/// 0 when the service says 200, else 1 with its reasons.
///
/// # Errors
/// Nobody answers.
pub async fn run(args: HealthcheckArgs) -> anyhow::Result<ExitCode> {
    let path = if args.live { "/livez" } else { "/readyz" };
    // A listener on all addresses is asked on loopback.
    let mut address = args.admin_listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let answer = tokio::time::timeout(LIMIT, ask(address, path))
        .await
        .with_context(|| format!("{address} does not answer within {LIMIT:?}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    println!("{}", body.trim());
    match head.split(' ').nth(1) {
        Some("200") => Ok(ExitCode::from(exit::OK)),
        Some(_) => Ok(ExitCode::from(exit::FAILURE)),
        None => bail!("{address} does not speak HTTP"),
    }
}

async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connect to {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
