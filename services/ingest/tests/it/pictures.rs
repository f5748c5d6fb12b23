//! What comes out when all is well.

use std::time::Duration;

use fanlight_bus::{Chunk, State};
use fanlight_mpegts::Checker;
use sha2::{Digest, Sha256};

use crate::lab::{Lab, clip, ffprobe, joined};

/// Checks what every good stream has; gives its pictures and its bytes.
fn check(chunks: &[Chunk]) -> (fanlight_mpegts::Report, Vec<u8>) {
    assert!(chunks[0].key, "the first message of a run can be watched");
    assert!(
        chunks
            .windows(2)
            .all(|w| w[0].run == w[1].run && w[1].seq == w[0].seq + 1)
    );
    assert!(chunks.windows(2).all(|w| w[0].time <= w[1].time));
    assert!(
        chunks
            .iter()
            .all(|c| c.key == c.codec.is_some() && c.key == c.video.is_some())
    );
    let bytes = joined(chunks);
    let mut checker = Checker::new();
    checker.push(bytes.clone().into());
    let report = checker.finish();
    assert_eq!(
        (report.continuity_errors, report.backward_steps),
        (0, 0),
        "{report:?}"
    );
    assert_eq!(
        report.pictures,
        chunks.iter().filter(|c| c.starts_picture()).count() as u64
    );
    (report, bytes)
}

#[tokio::test]
async fn the_test_picture_in_h264() {
    let mut lab = Lab::start(&["--input", "test"]).await;
    let told = lab.live().await;
    assert_eq!(
        (told.codec.as_deref(), told.width, told.height),
        (Some("avc1.42C01E"), Some(640), Some(480))
    );
    assert_eq!((told.fps, told.replay), (Some(15.0), true));
    let chunks = lab.record(4.0).await;
    let (report, bytes) = check(&chunks);
    assert!(
        (52..=66).contains(&report.pictures),
        "{} pictures in 4 s",
        report.pictures
    );
    assert_eq!(chunks[0].video.unwrap().to_string(), "640x480@15");
    assert_eq!(
        ffprobe(
            &bytes,
            "stream=codec_name,profile,width,height,has_b_frames"
        ),
        "h264,Constrained Baseline,640,480,0"
    );

    let (gop, last) = lab.gop().await;
    assert!(
        gop[0].key && gop.iter().skip(1).all(|c| !c.key),
        "one GOP from its key on"
    );
    assert!(gop.windows(2).all(|w| w[1].seq == w[0].seq + 1));
    assert_eq!(last, gop.last().map(|c| c.seq));
    let sent = chunks.iter().find(|c| c.seq == gop[0].seq);
    assert!(
        sent.is_none_or(|sent| *sent == gop[0]),
        "headers as first sent"
    );

    let told = lab
        .announced("GOP length", |a| a.gop_seconds.is_some())
        .await;
    assert_eq!(told.gop_seconds, Some(2.0));
    assert_eq!(lab.metric("fanlight_ingest_camera_up{"), 1.0);
    assert!(lab.metric("fanlight_ingest_published_chunks_total{") >= chunks.len() as f64);
    assert_eq!(
        lab.metric("fanlight_ingest_ffmpeg_start_duration_seconds_count"),
        1.0
    );
    lab.stop().await;
    let goodbye = lab
        .announced("goodbye", |a| a.state == State::Stopping)
        .await;
    assert_eq!(goodbye.cause, None);
}

#[tokio::test]
async fn the_test_picture_in_mpeg1() {
    let mut lab = Lab::start(&["--input", "test", "--codec", "mpeg1"]).await;
    let told = lab.live().await;
    assert_eq!(told.codec.as_deref(), Some("mp4v.6A"));
    let chunks = lab.record(4.0).await;
    let (report, bytes) = check(&chunks);
    assert!(
        (52..=66).contains(&report.pictures),
        "{} pictures in 4 s",
        report.pictures
    );
    assert_eq!(
        ffprobe(&bytes, "stream=codec_name,width,height"),
        "mpeg1video,640,480"
    );
    lab.stop().await;
}

#[tokio::test]
async fn size_rate_and_bitrate_are_obeyed_and_sound_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let input = "-f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine -t 3 -c:v libx264 -preset ultrafast -c:a aac";
    let input = clip(dir.path(), "with sound.mp4", input);
    let mut lab = Lab::start(&[
        "--input",
        &input,
        "--size",
        "1280x720",
        "--fps",
        "30",
        "--bitrate",
        "1500k",
        "--preset",
        "ultrafast",
        "--gop-seconds",
        "1",
    ])
    .await;
    lab.live().await;
    let chunks = lab.record(5.0).await;
    let (report, bytes) = check(&chunks);
    assert!(
        (130..=160).contains(&report.pictures),
        "{} pictures in 5 s",
        report.pictures
    );
    assert_eq!(
        ffprobe(&bytes, "stream=codec_type,width,height,r_frame_rate"),
        "video,1280,720,30/1"
    );
    let kbits = bytes.len() * 8 / 5 / 1000;
    assert!((700..=1900).contains(&kbits), "{kbits} kbit/s");
    lab.stop().await;
}

#[tokio::test]
async fn a_file_is_copied_in_a_loop_and_every_byte_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let input = "-f lavfi -i testsrc2=size=320x240:rate=15 -t 1.6 -c:v libx264 -g 12";
    let input = clip(dir.path(), "clip.mp4", input);
    let script = "exec ffmpeg \"$@\" > >(tee \"$DIR/$$.ts\")\n";
    let mut lab = Lab::with_script(&["--input", &input, "--codec", "copy"], script).await;
    lab.live().await;
    let mut chunks = lab.record(5.0).await;
    lab.stop().await;
    chunks.extend(lab.record(0.1).await);
    let (report, bytes) = check(&chunks);
    assert!(
        report.duration > Duration::from_secs(4),
        "over the end of the file: {report:?}"
    );
    assert!(
        report.longest_step < Duration::from_millis(200),
        "{report:?}"
    );
    let written = std::fs::read_dir(lab.dir.path()).unwrap().flatten();
    let written = written
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "ts"));
    let written = std::fs::read(written.unwrap()).unwrap();
    assert!(
        written.len() - bytes.len() < 64 * 1024,
        "{} of {}",
        bytes.len(),
        written.len()
    );
    assert_eq!(
        Sha256::digest(&bytes),
        Sha256::digest(&written[..bytes.len()])
    );
}

#[tokio::test]
async fn a_gop_larger_than_the_cache_is_not_replayed_and_that_is_told() {
    let flags = [
        "--input",
        "test",
        "--gop-seconds",
        "8",
        "--gop-cache",
        "64KiB",
        "--bitrate",
        "2M",
    ];
    let mut lab = Lab::start(&flags).await;
    let told = lab.announced("no replay", |a| !a.replay).await;
    assert_eq!(told.state, State::Live);
    assert_eq!(lab.gop().await, (Vec::new(), None));
    lab.announced("replay", |a| a.replay).await;
    lab.stop().await;
}
