//! Who gets in: mode by credential by way in, against real edges; and what happens to those who
//! watch when their right ends. Cameras are known and offline, so that a grant shows as 101, 200
//! or "offline" and nothing has to be encoded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanlight_e2e::{Edge, Ingest, SOON, Viewer};
use fanlight_testkit::{NatsServer, Signal, program, repository};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// In every secret of these tests; may appear in no output.
const CANARY: &str = "canary-9c41";
const CAMERAS: &[&str] = &["--cameras", "gate,vault", "--default-camera", "gate"];

/// A header of a request.
type Header = (&'static str, String);

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("key", &format!("{CANARY}-0123456789abcdef0123456789abcdef"));
        files.write("jwt", &jwt_secret());
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.at(name), text).unwrap();
        self.at(name).display().to_string()
    }

    /// A users file with one user, made as an operator makes it.
    async fn users(&self, name: &str, cameras: &str) -> String {
        let mut command = tokio::process::Command::new(program("fanlight-edge"));
        command.args(["hash-password", "--user", name, "--cameras", cameras]);
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(password().as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        self.write("users", &String::from_utf8(output.stdout).unwrap())
    }
}

fn password() -> String {
    format!("{CANARY} horse")
}

fn jwt_secret() -> String {
    format!("{CANARY}-secret-of-at-least-32-bytes")
}

/// One answer's head.
struct Head {
    status: u16,
    text: String,
}

/// Sends a request and reads the answer's head only: an upgraded socket stays open.
async fn ask(address: &str, method: &str, path: &str, headers: &[Header], body: &str) -> Head {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        let length = body.len();
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream);
    let mut text = String::new();
    while lines.read_line(&mut text).await.unwrap() > 2 {}
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    Head { status, text }
}

fn upgrade() -> Vec<Header> {
    [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// What somebody gets who may watch `gate` and not `vault`.
const GRANTED: &[(&str, bool, u16)] = &[
    ("/", false, 200),
    ("/cameras/gate", false, 200),
    ("/api/cameras", false, 200),
    ("/api/cameras/gate", false, 200),
    ("/ws/gate", true, 101),
    ("/ws/gate/main", true, 101),
    ("/", true, 101),
    ("/cameras/gate/live.ts", false, 503),
    // the page says it in words, from the answer of the API
    ("/cameras/vault", false, 200),
    ("/api/cameras/vault", false, 403),
    ("/ws/vault", true, 403),
    ("/ws/vault/main", true, 403),
    ("/cameras/vault/live.ts", false, 403),
    // whether there is such a camera is nobody's business
    ("/api/cameras/nowhere", false, 403),
    ("/ws/nowhere", true, 403),
];

/// What everybody else gets.
const DENIED: &[(&str, bool, u16)] = &[
    ("/", false, 303),
    ("/cameras/gate", false, 303),
    ("/cameras/vault", false, 303),
    ("/api/cameras", false, 401),
    ("/api/cameras/gate", false, 401),
    ("/api/cameras/nowhere", false, 401),
    ("/ws/gate", true, 401),
    ("/ws/gate/main", true, 401),
    ("/", true, 401),
    ("/cameras/gate/live.ts", false, 401),
];

/// Asks all ways in with one credential.
async fn expect(
    edge: &Edge,
    what: &str,
    headers: &[Header],
    query: &str,
    rows: &[(&str, bool, u16)],
) {
    for &(path, is_upgrade, expected) in rows {
        let mut all = if is_upgrade { upgrade() } else { Vec::new() };
        all.extend(headers.iter().cloned());
        let head = ask(&edge.address(), "GET", &format!("{path}{query}"), &all, "").await;
        let way = if is_upgrade { "upgrade" } else { "GET" };
        assert_eq!(head.status, expected, "{what}: {way} {path}\n{}", head.text);
        assert!(!head.text.contains(CANARY), "{}", head.text);
    }
}

fn cookie(value: &str) -> Header {
    ("Cookie", format!("fanlight_session={value}"))
}

fn bearer(token: &str) -> Header {
    ("Authorization", format!("Bearer {token}"))
}

/// Signs in and returns the session cookie's value.
async fn sign_in(edge: &Edge, name: &str) -> String {
    let body = json!({"name": name, "password": password()}).to_string();
    let head = ask(&edge.address(), "POST", "/login", &[], &body).await;
    assert_eq!(head.status, 204, "{}", head.text);
    let line = head.text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then_some(value)
    });
    let line = line.unwrap();
    assert!(
        line.contains("HttpOnly") && line.contains("SameSite=Lax"),
        "{line}"
    );
    let value = line.split(';').next().unwrap();
    value.strip_prefix("fanlight_session=").unwrap().to_owned()
}

