//! `doctor` names each provoked fault in one sentence with its remedy, and shows no password.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, SOON, metric};
use fanlight_testkit::{
    Camera, CameraOptions, NatsServer, Process, Signal, free_port, program, tool,
};

/// For cameras that are made of encoders on a busy machine.
const PATIENT: [&str; 6] = [
    "--codec",
    "copy",
    "--stall-timeout",
    "25s",
    "--start-timeout",
    "30s",
];

const CANARY: &str = "Xq7-canary";

struct Seen {
    code: i32,
    findings: Vec<serde_json::Value>,
    text: String,
}

/// Runs a doctor with `--json` and holds it to what every run has to keep.
async fn doctor(binary: &str, args: &[&str]) -> Seen {
    let all = ["doctor", "--json"].iter().chain(args);
    let mut process = Process::start(&program(binary), all);
    let status = process.wait(Duration::from_secs(60)).await;
    let text = process.output();
    assert!(!text.contains(CANARY), "a password was shown: {text}");
    let report: serde_json::Value = serde_json::from_str(&text).expect(&text);
    let findings = report["findings"].as_array().unwrap().clone();
    let problems = findings.iter().any(|f| f["verdict"] == "problem");
    let code = status.code().unwrap();
    assert_eq!(code, i32::from(problems), "{text}");
    for finding in &findings {
        let says = finding["says"].as_str().unwrap();
        assert!(!says.contains('\n') && !says.ends_with('.'), "{finding}");
        assert_eq!(finding["verdict"] != "ok", finding["remedy"].is_string());
    }
    Seen {
        code,
        findings,
        text,
    }
}

impl Seen {
    /// Exactly one finding is not ok: this one, with these words and this remedy.
    fn names(&self, check: &str, verdict: &str, says: &str, remedy: &str) {
        let bad: Vec<_> = self
            .findings
            .iter()
            .filter(|f| f["verdict"] != "ok")
            .collect();
        assert_eq!(bad.len(), 1, "{}", self.text);
        assert_eq!(bad[0]["check"], check, "{}", self.text);
        assert_eq!(bad[0]["verdict"], verdict, "{}", self.text);
        let found = |key: &str, word: &str| bad[0][key].as_str().unwrap().contains(word);
        assert!(found("says", says) && found("remedy", remedy), "{}", bad[0]);
    }
}

fn ingest_args<'a>(input: &'a str, nats: &'a str, admin: &'a str) -> Vec<&'a str> {
    let fixed = ["--camera", "gate", "--size", "320x240", "--input", input];
    let rest = ["--nats-url", nats, "--admin-listen", admin];
    [&fixed[..], &rest[..]].concat()
}

/// An ingest doctor with a healthy broker and a free port.
async fn examine(nats: &NatsServer, input: &str, more: &[&str]) -> Seen {
    let (nats, admin) = (nats.url(), format!("127.0.0.1:{}", free_port()));
    let args = [&ingest_args(input, &nats, &admin)[..], more].concat();
    doctor("fanlight-ingest", &args).await
}

