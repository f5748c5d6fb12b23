//! What happens when something breaks: classified, told in words, and mended by itself.

use std::time::Duration;

use fanlight_bus::State;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::lab::{Lab, clip, kill};

const CANARY: &str = "c4nary-w0rd";

#[tokio::test]
async fn a_refused_port() {
    let port = fanlight_testkit::free_port();
    let input = format!("rtsp://cam:{CANARY}@127.0.0.1:{port}/x");
    let mut lab = Lab::start(&["--input", &input]).await;
    let told = lab.cause("refused").await;
    assert_eq!(told.state, State::Offline);
    assert!(told.cause.unwrap().contains("refused the connection"));
    let again = lab
        .announced("a second attempt", |a| a.run != told.run)
        .await;
    assert!(again.run > told.run, "a later run sorts higher");
    assert_eq!(again.since, told.since);
    assert!(lab.restarts("refused") >= 1.0);
    assert!(lab.metric("fanlight_ingest_backoff_seconds{") <= 10.0);
    assert!(!lab.metrics.encode().contains(CANARY) && !format!("{again:?}").contains(CANARY));
    lab.stop().await;
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve() {
    let mut lab = Lab::start(&["--input", "rtsp://nohost.invalid/x"]).await;
    assert!(lab.cause("dns").await.cause.unwrap().contains("host name"));
    lab.stop().await;
}

#[tokio::test]
async fn a_camera_that_says_nothing() {
    // Takes the connection and is silent, as a hung camera does.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let input = format!(
        "rtsp://127.0.0.1:{}/x",
        listener.local_addr().unwrap().port()
    );
    let keep = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let mut lab = Lab::start(&["--input", &input, "--stall-timeout", "500ms"]).await;
    lab.cause("timeout").await;
    keep.abort();
    lab.stop().await;
}

#[tokio::test]
async fn sound_without_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let input = clip(dir.path(), "sound.wav", "-f lavfi -i sine -t 1");
    let mut lab = Lab::start(&["--input", &input]).await;
    lab.cause("no_video").await;
    assert!(
        lab.metric("fanlight_ingest_backoff_seconds{") >= 1.5,
        "tried slowly"
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_video() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("letter.mp4");
    std::fs::write(&input, "dear ffmpeg\n".repeat(1000)).unwrap();
    let mut lab = Lab::start(&["--input", input.to_str().unwrap()]).await;
    lab.cause("format").await;
    lab.stop().await;
}

