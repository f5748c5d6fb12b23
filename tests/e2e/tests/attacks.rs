//! Attacks on a running system: it stays up, a viewer who watches meanwhile loses nothing, and
//! memory stays bounded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, RawSocket, Received, SOON, Viewer, masked, resident_bytes};
use fanlight_mpegts::{Checker, Report};
use fanlight_testkit::{NatsServer, Response, eventually, request_raw};
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Memory that an attack may cost the edge while it lasts.
const MEMORY: u64 = 64 << 20;

/// A system with a viewer who watches all the time.
struct Attacked {
    edge: Edge,
    ingest: Ingest,
    memory: u64,
    stop: watch::Sender<bool>,
    watching: JoinHandle<(Report, u64)>,
    _nats: NatsServer,
}

impl Attacked {
    async fn start(args: &[&str]) -> Self {
        // The tests' own connections count too, and children inherit the limit.
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised).unwrap();
        let nats = NatsServer::start().await;
        let input = ["--input", "test", "--gop-seconds", "1"];
        let ingest = Ingest::start_live("gate", &nats.url(), &input).await;
        let edge = Edge::start(&nats.url(), args).await;
        let mut viewer = edge.watch("gate").await;
        viewer.media(SOON).await;
        let (stop, stopped) = watch::channel(false);
        let watching = tokio::spawn(look(viewer, stopped));
        Self {
            memory: resident_bytes(edge.process.pid()),
            edge,
            ingest,
            stop,
            watching,
            _nats: nats,
        }
    }

    async fn raw(&self) -> RawSocket {
        RawSocket::connect(&self.edge.address(), "/ws/gate", "").await
    }

    async fn send(&self, request: &str) -> Response {
        request_raw(&self.edge.address(), request.as_bytes())
            .await
            .expect("an answer")
    }

    /// What one `GET` with these header lines is answered.
    async fn get(&self, path: &str, headers: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        self.send(&request).await
    }

    fn within_memory(&self) {
        let now = resident_bytes(self.edge.process.pid());
        let grown = now.saturating_sub(self.memory);
        assert!(grown < MEMORY, "the edge grew by {grown} bytes");
    }

    /// After the attack: everything is as before.
    async fn unharmed(mut self) {
        self.within_memory();
        let mut newcomer = self.edge.watch("gate").await;
        newcomer.media(SOON).await;
        sleep(Duration::from_millis(500)).await;
        self.stop.send(true).expect("the viewer is still there");
        let (report, messages) = self.watching.await.unwrap();
        assert_eq!(report.errors.total(), 0, "{report:?}");
        assert!(messages > 5, "{messages}");
        assert!(self.edge.process.is_running() && self.ingest.process.is_running());
        for process in [&self.edge.process, &self.ingest.process] {
            let log = process.output();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

async fn look(mut viewer: Viewer, mut stop: watch::Receiver<bool>) -> (Report, u64) {
    let (mut checker, mut messages) = (Checker::new(), 0);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return (checker.finish(), messages),
            received = viewer.next() => match received {
                Received::Media(media) => { checker.push(media); messages += 1; }
                Received::Control(_) => {}
                Received::Closed(code) => panic!("the viewer was dropped with {code:?}"),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_names_of_others() {
    let system = Attacked::start(&[]).await;
    let address = system.edge.address();
    let own = format!("Host: {address}\r\n");
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost.evil.example",
    ] {
        let headers = format!("{own}Origin: {origin}\r\n");
        let (status, _) = RawSocket::ask(&address, "/ws/gate", &headers).await;
        assert_eq!(status, 403, "a page of {origin} may watch");
        let answer = system.get("/api/cameras", &headers).await;
        let readable = answer.header("access-control-allow-origin");
        assert_eq!(readable, None, "{origin}");
        let post = format!("POST /logout HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        assert_eq!(system.send(&post).await.status, 403, "{origin}");
    }
    let port = address.rsplit_once(':').unwrap().1;
    let rebound = format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n");
    assert_eq!(RawSocket::ask(&address, "/ws/gate", &rebound).await.0, 403);
    for path in [
        "/",
        "/api/cameras",
        "/cameras/gate",
        "/cameras/gate/live.ts",
        "/player.js",
    ] {
        let answer = system.get(path, &rebound).await;
        assert_eq!(answer.status, 403, "{path} answers to any name");
    }
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_names_and_headers() {
    let system = Attacked::start(&["--max-viewers-per-address", "3"]).await;
    let own = format!("Host: {}\r\n", system.edge.address());
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/cameras/../../../etc/passwd",
        "/cameras/..%2f..%2fetc%2fpasswd/live.ts",
        "/ws/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd%00.js",
        "/\\..\\..\\etc\\passwd",
        "/api/cameras/gate%00",
        "/ws/gate/main%2f..%2fx",
    ] {
        let answer = system.get(path, &own).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("root:"), "{path}");
    }
    for path in [
        "/ws/gate%0d%0aX-Evil:%201",
        "/cameras/a%0d%0aSet-Cookie:%20x=1/live.ts",
        "/api/cameras/a%0aX-Evil:%201",
        "/login?next=/%0d%0aX-Evil:%201",
        "/cameras/%22%3e%3cscript%3ealert(1)%3c/script%3e",
    ] {
        let answer = system.get(path, &own).await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
        for name in ["x-evil", "set-cookie"] {
            assert_eq!(answer.header(name), None, "{path}");
        }
        assert!(!answer.text().contains("<script>alert"), "{path}");
    }
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
    ] {
        let answer = system.send(request).await;
        assert!(
            (400..500).contains(&answer.status),
            "{request:?}: {}",
            answer.status
        );
    }
    // Two lengths of one body: one request, one answer, nothing smuggled behind it.
    let smuggled = "POST /logout HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\
                    Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    assert!(!system.send(smuggled).await.text().contains("HTTP/1.1"));
    let big = format!("{own}X-Big: {}\r\n", "x".repeat(64 << 10));
    assert_eq!(system.get("/", &big).await.status, 431);
    let many = format!("{own}{}", "X-Many: 1\r\n".repeat(100));
    assert_eq!(system.get("/", &many).await.status, 431);

    // Two beside the one who watches already are all that this address may have.
    let _two = (system.raw().await, system.raw().await);
    for forged in ["1.2.3.4", "127.0.0.1, 9.9.9.9", "::1"] {
        let headers = format!(
            "{own}X-Forwarded-For: {forged}\r\nX-Real-IP: {forged}\r\nForwarded: for={forged}\r\n"
        );
        let (status, _) = RawSocket::ask(&system.edge.address(), "/ws/gate", &headers).await;
        assert_eq!(status, 429, "X-Forwarded-For: {forged} is believed");
    }
    drop(_two);
    eventually("places again", SOON, async || {
        let (status, _) = RawSocket::ask(&system.edge.address(), "/ws/gate", "").await;
        (status == 101).then_some(())
    })
    .await;
    sleep(Duration::from_millis(500)).await;
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_are_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "the right one\n").unwrap();
    let nats = NatsServer::start().await;
    let password = password.display().to_string();
    let args = ["--auth", "password", "--admin-password-file", &password];
    let with_login = Edge::start(&nats.url(), &args).await;
    let system = Attacked::start(&[]).await;
    let began = Instant::now();
    let trickle = |address: String, head: String| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 512];
        loop {
            if stream.write_all(b"x").await.is_err() {
                return began.elapsed();
            }
            let read = timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
            if let Ok(Ok(0) | Err(_)) = read {
                return began.elapsed();
            }
        }
    };
    let login = with_login.address();
    let body = format!(
        "POST /login HTTP/1.1\r\nHost: {login}\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{{"
    );
    let headers = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ",
        system.edge.address()
    );
    let slow = (0..300).map(|i| {
        let (to, head) = if i < 100 {
            (&login, &body)
        } else {
            (&system.edge.address(), &headers)
        };
        trickle(to.clone(), head.clone())
    });
    let ends = timeout(Duration::from_secs(30), join_all(slow)).await;
    let ends = ends.expect("slow requests hold their connections");
    let last = ends.iter().max().unwrap();
    assert!(*last < Duration::from_secs(25), "{last:?}");
    let alive = fanlight_testkit::get(&with_login.url("/login"))
        .await
        .unwrap();
    assert_eq!(alive.status, 200);
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_half_open_handshakes() {
    let system = Attacked::start(&[]).await;
    let mut open = Vec::new();
    for i in 0..2000 {
        let mut stream = TcpStream::connect(system.edge.address()).await.unwrap();
        if i % 2 == 0 {
            let half = b"GET /ws/gate HTTP/1.1\r\nUpgrade: websocket\r\n";
            stream.write_all(half).await.unwrap();
        }
        open.push(stream);
    }
    // While they are held, others come in.
    let mut newcomer = system.edge.watch("gate").await;
    newcomer.media(SOON).await;
    system.within_memory();
    let opened = Instant::now();
    let ends = open.iter_mut().map(|stream| async move {
        let mut rest = Vec::new();
        let _reset = stream.read_to_end(&mut rest).await;
        opened.elapsed()
    });
    let ends = timeout(SOON, join_all(ends)).await;
    let ends = ends.expect("they are held for ever");
    // The fuller it is, the less time they get: others must find a place.
    let last = ends.last().unwrap();
    assert!(*last < Duration::from_secs(7), "{last:?}");
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules() {
    let system = Attacked::start(&[]).await;
    let oversized = [0x82, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
    let endless = [0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    for (what, bytes, code) in [
        ("unmasked", vec![0x81, 2, b'h', b'i'], 1002),
        ("compressed bit", masked(0xC1, b"x"), 1002),
        ("other reserved bits", masked(0xB2, b"x"), 1002),
        ("4 GiB", oversized.to_vec(), 1009),
        ("64-bit length", endless.to_vec(), 1002),
        ("64 KiB", masked(0x82, &[0; 65_535]), 1009),
        ("fragmented", masked(0x01, b"x"), 1003),
        ("not UTF-8", masked(0x81, &[0xFF]), 1007),
        ("flood of pings", masked(0x89, b"").repeat(2000), 1008),
        ("flood of texts", masked(0x81, b"{}").repeat(2000), 1008),
    ] {
        let attackers = (0..20).map(|_| async {
            let mut socket = system.raw().await;
            socket.send(&bytes).await;
            let mut last = None;
            while let Some(frame) = socket.next_control().await {
                last = frame.close_code().or(last);
            }
            last
        });
        for got in join_all(attackers).await {
            assert_eq!(got, Some(code), "{what}");
        }
    }
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_to_each_port() {
    let dir = tempfile::tempdir().unwrap();
    let redirect = format!("127.0.0.1:{}", fanlight_testkit::free_port());
    let (cert, key) = fanlight_e2e::Authority::new()
        .issue("edge")
        .write(dir.path());
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let system = Attacked::start(&[]).await;
    let args = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--redirect-listen",
        &redirect,
    ];
    let mut tls = Edge::start(&system._nats.url(), &args).await;
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    let ports = [
        system.edge.address(),
        host(&system.edge.admin_url()),
        host(&system.ingest.admin_url()),
        tls.address(),
        redirect.clone(),
    ];
    for address in &ports {
        for kind in 0..4 {
            let mut garbage: Vec<u8> = (0..64 << 10).map(|_| rand::random()).collect();
            match kind {
                1 => garbage[..5].copy_from_slice(&[22, 3, 1, 0x40, 0]),
                2 => garbage[..16].copy_from_slice(b"GET / HTTP/1.1\r\n"),
                3 => garbage.fill(0),
                _ => {}
            }
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _refused = stream.write_all(&garbage).await;
            let mut answer = Vec::new();
            let end = timeout(SOON, stream.read_to_end(&mut answer)).await;
            assert!(end.is_ok(), "{address} holds garbage of kind {kind}");
            let text = String::from_utf8_lossy(&answer);
            let refused = answer.is_empty() || answer[0] == 21 || text.starts_with("HTTP/1.1 4");
            assert!(refused, "{address}: {text}");
        }
    }
    for url in [
        system.edge.admin_url(),
        system.ingest.admin_url(),
        tls.admin_url(),
    ] {
        let answer = fanlight_testkit::get(&format!("{url}/livez"))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{url}");
    }
    assert!(tls.process.is_running() && !tls.process.output().contains("panicked"));
    system.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "the right one\n").unwrap();
    let file = file.display().to_string();
    let system = Attacked::start(&[]).await;
    let args = ["--auth", "password", "--admin-password-file", &file];
    let edge = Edge::start(&system._nats.url(), &args).await;
    let host = edge.address();
    let sign_in = async |name: &str, password: &str, forged: usize| {
        let body = format!("{{\"name\":\"{name}\",\"password\":\"{password}\"}}");
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.0.0.{forged}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        request_raw(&host, request.as_bytes()).await.unwrap()
    };
    assert_eq!(sign_in("admin", "the right one", 0).await.status, 204);
    let mut statuses = Vec::new();
    for i in 0..12 {
        let name = if i % 2 == 0 { "admin" } else { "nobody" };
        statuses.push(sign_in(name, &format!("guess {i}"), i).await.status);
    }
    assert_eq!(statuses[..5], [401; 5], "{statuses:?}");
    assert_eq!(statuses[5..], [429; 7], "{statuses:?}");
    let answer = sign_in("admin", "the right one", 99).await;
    assert_eq!(answer.status, 429, "guessing goes on behind the limit");
    assert!(answer.header("retry-after").is_some());
    let long = sign_in("admin", &"x".repeat(1 << 20), 1).await;
    assert!(matches!(long.status, 400 | 413 | 429), "{}", long.status);
    let log = edge.process.output();
    assert!(
        !log.contains("the right one") && !log.contains("guess"),
        "{log}"
    );
    system.unharmed().await;
}

/// A web server that answers everything with `answer`, and counts.
async fn web(answer: String) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            tokio::spawn(async move {
                let _head = stream.read(&mut [0; 2048]).await;
                let _gone = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (port, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_camera_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("secret.ts");
    fanlight_e2e::make_video(&canary, 2, 15, "320x240", "400k");
    let file = format!("file://{}", canary.display());
    let (trap, trapped) = web(String::new()).await;
    let inside = format!("http://127.0.0.1:{trap}/internal.ts");
    let hls = |url: &str| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n"
        )
    };
    let dash = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT2S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{inside}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    );
    let sdp = format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {trap} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    );
    let nats = NatsServer::start().await;
    let answers = [
        ("hls, loopback", "/stream", hls(&inside)),
        ("hls, file", "/stream", hls(&file)),
        ("hls asked for, file", "/stream.m3u8", hls(&file)),
        (
            "concat, loopback",
            "/stream",
            format!("ffconcat version 1.0\nfile {inside}\n"),
        ),
        (
            "concat, file",
            "/stream",
            format!("ffconcat version 1.0\nfile '{}'\n", canary.display()),
        ),
        ("dash, loopback", "/stream", dash),
        ("sdp", "/stream", sdp),
    ];
    let cases = answers.map(|(what, path, body)| {
        let (nats, trapped) = (nats.url(), Arc::clone(&trapped));
        async move {
            let (port, asked) = web(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ))
            .await;
            let url = format!("http://127.0.0.1:{port}{path}");
            let mut ingest = Ingest::start("gate", &nats, &["--input", &url, "--start-timeout", "3s"]);
            eventually(what, Duration::from_secs(30), async || {
                (asked.load(Ordering::Relaxed) >= 2).then_some(())
            })
            .await;
            let metrics = ingest.metrics().await;
            let frames = fanlight_e2e::metric(&metrics, "fanlight_ingest_frames_total", &[]);
            assert_eq!(frames, Some(0.0), "{what}: it shows pictures of elsewhere");
            assert_eq!(trapped.load(Ordering::Relaxed), 0, "{what}: it was led to loopback");
            assert!(ingest.process.is_running(), "{what}: {}", ingest.process.output());
        }
    });
    join_all(cases).await;
}
