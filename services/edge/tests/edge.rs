//! A real edge over the in-process bus, watched by tokio-tungstenite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod support;

use std::time::Duration;

use fanlight_bus::State;
use futures_util::SinkExt;
use support::{Got, System, chunk, read, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

async fn publish(system: &System, camera: &str, run: u64, seqs: std::ops::Range<u64>, gop: u64) {
    for seq in seqs {
        system
            .bus
            .publish(&stream(camera), &chunk(run, seq, seq % gop == 0, 10))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn starts_at_a_key_chunk_and_every_byte_is_the_same() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut first = system.watch("/ws/gate", None).await;
    system.settle().await;
    publish(&system, "gate", 1, 3..25, 10).await;
    // Joins in the middle of the GOP that began with 20.
    let mut second = system.watch("/ws/gate/main", None).await;
    publish(&system, "gate", 1, 25..32, 10).await;
    for seq in 10..32 {
        let expected = chunk(1, seq, seq % 10 == 0, 10).payload;
        assert_eq!(first.media().await, expected, "message {seq}");
        if seq >= 20 {
            assert_eq!(
                second.media().await,
                expected,
                "message {seq} of the second"
            );
        }
    }
    assert_eq!(system.metric("fanlight_edge_viewers{camera=\"gate\""), 2.0);
    assert_eq!(
        system.metric("fanlight_edge_sent_chunks_total{camera=\"gate\""),
        34.0
    );
    assert_eq!(system.metric("fanlight_edge_subscriptions"), 1.0);
}

#[tokio::test]
async fn a_fresh_edge_asks_for_the_gop_and_merges_it_with_what_comes_live() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut requests = system.bus.serve_gop(&stream("gate")).await.unwrap();
    let bus = system.bus.clone();
    tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        // Live messages overtake the replay: 13 comes twice, 14 live only.
        for seq in [13, 14] {
            bus.publish(&stream("gate"), &chunk(1, seq, false, 1))
                .await
                .unwrap();
        }
        for seq in 10..14 {
            request.send(&chunk(1, seq, seq == 10, 1)).await.unwrap();
        }
        request.end(Some(&support::run(1)), Some(13)).await.unwrap();
    });
    let mut viewer = system.watch("/ws/gate", None).await;
    for seq in 10..15 {
        assert_eq!(read(&viewer.media().await), (1, seq, seq == 10));
    }
}

#[tokio::test]
async fn a_hole_waits_for_the_next_key_and_is_counted() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut viewer = system.watch("/ws/gate", None).await;
    system.settle().await;
    publish(&system, "gate", 1, 0..5, 10).await;
    publish(&system, "gate", 1, 7..12, 10).await;
    for seq in [0, 1, 2, 3, 4, 10, 11] {
        assert_eq!(read(&viewer.media().await).1, seq);
    }
    assert_eq!(
        system.metric("fanlight_edge_sequence_gaps_total{camera=\"gate\""),
        1.0
    );
}

#[tokio::test]
async fn runs_are_never_interleaved() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut viewer = system.watch("/ws/gate", None).await;
    system.settle().await;
    for seq in 0..20 {
        publish(&system, "gate", 1, seq..seq + 1, 5).await;
        if seq >= 3 {
            publish(&system, "gate", 2, seq..seq + 1, 7).await;
        }
    }
    let mut runs = Vec::new();
    for _ in 0..8 + 13 {
        let (run, seq, key) = read(&viewer.media().await);
        if runs.last().is_none_or(|(last, _)| *last != run) {
            assert!(key, "run {run} begins at {seq}, which is no key chunk");
        }
        runs.push((run, seq));
    }
    let change = runs.iter().position(|(run, _)| *run == 2).unwrap();
    assert!(runs[change..].iter().all(|(run, _)| *run == 2), "{runs:?}");
    assert_eq!(runs[change].1, 7);
}

