//! Credentials of every kind, and edges to show them to.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use fanlight_e2e::{Edge, SOON, Viewer};
use fanlight_testkit::{NatsServer, program};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// In every secret of these tests; may appear in no output.
pub const CANARY: &str = "canary-9c41";
pub const CAMERAS: &[&str] = &["--cameras", "gate,vault", "--default-camera", "gate"];

/// A header of a request.
pub type Header = (&'static str, String);

pub struct Files(pub TempDir);

impl Files {
    pub fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("key", &format!("{CANARY}-0123456789abcdef0123456789abcdef"));
        files.write("jwt", &jwt_secret());
        files
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.at(name), text).unwrap();
        self.at(name).display().to_string()
    }

    /// A users file with one user, made as an operator makes it.
    pub async fn users(&self, name: &str, cameras: &str) -> String {
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

pub fn password() -> String {
    format!("{CANARY} horse")
}

pub fn jwt_secret() -> String {
    format!("{CANARY}-secret-of-at-least-32-bytes")
}

/// One answer's head.
pub struct Head {
    pub status: u16,
    pub text: String,
}

/// Sends a request and reads the answer's head only: an upgraded socket stays open.
pub async fn ask(address: &str, method: &str, path: &str, headers: &[Header], body: &str) -> Head {
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

pub fn upgrade() -> Vec<Header> {
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
pub const GRANTED: &[(&str, bool, u16)] = &[
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
pub const DENIED: &[(&str, bool, u16)] = &[
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
pub async fn expect(
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

pub fn cookie(value: &str) -> Header {
    ("Cookie", format!("fanlight_session={value}"))
}

pub fn bearer(token: &str) -> Header {
    ("Authorization", format!("Bearer {token}"))
}

/// Signs in and returns the session cookie's value.
pub async fn sign_in(edge: &Edge, name: &str) -> String {
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
pub fn token(claims: &Value) -> String {
    let head = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
    let signature = hmac(jwt_secret().as_bytes(), text.as_bytes());
    format!("{text}.{}", base64url(&signature))
}

pub fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(text);
    let outer = Sha256::new().chain_update(block.map(|b| b ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

pub fn base64url(bytes: &[u8]) -> String {
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

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub async fn edge(nats: &NatsServer, args: &[&str]) -> Edge {
    let args = [CAMERAS, &["--log-level", "trace"], args].concat();
    Edge::start(&nats.url(), &args).await
}

pub fn no_canary(edges: &[&Edge]) {
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
pub async fn closed(mut viewer: Viewer) -> Option<u16> {
    viewer.closed(SOON).await
}

pub async fn viewer(edge: &Edge, headers: &[Header]) -> Viewer {
    Viewer::connect_with(&edge.ws("gate"), headers).await
}

pub async fn share_link(key: &str, camera: &str, minutes: &str) -> String {
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

pub async fn wait_for_status(edge: &Edge, headers: &[Header], status: u16) {
    let mut all = upgrade();
    all.extend(headers.iter().cloned());
    fanlight_testkit::eventually("the drain", SOON, async || {
        let head = ask(&edge.address(), "GET", "/ws/gate", &all, "").await;
        (head.status == status).then_some(())
    })
    .await;
}
