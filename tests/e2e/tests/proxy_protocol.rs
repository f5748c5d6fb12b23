//! A load balancer that passes bytes on names the client in front of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use fanlight_e2e::{Edge, SOON};
use fanlight_testkit::{NatsServer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn answer(edge: &Edge, header: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let request = format!(
        "GET /ws/gate HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        edge.address()
    );
    let bytes = [header, request.as_bytes()].concat();
    stream.write_all(&bytes).await.unwrap();
    let mut start = [0; 12];
    let read = stream.read(&mut start).await.unwrap_or(0);
    String::from_utf8_lossy(&start[..read]).into_owned()
}

#[tokio::test]
async fn the_client_is_whom_the_balancer_names() {
    let nats = NatsServer::start().await;
    let args = ["--cameras", "gate", "--proxy-protocol", "--trusted-proxies"];
    let edge = Edge::start(&nats.url(), &[&args[..], &["127.0.0.1"]].concat()).await;
    let header = b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 8103\r\n";
    assert_eq!(answer(&edge, header).await, "HTTP/1.1 101");
    eventually("the client's address in the log", SOON, async || {
        edge.process.output().contains("203.0.113.9").then_some(())
    })
    .await;
    // a balancer that forgot the header, or one that is none
    for header in [b"".as_slice(), b"PROXY TCP4 nonsense\r\n"] {
        assert_eq!(answer(&edge, header).await, "");
    }

    // nobody else may name himself
    let other = Edge::start(&nats.url(), &[&args[..], &["192.0.2.1"]].concat()).await;
    assert_eq!(answer(&other, b"").await, "HTTP/1.1 101");
    assert_eq!(answer(&other, header).await, "HTTP/1.1 400");
}