/// HS256 (RFC 7515) from the hash alone, so that nothing judges itself.
fn token(claims: &Value) -> String {
    let head = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
    let signature = hmac(jwt_secret().as_bytes(), text.as_bytes());
    format!("{text}.{}", base64url(&signature))
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(text);
    let outer = Sha256::new().chain_update(block.map(|b| b ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(*part.get(at).unwrap_or(&0));
        }
        for at in 0..=part.len() {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(char::from(letter));
        }
    }
    text
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

async fn edge(nats: &NatsServer, args: &[&str]) -> Edge {
    let args = [CAMERAS, &["--log-level", "trace"], args].concat();
    Edge::start(&nats.url(), &args).await
}

fn no_canary(edges: &[&Edge]) {
    for edge in edges {
        let output = edge.process.output();
        let told: Vec<&str> = output
            .lines()
            .filter(|line| line.contains(CANARY))
            .collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}

/// Waits for the close frame of a viewer.
async fn closed(mut viewer: Viewer) -> Option<u16> {
    viewer.closed(SOON).await
}

async fn viewer(edge: &Edge, headers: &[Header]) -> Viewer {
    Viewer::connect_with(&edge.ws("gate"), headers).await
}

#[tokio::test]
async fn passwords() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let key = files.at("key").display().to_string();
    let args = [
        "--auth",
        "password",
        "--users-file",
        &users,
        "--session-key-file",
        &key,
    ];
    let one = edge(&nats, &args).await;
    let replica = edge(&nats, &args).await;
    let session = sign_in(&one, "anna").await;
    let right = [cookie(&session)];
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right", &right, "", GRANTED).await;
    expect(&replica, "right, another replica", &right, "", GRANTED).await;
    let mut tampered = session.clone();
    tampered.replace_range(
        10..11,
        if tampered.as_bytes()[10] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    expect(&one, "tampered", &[cookie(&tampered)], "", DENIED).await;
    expect(
        &one,
        "a token where there are passwords",
        &[bearer(&session)],
        "",
        DENIED,
    )
    .await;
    let forged = [("X-Forwarded-User", "anna".to_owned())];
    expect(&one, "a forged proxy header", &forged, "", DENIED).await;

    // a share link, its end, and a link to another camera than the one asked for
    let body = json!({"minutes": 5}).to_string();
    let head = ask(
        &one.address(),
        "POST",
        "/api/cameras/vault/share",
        &right,
        &body,
    )
    .await;
    assert_eq!(head.status, 403);
    let link = share_link(&key, "gate", "5").await;
    let query = &link[link.find('?').unwrap()..];
    expect(&replica, "share link", &[], query, GRANTED).await;
    let link = share_link(&key, "gate", "0").await;
    let query = &link[link.find('?').unwrap()..];
    expect(&one, "ended share link", &[], query, DENIED).await;

    // a session that has ended, and one that ends while it watches
    let short = edge(&nats, &[&args[..], &["--session-hours", "0.0006"]].concat()).await;
    let ended = [cookie(&sign_in(&short, "anna").await)];
    assert_eq!(closed(viewer(&short, &ended).await).await, Some(4401));
    expect(&one, "ended session", &ended, "", DENIED).await;

    // a replica that leaves
    let drains = edge(&nats, &[&args[..], &["--drain-delay", "60"]].concat()).await;
    drains.process.signal(Signal::TERM);
    let draining = [
        ("/ws/gate", true, 503),
        ("/", true, 503),
        ("/cameras/gate/live.ts", false, 503),
    ];
    wait_for_status(&drains, &right, 503).await;
    expect(&drains, "right, draining", &right, "", &draining).await;
    expect(
        &drains,
        "right, draining",
        &right,
        "",
        &[("/", false, 200), ("/api/cameras/gate", false, 200)],
    )
    .await;
    expect(&drains, "nobody, draining", &[], "", &draining).await;
    expect(
        &drains,
        "nobody, draining",
        &[],
        "",
        &[("/", false, 303), ("/api/cameras/gate", false, 401)],
    )
    .await;

    // signed out here, revoked everywhere
    let watching = viewer(&one, &right).await;
    let other = viewer(&replica, &right).await;
    let head = ask(&one.address(), "POST", "/logout", &right, "").await;
    assert_eq!(head.status, 204);
    assert_eq!(closed(watching).await, Some(4403));
    expect(&one, "signed out", &right, "", DENIED).await;
    files.users("ben", "*").await;
    assert_eq!(closed(other).await, Some(4403));
    expect(&replica, "no user any more", &right, "", DENIED).await;
    no_canary(&[&one, &replica, &short, &drains]);
    for metrics in [one.metrics().await, replica.metrics().await] {
        assert!(!metrics.contains(CANARY) && !metrics.contains("anna"));
    }
    let output = one.process.output();
    for line in ["signed in", "signed out", "viewer connected"] {
        assert!(output.contains(line), "the audit log lacks `{line}`");
    }
    assert!(!output.contains(&session), "a session cookie was logged");
}

async fn share_link(key: &str, camera: &str, minutes: &str) -> String {
    let mut command = tokio::process::Command::new(program("fanlight-edge"));
    let args = [
        "share",
        "--session-key-file",
        key,
        "--camera",
        camera,
        "--minutes",
        minutes,
    ];
    let output = command.args(args).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn wait_for_status(edge: &Edge, headers: &[Header], status: u16) {
    let mut all = upgrade();
    all.extend(headers.iter().cloned());
    fanlight_testkit::eventually("the drain", SOON, async || {
        let head = ask(&edge.address(), "GET", "/ws/gate", &all, "").await;
        (head.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tokens() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let key = files.at("jwt").display().to_string();
    let args = [
        "--auth",
        "jwt",
        "--jwt-key-file",
        &key,
        "--jwt-audience",
        "fanlight",
        "--jwt-leeway",
        "0",
    ];
    let one = edge(&nats, &args).await;
    let claims = |seconds: i64, cameras: Value| {
        let exp = now().saturating_add_signed(seconds);
        json!({"sub": "anna", "aud": "fanlight", "exp": exp, "cameras": cameras})
    };
    let right = token(&claims(600, json!(["gate"])));
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right, header", &[bearer(&right)], "", GRANTED).await;
    expect(
        &one,
        "right, query",
        &[],
        &format!("?token={right}"),
        GRANTED,
    )
    .await;
    let by_cookie = [("Cookie", format!("fanlight_token={right}"))];
    expect(&one, "right, cookie", &by_cookie, "", GRANTED).await;
    let offered = [(
        "Sec-WebSocket-Protocol",
        format!("fanlight.v1, fanlight.token.{right}"),
    )];
    let sockets: Vec<_> = GRANTED
        .iter()
        .filter(|(_, is_upgrade, _)| *is_upgrade)
        .copied()
        .collect();
    expect(&one, "right, subprotocol", &offered, "", &sockets).await;
    let ended = token(&claims(-10, json!(["gate"])));
    expect(&one, "ended", &[bearer(&ended)], "", DENIED).await;
    let mut other = claims(600, json!(["gate"]));
    other["aud"] = json!("another");
    expect(
        &one,
        "another audience",
        &[bearer(&token(&other))],
        "",
        DENIED,
    )
    .await;
    let unsigned = right.rsplit_once('.').unwrap().0;
    expect(
        &one,
        "without signature",
        &[bearer(&format!("{unsigned}."))],
        "",
        DENIED,
    )
    .await;
    let none = token(&claims(600, json!([])));
    expect(
        &one,
        "no camera",
        &[bearer(&none)],
        "",
        &[("/api/cameras/gate", false, 403), ("/ws/gate", true, 403)],
    )
    .await;
    let brief = token(&claims(2, json!(["gate"])));
    assert_eq!(
        closed(viewer(&one, &[bearer(&brief)]).await).await,
        Some(4401)
    );
    let head = ask(&one.address(), "GET", "/api/cameras", &[], "").await;
    assert!(
        head.text
            .to_lowercase()
            .contains("www-authenticate: bearer"),
        "{}",
        head.text
    );
    no_canary(&[&one]);
    assert!(!one.process.output().contains(&right), "a token was logged");
}

#[tokio::test]
async fn a_proxy_in_front() {
    let nats = NatsServer::start().await;
    let groups = ["--proxy-group-cameras", "guards=gate"];
    let args = [
        &["--auth", "proxy", "--trusted-proxies", "127.0.0.1"][..],
        &groups,
    ]
    .concat();
    let one = edge(&nats, &args).await;
    let named = |groups: &str| {
        [
            ("X-Forwarded-User", "anna".to_owned()),
            ("X-Forwarded-Groups", groups.to_owned()),
        ]
    };
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right", &named("guards"), "", GRANTED).await;
    let refused = [("/api/cameras/gate", false, 403), ("/ws/gate", true, 403)];
    expect(&one, "another group", &named("guests"), "", &refused).await;
    let args = [
        &["--auth", "proxy", "--trusted-proxies", "192.0.2.1"][..],
        &groups,
    ]
    .concat();
    let direct = edge(&nats, &args).await;
    expect(
        &direct,
        "not through the proxy",
        &named("guards"),
        "",
        DENIED,
    )
    .await;
}

#[tokio::test]
async fn everybody_where_that_is_meant() {
    let nats = NatsServer::start().await;
    let one = edge(&nats, &["--auth", "none"]).await;
    for camera in ["gate", "vault"] {
        let (api, ws) = (format!("/api/cameras/{camera}"), format!("/ws/{camera}"));
        let rows = [
            ("/", false, 200),
            (api.as_str(), false, 200),
            (ws.as_str(), true, 101),
        ];
        expect(&one, "nobody", &[], "", &rows).await;
    }
    let body = json!({"minutes": 5}).to_string();
    let head = ask(
        &one.address(),
        "POST",
        "/api/cameras/gate/share",
        &[],
        &body,
    )
    .await;
    assert_eq!(head.status, 403);
}

/// Every route that the router has, with nothing to show: what is open is on this list.
#[tokio::test]
async fn no_route_is_open_by_accident() {
    let source = std::fs::read_to_string(repository().join("services/edge/src/http.rs")).unwrap();
    let routes: Vec<&str> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(routes.len() >= 10, "{routes:?}");
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "*").await;
    let one = edge(&nats, &["--auth", "password", "--users-file", &users]).await;
    for route in routes {
        let path = route
            .replace("{camera}", "gate")
            .replace("{rendition}", "main");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let head = ask(&one.address(), method, &path, &[], "").await;
            let open = matches!(route, "/login" | "/logout" | "/api/session" | "/{file}");
            let refused = matches!(head.status, 303 | 401 | 404 | 405 | 426);
            assert!(
                open || refused,
                "{method} {path} is answered with {}",
                head.status
            );
        }
    }
}

#[tokio::test]
async fn sign_in_is_limited_and_bounded() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let one = edge(&nats, &["--auth", "password", "--users-file", &users]).await;
    let address = one.address();
    let guess = json!({"name": "anna", "password": "wrong"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(ask(&address, "POST", "/login", &[], &guess).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let head = ask(&address, "POST", "/login", &[], &guess).await;
    assert!(
        head.text.to_lowercase().contains("retry-after"),
        "{}",
        head.text
    );
    let huge = json!({"name": "anna", "password": "x".repeat(8000)}).to_string();
    assert_eq!(
        ask(&address, "POST", "/login", &[], &huge).await.status,
        400
    );
    assert_eq!(
        ask(&address, "POST", "/login", &[], "[1]").await.status,
        400
    );
    let foreign = [("Origin", "https://evil.example".to_owned())];
    assert_eq!(
        ask(&address, "POST", "/login", &foreign, &guess)
            .await
            .status,
        403
    );
    assert_eq!(
        ask(&address, "POST", "/logout", &foreign, "").await.status,
        403
    );
}

#[tokio::test]
async fn the_command_line_viewer_signs_in() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let secret = files.write("admin", &format!("{}\n", password()));
    let wrong = files.write("wrong", CANARY);
    let jwt = files.write(
        "token",
        &token(&json!({"exp": now() + 60, "cameras": "gate"})),
    );
    let key = files.at("jwt").display().to_string();
    let by_password = edge(
        &nats,
        &["--auth", "password", "--admin-password-file", &secret],
    )
    .await;
    let by_token = edge(&nats, &["--auth", "jwt", "--jwt-key-file", &key]).await;
    for (edge, args, word) in [
        (
            &by_password,
            vec!["--user", "admin", "--password-file", &secret],
            "no key picture",
        ),
        (
            &by_password,
            vec!["--user", "admin", "--password-file", &wrong],
            "401",
        ),
        (&by_password, vec![], "not_signed_in"),
        (&by_token, vec!["--token-file", &jwt], "no key picture"),
    ] {
        let url = edge.ws("gate");
        let mut command = tokio::process::Command::new(program("fanlight-edge"));
        command.args(["watch", &url, "--seconds", "1"]).args(&args);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(!said.contains(CANARY), "{said}");
    }
}

#[test]
fn the_test_makes_tokens_as_the_standard_says() {
    // RFC 4231, test case 2
    let mac = hmac(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(
        base64url(&mac),
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
    );
}

#[tokio::test]
async fn live_ts_ends_with_the_grant() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let key = files.at("jwt").display().to_string();
    let one = edge(
        &nats,
        &["--auth", "jwt", "--jwt-key-file", &key, "--jwt-leeway", "0"],
    )
    .await;
    let camera = Ingest::start("gate", &nats.url(), &["--input", "test"]);
    let long = [bearer(&token(
        &json!({"exp": now() + 60, "cameras": "gate"}),
    ))];
    fanlight_testkit::eventually("a picture", SOON, async || {
        let head = ask(&one.address(), "GET", "/cameras/gate/live.ts", &long, "").await;
        (head.status == 200).then_some(())
    })
    .await;
    let brief = token(&json!({"exp": now() + 3, "cameras": "gate"}));
    let mut stream = TcpStream::connect(one.address()).await.unwrap();
    let request = format!(
        "GET /cameras/gate/live.ts?token={brief} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        one.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the stream went on after the grant's end");
    assert!(
        all.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&all[..100])
    );
    drop(camera);
}