#[tokio::test]
async fn v1_says_where_every_message_stands() {
    let system = System::start(&[]).await;
    system.announce("gate", State::Live).await;
    let mut viewer = system.watch("/ws/gate", Some("fanlight.v1")).await;
    let early = viewer.text("hello").await;
    assert_eq!(
        (early["camera"].as_str(), early["seq"].as_u64()),
        (Some("gate"), None)
    );
    system.settle().await;
    publish(&system, "gate", 1, 10..12, 10).await;
    let hello = viewer.text("hello").await;
    assert_eq!(
        (hello["codec"].as_str(), hello["width"].as_u64()),
        (Some("avc1.42C01E"), Some(640))
    );
    assert_eq!(hello["seq"], 10);
    let Got::Text(mark) = viewer.next().await else {
        panic!("no mark behind hello")
    };
    assert_eq!(
        (mark["type"].as_str(), mark["seq"].as_u64()),
        (Some("mark"), Some(10))
    );
    assert_eq!(mark["run"], support::run(1).to_string());
    assert!(mark["time"].as_str().unwrap().parse::<u64>().is_ok());
    assert!(matches!(viewer.next().await, Got::Media(m) if read(&m).1 == 10));
    assert!(matches!(viewer.next().await, Got::Media(m) if read(&m).1 == 11));

    viewer
        .0
        .send(Message::text("{\"type\":\"clock\",\"t0\":12.5}"))
        .await
        .unwrap();
    let clock = viewer.text("clock").await;
    assert_eq!(clock["t0"], 12.5);
    viewer
        .0
        .send(Message::text(
            "{\"type\":\"report\",\"latency\":20,\"stalls\":2,\"decoded\":30,\"dropped\":1}",
        ))
        .await
        .unwrap();
    system.announce("gate", State::Offline).await;
    let state = viewer.text("state").await;
    assert_eq!(
        (state["state"].as_str(), state["cause_kind"].as_str()),
        (Some("offline"), Some("refused"))
    );
    assert_eq!(system.metric("fanlight_edge_viewer_stalls_total"), 2.0);
    // A new run is marked.
    publish(&system, "gate", 2, 0..1, 10).await;
    let mark = viewer.text("mark").await;
    assert_eq!(
        (mark["run"].as_str(), mark["seq"].as_u64()),
        (Some(&*support::run(2).to_string()), Some(0))
    );
}

#[tokio::test]
async fn plain_viewers_get_no_text_whatever_they_say() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut viewer = system.watch("/ws/gate", Some("null")).await;
    viewer
        .0
        .send(Message::text("{\"type\":\"clock\",\"t0\":1}"))
        .await
        .unwrap();
    system.settle().await;
    publish(&system, "gate", 1, 0..3, 10).await;
    for seq in 0..3 {
        assert!(matches!(viewer.next().await, Got::Media(m) if read(&m).1 == seq));
    }
}

#[tokio::test]
async fn refusals_and_who_may_come() {
    let system = System::start(&[
        "--cameras",
        "gate",
        "--allow-origin",
        "https://app.example",
        "--allow-host",
        "cams.example",
        "--max-viewers-per-address",
        "1",
    ])
    .await;
    let own = format!("http://{}", system.address);
    for (path, headers, expected) in [
        (
            "/ws/gate",
            vec![("origin", "http://evil.example")],
            Some(403),
        ),
        ("/ws/gate", vec![("origin", "null")], Some(403)),
        ("/ws/gate", vec![("origin", own.as_str())], None),
        ("/ws/gate", vec![("origin", "https://app.example")], None),
        (
            "/ws/gate",
            vec![("host", "evil.example"), ("origin", "http://evil.example")],
            Some(403),
        ),
        (
            "/ws/gate",
            vec![("host", "cams.example"), ("origin", "http://cams.example")],
            None,
        ),
        ("/", vec![], None),
        ("/ws/Bad.Name", vec![], Some(404)),
        ("/ws/gate/none", vec![], Some(404)),
        ("/ws/unknown", vec![], Some(404)),
    ] {
        let got = system.try_watch(path, &headers).await;
        assert_eq!(got.as_ref().err().copied(), expected, "{path} {headers:?}");
        if let Ok(mut viewer) = got {
            viewer.0.close(None).await.unwrap();
            viewer.closed().await;
        }
        system.settle().await;
    }
    let _one = system.watch("/ws/gate", None).await;
    assert_eq!(system.try_watch("/ws/gate", &[]).await.err(), Some(429));
    let (status, _, body) = system.get("/api/cameras/gate", "").await;
    let camera: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, camera["refusal"]["code"].as_str()),
        (200, Some("too_many_viewers"))
    );
    assert_eq!(system.get("/ws/gate", "").await.0, 426);
    assert_eq!(
        system.metric("fanlight_edge_connections_total{result=\"origin_not_allowed\"}"),
        2.0
    );
}

