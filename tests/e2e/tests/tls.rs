//! TLS on the public listener, with an authority of our own: certificates are replaced under
//! viewers, only good versions and suites are spoken, and what plain viewers have holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fanlight_e2e::{Authority, Edge, Ingest, Received, SOON, Viewer, metric, resident_bytes};
use fanlight_mpegts::Checker;
use fanlight_testkit::{NatsServer, Response, eventually, free_port, program, request_raw};
use futures_util::future::join_all;
use rustls::{ClientConfig, version};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// An edge under TLS with one live camera.
struct System {
    edge: Edge,
    authority: Authority,
    dir: TempDir,
    _ingest: Ingest,
    _nats: NatsServer,
}

impl System {
    async fn start(camera: &[&str], more: &[&str]) -> Self {
        let nats = NatsServer::start().await;
        let input = [&["--input", "test", "--gop-seconds", "1"], camera].concat();
        let ingest = Ingest::start_live("gate", &nats.url(), &input).await;
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        // As Kubernetes mounts a Secret.
        std::fs::create_dir(dir.path().join("first")).unwrap();
        authority.issue("first").write(&dir.path().join("first"));
        std::os::unix::fs::symlink("first", dir.path().join("..data")).unwrap();
        let path = |name: &str| dir.path().join("..data").join(name).display().to_string();
        let (cert, key) = (path("tls.crt"), path("tls.key"));
        let tls = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
        let edge = Edge::start(&nats.url(), &[&tls, more].concat()).await;
        Self {
            edge,
            authority,
            dir,
            _ingest: ingest,
            _nats: nats,
        }
    }

    fn wss(&self) -> String {
        format!("wss://{}/ws/gate", self.edge.address())
    }

    async fn watch(&self, protocol: Option<&str>) -> (Viewer, Vec<u8>) {
        Viewer::connect_tls(&self.wss(), protocol, self.authority.client()).await
    }

    async fn get(&self, path: &str) -> Response {
        let mut stream = shake(&self.edge.address(), self.authority.client())
            .await
            .expect("a handshake");
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, Some(&b"http/1.1"[..]));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An end without close_notify would be an error.
        stream.read_to_end(&mut answer).await.unwrap();
        Response::parse(&answer).expect("an HTTP answer")
    }
}

async fn shake(
    address: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, tcp).await
}

