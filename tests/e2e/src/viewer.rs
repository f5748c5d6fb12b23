//! A WebSocket viewer on tokio-tungstenite.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async, connect_async_tls_with_config,
};

/// What came over the socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// One media message.
    Media(Bytes),
    /// One message of `fanlight.v1`.
    Control(serde_json::Value),
    /// The end: a close frame's code, or none when the connection broke off.
    Closed(Option<u16>),
}

/// A connected viewer.
#[derive(Debug)]
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// When the upgrade was complete.
    pub upgraded: Instant,
}

impl Viewer {
    /// Connects, with `fanlight.v1` or another subprotocol if given.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn connect(url: &str, protocol: Option<&str>) -> Self {
        Self::try_connect(url, protocol, None)
            .await
            .unwrap_or_else(|status| panic!("{url}: refused with {status:?}"))
    }

    /// Connects as a page of `origin` would.
    ///
    /// # Errors
    /// The status of a refusal; none when there was no HTTP answer.
    pub async fn try_connect(
        url: &str,
        protocol: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Self, Option<StatusCode>> {
        let mut request = url.into_client_request().expect("a URL");
        let header = |text: &str| HeaderValue::from_str(text).expect("a header value");
        if let Some(protocol) = protocol {
            request
                .headers_mut()
                .insert("sec-websocket-protocol", header(protocol));
        }
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", header(origin));
        }
        Self::open(request).await
    }

    /// Connects with further headers.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn connect_with(url: &str, headers: &[(&'static str, String)]) -> Self {
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header value");
            request.headers_mut().append(*name, value);
        }
        Self::open(request)
            .await
            .unwrap_or_else(|status| panic!("{url}: refused with {status:?}"))
    }

    async fn open(request: Request) -> Result<Self, Option<StatusCode>> {
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                upgraded: Instant::now(),
            }),
            Err(Error::Http(answer)) => Err(Some(answer.status())),
            Err(_) => Err(None),
        }
    }

    /// Connects over TLS; the certificate that the server showed comes with it.
    ///
    /// # Panics
    /// When the handshake or the upgrade fails.
    pub async fn connect_tls(
        url: &str,
        protocol: Option<&str>,
        trust: Arc<ClientConfig>,
    ) -> (Self, Vec<u8>) {
        let mut request = url.into_client_request().expect("a URL");
        if let Some(protocol) = protocol {
            let header = HeaderValue::from_str(protocol).expect("a header value");
            request
                .headers_mut()
                .insert("sec-websocket-protocol", header);
        }
        let connector = Some(Connector::Rustls(trust));
        let (socket, _) = connect_async_tls_with_config(request, None, true, connector)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let MaybeTlsStream::Rustls(stream) = socket.get_ref() else {
            panic!("{url} is not under TLS");
        };
        let shown = stream.get_ref().1.peer_certificates().expect("verified");
        let shown = shown[0].to_vec();
        let viewer = Self {
            socket,
            upgraded: Instant::now(),
        };
        (viewer, shown)
    }

    /// The next thing that comes; pings are answered by the library and passed over.
    pub async fn next(&mut self) -> Received {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Binary(media))) => Received::Media(media),
                Some(Ok(Message::Text(text))) => {
                    Received::Control(serde_json::from_str(&text).expect("control is JSON"))
                }
                Some(Ok(Message::Close(frame))) => Received::Closed(frame.map(|f| f.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Received::Closed(None),
            };
        }
    }

    /// The next media message.
    ///
    /// # Panics
    /// When the socket closes, or after `limit`.
    pub async fn media(&mut self, limit: Duration) -> Bytes {
        let media = async {
            loop {
                match self.next().await {
                    Received::Media(media) => return media,
                    Received::Control(_) => {}
                    Received::Closed(code) => panic!("closed with {code:?} instead of media"),
                }
            }
        };
        tokio::time::timeout(limit, media)
            .await
            .expect("media in time")
    }

    /// Reads media until `end` or the socket's end; returns it in order.
    pub async fn collect_until(&mut self, end: Instant) -> Vec<Bytes> {
        let mut all = Vec::new();
        while let Ok(received) = tokio::time::timeout_at(end, self.next()).await {
            match received {
                Received::Media(media) => all.push(media),
                Received::Control(_) => {}
                Received::Closed(_) => break,
            }
        }
        all
    }

    /// Waits for the end of the connection.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn closed(&mut self, limit: Duration) -> Option<u16> {
        let end = async {
            loop {
                if let Received::Closed(code) = self.next().await {
                    return code;
                }
            }
        };
        tokio::time::timeout(limit, end)
            .await
            .expect("closed in time")
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    /// Leaves with a close frame.
    pub async fn leave(mut self) {
        let _closed_already = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
