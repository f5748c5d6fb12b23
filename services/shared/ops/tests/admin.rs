//! The admin listener over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use fanlight_ops::admin::{self, AdminState};
use fanlight_ops::health::Health;
use fanlight_ops::log::{self, LogArgs};
use fanlight_ops::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

struct Admin {
    address: std::net::SocketAddr,
    health: Health,
    token: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    guard: log::LogGuard,
}

impl Admin {
    async fn start() -> Self {
        let guard = log::init("edge", &LogArgs::default());
        let health = Health::new();
        let metrics = Metrics::new("edge");
        let token = CancellationToken::new();
        let listener = admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = AdminState {
            health: health.clone(),
            metrics,
            log: guard.handle(),
        };
        let server = tokio::spawn(admin::serve(listener, state, token.clone()));
        Self {
            address,
            health,
            token,
            server,
            guard,
        }
    }

    /// Status and the rest of the response.
    async fn request(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    async fn status(&self, line: &str) -> u16 {
        self.request(line, "", "").await.0
    }
}

#[tokio::test]
async fn readiness_and_liveness_follow_health() {
    let admin = Admin::start().await;
    let nats = admin.health.condition("nats", "not connected yet");
    let (status, answer) = admin.request("GET /readyz", "", "").await;
    assert_eq!(status, 503);
    assert!(
        answer.contains(r#""reason":"not connected yet""#),
        "{answer}"
    );
    nats.set_ok();
    assert_eq!(admin.status("GET /readyz").await, 200);
    assert_eq!(admin.status("GET /livez").await, 200);
    admin.health.set_draining();
    assert_eq!(admin.status("GET /readyz").await, 503);
    assert_eq!(admin.status("GET /livez").await, 200);
    admin.health.set_dead("stuck");
    let (status, answer) = admin.request("GET /livez", "", "").await;
    assert_eq!(status, 503);
    assert!(answer.ends_with("stuck\n"), "{answer}");
}

#[tokio::test]
async fn metrics_are_text_and_other_methods_and_paths_are_refused() {
    let admin = Admin::start().await;
    let (status, answer) = admin.request("GET /metrics", "", "").await;
    assert_eq!(status, 200);
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(answer.contains("\nfanlight_edge_build_info{"), "{answer}");
    for line in [
        "POST /metrics",
        "DELETE /readyz",
        "PUT /livez",
        "GET /log-level",
        "POST /log-level",
    ] {
        assert_eq!(admin.status(line).await, 405, "{line}");
    }
    assert_eq!(admin.status("GET /").await, 404);
}

#[tokio::test]
async fn the_log_level_is_put_by_an_operator_and_never_by_a_page() {
    let admin = Admin::start().await;
    let log = admin.guard.handle();
    let (status, answer) = admin
        .request("PUT /log-level", "Origin: http://evil.example\r\n", "trace")
        .await;
    assert_eq!(status, 403, "{answer}");
    assert_eq!(
        admin
            .request("PUT /log-level", "Origin: null\r\n", "trace")
            .await
            .0,
        403
    );
    assert_eq!(log.current().as_deref(), Some("info"));
    assert_eq!(admin.request("PUT /log-level", "", "loud").await.0, 400);
    assert_eq!(
        admin
            .request("PUT /log-level", "", &"x".repeat(2000))
            .await
            .0,
        413
    );
    let (status, answer) = admin.request("PUT /log-level", "", "debug\n").await;
    assert_eq!(status, 200);
    assert!(
        answer.ends_with(r#"{"filter":"debug","reset_seconds":900}"#),
        "{answer}"
    );
    assert_eq!(log.current().as_deref(), Some("debug"));
}

#[tokio::test]
async fn it_ends_when_told_even_with_an_idle_connection_open() {
    let admin = Admin::start().await;
    let _idle = TcpStream::connect(admin.address).await.unwrap();
    assert_eq!(admin.status("GET /livez").await, 200);
    admin.token.cancel();
    tokio::time::timeout(Duration::from_secs(5), admin.server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(admin.address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let admin = Admin::start().await;
    let error = admin::bind(admin.address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("listen on admin address {}", admin.address)
    );
}
