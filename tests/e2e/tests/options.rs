//! Options do what they say, judged by ffprobe on what comes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Ingest, ffmpeg};
use fanlight_testkit::NatsServer;
use tokio::time::Instant;

/// ffprobe's view of some media.
fn probe(media: &[u8]) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("piece.ts");
    std::fs::write(&path, media).unwrap();
    let path = path.display().to_string();
    let args = [
        "-show_streams",
        "-show_format",
        "-of",
        "json",
        path.as_str(),
    ];
    serde_json::from_slice(&ffmpeg("ffprobe", &args)).unwrap()
}

async fn watch(args: &[&str], seconds: u64) -> Vec<u8> {
    let nats = NatsServer::start().await;
    let _ingest = Ingest::start_live("gate", &nats.url(), args).await;
    let edge = Edge::start(&nats.url(), &[]).await;
    let mut viewer = edge.watch("gate").await;
    viewer
        .collect_until(Instant::now() + Duration::from_secs(seconds))
        .await
        .concat()
}

#[tokio::test]
async fn the_defaults_are_the_old_guides() {
    let seen = probe(&watch(&["--input", "test"], 8).await);
    let streams = seen["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1, "no audio, nothing else: {seen}");
    let video = &streams[0];
    assert_eq!(video["codec_name"], "h264");
    assert!(
        video["profile"].as_str().unwrap().contains("Baseline"),
        "{video}"
    );
    assert_eq!(
        (&video["width"], &video["height"]),
        (&640.into(), &480.into())
    );
    assert_eq!(video["r_frame_rate"], "15/1");
}

#[tokio::test]
async fn size_rate_and_bitrate_are_followed() {
    let args = [
        "--input",
        "test",
        "--size",
        "1280x720",
        "--fps",
        "30",
        "--bitrate",
        "1500k",
    ];
    let media = watch(&args, 12).await;
    let seen = probe(&media);
    let video = &seen["streams"][0];
    assert_eq!(
        (&video["width"], &video["height"]),
        (&1280.into(), &720.into())
    );
    assert_eq!(video["r_frame_rate"], "30/1");
    let bits = media.len() as f64 * 8.0 / 12.0;
    assert!((900_000.0..2_100_000.0).contains(&bits), "{bits:.0} bit/s");
}

#[tokio::test]
async fn sound_of_the_source_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.mp4").display().to_string();
    let _made = ffmpeg(
        "ffmpeg",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=15",
            "-f",
            "lavfi",
            "-i",
            "sine",
            "-t",
            "4",
            "-c:v",
            "libx264",
            "-g",
            "15",
            "-c:a",
            "aac",
            &path,
        ],
    );
    for codec in ["h264", "mpeg1", "copy"] {
        let seen = probe(&watch(&["--input", &path, "--codec", codec], 4).await);
        let kinds: Vec<_> = seen["streams"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["codec_type"].clone())
            .collect();
        assert_eq!(kinds, ["video"], "--codec {codec}: {seen}");
    }
}

/// The old guide's 15 fps are not in the MPEG-1 standard; they must work all the same.
#[tokio::test]
async fn mpeg1_at_fifteen_pictures_a_second() {
    let media = watch(&["--input", "test", "--codec", "mpeg1"], 8).await;
    let seen = probe(&media);
    assert_eq!(seen["streams"][0]["codec_name"], "mpeg1video");
    let (pictures, complaints) = fanlight_e2e::video_counts(&media);
    assert!(
        (100..=160).contains(&pictures),
        "{pictures} pictures in 8 s\n{complaints}"
    );
}
