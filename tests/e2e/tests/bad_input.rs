//! Bad input: a sentence that helps, the right exit code or state, nothing hung, no ffmpeg
//! left, and never a credential in any output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, Recorder, SOON, Standalone, children};
use fanlight_testkit::{Camera, CameraOptions, NatsServer, Process, Signal, free_port, program};
use futures_util::StreamExt;

/// In every URL of these tests; may appear nowhere.
const CANARY: &str = "canary-7f3a";

/// Starts a program that must refuse its configuration, and returns what it said.
async fn refused(name: &str, args: &[&str]) -> String {
    let mut process = Process::start(&program(name), args);
    let status = process.wait(SOON).await;
    let output = process.output();
    assert_eq!(status.code(), Some(64), "{name} {args:?} said:\n{output}");
    assert!(!output.contains(CANARY), "{output}");
    output
}

#[tokio::test]
async fn configuration_is_refused_with_every_problem_at_once() {
    let secret = format!("concat:{CANARY}");
    let table: &[(&[&str], &[&str])] = &[
        (&["--camera", "Gate"], &["--camera", "front-door"]),
        (
            &["--camera", "gate", "--size", "640"],
            &["--size", "640x480"],
        ),
        (&["--camera", "gate", "--fps", "0"], &["--fps"]),
        (&["--camera", "gate", "--fps", "fast"], &["--fps"]),
        (
            &["--camera", "gate", "--bitrate", "much"],
            &["--bitrate", "800k"],
        ),
        (
            &["--camera", "gate", "--input", &secret],
            &["--input", "rtsp://"],
        ),
        (&["--camera", "gate", "--input=-i"], &["--input"]),
        (
            &["--camera", "gate", "--input", "file:/etc/passwd"],
            &["--input"],
        ),
        (
            &["--camera", "gate", "--input", "/does/not/exist.mp4"],
            &["--input", "/does/not/exist.mp4"],
        ),
        (
            &["--camera", "gate", "--ffmpeg", "/no/ffmpeg"],
            &["--ffmpeg", "/no/ffmpeg"],
        ),
        (
            &["--camera", "gate", "--codec", "h266"],
            &["--codec", "mpeg1"],
        ),
        (
            &["--camera", "gate", "--nats-url", "http://x"],
            &["--nats-url", "nats://"],
        ),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ];
    for (args, words) in table {
        let mut all = args.to_vec();
        if !args.iter().any(|a| a.starts_with("--input")) {
            all.extend(["--input", "test"]);
        }
        let output = refused("fanlight-ingest", &all).await;
        for word in *words {
            assert!(output.contains(word), "{args:?}: no `{word}` in\n{output}");
        }
    }
    let output = refused(
        "fanlight-ingest",
        &[
            "--camera",
            "Gate",
            "--input",
            "test",
            "--size",
            "640",
            "--bitrate",
            "much",
        ],
    )
    .await;
    for key in ["--camera", "--size", "--bitrate"] {
        assert!(output.contains(key), "{key} is not listed in\n{output}");
    }
}

#[tokio::test]
async fn an_ffmpeg_that_is_too_old_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("ffmpeg");
    std::fs::write(
        &old,
        "#!/bin/sh\necho 'ffmpeg version 3.4.8 Copyright (c) 2000-2020'\n",
    )
    .unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let old = old.display().to_string();
    let output = refused(
        "fanlight-ingest",
        &["--camera", "gate", "--input", "test", "--ffmpeg", &old],
    )
    .await;
    assert!(
        output.contains("3.4") && output.contains("--ffmpeg"),
        "{output}"
    );
}

#[tokio::test]
async fn two_cameras_of_one_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("fanlight.yaml");
    let text = format!(
        "cameras:\n  gate:\n    url: rtsp://u:{CANARY}@127.0.0.1/1\n  gate:\n    url: test\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let output = refused("fanlight", &["--config", &config]).await;
    assert!(
        output.contains("gate") && output.contains("twice") || output.contains("duplicate"),
        "{output}"
    );
}

