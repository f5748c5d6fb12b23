//! What a process writes to standard error. Each test runs itself again as a child, since a
//! process has one log, one panic hook and one standard error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Output};

use fanlight_ops::log::{self, LogArgs, LogFormat};
use fanlight_ops::secret::{self, Secret};
use serde_json::Value;

const ROLE: &str = "FANLIGHT_TEST_CHILD";
const PASSWORD: &str = r#"c4nary"\p@ss"#;

/// Standard error of `test` run again with the role of the child.
fn child(test: &str) -> String {
    let Output { stderr, .. } = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    String::from_utf8(stderr).unwrap()
}

fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

fn start(level: &str, log_format: LogFormat) -> log::LogGuard {
    let args = LogArgs {
        log_level: level.to_owned(),
        log_format,
    };
    log::init("ingest", &args)
}

/// Everything a careless author may do with a secret.
fn leak() {
    let password = Secret::new(PASSWORD);
    secret::register("4242");
    let raw = password.expose();
    let span =
        tracing::info_span!("ffmpeg", camera = "front", url = %format!("rtsp://u:{raw}@h/1"));
    let _entered = span.enter();
    tracing::warn!(line = raw, debug = ?raw, port = 4242, "camera said {raw}");
    tracing::info!(
        password = "unregistered",
        header = "Authorization: Basic dXNlcjpwYXNz",
        "sent"
    );
    tracing::info!(escape = "a\nb\x1b[2J", "done");
    let quoted = serde_json::json!({ "secret": raw }).to_string();
    tracing::info!(quoted, "nested");
    let worker = std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(|| {
            let text = PASSWORD.to_owned();
            panic!("cannot open rtsp://u:{text}@h/1 with {text:?}");
        });
    assert!(worker.unwrap().join().is_err());
}

fn assert_no_secret(text: &str) {
    for form in ["c4nary", "unregistered", "dXNlcjpwYXNz", "4242"] {
        assert!(!text.contains(form), "{form} in {text}");
    }
}

#[test]
fn json_lines_stay_json_and_hold_no_secret() {
    if is_child() {
        let _guard = start("info", LogFormat::Json);
        return leak();
    }
    let text = child("json_lines_stay_json_and_hold_no_secret");
    assert_no_secret(&text);
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect(l))
        .collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(lines[0]["message"], "camera said [redacted]");
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["target"], "lines");
    assert_eq!(
        lines[0]["camera"], "front",
        "fields of the span belong to the line"
    );
    assert_eq!(lines[0]["url"], "rtsp://[redacted]@h/1");
    assert_eq!(lines[0]["port"], "[redacted]");
    assert_eq!(lines[1]["header"], "Authorization: [redacted]");
    assert_eq!(lines[2]["escape"], "a\nb\u{1b}[2J");
    let panic = lines[4]["message"].as_str().unwrap();
    assert!(
        panic.starts_with("panic: cannot open rtsp://[redacted]@h/1 with"),
        "{panic}"
    );
    assert_eq!(lines[4]["thread"], "worker");
    assert!(
        lines[4]["location"]
            .as_str()
            .unwrap()
            .contains("tests/lines.rs")
    );
}

#[test]
fn human_lines_hold_no_secret_and_cannot_be_forged() {
    if is_child() {
        let _guard = start("info", LogFormat::Human);
        return leak();
    }
    let text = child("human_lines_hold_no_secret_and_cannot_be_forged");
    assert_no_secret(&text);
    assert_eq!(text.lines().count(), 5, "{text}");
    let first = text.lines().next().unwrap();
    assert!(
        first.contains(" WARN lines: camera said [redacted] camera=front"),
        "{first}"
    );
    assert!(text.contains(r"a\nb\u{1b}[2J"), "{text}");
}

#[test]
fn payload_dumping_crates_stay_at_info() {
    if is_child() {
        let filter = "trace,tungstenite=trace,async_nats=trace";
        let _guard = start(filter, LogFormat::Json);
        for level in ["trace", "debug", "info"] {
            emit("tungstenite::protocol", level);
        }
        tracing::trace!(target: "async_nats::connection", "payload");
        tracing::trace!(target: "tokio_tungstenite", "payload");
        tracing::trace!(target: "logbook", "other crates are not capped");
        return;
    }
    let text = child("payload_dumping_crates_stay_at_info");
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let targets: Vec<_> = lines
        .iter()
        .map(|l| l["target"].as_str().unwrap())
        .collect();
    assert_eq!(targets, ["tungstenite::protocol", "logbook"], "{text}");
    assert_eq!(lines[0]["level"], "INFO");
}

fn emit(_target: &str, level: &str) {
    match level {
        "trace" => tracing::trace!(target: "tungstenite::protocol", "payload"),
        "debug" => tracing::debug!(target: "tungstenite::protocol", "payload"),
        _ => tracing::info!(target: "tungstenite::protocol", "connected"),
    }
}

#[test]
fn the_level_filters_and_follows_the_handle() {
    if is_child() {
        let guard = start("warn", LogFormat::Json);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            tracing::info!("one");
            let week = std::time::Duration::from_secs(604_800);
            guard.handle().set_temporarily("debug", week).unwrap();
            tracing::debug!("two");
            guard.handle().set_temporarily("error", week).unwrap();
            tracing::warn!("three");
        });
        return;
    }
    let text = child("the_level_filters_and_follows_the_handle");
    let messages: Vec<_> = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["message"].clone())
        .collect();
    assert_eq!(messages, ["two"], "{text}");
}

#[test]
fn with_tracing_off_spans_of_chunks_do_not_exist() {
    if is_child() {
        let _guard = start("info", LogFormat::Json);
        let chunk = tracing::debug_span!(target: "fanlight_edge::feed", "chunk");
        assert!(chunk.is_disabled() && !fanlight_ops::trace::enabled());
        tracing::info!("checked");
        return;
    }
    let text = child("with_tracing_off_spans_of_chunks_do_not_exist");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("checked"), "{text}");
}
