//! The program itself: exit codes, signals, health, broker and camera.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fanlight_bus::{Announcement, Bus, NatsArgs, State};
use fanlight_testkit::{
    Camera, CameraOptions, NatsServer, Process, Signal, eventually, free_port, get,
};
use tokio::process::Command;

use crate::lab::{processes_with, stream};

const CANARY: &str = "c4nary-p@ss";

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fanlight-ingest"))
}

struct Running {
    process: Process,
    admin: String,
    marker: String,
}

fn start(nats: &str, flags: &[&str]) -> Running {
    let admin = format!("127.0.0.1:{}", free_port());
    let marker = format!("mark{}", free_port());
    let extra = format!("-metadata comment={marker}");
    let mut command = Command::new(program());
    command
        .args([
            "--camera",
            "gate",
            "--nats-url",
            nats,
            "--admin-listen",
            &admin,
        ])
        .args(["--log-level", "debug", "--ffmpeg-args", &extra])
        .args(flags)
        .stdin(Stdio::null());
    Running {
        process: Process::spawn(command),
        admin,
        marker,
    }
}

async fn bus(nats: &NatsServer) -> Bus {
    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        nats: NatsArgs,
    }
    let args = <Args as clap::Parser>::parse_from(["test", "--nats-url", &nats.url()]);
    Bus::nats(args.nats.resolve("test").unwrap()).await.unwrap()
}