#[tokio::test]
async fn an_unknown_key_of_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("fanlight.yaml");
    std::fs::write(
        &config,
        "cameras:\n  gate:\n    url: test\n    bitrat: 1M\n",
    )
    .unwrap();
    let config = config.display().to_string();
    let output = refused("fanlight", &["--config", &config]).await;
    assert!(output.contains("bitrat"), "{output}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let listen = format!("127.0.0.1:{port}");
    let admin = format!("127.0.0.1:{}", free_port());
    let args = [
        "--input",
        "test",
        "--listen",
        &listen,
        "--admin-listen",
        &admin,
    ];
    let mut process = Process::start(&program("fanlight"), args);
    let status = process.wait(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", process.output());
    let output = process.output();
    assert!(
        output.contains(&listen) && output.contains("in use"),
        "{output}"
    );
    assert!(children(std::process::id()).iter().all(|&p| {
        !std::fs::read_to_string(format!("/proc/{p}/comm"))
            .unwrap_or_default()
            .contains("ffmpeg")
    }));
}

#[tokio::test]
async fn listening_beyond_loopback_without_authentication_is_refused() {
    let listen = format!("0.0.0.0:{}", free_port());
    let output = refused(
        "fanlight",
        &["--input", "test", "--auth", "none", "--listen", &listen],
    )
    .await;
    assert!(output.contains("--allow-anonymous"), "{output}");
}

/// Everything a failing camera gives off, searched for the canary.
struct Outputs {
    nats: NatsServer,
    edge: Edge,
    messages: tokio::task::JoinHandle<Vec<u8>>,
    subscriber: async_nats::Client,
}

impl Outputs {
    async fn start() -> Self {
        let nats = NatsServer::start().await;
        let subscriber = async_nats::connect(nats.url()).await.unwrap();
        let mut all = subscriber.subscribe(">").await.unwrap();
        subscriber.flush().await.unwrap();
        let messages = tokio::spawn(async move {
            let mut bytes = Vec::new();
            while let Some(message) = all.next().await {
                bytes.extend_from_slice(format!("{:?}", message.headers).as_bytes());
                if message.subject.ends_with("status") {
                    bytes.extend_from_slice(&message.payload);
                }
            }
            bytes
        });
        let edge = Edge::start(&nats.url(), &["--cameras", "gate", "--log-level", "trace"]).await;
        Self {
            nats,
            edge,
            messages,
            subscriber,
        }
    }

    /// Runs an ingest until the API shows a cause that holds one of `words`; checks that it
    /// stops without an ffmpeg left and that nothing holds the canary.
    async fn expect_cause(self, input: &str, more: &[&str], words: &[&str]) {
        let mut args = vec!["--input", input, "--log-level", "trace"];
        args.extend(more);
        let mut ingest = Ingest::start("gate", &self.nats.url(), &args);
        let said = self
            .edge
            .wait_camera(
                "gate",
                &format!("a cause with {words:?}"),
                Duration::from_secs(40),
                |c| {
                    let cause = c["cause"].as_str().unwrap_or_default().to_lowercase();
                    words.iter().any(|w| cause.contains(w))
                },
            )
            .await;
        assert_ne!(said["state"], "live", "{said}");
        let ffmpeg = children(ingest.process.pid());
        let mut evidence = vec![
            ("API", said.to_string()),
            ("ingest metrics", ingest.metrics().await),
            ("edge metrics", self.edge.metrics().await),
        ];
        let ready = fanlight_testkit::get(&format!("{}/readyz", ingest.admin_url()))
            .await
            .unwrap();
        assert_eq!(
            ready.status,
            200,
            "a dead camera must not block a rollout: {}",
            ready.text()
        );
        evidence.push(("readyz", ready.text()));
        ingest.process.signal(Signal::TERM);
        let status = ingest.process.wait(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(0), "{}", ingest.process.output());
        assert!(
            !ffmpeg.iter().any(|&p| fanlight_e2e::is_alive(p)),
            "ffmpeg was left behind"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.subscriber.drain().await.unwrap();
        let messages = self.messages.await.unwrap();
        evidence.push(("NATS", String::from_utf8_lossy(&messages).into_owned()));
        evidence.push(("ingest log", ingest.process.output()));
        evidence.push(("edge log", self.edge.process.output()));
        for (place, text) in evidence {
            assert!(
                !text.contains(CANARY),
                "the password is in: {place}\n{text}"
            );
        }
    }
}

fn rtsp(port: u16) -> String {
    format!("rtsp://cam:{CANARY}@127.0.0.1:{port}/h264")
}

#[tokio::test]
async fn a_refused_port() {
    Outputs::start()
        .await
        .expect_cause(&rtsp(free_port()), &[], &["refused"])
        .await;
}

#[tokio::test]
async fn an_unresolvable_host() {
    let url = format!("rtsp://cam:{CANARY}@no-such-host.invalid/h264");
    Outputs::start()
        .await
        .expect_cause(&url, &[], &["resolve", "not found", "name"])
        .await;
}

#[tokio::test]
async fn a_wrong_password() {
    let camera = Camera::start(CameraOptions::default()).await;
    let url = camera.url_as("cam", CANARY);
    Outputs::start()
        .await
        .expect_cause(&url, &[], &["password"])
        .await;
}

#[tokio::test]
async fn a_silent_camera() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            open.push(socket);
        }
    });
    let words = ["silent", "answer", "timed out", "no data"];
    Outputs::start()
        .await
        .expect_cause(&rtsp(port), &["--stall-timeout", "4"], &words)
        .await;
}