#[tokio::test]
async fn page_api_and_errors() {
    let system = System::start(&["--cameras", "yard"]).await;
    system.announce("gate", State::Live).await;
    let (status, head, body) = system.get("/", "").await;
    assert_eq!(status, 200);
    assert!(body.contains("<html") || body.contains("<!doctype") || body.contains("<!DOCTYPE"));
    for header in [
        "content-security-policy",
        "x-content-type-options: nosniff",
        "referrer-policy",
        "etag",
    ] {
        assert!(head.contains(header), "{header} is missing in {head}");
    }
    assert!(!head.contains("unsafe-inline"));
    assert_eq!(system.get("/cameras/gate", "").await.0, 200);
    let (status, head, _) = system
        .get("/player.js", "Origin: https://other.example\r\n")
        .await;
    assert_eq!(status, 200);
    assert!(head.contains("access-control-allow-origin: *") && head.contains("text/javascript"));
    for path in [
        "/nothing",
        "/..%2fCargo.toml",
        "/api/nothing",
        "/cameras/Bad_Name",
    ] {
        let (status, _, body) = system.get(path, "").await;
        let error: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 404, "{path}");
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{body}"
        );
    }
    let (_, _, body) = system.get("/api/cameras", "").await;
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    let cameras = list["cameras"].as_array().unwrap();
    assert_eq!(
        (cameras[0]["camera"].as_str(), cameras[0]["state"].as_str()),
        (Some("gate"), Some("live"))
    );
    assert_eq!(
        (cameras[0]["size"].as_str(), cameras[0]["viewers"].as_u64()),
        (Some("640x480"), Some(0))
    );
    assert_eq!(
        (
            cameras[1]["camera"].as_str(),
            cameras[1]["cause_kind"].as_str()
        ),
        (Some("yard"), Some("no_ingest"))
    );
    let (status, head, _) = system.get("/cameras/yard/live.ts", "").await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after"));
    assert_eq!(system.get("/", "Host: evil.example\r\n").await.0, 403);
}

