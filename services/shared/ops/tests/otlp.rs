//! Spans over both OTLP transports to a real receiver, with their parent links and the trace id
//! in the log lines. The sender is this test run again, since it is set up by the environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::post;
use fanlight_ops::log::{self, LogArgs, LogFormat};
use fanlight_ops::trace;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::Instrument;

const ROLE: &str = "FANLIGHT_TEST_CHILD";
/// Only spans of Fanlight's own crates leave.
const OURS: &str = "fanlight_ingest";
const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Receiver(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let _ = self.0.send(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// What a service does: a span of its own, a header on the wire, a child on the other side.
async fn send() {
    let guard = log::init(
        "ingest",
        &LogArgs {
            log_level: "info".into(),
            log_format: LogFormat::Json,
        },
    );
    assert!(trace::enabled());
    let publish = tracing::debug_span!(target: OURS, "publish", camera = "front");
    let header = publish.in_scope(|| {
        tracing::info!("published");
        trace::inject_current()
    });
    drop(publish);
    let receive = tracing::debug_span!(target: OURS, "receive");
    trace::set_parent(&receive, &header.expect("a sampled span"));
    async { tokio::task::yield_now().await }
        .instrument(receive)
        .await;
    let remote = tracing::info_span!(target: OURS, "remote_child");
    trace::set_parent(&remote, REMOTE);
    drop(remote);
    let orphan = tracing::info_span!(target: OURS, "orphan");
    trace::set_parent(&orphan, "00-garbage");
    drop(orphan);
    drop(tracing::info_span!(target: "hyper", "foreign"));
    assert!(guard.shutdown(Duration::from_secs(5)).await);
    assert_eq!(trace::inject_current(), None);
}

/// Runs the child against the receiver and returns its spans by name, and its log.
async fn export(
    test: &str,
    protocol: &str,
    port: u16,
    received: &mut mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
) -> (
    HashMap<String, opentelemetry_proto::tonic::trace::v1::Span>,
    String,
) {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "1")
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{port}"),
        )
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env_remove("OTEL_SERVICE_NAME")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(20), child)
        .await
        .unwrap()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    received.close();
    let mut spans = HashMap::new();
    while let Some(request) = received.recv().await {
        for of_resource in request.resource_spans {
            let resource = format!("{:?}", of_resource.resource);
            assert!(resource.contains("fanlight-ingest"), "{resource}");
            for span in of_resource.scope_spans.into_iter().flat_map(|s| s.spans) {
                spans.insert(span.name.clone(), span);
            }
        }
    }
    (spans, log)
}

fn check(spans: &HashMap<String, opentelemetry_proto::tonic::trace::v1::Span>, log: &str) {
    let (publish, receive) = (&spans["publish"], &spans["receive"]);
    assert_eq!(receive.trace_id, publish.trace_id);
    assert_eq!(receive.parent_span_id, publish.span_id);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(&spans["remote_child"].trace_id),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(
        hex(&spans["remote_child"].parent_span_id),
        "b7ad6b7169203331"
    );
    assert!(spans["orphan"].parent_span_id.is_empty());
    assert!(!spans.contains_key("foreign"), "only our own spans leave");
    let line = log.lines().find(|l| l.contains("published")).expect(log);
    assert!(
        line.contains(&format!("\"trace_id\":\"{}\"", hex(&publish.trace_id))),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_grpc() {
    if std::env::var_os(ROLE).is_some() {
        return send().await;
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Receiver(sender)))
        .serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let (spans, log) = export("one_trace_over_grpc", "grpc", port, &mut received).await;
    server.abort();
    check(&spans, &log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_http() {
    if std::env::var_os(ROLE).is_some() {
        return send().await;
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().route(
        "/v1/traces",
        post(move |body: Bytes| async move {
            let _ = sender.send(ExportTraceServiceRequest::decode(body).unwrap());
        }),
    );
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let (spans, log) = export("one_trace_over_http", "http/protobuf", port, &mut received).await;
    server.abort();
    check(&spans, &log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_holds_nothing_up() {
    if std::env::var_os(ROLE).is_some() {
        let guard = log::init("edge", &LogArgs::default());
        drop(tracing::info_span!(target: OURS, "lost"));
        let before = tokio::time::Instant::now();
        guard.shutdown(Duration::from_secs(1)).await;
        assert!(
            before.elapsed() < Duration::from_secs(2),
            "{:?}",
            before.elapsed()
        );
        return;
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (_sender, mut received) = mpsc::unbounded_channel();
    let started = tokio::time::Instant::now();
    export(
        "a_dead_collector_holds_nothing_up",
        "http/protobuf",
        port,
        &mut received,
    )
    .await;
    // The child's own runtime waits for the blocked exporter no longer than its timeout of 10 s.
    assert!(
        started.elapsed() < Duration::from_secs(14),
        "{:?}",
        started.elapsed()
    );
}