#[tokio::test]
async fn a_source_without_video() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audio.wav").display().to_string();
    let _made = fanlight_e2e::ffmpeg("ffmpeg", &["-f", "lavfi", "-i", "sine=duration=2", &path]);
    Outputs::start()
        .await
        .expect_cause(&path, &[], &["no video"])
        .await;
}

#[tokio::test]
async fn stdout_that_is_not_mpeg_ts() {
    let stand_in = Recorder::script("yes 'this is no video'");
    let program = stand_in.program();
    Outputs::start()
        .await
        .expect_cause("test", &["--ffmpeg", &program], &["mpeg-ts"])
        .await;
}

#[tokio::test]
async fn half_a_packet_and_silence() {
    let stand_in = Recorder::script("head -c 100 /dev/zero; exec sleep 1000");
    let program = stand_in.program();
    let args = ["--ffmpeg", &program, "--stall-timeout", "3"];
    Outputs::start()
        .await
        .expect_cause("test", &args, &["no data", "silent", "nothing", "stopped"])
        .await;
}

#[tokio::test]
async fn nats_that_is_not_there_yet() {
    let mut nats = NatsServer::start().await;
    let url = nats.url();
    nats.kill().await;
    let mut ingest = Ingest::start("gate", &url, &["--input", "test"]);
    let ready = format!("{}/readyz", ingest.admin_url());
    fanlight_testkit::eventually("an answer that names NATS", SOON, async || {
        let answer = fanlight_testkit::get(&ready).await.ok()?;
        (answer.status == 503 && answer.text().to_lowercase().contains("nats")).then_some(())
    })
    .await;
    nats.restart().await;
    ingest.wait_live(SOON).await;
    // the camera is live without the broker, and may be so before the connection is
    fanlight_testkit::eventually("a ready ingest", SOON, async || {
        let answer = fanlight_testkit::get(&ready).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// A picture that no message may hold travels in parts and is put together again.
#[tokio::test]
async fn a_picture_larger_than_a_message_is_split_and_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.mp4");
    fanlight_e2e::make_video(&path, 4, 15, "1920x1080", "60M");
    let nats = NatsServer::start_with("max_payload: 131072\n").await;
    let recorder = Recorder::new();
    let (input, program) = (path.display().to_string(), recorder.program());
    let args = ["--input", &input, "--codec", "copy", "--ffmpeg", &program];
    let _ingest = Ingest::start_live("gate", &nats.url(), &args).await;
    let edge = Edge::start(&nats.url(), &[]).await;
    let mut viewer = edge.watch("gate").await;
    let end = tokio::time::Instant::now() + Duration::from_secs(3);
    let messages = viewer.collect_until(end).await;
    assert!(
        messages.iter().any(|m| m.len() > 100_000),
        "nothing was large enough to be split"
    );
    assert!(messages.iter().all(|m| m.len() <= 131_072 - 4_096));
    let copy = messages.concat();
    let written = recorder.recording();
    let start = written
        .windows(752)
        .position(|w| w == &copy[..752])
        .expect("the start");
    assert!(
        copy == written[start..start + copy.len()],
        "the copy differs"
    );
}

#[tokio::test]
async fn standalone_says_what_is_wrong_on_its_page_api() {
    let url = rtsp(free_port());
    let mut system = Standalone::start(&["--camera", "gate", "--input", &url]).await;
    let said = system
        .wait_camera("gate", "refused", SOON, |c| {
            c["cause"]
                .as_str()
                .is_some_and(|cause| cause.contains("refused"))
        })
        .await;
    assert!(!said.to_string().contains(CANARY));
    system.process.signal(Signal::TERM);
    assert_eq!(system.process.wait(SOON).await.code(), Some(0));
    assert!(
        !system.process.output().contains(CANARY),
        "{}",
        system.process.output()
    );
}
