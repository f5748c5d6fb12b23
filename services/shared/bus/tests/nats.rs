//! What only NATS can do: be away, come back, and say no.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use bytes::Bytes;
use fanlight_bus::diagnose::{self, NoAccess};
use fanlight_bus::{
    Bus, Chunk, Credentials, NatsConfig, PublishError, RunIds, StreamId, Subjects, Tls,
};
use fanlight_testkit::{NatsServer, eventually};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

async fn connect(urls: Vec<String>, credentials: Credentials) -> Bus {
    let tls = Tls::default();
    let config = NatsConfig {
        urls,
        subjects: Subjects::default(),
        credentials,
        tls,
        name: "test".into(),
    };
    Bus::nats(config).await.unwrap()
}

async fn connected(bus: &Bus) {
    let mut link = bus.connection();
    timeout(SOON, link.wait_for(|c| c.is_connected()))
        .await
        .expect("connects")
        .unwrap();
}

fn gate() -> StreamId {
    StreamId::main("gate".parse().unwrap())
}

fn chunk(seq: u64) -> Chunk {
    Chunk {
        run: RunIds::new().next_run(),
        seq,
        time: 0,
        key: false,
        part: None,
        codec: None,
        video: None,
        traceparent: None,
        payload: Bytes::from(vec![0x47; 188]),
    }
}

