//! One suite, run against NATS and against the in-process bus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use bytes::Bytes;
use fanlight_bus::{
    Announcement, Bus, Chunk, Credentials, GopEvent, NatsConfig, Part, RunIds, State, StreamId,
    Subjects, Subscription, Tls, Video,
};
use fanlight_testkit::NatsServer;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
/// Long enough that a message which is not coming would have come.
const QUIET: Duration = Duration::from_millis(200);

/// Two handles to one bus, as ingest and edge hold them, and what keeps it alive.
struct Pair {
    ingest: Bus,
    edge: Bus,
    server: Option<NatsServer>,
}

async fn connect(url: String) -> Bus {
    let bus = Bus::nats(NatsConfig {
        urls: vec![url],
        subjects: Subjects::default(),
        credentials: Credentials::None,
        tls: Tls::default(),
        name: "conformance".to_owned(),
    })
    .await
    .unwrap();
    let mut link = bus.connection();
    timeout(SOON, link.wait_for(|c| c.is_connected()))
        .await
        .expect("connects")
        .unwrap();
    bus
}

async fn memory() -> Pair {
    let bus = Bus::memory();
    Pair {
        ingest: bus.clone(),
        edge: bus,
        server: None,
    }
}

async fn nats() -> Pair {
    let server = NatsServer::start().await;
    let (ingest, edge) = (connect(server.url()).await, connect(server.url()).await);
    Pair {
        ingest,
        edge,
        server: Some(server),
    }
}

fn stream(camera: &str) -> StreamId {
    StreamId::main(camera.parse().unwrap())
}

fn chunk(runs: &mut RunIds, seq: u64) -> Chunk {
    Chunk {
        run: runs.next_run(),
        seq,
        time: 1_700_000_000_000_000_000 + seq,
        key: seq == 0,
        part: (seq == 1).then_some(Part { index: 1, count: 2 }),
        codec: (seq == 0).then(|| "avc1.42C01E".into()),
        video: (seq == 0).then_some(Video {
            width: 640,
            height: 480,
            fps: Some(15.0),
        }),
        traceparent: None,
        payload: Bytes::from(vec![seq as u8; 188 * (1 + seq as usize % 5)]),
    }
}

fn announcement(camera: &str) -> Announcement {
    Announcement {
        camera: camera.parse().unwrap(),
        rendition: Default::default(),
        state: State::Live,
        cause: None,
        cause_kind: None,
        codec: Some("avc1.42C01E".to_owned()),
        width: Some(640),
        height: Some(480),
        fps: Some(15.0),
        gop_seconds: Some(2.0),
        replay: true,
        run: Some("1700000000000-a-b".to_owned()),
        since: 1_700_000_000_000,
        ttl: Announcement::TTL_SECONDS,
        instance: "a".to_owned(),
        time: 1_700_000_000_000_000_000,
    }
}

async fn take(subscription: &mut Subscription) -> Chunk {
    timeout(SOON, subscription.next())
        .await
        .expect("in time")
        .expect("open")
        .expect("valid")
}

async fn chunks_arrive_whole_and_in_order(pair: Pair) {
    let gate = stream("gate");
    let mut first = pair.edge.subscribe(&gate).await.unwrap();
    let mut second = pair.edge.subscribe(&gate).await.unwrap();
    let mut other = pair.edge.subscribe(&stream("yard")).await.unwrap();
    assert!(pair.edge.flush(SOON).await);
    let mut runs = RunIds::new();
    let sent: Vec<Chunk> = (0..50).map(|seq| chunk(&mut runs, seq)).collect();
    for chunk in &sent {
        pair.ingest.publish(&gate, chunk).await.unwrap();
    }
    for chunk in &sent {
        assert_eq!(&take(&mut first).await, chunk);
        assert_eq!(&take(&mut second).await, chunk);
    }
    assert!(
        timeout(QUIET, other.next()).await.is_err(),
        "another camera's media arrived"
    );
}

async fn a_dropped_subscription_ends(pair: Pair) {
    let gate = stream("gate");
    let dropped = pair.edge.subscribe(&gate).await.unwrap();
    drop(dropped);
    let mut kept = pair.edge.subscribe(&gate).await.unwrap();
    assert!(pair.edge.flush(SOON).await);
    pair.ingest
        .publish(&gate, &chunk(&mut RunIds::new(), 0))
        .await
        .unwrap();
    take(&mut kept).await;
    if let Some(server) = &pair.server {
        let url = format!("{}/subsz", server.monitor());
        fanlight_testkit::eventually("one subscription left", SOON, async || {
            let subs = fanlight_testkit::get(&url).await.ok()?.json()?;
            let mine = fanlight_testkit::get(&format!("{}/connz?subs=1", server.monitor()))
                .await
                .ok()?
                .text()
                .matches("fanlight.gate.main.ts")
                .count();
            (subs.is_object() && mine == 1).then_some(())
        })
        .await;
    }
}

