//! A real edge on a free port over the in-process bus, and synthetic cameras.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use clap::Parser;
use fanlight_bus::{Announcement, Bus, Chunk, Rendition, RunId, State, StreamId};
use fanlight_edge::config::Defaults;
use fanlight_edge::{Edge, EdgeArgs};
use fanlight_ops::health::Health;
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub const SOON: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    edge: EdgeArgs,
}

pub struct System {
    pub bus: Bus,
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
    pub health: Health,
    pub task: JoinHandle<()>,
}

impl System {
    pub async fn start(args: &[&str]) -> Self {
        let cli = Cli::parse_from([&["edge", "--listen", "127.0.0.1:0"], args].concat());
        let config = cli.edge.resolve(&Defaults::standalone(), "8M").unwrap();
        let (bus, metrics, health) = (Bus::memory(), Metrics::new("edge"), Health::new());
        let shutdown = Shutdown::new();
        let edge = Edge::build(config, bus.clone(), metrics.clone(), health.clone()).unwrap();
        let address = edge.address().unwrap();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { edge.run(stop).await.unwrap() });
        Self {
            bus,
            address,
            shutdown,
            metrics,
            health,
            task,
        }
    }

    pub async fn watch(&self, path: &str, protocol: Option<&str>) -> Client {
        self.try_watch(
            path,
            &protocol
                .map(|p| ("sec-websocket-protocol", p))
                .into_iter()
                .collect::<Vec<_>>(),
        )
        .await
        .unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    pub async fn try_watch(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, u16> {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Client(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Status, head and body of a GET.
    pub async fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Announces a camera until the edge says so.
    pub async fn announce(&self, camera: &str, state: State) {
        let known = async {
            loop {
                self.bus
                    .announce(&announcement(camera, state))
                    .await
                    .unwrap();
                let (_, _, body) = self.get("/api/cameras", "").await;
                let list: serde_json::Value = serde_json::from_str(&body).unwrap();
                let cameras = list["cameras"].as_array().unwrap();
                if cameras
                    .iter()
                    .any(|c| c["camera"] == camera && c["state"] == state.as_str())
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, known)
            .await
            .expect("the camera is known");
    }

    /// Waits until the hub of a viewer is subscribed and its GOP request is over.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub struct Client(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

#[derive(Debug, PartialEq)]
pub enum Got {
    Media(Bytes),
    Text(serde_json::Value),
    Closed(Option<u16>),
}

impl Client {
    pub async fn next(&mut self) -> Got {
        let next = async {
            loop {
                return match self.0.next().await {
                    Some(Ok(Message::Binary(media))) => Got::Media(media),
                    Some(Ok(Message::Text(text))) => {
                        Got::Text(serde_json::from_str(&text).unwrap())
                    }
                    Some(Ok(Message::Close(frame))) => Got::Closed(frame.map(|f| f.code.into())),
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => Got::Closed(None),
                };
            }
        };
        tokio::time::timeout(SOON, next)
            .await
            .expect("something in time")
    }

    pub async fn media(&mut self) -> Bytes {
        loop {
            match self.next().await {
                Got::Media(media) => return media,
                Got::Text(_) => {}
                Got::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    pub async fn text(&mut self, kind: &str) -> serde_json::Value {
        loop {
            match self.next().await {
                Got::Text(text) if text["type"] == kind => return text,
                Got::Closed(code) => panic!("closed with {code:?}"),
                _ => {}
            }
        }
    }

    /// As [`closed`](Self::closed), however long it takes.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|f| f.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Got::Closed(code) = self.next().await {
                return code;
            }
        }
    }
}

pub fn stream(camera: &str) -> StreamId {
    StreamId::main(camera.parse().unwrap())
}

pub fn run(n: u64) -> RunId {
    format!("{:013}-ingest-0", 1_767_225_600_000 + n)
        .parse()
        .unwrap()
}

fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

/// `packets` TS packets that say which message they are.
pub fn chunk(run_number: u64, seq: u64, key: bool, packets: usize) -> Chunk {
    let mut payload = Vec::with_capacity(packets * 188);
    for packet in 0..packets {
        let mut one = [u8::from(key); 188];
        one[0] = 0x47;
        one[4..12].copy_from_slice(&run_number.to_be_bytes());
        one[12..20].copy_from_slice(&seq.to_be_bytes());
        one[20] = packet as u8;
        payload.extend_from_slice(&one);
    }
    Chunk {
        run: run(run_number),
        seq,
        time: unix_ns(),
        key,
        part: None,
        codec: key.then(|| "avc1.42C01E".into()),
        video: key.then(|| "640x480@15".parse().unwrap()),
        traceparent: None,
        payload: payload.into(),
    }
}

/// Run, number and key flag of a message made by [`chunk`].
pub fn read(media: &[u8]) -> (u64, u64, bool) {
    let number = |at: usize| u64::from_be_bytes(media[at..at + 8].try_into().unwrap());
    (number(4), number(12), media[100] == 1)
}

pub fn announcement(camera: &str, state: State) -> Announcement {
    Announcement {
        camera: camera.parse().unwrap(),
        rendition: Rendition::main(),
        state,
        cause: (state == State::Offline).then(|| "camera refused the connection".to_owned()),
        cause_kind: (state == State::Offline).then(|| "refused".to_owned()),
        codec: Some("avc1.42C01E".to_owned()),
        width: Some(640),
        height: Some(480),
        fps: Some(15.0),
        gop_seconds: Some(2.0),
        replay: true,
        run: Some(run(1).to_string()),
        since: 1_767_225_600_123,
        ttl: 6.0,
        instance: "ingest".to_owned(),
        time: unix_ns(),
    }
}
