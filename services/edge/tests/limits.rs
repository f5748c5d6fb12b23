//! How many get in, how often they may ask, and how long a viewer may say nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod support;

use std::time::Duration;

use fanlight_bus::State;
use fanlight_edge::directory::FORGET;
use fanlight_edge::viewer::{PING, PONG};
use support::{System, chunk, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What the API says about a camera.
async fn told(system: &System, camera: &str) -> (Option<String>, Option<f64>) {
    let path = format!("/api/cameras/{camera}");
    let (_, _, body) = system.get(&path, "").await;
    let view: serde_json::Value = serde_json::from_str(&body).unwrap();
    let refusal = &view["refusal"];
    (
        refusal["code"].as_str().map(str::to_owned),
        refusal["retry_after"].as_f64(),
    )
}

#[tokio::test]
async fn a_full_edge_and_a_full_camera_say_so_before_the_upgrade() {
    for (flag, code, yard) in [
        ("--max-viewers", "at_capacity", Some(503)),
        ("--max-viewers-per-camera", "camera_at_capacity", None),
        ("--max-viewers-per-address", "too_many_viewers", Some(429)),
    ] {
        let system = System::start(&["--cameras", "gate,yard", flag, "1"]).await;
        let mut first = system.watch("/ws/gate", None).await;
        let status = if code == "too_many_viewers" { 429 } else { 503 };
        let refused = system.try_watch("/ws/gate", &[]).await.err();
        assert_eq!(refused, Some(status), "{flag}");
        let other = system.try_watch("/ws/yard", &[]).await;
        assert_eq!(other.as_ref().err().copied(), yard, "{flag}");
        drop(other);
        let (status_of_live, head, body) = system.get("/cameras/gate/live.ts", "").await;
        assert_eq!(status_of_live, status, "{flag}: {body}");
        assert!(head.contains("retry-after: 10"), "{head}");
        assert!(body.contains(code), "{body}");
        assert_eq!(
            told(&system, "gate").await,
            (Some(code.to_owned()), Some(10.0))
        );
        let result = format!("fanlight_edge_connections_total{{result=\"{code}\"}}");
        let count = if yard.is_some() { 3.0 } else { 2.0 };
        assert_eq!(system.metric(&result), count, "{flag}");
        // The place is free again when its viewer leaves.
        first.0.close(None).await.unwrap();
        first.closed().await;
        let again = async {
            while system.try_watch("/ws/gate", &[]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(support::SOON, again).await.unwrap();
    }
}

#[tokio::test]
async fn attempts_are_limited_also_those_that_fail() {
    let limit = ["--cameras", "gate", "--max-attempts-per-address", "3"];
    let system = System::start(&limit).await;
    assert_eq!(system.try_watch("/ws/nowhere", &[]).await.err(), Some(404));
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(
        system.try_watch("/ws/gate", &foreign).await.err(),
        Some(403)
    );
    let mut viewer = system.watch("/ws/gate", Some("fanlight.v1")).await;
    assert_eq!(system.try_watch("/ws/gate", &[]).await.err(), Some(429));
    let (status, head, body) = system.get("/cameras/gate/live.ts", "").await;
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("retry-after: "), "{head}");
    assert_eq!(
        told(&system, "gate").await.0.as_deref(),
        Some("too_many_attempts")
    );
    let result = "fanlight_edge_connections_total{result=\"too_many_attempts\"}";
    assert_eq!(system.metric(result), 2.0);
    // Who is in stays in.
    system.announce("gate", State::Live).await;
    assert_eq!(viewer.text("state").await["state"], "live");
}

#[tokio::test]
async fn a_camera_that_nobody_announces_goes_offline_and_is_removed() {
    let system = System::start(&[]).await;
    system.announce("gate", State::Live).await;
    let mut player = system.watch("/ws/gate", Some("fanlight.v1")).await;
    let mut plain = system.watch("/ws/gate", None).await;
    system.settle().await;
    let first = chunk(1, 1, true, 4);
    system.bus.publish(&stream("gate"), &first).await.unwrap();
    assert_eq!(plain.media().await, first.payload);
    let began = Instant::now();
    // All are on this thread: time jumps to the next timer when nobody has anything to do.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(player.text("state").await["state"], "offline");
    let left = began.elapsed();
    assert!(
        left > Duration::from_secs(5),
        "its announcement held for 6 s"
    );
    let (code, plain_code) = tokio::join!(player.end(), plain.end());
    assert_eq!((code, plain_code), (Some(4404), Some(4404)));
    assert!(began.elapsed() >= FORGET - Duration::from_secs(2));
    // The close handshake, to its end.
    tokio::join!(player.end(), plain.end());
    tokio::time::resume();
    system.settle().await;
    assert_eq!(system.try_watch("/ws/gate", &[]).await.err(), Some(404));
    let reason = "fanlight_edge_disconnects_total{reason=\"removed\"}";
    assert_eq!(system.metric(reason), 2.0);
}

#[tokio::test]
async fn who_answers_no_ping_is_closed() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut silent = TcpStream::connect(system.address).await.unwrap();
    let request = format!(
        "GET /ws/gate HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        system.address
    );
    silent.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 4096];
    let n = silent.read(&mut head).await.unwrap();
    assert!(head[..n].starts_with(b"HTTP/1.1 101"));
    let mut answers = system.watch("/ws/gate", None).await;
    let began = Instant::now();
    tokio::time::pause();
    let mut rest = Vec::new();
    tokio::select! {
        read = silent.read_to_end(&mut rest) => { read.unwrap(); }
        code = answers.end() => panic!("closed with {code:?} though it answers"),
    }
    let took = began.elapsed();
    assert!(took >= PING + PONG - Duration::from_secs(1), "{took:?}");
    assert!(took < PING + PONG + Duration::from_secs(10), "{took:?}");
    // A ping, then the close frame.
    assert_eq!(rest[..2], [0x89, 0]);
    let close = rest.iter().position(|b| *b == 0x88).unwrap();
    let code = u16::from_be_bytes([rest[close + 2], rest[close + 3]]);
    assert_eq!(code, 4408);
}