#[tokio::test]
async fn starts_without_a_server_and_connects_when_it_is_there() {
    let mut server = NatsServer::start().await;
    let url = server.url();
    server.kill().await;
    let bus = connect(vec![url], Credentials::None).await;
    assert_eq!(
        bus.publish(&gate(), &chunk(0)).await,
        Err(PublishError::Disconnected)
    );
    let mut media = bus.subscribe(&gate()).await.unwrap();
    server.restart().await;
    connected(&bus).await;
    eventually("the early subscription works", SOON, async || {
        bus.publish(&gate(), &chunk(1)).await.ok()?;
        timeout(Duration::from_millis(200), media.next()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_seen_survived_and_not_caught_up() {
    let mut server = NatsServer::start().await;
    let bus = connect(vec![server.url()], Credentials::None).await;
    connected(&bus).await;
    let mut media = bus.subscribe(&gate()).await.unwrap();
    server.kill().await;
    let mut link = bus.connection();
    timeout(SOON, link.wait_for(|c| !c.is_connected()))
        .await
        .expect("seen")
        .unwrap();
    for seq in 0..1_000 {
        let error = bus.publish(&gate(), &chunk(seq)).await.unwrap_err();
        assert_eq!(error, PublishError::Disconnected);
    }
    server.restart().await;
    connected(&bus).await;
    assert_eq!(bus.connection().borrow().reconnects, 1);
    let first = eventually("media again", SOON, async || {
        bus.publish(&gate(), &chunk(5_000)).await.ok()?;
        timeout(Duration::from_millis(200), media.next()).await.ok()
    })
    .await;
    assert_eq!(
        first.unwrap().unwrap().seq,
        5_000,
        "stale media came after the outage"
    );
}

#[tokio::test]
async fn a_lost_cluster_node_costs_less_than_two_seconds() {
    let mut cluster = NatsServer::start_cluster(3).await;
    let urls: Vec<String> = cluster.iter().map(NatsServer::url).collect();
    let ingest = connect(
        vec![urls[0].clone(), urls[1].clone(), urls[2].clone()],
        Credentials::None,
    )
    .await;
    let edge = connect(vec![urls[2].clone()], Credentials::None).await;
    connected(&ingest).await;
    connected(&edge).await;
    let mut media = edge.subscribe(&gate()).await.unwrap();
    assert!(edge.flush(SOON).await);
    // Whichever node the ingest is on, one of the first two dies, and then the other.
    cluster[0].kill().await;
    let started = tokio::time::Instant::now();
    eventually("media over another node", SOON, async || {
        ingest.publish(&gate(), &chunk(1)).await.ok()?;
        timeout(Duration::from_millis(100), media.next()).await.ok()
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_refused_subject_is_counted() {
    let server = NatsServer::start_with(
        r#"authorization { users: [{ user: "edge", password: "pw",
             permissions: { publish: { allow: ["fanlight.*.*.gop", "_INBOX.>"] },
                            subscribe: { allow: ["fanlight.>", "_INBOX.>"] } } }] }"#,
    )
    .await;
    let credentials = Credentials::Password {
        user: "edge".into(),
        password: "pw".into(),
    };
    let bus = connect(vec![server.url()], credentials).await;
    connected(&bus).await;
    bus.publish(&gate(), &chunk(0)).await.unwrap();
    let mut link = bus.connection();
    let seen = timeout(SOON, link.wait_for(|c| c.publish_denied > 0))
        .await
        .expect("counted")
        .unwrap();
    assert_eq!((seen.denied, seen.publish_denied), (1, 1));
    assert!(
        seen.last_error
            .as_deref()
            .unwrap_or_default()
            .contains("fanlight.gate.main.ts")
    );
}

#[tokio::test]
async fn a_wrong_password_is_told_without_repeating_it() {
    let server = NatsServer::start_with(r#"authorization { user: "u", password: "right" }"#).await;
    let credentials = Credentials::Password {
        user: "u".into(),
        password: "canary-pw".into(),
    };
    let bus = connect(vec![server.url()], credentials).await;
    let mut link = bus.connection();
    let seen = timeout(SOON, link.wait_for(|c| c.last_error.is_some())).await;
    let seen = seen.expect("an error is told").unwrap().clone();
    assert!(!seen.is_connected());
    assert!(!format!("{seen:?}").contains("canary"), "{seen:?}");
}

#[tokio::test]
async fn the_limit_follows_the_server() {
    let server = NatsServer::start_with("max_payload: 65536\n").await;
    let bus = connect(vec![server.url()], Credentials::None).await;
    connected(&bus).await;
    assert_eq!(bus.max_payload(), (65_536 - 4_096) / 188 * 188);
}

#[tokio::test]
async fn doctor_learns_what_is_denied_and_readers_notice_nothing() {
    let users = "authorization { users: [\n\
        {user: ingest, password: a, permissions: {publish: [\"fanlight.gate.main.ts\"], \
         subscribe: [\"fanlight.>\", \"_INBOX.>\"]}},\n\
        {user: edge, password: b}]}\n";
    let server = NatsServer::start_with(users).await;
    let password = |user: &str, password: &str| Credentials::Password {
        user: user.into(),
        password: password.into(),
    };
    let reader = connect(vec![server.url()], password("edge", "b")).await;
    connected(&reader).await;
    let mut media = reader.subscribe(&gate()).await.unwrap();
    assert!(reader.flush(SOON).await);

    let config = |credentials| NatsConfig {
        urls: vec![server.url()],
        subjects: Subjects::default(),
        credentials,
        tls: Tls::default(),
        name: "test".into(),
    };
    let subjects = ["ts", "status"].map(|kind| format!("fanlight.gate.main.{kind}"));
    let inside = ["fanlight.gate.main.gop".to_owned(), "other.gop".to_owned()];
    let access = diagnose::access(config(password("ingest", "a")), &subjects, &inside)
        .await
        .unwrap();
    assert_eq!(access.publish_denied, ["fanlight.gate.main.status"]);
    assert_eq!(access.subscribe_denied, ["other.gop"]);
    assert_eq!(access.max_payload, 1 << 20);

    let wrong = diagnose::access(config(password("ingest", "x")), &[], &[]).await;
    assert_eq!(wrong, Err(NoAccess::Credentials));

    let writer = connect(vec![server.url()], password("edge", "b")).await;
    connected(&writer).await;
    writer.publish(&gate(), &chunk(7)).await.unwrap();
    let first = timeout(SOON, media.next()).await.unwrap().unwrap();
    assert_eq!(first.expect("the probe is passed over").seq, 7);
}
