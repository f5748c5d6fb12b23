//! `fanlight-edge watch`: joins as a viewer, checks what it gets and prints figures. The only
//! part of this program that looks into the stream; serving never does.

mod figures;
mod sign_in;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use fanlight_ops::exit;
use fanlight_ops::secret::redact_url;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use self::figures::Tally;
use crate::clock::unix_ns;
use crate::wire::{ClientMessage, SUBPROTOCOL, ServerMessage};

/// Time to connect and shake hands.
const CONNECT: Duration = Duration::from_secs(10);

/// Time between clock questions.
const CLOCK: Duration = Duration::from_secs(2);

/// Time for the server's half of the close handshake.
const CLOSE: Duration = Duration::from_secs(1);

/// Which subprotocol to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// `fanlight.v1`: media with marks, states and delays.
    V1,
    /// None: media only.
    Plain,
}

/// Options of `watch`.
#[derive(Debug, Clone, clap::Args)]
pub struct WatchArgs {
    /// Stream to watch: ws://HOST:PORT/ws/CAMERA or wss://…
    pub url: String,

    /// Subprotocol to ask for
    #[arg(long, default_value = "v1", value_name = "PROTOCOL")]
    pub protocol: Protocol,

    /// End after this many seconds; without it at Ctrl-C
    #[arg(long, value_name = "N")]
    pub seconds: Option<f64>,

    /// End after this many key pictures
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Write the stream to a file, or with - to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print the figures as one JSON object
    #[arg(long)]
    pub json: bool,

    /// PEM file of the certificate authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Sign in as this user first, with --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,

    /// File with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,

    /// File with a token to send as `Authorization: Bearer`
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub token_file: Option<PathBuf>,

    /// Send this `Origin`, as a page would
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
}

/// Watches, prints the figures and says how it went: failure without a picture or with an error
/// in the stream.
///
/// # Errors
/// The stream could not be reached, or the file not be written.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let to_stdout = args
        .output
        .as_deref()
        .is_some_and(|path| path.as_os_str() == "-");
    let mut output = open(&args).await?;
    let started = Instant::now();
    let (mut socket, v1) = connect(&args).await?;
    let mut tally = Tally::new(started.elapsed(), v1);
    let watched = watch(&args, &mut socket, &mut tally, &mut output).await;
    if let Some(output) = &mut output {
        output.flush().await.context("write the output")?;
    }
    let figures = tally.figures();
    let text = if args.json {
        serde_json::to_string(&figures)?
    } else {
        figures.to_string()
    };
    // Standard output may be the stream itself.
    if to_stdout {
        eprintln!("{text}");
    } else {
        println!("{text}");
    }
    watched?;
    match figures.problem() {
        None => Ok(ExitCode::from(exit::OK)),
        Some(problem) => {
            eprintln!("{problem}");
            Ok(ExitCode::from(exit::FAILURE))
        }
    }
}

type Output = Box<dyn AsyncWrite + Unpin + Send>;
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(args: &WatchArgs) -> anyhow::Result<Option<Output>> {
    Ok(match &args.output {
        None => None,
        Some(path) if path.as_os_str() == "-" => Some(Box::new(tokio::io::stdout())),
        Some(path) => {
            let file = tokio::fs::File::create(path).await;
            Some(Box::new(
                file.with_context(|| format!("create {}", path.display()))?,
            ))
        }
    })
}

async fn connect(args: &WatchArgs) -> anyhow::Result<(Socket, bool)> {
    let shown = redact_url(&args.url);
    let mut request = args.url.as_str().into_client_request().with_context(|| {
        format!("`{shown}` is not a WebSocket URL; write ws://HOST:PORT/ws/CAMERA")
    })?;
    if args.protocol == Protocol::V1 {
        let header = HeaderValue::from_static(SUBPROTOCOL);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", header);
    }
    if let Some(origin) = &args.origin {
        let header = HeaderValue::from_str(origin).context("--origin")?;
        request.headers_mut().insert("origin", header);
    }
    if let Some((name, value)) = sign_in::header(args).await? {
        request.headers_mut().insert(name, value);
    }
    let connector = tls::connector(args.ca.as_deref())?;
    let config = WebSocketConfig::default().max_message_size(Some(16 << 20));
    let connecting = connect_async_tls_with_config(request, Some(config), true, Some(connector));
    let connected = tokio::time::timeout(CONNECT, connecting)
        .await
        .with_context(|| format!("connect to {shown}: no answer within {CONNECT:?}"))?;
    match connected {
        Ok((socket, answer)) => {
            let confirmed = answer.headers().get("sec-websocket-protocol");
            let v1 = confirmed.is_some_and(|p| p == SUBPROTOCOL);
            Ok((socket, v1))
        }
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().map(String::from_utf8_lossy);
            bail!(
                "{shown}: refused with {}: {}",
                answer.status(),
                body.unwrap_or_default()
            )
        }
        Err(error) => Err(error).with_context(|| format!("connect to {shown}")),
    }
}

async fn watch(
    args: &WatchArgs,
    socket: &mut Socket,
    tally: &mut Tally,
    output: &mut Option<Output>,
) -> anyhow::Result<()> {
    let seconds = args
        .seconds
        .map(Duration::try_from_secs_f64)
        .transpose()
        .context("--seconds")?;
    let until = seconds.map(|s| Instant::now() + s);
    let mut clock = interval(CLOCK);
    loop {
        if args
            .count
            .is_some_and(|count| tally.key_pictures() >= count)
        {
            break;
        }
        let time_is_up = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_is_up => break,
            stop = tokio::signal::ctrl_c() => { stop.context("wait for Ctrl-C")?; break }
            _ = clock.tick(), if tally.is_v1() => {
                // Milliseconds keep their fraction: 2^53 is far above them.
                let question = ClientMessage::Clock { t0: unix_ns() as f64 / 1e6 };
                let text = serde_json::to_string(&question)?;
                if socket.send(Message::text(text)).await.is_err() {
                    tally.closed(None);
                    return Ok(());
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Binary(media))) => media_came(media, tally, output).await?,
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<ServerMessage>(&text) {
                    Ok(message) => tally.control(&message, unix_ns()),
                    Err(_) => tally.unknown_message(),
                },
                Some(Ok(Message::Close(frame))) => {
                    tally.closed(Some(frame.map_or(1005, |f| f.code.into())));
                    return Ok(());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    tally.closed(None);
                    return Ok(());
                }
            }
        }
    }
    // The figures are complete; a server that does not answer changes nothing.
    let _answer = tokio::time::timeout(CLOSE, async {
        if socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await;
    Ok(())
}

async fn media_came(
    media: Bytes,
    tally: &mut Tally,
    output: &mut Option<Output>,
) -> anyhow::Result<()> {
    if let Some(output) = output {
        output.write_all(&media).await.context("write the output")?;
    }
    tally.media(media);
    Ok(())
}
