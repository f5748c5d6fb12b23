//! Video files for tests, made and judged by ffmpeg.

use std::path::Path;
use std::process::Command;

/// Runs ffmpeg (or ffprobe) and returns its stdout.
///
/// # Panics
/// When it fails; its complaint is shown.
#[must_use]
pub fn ffmpeg(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(fanlight_testkit::tool(program))
        .args(["-hide_banner", "-loglevel", "error"])
        .args(args)
        .output()
        .expect("run ffmpeg");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {complaint}");
    output.stdout
}

/// Makes an H.264 file of `seconds` at 15 fps. `bitrate` as ffmpeg writes it; the picture is
/// noise, so that the encoder really needs it.
pub fn make_video(path: &Path, seconds: u32, gop: u32, size: &str, bitrate: &str) {
    let source = format!("testsrc2=size={size}:rate=15,noise=alls=70:allf=t");
    let (seconds, gop) = (seconds.to_string(), gop.to_string());
    let path = path.display().to_string();
    let args = [
        "-f",
        "lavfi",
        "-i",
        &source,
        "-t",
        &seconds,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-bf",
        "0",
        "-g",
        &gop,
        "-keyint_min",
        &gop,
        "-sc_threshold",
        "0",
        "-b:v",
        bitrate,
        "-minrate",
        bitrate,
        "-maxrate",
        bitrate,
        "-bufsize",
        bitrate,
        "-y",
        &path,
    ];
    let _nothing = ffmpeg("ffmpeg", &args);
}

/// Pictures that decode, and complaints of the decoder, in a piece of MPEG-TS.
///
/// # Panics
/// When ffmpeg cannot be run.
#[must_use]
pub fn video_counts(media: &[u8]) -> (usize, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("piece.ts");
    std::fs::write(&path, media).expect("write");
    let output = Command::new(fanlight_testkit::tool("ffmpeg"))
        .args(["-hide_banner", "-loglevel", "warning", "-i"])
        .arg(&path)
        .args(["-map", "0:v:0", "-f", "framemd5", "-"])
        .output()
        .expect("run ffmpeg");
    let frames = String::from_utf8_lossy(&output.stdout);
    let count = frames.lines().filter(|line| !line.starts_with('#')).count();
    (count, String::from_utf8_lossy(&output.stderr).into_owned())
}