#[tokio::test]
async fn live_ts_is_the_same_bytes() {
    let system = System::start(&[]).await;
    system.announce("gate", State::Live).await;
    let mut client = TcpStream::connect(system.address).await.unwrap();
    let request = format!(
        "GET /cameras/gate/live.ts HTTP/1.1\r\nHost: {}\r\n\r\n",
        system.address
    );
    client.write_all(request.as_bytes()).await.unwrap();
    system.settle().await;
    publish(&system, "gate", 1, 8..14, 10).await;
    let mut expected = Vec::new();
    for seq in 10..14 {
        expected.extend_from_slice(&chunk(1, seq, seq == 10, 10).payload);
    }
    system.settle().await;
    system.shutdown.token.cancel();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..split]).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200") && head.contains("video/mp2t"),
        "{head}"
    );
    let mut rest = &answer[split + 4..];
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_slow_viewer_skips_to_key_chunks_and_the_other_loses_nothing() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut slow = system.watch("/ws/gate", Some("fanlight.v1")).await;
    let mut prompt = system.watch("/ws/gate", None).await;
    system.settle().await;
    let bus = system.bus.clone();
    // 3 s at 33 messages of 150 kB a second: far more than the kernel takes for the slow one.
    let publisher = tokio::spawn(async move {
        for seq in 0..150_u64 {
            bus.publish(&stream("gate"), &chunk(1, seq, seq % 15 == 0, 800))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for seq in 0..150 {
        assert_eq!(
            read(&prompt.media().await).1,
            seq,
            "the prompt viewer loses nothing"
        );
    }
    publisher.await.unwrap();
    let (mut place, mut skips, mut last) = (None, 0, None::<u64>);
    while last != Some(149) {
        match slow.next().await {
            Got::Text(text) if text["type"] == "slow" => skips += 1,
            Got::Text(text) => place = text["seq"].as_u64().or(place),
            Got::Media(media) => {
                let (_, seq, key) = read(&media);
                if last.is_none_or(|last| seq != last + 1) {
                    assert!(key, "a stretch begins with {seq}");
                    assert_eq!(place, Some(seq), "and is marked");
                }
                last = Some(seq);
            }
            Got::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    assert!(skips > 0, "it was never skipped");
    assert!(system.metric("fanlight_edge_skipped_chunks_total{camera=\"gate\"") > 0.0);
}

#[tokio::test]
async fn a_stuck_viewer_is_reset() {
    let system = System::start(&["--cameras", "gate"]).await;
    let stuck = system.watch("/ws/gate", None).await;
    system.settle().await;
    let began = Instant::now();
    let mut seq = 0;
    while system.metric("fanlight_edge_disconnects_total{reason=\"slow\"}") == 0.0 {
        system
            .bus
            .publish(&stream("gate"), &chunk(1, seq, seq % 15 == 0, 2000))
            .await
            .unwrap();
        seq += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "not reset");
    }
    assert!(
        began.elapsed() > Duration::from_secs(9),
        "after {:?}",
        began.elapsed()
    );
    drop(stuck);
}

#[tokio::test]
async fn drain_tells_players_and_closes_the_others() {
    let system = System::start(&["--cameras", "gate", "--drain-seconds", "2"]).await;
    let mut player = system.watch("/ws/gate", Some("fanlight.v1")).await;
    let mut plain = system.watch("/ws/gate", None).await;
    system.settle().await;
    let began = Instant::now();
    system.shutdown.token.cancel();
    let drain = player.text("drain").await;
    assert!(drain["deadline"].as_u64().unwrap() <= 2000);
    assert_eq!(plain.closed().await, Some(1001));
    assert!(!system.health.readiness().ready);
    assert_eq!(system.try_watch("/ws/gate", &[]).await.err(), Some(503));
    // The old socket goes on until the window ends.
    publish(&system, "gate", 1, 0..2, 10).await;
    assert_eq!(read(&player.media().await).1, 0);
    assert_eq!(player.closed().await, Some(1001));
    assert!(
        began.elapsed() > Duration::from_millis(1900),
        "{:?}",
        began.elapsed()
    );
    tokio::time::timeout(Duration::from_secs(2), system.task)
        .await
        .unwrap()
        .unwrap();
    assert!(system.shutdown.wait_all(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_laptop_stops_at_once() {
    let system = System::start(&["--cameras", "gate"]).await;
    let mut viewer = system.watch("/ws/gate", Some("fanlight.v1")).await;
    let began = Instant::now();
    system.shutdown.token.cancel();
    assert_eq!(viewer.closed().await, Some(1001));
    tokio::time::timeout(Duration::from_secs(2), system.task)
        .await
        .unwrap()
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn broken_rules_are_closed_with_their_code() {
    let system = System::start(&["--cameras", "gate"]).await;
    for (bytes, code) in [
        (&[0x81_u8, 2, b'h', b'i'][..], 1002_u16),
        (&[0xC1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x01, 0x81, 0, 0, 0, 0, b'x'], 1003),
        (&[0x82, 0xFE, 0xFF, 0xFF], 1009),
    ] {
        let mut client = TcpStream::connect(system.address).await.unwrap();
        let request = format!(
            "GET /ws/gate HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            system.address
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 4096];
        let n = client.read(&mut head).await.unwrap();
        assert!(head[..n].starts_with(b"HTTP/1.1 101"));
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer[0], 0x88, "a close frame");
        assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), code);
    }
}