async fn announced(bus: &Bus, wanted: impl Fn(&Announcement) -> bool) -> Announcement {
    let mut status = bus.subscribe_status().await.unwrap();
    let wait = async {
        loop {
            let told = status.next().await.unwrap().unwrap();
            if wanted(&told) {
                return told;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("announced in time")
}

/// Runs it to its end; gives the exit code and what it printed.
async fn ends(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program())
        .args(flags)
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(Duration::from_secs(15), output)
        .await
        .unwrap()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test]
async fn bad_usage_is_64_with_a_sentence() {
    let url = format!("concat://cam:{CANARY}@h/");
    let test = [
        "--camera",
        "a",
        "--input",
        "test",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    for (flags, word) in [
        (&["--nope"][..], "--nope"),
        (&["--camera", "A", "--input", "x"], "camera id"),
        (
            &["--camera", "a", "--input", &url],
            "`concat` is not allowed",
        ),
        (
            &["--camera", "a", "--input", "/nonexistent.mp4"],
            "/nonexistent.mp4",
        ),
        (
            &[&test[..], &["--ffmpeg", "/nonexistent/ffmpeg"]].concat(),
            "install it",
        ),
        (&[&test[..], &["--size", "7"]].concat(), "640x480"),
    ] {
        let (code, text) = ends(flags).await;
        assert_eq!(code, Some(64), "{flags:?}: {text}");
        assert!(text.contains(word), "{flags:?}: {text}");
        assert!(!text.contains(CANARY), "{text}");
    }
    let (code, text) = ends(&["--help"]).await;
    assert_eq!(code, Some(0));
    for flag in [
        "--input-file",
        "--gop-cache",
        "--nats-creds",
        "--stall-timeout",
        "--log-format",
    ] {
        assert!(text.contains(flag), "{flag}: {text}");
    }
    assert_eq!(ends(&["--version"]).await.0, Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_1_with_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = ends(&[
        "--camera",
        "a",
        "--input",
        "test",
        "--admin-listen",
        &address,
    ])
    .await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[tokio::test]
async fn waits_for_a_broker_and_stops_in_order() {
    let mut nats = NatsServer::start().await;
    nats.kill().await;
    let mut running = start(&nats.url(), &["--input", "test", "--preset", "ultrafast"]);
    let ready = format!("http://{}/readyz", running.admin);
    let answer = eventually("the admin listener", Duration::from_secs(10), async || {
        get(&ready).await.ok()
    })
    .await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.text().contains("not connected to the broker yet"),
        "{}",
        answer.text()
    );
    let asked = ["healthcheck", "--admin-listen", &running.admin];
    assert_eq!(ends(&asked).await.0, Some(0), "alive all the same");
    assert_eq!(ends(&[&asked[..], &["--ready"]].concat()).await.0, Some(1));
    nats.restart().await;
    let bus = bus(&nats).await;
    let told = announced(&bus, |a| a.state == State::Live).await;
    assert_eq!(told.stream(), stream());
    let mut media = bus.subscribe(&stream()).await.unwrap();
    let chunk = tokio::time::timeout(Duration::from_secs(5), media.next())
        .await
        .unwrap();
    assert_eq!(chunk.unwrap().unwrap().payload[0], 0x47);
    assert_eq!(ends(&[&asked[..], &["--ready"]].concat()).await.0, Some(0));
    let metrics = get(&format!("http://{}/metrics", running.admin))
        .await
        .unwrap()
        .text();
    assert!(
        metrics.contains("fanlight_ingest_nats_connected 1"),
        "{metrics}"
    );
    assert!(!processes_with(&running.marker).is_empty());

    let goodbye =
        tokio::spawn(async move { announced(&bus, |a| a.state == State::Stopping).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.process.signal(Signal::TERM);
    let status = running.process.wait(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0), "{}", running.process.output());
    assert!(processes_with(&running.marker).is_empty());
    goodbye.await.unwrap();
    assert_eq!(ends(&asked).await.0, Some(1), "nobody answers any more");
}

#[tokio::test]
async fn a_killed_ingest_leaves_no_ffmpeg() {
    for stopped in [false, true] {
        let mut running = start(
            "nats://127.0.0.1:9",
            &["--input", "test", "--preset", "ultrafast"],
        );
        let ffmpeg = eventually("ffmpeg", Duration::from_secs(10), async || {
            let marked = processes_with(&running.marker);
            marked
                .into_iter()
                .find(|pid| *pid as u32 != running.process.pid())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        if stopped {
            crate::lab::kill(ffmpeg, rustix::process::Signal::STOP);
        }
        running.process.kill().await;
        eventually("ffmpeg gone", Duration::from_secs(2), async || {
            processes_with(&running.marker).is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_rtsp_camera_with_digest_its_faults_and_no_password_anywhere() {
    let mut nats = NatsServer::start().await;
    let options = CameraOptions {
        credentials: Some(("cam", CANARY)),
        gop: 1,
        extra: Vec::new(),
        ..CameraOptions::default()
    };
    let mut camera = Camera::start(options.clone()).await;
    let mut running = start(
        &nats.url(),
        &[
            "--input",
            &camera.url(),
            "--codec",
            "copy",
            "--stall-timeout",
            "1500ms",
            "--ffmpeg-loglevel",
            "debug",
        ],
    );
    let bus = bus(&nats).await;
    let mut seen = Vec::new();
    let told = announced(&bus, |a| a.state == State::Live).await;
    assert!(
        told.codec.as_deref().unwrap().starts_with("avc1."),
        "{told:?}"
    );
    seen.push(told);

    camera.process().signal(Signal::STOP);
    seen.push(announced(&bus, |a| a.state != State::Live && a.cause.is_some()).await);
    assert!(
        matches!(seen[1].cause_kind.as_deref(), Some("silent" | "timeout")),
        "{:?}",
        seen[1]
    );
    camera.kill().await;
    seen.push(announced(&bus, |a| a.cause_kind.as_deref() == Some("refused")).await);
    let other = CameraOptions {
        credentials: Some(("cam", "another")),
        ..options.clone()
    };
    camera.restart(Some(other)).await;
    seen.push(announced(&bus, |a| a.cause_kind.as_deref() == Some("auth")).await);
    assert!(
        seen[3]
            .cause
            .as_deref()
            .unwrap()
            .contains("user name or password")
    );
    camera.restart(Some(options)).await;
    seen.push(announced(&bus, |a| a.state == State::Live).await);

    let mut shown = format!("{seen:?}");
    shown += &get(&format!("http://{}/metrics", running.admin))
        .await
        .unwrap()
        .text();
    nats.kill().await;
    running.process.signal(Signal::INT);
    let status = running.process.wait(Duration::from_secs(5)).await;
    shown += &running.process.output();
    assert_eq!(status.code(), Some(0), "{shown}");
    for form in [CANARY, "c4nary-p%40ss", "c4nary"] {
        assert!(!shown.contains(form), "{form} in {shown}");
    }
    assert!(
        shown.contains("401 Unauthorized"),
        "the log is there: {shown}"
    );
}