/// A program that is ffmpeg but for what `script` does to it.
fn odd_ffmpeg(dir: &tempfile::TempDir, name: &str, script: &str) -> String {
    let path = dir.path().join(name);
    let script = script.replace("FFMPEG", &tool("ffmpeg").display().to_string());
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_healthy_camera_is_called_healthy() {
    let (nats, camera) = tokio::join!(
        NatsServer::start(),
        Camera::start(CameraOptions {
            credentials: Some(("cam", CANARY)),
            ..CameraOptions::default()
        })
    );
    let seen = examine(&nats, &camera.url(), &PATIENT).await;
    assert_eq!(seen.code, 0, "{}", seen.text);
    let bad = seen.findings.iter().find(|f| f["verdict"] != "ok");
    assert_eq!(bad, None, "{}", seen.text);
    let source = seen.findings.iter().find(|f| f["check"] == "source");
    let says = source.unwrap()["says"].as_str().unwrap();
    assert!(says.contains("h264") && says.contains("640x480"), "{says}");

    // The same for a person.
    let (url, admin) = (camera.url(), format!("127.0.0.1:{}", free_port()));
    let nats_url = nats.url();
    let args = ingest_args(&url, &nats_url, &admin);
    let mut process = Process::start(
        &program("fanlight-ingest"),
        ["doctor"].iter().chain(&args).chain(&PATIENT).copied(),
    );
    let status = process.wait(Duration::from_secs(60)).await;
    let text = process.output();
    assert!(status.success(), "{text}");
    assert!(
        text.lines().count() > 8 && text.lines().all(|l| l.starts_with("ok ")),
        "{text}"
    );
    assert!(!text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn faults_of_ffmpeg_are_named() {
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let without = odd_ffmpeg(&dir, "without", r#"exec FFMPEG "${@/libx264/libnone}""#);
    let old = odd_ffmpeg(&dir, "old", "echo ffmpeg version 3.4 Copyright");
    let (without, old) = (["--ffmpeg", &without], ["--ffmpeg", &old]);
    let (none, without, old, option, rate) = tokio::join!(
        examine(&nats, "test", &["--ffmpeg", "/nonexistent/ffmpeg"]),
        examine(&nats, "test", &without),
        examine(&nats, "test", &old),
        examine(&nats, "test", &["--ffmpeg-args", "-no_such_option 1"]),
        examine(&nats, "test", &["--fps", "0"]),
    );
    let no_program = "no program `/nonexistent/ffmpeg`";
    none.names("ffmpeg", "problem", no_program, "apt install ffmpeg");
    without.names("encoder", "problem", "without the encoder", "--codec copy");
    old.names("ffmpeg", "problem", "version 3.4", "install");
    option.names("encoder", "problem", "refused its options", "--ffmpeg-args");
    rate.names("configuration", "problem", "`--fps`", "15");
}

#[tokio::test]
async fn faults_of_the_camera_are_named() {
    let options = CameraOptions {
        credentials: Some(("cam", "right")),
        ..CameraOptions::default()
    };
    let (nats, camera) = tokio::join!(NatsServer::start(), Camera::start(options));
    let nameless = format!("rtsp://cam:{CANARY}@camera.invalid/s");
    let closed = format!("rtsp://cam:{CANARY}@127.0.0.1:{}/s", free_port());
    let wrong = camera.url_as("cam", CANARY);
    let elsewhere = camera.url().replace("/stream", "/no-such-stream");
    let dir = tempfile::tempdir().unwrap();
    let letter = dir.path().join("letter.mp4").display().to_string();
    std::fs::write(&letter, "no film").unwrap();
    let (nameless, closed, wrong, elsewhere, letter) = tokio::join!(
        examine(&nats, &nameless, &[]),
        examine(&nats, &closed, &[]),
        examine(&nats, &wrong, &[]),
        examine(&nats, &elsewhere, &[]),
        examine(&nats, &letter, &[]),
    );
    nameless.names("address", "problem", "cannot be resolved", "IP address");
    closed.names(
        "camera port",
        "problem",
        "nobody listens",
        "correct the port",
    );
    wrong.names(
        "picture",
        "problem",
        "refused the user name or password",
        "%40",
    );
    elsewhere.names("picture", "problem", "no such stream", "correct the path");
    letter.names(
        "picture",
        "problem",
        "something that is not video",
        "ffplay",
    );

    // The system still takes connections for a stopped camera; it says nothing.
    camera.process().signal(Signal::STOP);
    let seen = examine(&nats, &camera.url(), &["--stall-timeout", "2s"]).await;
    seen.names(
        "picture",
        "problem",
        "did not answer in time",
        "restart the camera",
    );
    camera.process().signal(Signal::CONT);
}

#[tokio::test]
async fn a_camera_no_browser_shows_is_a_warning() {
    let options = CameraOptions {
        codec: "h265",
        // An encoder that has to share the machine.
        extra: ["--size", "320x240", "--fps", "8"]
            .map(str::to_owned)
            .to_vec(),
        ..CameraOptions::default()
    };
    let (nats, camera) = tokio::join!(NatsServer::start(), Camera::start(options));
    let seen = examine(&nats, &camera.url(), &PATIENT).await;
    seen.names("codec", "warning", "not every browser", "--codec h264");
    assert_eq!(seen.code, 0);
}

const USERS: &str = r#"
max_payload: 65536
authorization { users: [
  {user: narrow, password: "Xq7-canary", permissions: {
    publish: ["fanlight.*.*.status", "fanlight.*.*.gop"], subscribe: ["fanlight.*.*.gop", "fanlight.*.*.status"]}}
]}
"#;

#[tokio::test]
async fn faults_of_the_broker_are_named() {
    let nowhere = format!("nats://127.0.0.1:{}", free_port());
    let admin = format!("127.0.0.1:{}", free_port());
    let ingest = async |nats: &str| {
        let args = ingest_args("test", nats, &admin);
        doctor("fanlight-ingest", &args).await
    };
    let seen = ingest(&nowhere).await;
    seen.names("nats", "problem", "cannot be reached", "--nats-url");

    let nats = NatsServer::start_with(USERS).await;
    let as_user =
        |user: &str, password: &str| format!("nats://{user}:{password}@127.0.0.1:{}", nats.port());
    let seen = ingest(&as_user("other", CANARY)).await;
    seen.names("nats", "problem", "refused the user", "--nats-user");

    let seen = ingest(&as_user("narrow", CANARY)).await;
    let bad: Vec<_> = seen
        .findings
        .iter()
        .filter(|f| f["verdict"] != "ok")
        .collect();
    assert_eq!(bad.len(), 2, "{}", seen.text);
    let says = bad[0]["says"].as_str().unwrap();
    assert!(
        says.contains("may not publish fanlight.gate.main.ts"),
        "{says}"
    );
    assert!(!says.contains("status"), "{says}");
    assert_eq!(
        (&bad[1]["check"], &bad[1]["verdict"]),
        (&"max_payload".into(), &"warning".into())
    );

    // The service itself counts what doctor names, and does not say it at every message.
    let url = as_user("narrow", CANARY);
    let ingest = Ingest::start("gate", &url, &["--input", "test", "--size", "320x240"]);
    let refused = ["reason=\"denied\""];
    fanlight_testkit::eventually("refusals are counted", SOON, async || {
        let page = fanlight_testkit::get(&ingest.metrics_url()).await.ok()?;
        let count = metric(
            &page.text(),
            "fanlight_ingest_publish_errors_total",
            &refused,
        )?;
        (count > 20.0).then_some(())
    })
    .await;
    let told = ingest.process.output().matches("refused by nats").count();
    assert!((1..=3).contains(&told), "{}", ingest.process.output());

    let listen = format!("127.0.0.1:{}", free_port());
    let args = [
        "--listen",
        &listen,
        "--admin-listen",
        &admin,
        "--nats-url",
        &url,
    ];
    let seen = doctor(
        "fanlight-edge",
        &[&args[..], &["--cameras", "gate"]].concat(),
    )
    .await;
    let denied = seen
        .findings
        .iter()
        .find(|f| f["check"] == "nats permissions");
    let says = denied.unwrap()["says"].as_str().unwrap();
    for subject in ["fanlight.gate.main.ts", "_INBOX.fanlight-edge.>"] {
        assert!(
            says.contains("may not subscribe to") && says.contains(subject),
            "{says}"
        );
    }
}

#[tokio::test]
async fn faults_around_the_edge_are_named() {
    let nats = NatsServer::start().await;
    let (listen, admin) = (free_port(), free_port());
    let (listen, admin) = (format!("127.0.0.1:{listen}"), format!("127.0.0.1:{admin}"));
    let url = nats.url();
    let edge = async |more: &[&str]| {
        let base = [
            "--nats-url",
            &url,
            "--listen",
            &listen,
            "--admin-listen",
            &admin,
        ];
        doctor("fanlight-edge", &[&base[..], more].concat()).await
    };
    let seen = edge(&[]).await;
    seen.names(
        "cameras",
        "warning",
        "no ingest announces a camera",
        "--nats-prefix",
    );

    let source = ["--input", "test", "--size", "320x240"];
    let _late = Ingest::start_with_clock("gate", &url, "-1h", &source);
    fanlight_testkit::eventually("gate is announced", Duration::from_secs(20), async || {
        let seen = edge(&["--cameras", "gate"]).await;
        let live = seen.text.contains("1 announced and live");
        live.then(|| seen.names("clock", "warning", "3600", "NTP"))
    })
    .await;

    let seen = edge(&["--cameras", "yard,gate"]).await;
    let yard = seen
        .findings
        .iter()
        .find(|f| f["verdict"] == "problem")
        .unwrap();
    assert!(
        yard["says"]
            .as_str()
            .unwrap()
            .contains("no ingest announces `yard`")
    );
    assert!(yard["remedy"].as_str().unwrap().contains("fanlight-ingest"));
    let replay = seen.findings.iter().find(|f| f["check"] == "instant start");
    assert_eq!(replay.unwrap()["verdict"], "ok", "{}", seen.text);

    let taken = tokio::net::TcpListener::bind(&listen).await.unwrap();
    let seen = edge(&["--cameras", "gate"]).await;
    let port = seen
        .findings
        .iter()
        .find(|f| f["verdict"] == "problem")
        .unwrap();
    assert_eq!(port["check"], "port");
    assert!(
        port["says"]
            .as_str()
            .unwrap()
            .contains("taken by another program")
    );
    drop(taken);

    // Beside the service itself the ports are where they belong.
    let running = Edge::start(&url, &[]).await;
    let (public, own) = (
        running.address(),
        running.admin_url().replace("http://", ""),
    );
    let args = [
        "--nats-url",
        &url,
        "--listen",
        &public,
        "--admin-listen",
        &own,
    ];
    let seen = doctor("fanlight-edge", &args).await;
    let ports = seen.findings.iter().filter(|f| f["check"] == "port");
    assert!(
        ports.clone().count() == 2 && ports.clone().all(|f| f["verdict"] == "ok"),
        "{}",
        seen.text
    );
}
