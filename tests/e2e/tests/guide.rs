//! What the old single-camera server did, still works: the root upgrade, the plain stream,
//! the log lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{SOON, Standalone, Viewer};
use fanlight_testkit::{eventually, tool};
use tokio::time::Instant;

#[tokio::test]
async fn a_page_of_the_old_server_finds_the_only_camera_at_the_root() {
    let system = Standalone::start(&["--input", "test", "--codec", "mpeg1"]).await;
    let mut viewer = Viewer::connect(&format!("ws://{}/", system.address()), None).await;
    let messages = viewer
        .collect_until(Instant::now() + Duration::from_secs(4))
        .await;
    let (pictures, complaints) = fanlight_e2e::video_counts(&messages.concat());
    assert!(pictures >= 45, "{pictures} pictures in 4 s\n{complaints}");
}

#[tokio::test]
async fn with_two_cameras_the_root_says_where_the_list_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("two.yaml");
    std::fs::write(
        &config,
        "cameras:\n  gate: { url: test }\n  yard: { url: test, fps: 10 }\n",
    )
    .unwrap();
    let config = config.display().to_string();
    let system = Standalone::start(&["--config", &config]).await;
    let root = format!("ws://{}/", system.address());
    let refused = Viewer::try_connect(&root, None, None).await.unwrap_err();
    assert_eq!(refused.map(|s| s.as_u16()), Some(404));
    for camera in ["gate", "yard"] {
        Viewer::connect(&system.ws(camera), None)
            .await
            .media(SOON)
            .await;
    }
    let list = fanlight_testkit::get(&system.url("/api/cameras"))
        .await
        .unwrap()
        .json()
        .unwrap();
    let names: Vec<_> = list["cameras"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["camera"])
        .collect();
    assert_eq!(names, ["gate", "yard"]);
}

#[tokio::test]
async fn the_plain_stream_plays_in_ffprobe() {
    let system = Standalone::start(&["--camera", "gate", "--input", "test"]).await;
    let url = system.url("/cameras/gate/live.ts");
    let output = tokio::process::Command::new(tool("ffprobe"))
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-show_entries",
            "stream=codec_name,width",
        ])
        .args(["-of", "csv=p=0", "-read_intervals", "%+2", &url])
        .output();
    let output = tokio::time::timeout(Duration::from_secs(30), output)
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("h264,640"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn viewers_are_logged_as_they_come_and_go() {
    let system = Standalone::start(&["--camera", "gate", "--input", "test"]).await;
    let mut first = system.watch("gate").await;
    first.media(SOON).await;
    let second = system.watch("gate").await;
    eventually("two viewers in the log", SOON, async || {
        system
            .process
            .output()
            .contains("viewers=2")
            .then_some(())
            .or_else(|| {
                system
                    .process
                    .output()
                    .contains("\"viewers\":2")
                    .then_some(())
            })
    })
    .await;
    second.leave().await;
    first.leave().await;
    eventually("no viewers in the log", SOON, async || {
        let log = system.process.output();
        (log.contains("viewers=0") || log.contains("\"viewers\":0")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_address_to_open_is_printed() {
    let system = Standalone::start(&["--input", "test"]).await;
    let url = format!("http://{}", system.address());
    assert!(
        system.process.output().contains(&url),
        "{}",
        system.process.output()
    );
    let page = fanlight_testkit::get(&system.url("/")).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap_or_default()
            .starts_with("text/html")
    );
}