async fn announcements_of_all_cameras_arrive(pair: Pair) {
    let mut status = pair.edge.subscribe_status().await.unwrap();
    assert!(pair.edge.flush(SOON).await);
    for camera in ["gate", "yard"] {
        pair.ingest.announce(&announcement(camera)).await.unwrap();
    }
    for camera in ["gate", "yard"] {
        let heard = timeout(SOON, status.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(heard, announcement(camera));
    }
}

async fn a_gop_request_is_answered_in_order_and_ended(pair: Pair) {
    let gate = stream("gate");
    let mut requests = pair.ingest.serve_gop(&gate).await.unwrap();
    assert!(pair.ingest.flush(SOON).await);
    let mut runs = RunIds::new();
    let gop: Vec<Chunk> = (0..10).map(|seq| chunk(&mut runs, seq)).collect();
    let served = gop.clone();
    let server = tokio::spawn(async move {
        let request = requests.next().await.expect("a request");
        for chunk in &served {
            request.send(chunk).await.unwrap();
        }
        request.end(Some(&served[9].run), Some(9)).await.unwrap();
    });
    let mut reply = pair.edge.request_gop(&gate).await.unwrap();
    for chunk in &gop {
        match timeout(SOON, reply.next()).await.unwrap().unwrap() {
            GopEvent::Chunk(received) => assert_eq!(&received, chunk),
            other => panic!("{other:?}"),
        }
    }
    match timeout(SOON, reply.next()).await.unwrap().unwrap() {
        GopEvent::End { run, last_seq } => {
            assert_eq!((run.as_ref(), last_seq), (Some(&gop[9].run), Some(9)));
        }
        other => panic!("{other:?}"),
    }
    server.await.unwrap();
}

async fn nobody_there_is_told_at_once(pair: Pair) {
    let mut reply = pair.edge.request_gop(&stream("nobody")).await.unwrap();
    let event = timeout(Duration::from_millis(900), reply.next())
        .await
        .expect("within the second");
    assert!(matches!(event, Some(GopEvent::NoResponder)), "{event:?}");
}

async fn nothing_to_replay_is_an_end_without_a_number(pair: Pair) {
    let gate = stream("gate");
    let mut requests = pair.ingest.serve_gop(&gate).await.unwrap();
    assert!(pair.ingest.flush(SOON).await);
    let mut reply = pair.edge.request_gop(&gate).await.unwrap();
    timeout(SOON, requests.next())
        .await
        .unwrap()
        .unwrap()
        .end(None, None)
        .await
        .unwrap();
    let event = timeout(SOON, reply.next()).await.unwrap();
    assert!(
        matches!(
            event,
            Some(GopEvent::End {
                run: None,
                last_seq: None
            })
        ),
        "{event:?}"
    );
}

async fn a_reader_that_stops_loses_the_newest_and_is_counted(pair: Pair) {
    let gate = stream("gate");
    let mut slow = pair.edge.subscribe(&gate).await.unwrap();
    assert!(pair.edge.flush(SOON).await);
    let mut runs = RunIds::new();
    for seq in 0..2_000 {
        pair.ingest
            .publish(&gate, &chunk(&mut runs, seq))
            .await
            .unwrap();
    }
    let mut link = pair.edge.connection();
    let counted = link.wait_for(|c| c.slow_consumer_events > 0);
    timeout(SOON, counted)
        .await
        .expect("the loss is counted")
        .unwrap();
    let mut received = Vec::new();
    while let Ok(Some(chunk)) = timeout(QUIET, slow.next()).await {
        received.push(chunk.unwrap().seq);
    }
    // What was queued first is kept, in order; a hole can only come after that.
    assert_eq!(received[..500], (0..500).collect::<Vec<_>>());
    assert!(
        received.is_sorted() && received.len() < 2_000,
        "{} were kept",
        received.len()
    );
}

async fn a_message_above_the_limit_is_refused(pair: Pair) {
    let limit = pair.ingest.max_payload();
    assert!(
        limit > 0 && limit.is_multiple_of(188) && limit <= 512 * 1024,
        "{limit}"
    );
    let mut big = chunk(&mut RunIds::new(), 0);
    big.payload = Bytes::from(vec![0x47; limit]);
    pair.ingest
        .publish(&stream("gate"), &big)
        .await
        .expect("the limit itself passes");
    big.payload = Bytes::from(vec![0x47; 188 * 6000]);
    let error = pair
        .ingest
        .publish(&stream("gate"), &big)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "too_large");
}

async fn a_closed_bus_ends_its_readers(pair: Pair) {
    let mut media = pair.edge.subscribe(&stream("gate")).await.unwrap();
    pair.edge.close().await;
    let end = timeout(SOON, media.next()).await.expect("ends");
    assert!(end.is_none(), "{end:?}");
}

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod over_nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case(super::nats().await).await; })*
        }
        mod in_process {
            $(#[tokio::test]
            async fn $case() { super::$case(super::memory().await).await; })*
        }
    };
}

conformance!(
    chunks_arrive_whole_and_in_order,
    a_dropped_subscription_ends,
    announcements_of_all_cameras_arrive,
    a_gop_request_is_answered_in_order_and_ended,
    nobody_there_is_told_at_once,
    nothing_to_replay_is_an_end_without_a_number,
    a_reader_that_stops_loses_the_newest_and_is_counted,
    a_message_above_the_limit_is_refused,
    a_closed_bus_ends_its_readers,
);