#[tokio::test]
async fn output_that_is_not_mpeg_ts() {
    let mut lab = Lab::with_script(&["--input", "test"], "exec yes nonsense\n").await;
    let told = lab.cause("not_mpegts").await;
    assert!(told.cause.unwrap().contains("MPEG-TS"));
    assert!(
        lab.metric("fanlight_ingest_ts_errors_total{camera=\"gate\",kind=\"sync_loss\"") <= 1.0
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_little_output_that_is_not_mpeg_ts() {
    let mut lab = Lab::with_script(&["--input", "test"], "echo hello; exit 0\n").await;
    lab.cause("not_mpegts").await;
    lab.stop().await;
}

#[tokio::test]
async fn an_ffmpeg_that_writes_nothing() {
    let flags = ["--input", "test", "--start-timeout", "700ms"];
    let mut lab = Lab::with_script(&flags, "exec sleep 1000\n").await;
    let told = lab.cause("silent").await;
    assert!(told.cause.unwrap().contains("for 0.7 s"));
    lab.announced("the next attempt", |a| a.run != told.run)
        .await;
    lab.stop().await;
}

#[tokio::test]
async fn half_a_packet_and_then_nothing() {
    let flags = ["--input", "test", "--stall-timeout", "700ms"];
    let script = "printf 'G%.0s' {1..94}; exec sleep 1000\n";
    let mut lab = Lab::with_script(&flags, script).await;
    let started = Instant::now();
    lab.cause("silent").await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "not the limit of the start"
    );
    lab.stop().await;
}

#[tokio::test]
async fn an_exit_is_a_failure_whatever_its_code() {
    let mut lab = Lab::with_script(&["--input", "test"], "exit 0\n").await;
    assert!(
        lab.cause("exited")
            .await
            .cause
            .unwrap()
            .contains("exit code 0")
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_flood_on_stderr_does_not_stop_the_picture() {
    let script = "(while :; do echo '[error] something about the weather'; done) >&2 &\nexec ffmpeg \"$@\"\n";
    let mut lab = Lab::with_script(
        &[
            "--input",
            "test",
            "--preset",
            "ultrafast",
            "--size",
            "160x120",
        ],
        script,
    )
    .await;
    lab.live().await;
    let chunks = lab.record(3.0).await;
    assert!(chunks.len() > 25, "{} pictures in 3 s", chunks.len());
    lab.stop().await;
}

#[tokio::test]
async fn a_stream_without_key_pictures() {
    let script = "exec ffmpeg \"${@:1:$#-3}\" -bsf:v noise=drop=key -f mpegts pipe:1\n";
    let flags = [
        "--input",
        "test",
        "--preset",
        "ultrafast",
        "--size",
        "160x120",
    ];
    let mut lab = Lab::with_script(&flags, script).await;
    let told = lab.cause("no_key_pictures").await;
    assert_eq!(told.state, State::Stalled);
    let cause = told.cause.unwrap();
    assert!(cause.contains("--codec h264"), "the remedy: {cause}");
    assert!(!lab.record(0.5).await.is_empty(), "published all the same");
    assert_eq!(lab.gop().await, (Vec::new(), None));
    assert_eq!(
        lab.restarts("no_key_pictures"),
        0.0,
        "a restart would not help"
    );
    lab.stop().await;
}

/// Live, then something happens to ffmpeg; gives how long there was no picture.
async fn recovers(lab: &mut Lab, hurt: impl FnOnce(&[i32])) -> Duration {
    let before = lab.live().await;
    lab.record(1.0).await;
    let hurt_at = Instant::now();
    hurt(&lab.children());
    loop {
        let chunk = lab.chunk().await;
        if Some(chunk.run.to_string()) > before.run {
            assert!(chunk.key, "a new run starts with a key picture");
            assert_eq!(chunk.seq, 0);
            return hurt_at.elapsed();
        }
    }
}

fn signal(pids: &[i32], signal: Signal) {
    assert_eq!(pids.len(), 1, "ffmpeg is a direct child");
    kill(pids[0], signal);
}

#[tokio::test]
async fn a_killed_ffmpeg_is_back_within_two_seconds_with_a_higher_run() {
    let mut lab = Lab::start(&["--input", "test"]).await;
    let away = recovers(&mut lab, |pids| signal(pids, Signal::KILL)).await;
    assert!(away < Duration::from_secs(2), "{away:?}");
    assert_eq!(lab.restarts("killed"), 1.0);
    assert_eq!(lab.gop().await.0[0].seq, 0, "only the new run is replayed");
    lab.stop().await;
}

#[tokio::test]
async fn a_stopped_ffmpeg_is_killed_and_replaced() {
    let mut lab = Lab::start(&["--input", "test", "--stall-timeout", "1s"]).await;
    let away = recovers(&mut lab, |pids| signal(pids, Signal::STOP)).await;
    assert!(away < Duration::from_secs(4), "{away:?}");
    assert_eq!(lab.restarts("silent"), 1.0);
    lab.stop().await;
}

#[tokio::test]
async fn garbage_in_mid_stream_is_noticed() {
    // Pictures for a moment, then noise for ever: the first time only.
    let script = "if [ -e \"$DIR/again\" ]; then exec ffmpeg \"$@\"; fi; touch \"$DIR/again\"\n\
                  ffmpeg -t 1 \"$@\"; exec cat /dev/urandom\n";
    let mut lab = Lab::with_script(&["--input", "test"], script).await;
    let away = recovers(&mut lab, |_| ()).await;
    assert!(away < Duration::from_secs(5), "{away:?}");
    assert_eq!(lab.restarts("not_mpegts"), 1.0);
    assert!(
        lab.metric("fanlight_ingest_ts_errors_total{camera=\"gate\",kind=\"sync_loss\"") >= 1.0
    );
    lab.stop().await;
}

#[tokio::test]
async fn nothing_is_left_of_ffmpeg_when_the_task_is_dropped() {
    let script = "sleep 1001 & ffmpeg \"$@\" | cat\n";
    let mut lab = Lab::with_script(&["--input", "test"], script).await;
    lab.live().await;
    assert!(!lab.children().is_empty());
    lab.abort().await;
    for _ in 0..100 {
        if lab.children().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("left: {:?}", lab.children());
}