fn swap(dir: &Path, to: &str) {
    std::os::unix::fs::symlink(to, dir.join("next")).unwrap();
    std::fs::rename(dir.join("next"), dir.join("..data")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_fifty_viewers() {
    let system = System::start(&[], &[]).await;
    let (cancel, stop) = tokio::sync::watch::channel(false);
    let mut watching = Vec::new();
    for i in 0..50 {
        let protocol = (i % 2 == 0).then_some("fanlight.v1");
        let (mut viewer, shown) = system.watch(protocol).await;
        let mut stop = stop.clone();
        watching.push((
            shown,
            tokio::spawn(async move {
                let (mut checker, mut messages) = (Checker::new(), 0);
                loop {
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => break,
                        received = viewer.next() => match received {
                            Received::Media(media) => { checker.push(media); messages += 1; }
                            Received::Control(_) => {}
                            Received::Closed(code) => panic!("dropped with {code:?}"),
                        },
                    }
                }
                viewer.leave().await;
                (checker.finish(), messages)
            }),
        ));
    }
    let first = watching[0].0.clone();
    assert!(watching.iter().all(|(shown, _)| *shown == first));

    // A pair that does not fit together changes nothing but the log.
    let bad = system.dir.path().join("bad");
    std::fs::create_dir(&bad).unwrap();
    system.authority.issue("bad").write(&bad);
    std::fs::write(bad.join("tls.key"), system.authority.issue("other").key).unwrap();
    swap(system.dir.path(), "bad");
    eventually("the bad pair is told", SOON, async || {
        let log = system.edge.process.output();
        log.contains("new certificate not usable").then_some(())
    })
    .await;
    assert_eq!(system.watch(None).await.1, first);

    let second = system.dir.path().join("second");
    std::fs::create_dir(&second).unwrap();
    system.authority.issue("second").write(&second);
    swap(system.dir.path(), "second");
    let replaced = eventually("the new certificate is shown", SOON, async || {
        let shown = system.watch(None).await.1;
        (shown != first).then_some(shown)
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    let (mut viewer, shown) = system.watch(None).await;
    assert_eq!(shown, replaced);
    viewer.media(SOON).await;

    cancel.send(true).unwrap();
    for (_, task) in watching {
        let (report, messages) = task.await.unwrap();
        assert_eq!(report.errors.total(), 0, "{report:?}");
        assert!(messages > 30, "{messages} messages");
    }
}

#[tokio::test]
async fn only_good_versions_and_suites() {
    let system = System::start(&[], &[]).await;
    let address = system.edge.address();
    for version in [&version::TLS13, &version::TLS12] {
        let stream = shake(&address, system.authority.client_with(&[version], None))
            .await
            .expect("spoken");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
    let get_in = [0xC02B, 0xC02C, 0xCCA9];
    let answer = hello(&address, 0x0303, &get_in).await;
    assert_eq!(
        answer[0], 22,
        "the probe itself is not understood: {answer:?}"
    );
    assert!(get_in.contains(&suite_of(&answer)));
    for old in [0x0300, 0x0301, 0x0302] {
        let answer = hello(&address, old, &get_in).await;
        assert_eq!(answer[..1], [21], "{old:#06x} is spoken: {answer:?}");
    }
    // Every suite number of old: NULL, export, RC4, DES, CBC, static keys, anonymous, PSK.
    let weak: Vec<u16> = (0x0000..=0x00C5).chain(0xC001..=0xC02A).collect();
    for suites in weak.chunks(40) {
        let answer = hello(&address, 0x0303, suites).await;
        assert_eq!(answer[..1], [21], "one of {suites:04x?} is spoken");
    }
}

/// What a server answers to a ClientHello of this version that offers these suites.
async fn hello(address: &str, version: u16, suites: &[u16]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16 * 2).to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    let extensions: &[u8] = &[
        0, 10, 0, 6, 0, 4, 0, 23, 0, 29, // groups: P-256, X25519
        0, 11, 0, 2, 1, 0, // uncompressed points
        0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 4, 1, 2, 1, // signatures, with SHA-1
        0, 23, 0, 0, // extended master secret
    ];
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = vec![0; 512];
    let n = timeout(SOON, stream.read(&mut answer)).await.unwrap();
    answer.truncate(n.unwrap());
    assert!(!answer.is_empty(), "no answer at all");
    answer
}

/// The suite in a ServerHello record.
fn suite_of(record: &[u8]) -> u16 {
    let session = usize::from(record[43]);
    u16::from_be_bytes([record[44 + session], record[45 + session]])
}

#[tokio::test]
async fn plain_http_is_sent_to_https_which_says_to_stay() {
    let redirect = format!("127.0.0.1:{}", free_port());
    let system = System::start(&[], &["--redirect-listen", &redirect]).await;
    let port = system.edge.address().rsplit_once(':').unwrap().1.to_owned();
    for (request, status, location) in [
        (
            "GET /cameras/gate?x=1 HTTP/1.1\r\nHost: localhost:80",
            301,
            Some("/cameras/gate?x=1"),
        ),
        (
            "POST /login HTTP/1.1\r\nHost: localhost",
            308,
            Some("/login"),
        ),
        ("GET / HTTP/1.1\r\nHost: evil.example/@localhost", 400, None),
        ("GET / HTTP/1.1\r\nHost: user@localhost", 400, None),
        ("GET / HTTP/1.0", 400, None),
    ] {
        let bytes = format!("{request}\r\nConnection: close\r\n\r\n");
        let answer = request_raw(&redirect, bytes.as_bytes()).await.unwrap();
        let expected = location.map(|path| format!("https://localhost:{port}{path}"));
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("location"), expected.as_deref(), "{request}");
    }
    let page = system.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("strict-transport-security"),
        Some("max-age=31536000")
    );
    // Who speaks plain HTTP to the port of TLS gets no page.
    let plain = fanlight_testkit::get(&system.edge.url("/")).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn the_command_line_viewer_trusts_what_it_is_told() {
    let system = System::start(&[], &[]).await;
    let ca = system.authority.write(system.dir.path());
    let watch = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(program("fanlight-edge"));
        command.args(["watch", &system.wss(), "--count", "2", "--seconds", "10"]);
        let output = timeout(SOON, command.args(more).output())
            .await
            .unwrap()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    assert_eq!(watch(&["--ca", &ca.display().to_string()]).await.0, Some(0));
    let (code, text) = watch(&[]).await;
    assert_eq!(code, Some(1));
    assert!(text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn silent_handshakes_end_and_stuck_viewers_are_reset() {
    let system = System::start(&["--bitrate", "6M", "--size", "1280x720"], &[]).await;
    let address = system.edge.address();
    let started = Instant::now();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(&[22, 3, 1, 2]).await.unwrap();
    // A viewer that takes nothing after its upgrade.
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4096).unwrap();
    let tcp = small.connect(address.parse().unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(system.authority.client());
    let mut stuck = connector.connect(name, tcp).await.unwrap();
    let upgrade = "GET /ws/gate HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stuck.write_all(upgrade.as_bytes()).await.unwrap();
    stuck.read_exact(&mut [0; 12]).await.unwrap();

    for stream in [&mut silent, &mut half] {
        let end = timeout(SOON, stream.read(&mut [0; 64]))
            .await
            .expect("ended");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    assert!(started.elapsed() >= Duration::from_secs(8), "too early");
    eventually("the stuck viewer's end", SOON, async || {
        let text = system.edge.metrics().await;
        let slow = metric(
            &text,
            "fanlight_edge_disconnects_total",
            &["reason=\"slow\""],
        );
        (slow == Some(1.0)).then_some(())
    })
    .await;
    // A reset throws away what the kernel held, so there is an error and no end.
    let rest = timeout(SOON, stuck.read_to_end(&mut Vec::new()))
        .await
        .unwrap();
    assert_eq!(
        rest.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
}

/// Ticks of CPU that a process has used.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Memory a viewer, and microseconds of CPU a message.
async fn cost(edge: &Edge, mut viewers: Vec<Viewer>, before: u64) -> (u64, f64) {
    let pid = edge.process.pid();
    for viewer in &mut viewers {
        viewer.media(SOON).await;
    }
    let sent = async || {
        let text = edge.metrics().await;
        metric(
            &text,
            "fanlight_edge_sent_chunks_total",
            &["camera=\"gate\""],
        )
        .unwrap()
    };
    let end = Instant::now() + Duration::from_secs(4);
    let (ticks, chunks) = (cpu(pid), sent().await);
    join_all(viewers.iter_mut().map(|v| v.collect_until(end))).await;
    let (ticks, chunks) = (cpu(pid) - ticks, sent().await - chunks);
    let memory = resident_bytes(pid).saturating_sub(before) / viewers.len() as u64;
    (memory, ticks as f64 * 10_000.0 / chunks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tls_costs() {
    const VIEWERS: usize = 200;
    let system = System::start(&[], &[]).await;
    let plain = Edge::start(&system._nats.url(), &[]).await;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    // The hub, its ring and the first connection are there before memory is looked at.
    let _held = (plain.watch("gate").await, system.watch(None).await);
    sleep(Duration::from_secs(2)).await;
    let before = [&plain, &system.edge].map(|edge| resident_bytes(edge.process.pid()));
    for _ in 0..VIEWERS {
        a.push(plain.watch("gate").await);
    }
    let plain = cost(&plain, a, before[0]).await;
    for _ in 0..VIEWERS {
        b.push(system.watch(None).await.0);
    }
    let tls = cost(&system.edge, b, before[1]).await;
    println!("memory a viewer, CPU us a message: plain {plain:?}, tls {tls:?}");
    assert!(tls.0 < 96 << 10, "{} bytes a viewer under TLS", tls.0);
}
