//! ffmpeg's command line, as a pure function of the camera and of what ffmpeg can do.
//!
//! Each flag here was measured or prevents a stall; docs/tuning.md tells which.

use std::ffi::OsString;
use std::path::Path;

use super::probe::Ffmpeg;
use crate::config::{CameraConfig, CodecChoice, Encoding, RtspTransport};
use crate::source::{Address, Source};

/// Start-up only: how much ffmpeg reads from a network source before it decides what is in
/// it. Smaller values leave the picture size of some cameras unknown.
const PROBE_BYTES: &str = "200000";
const PROBE_MICROSECONDS: &str = "500000";

/// Builds the arguments that follow the program's name.
#[must_use]
pub fn build(camera: &CameraConfig, ffmpeg: &Ffmpeg) -> Vec<OsString> {
    let mut args = Args::default();
    args.flags(&["-hide_banner", "-nostdin"]);
    // `level+` puts the severity before each line, so that ours is right.
    args.pair("-loglevel", format!("level+{}", camera.ffmpeg_loglevel));
    input(&mut args, camera, ffmpeg);
    args.flags(&["-map", "0:v:0", "-an"]);
    match camera.codec {
        CodecChoice::H264 => h264(&mut args, camera, ffmpeg),
        CodecChoice::Mpeg1 => mpeg1(&mut args, camera, ffmpeg),
        // Without -copyinkf ffmpeg is silent until a key picture; a camera that sends none
        // could not be told from a dead one.
        CodecChoice::Copy => args.flags(&["-c:v", "copy", "-copyinkf:v"]),
    }
    args.flags(&["-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1"]);
    args.flags(&[
        "-omit_video_pes_length",
        "0",
        "-mpegts_flags",
        "+initial_discontinuity",
    ]);
    for extra in &camera.ffmpeg_args {
        args.0.push(extra.into());
    }
    args.flags(&["-f", "mpegts", "pipe:1"]);
    args.0
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0.push(flag.into());
        self.0.push(value.into());
    }
}

fn input(args: &mut Args, camera: &CameraConfig, ffmpeg: &Ffmpeg) {
    if let Some(protocols) = camera.source.protocols() {
        args.pair("-protocol_whitelist", protocols);
    }
    if let Some(formats) = camera.source.formats() {
        args.pair("-format_whitelist", formats);
    }
    let timeout = camera.stall_timeout.as_micros().to_string();
    match &camera.source {
        Source::Rtsp(address) => {
            let transport = match camera.rtsp_transport {
                RtspTransport::Tcp => "tcp",
                RtspTransport::Udp => "udp",
            };
            args.pair("-rtsp_transport", transport);
            args.pair(ffmpeg.rtsp_timeout_flag(), timeout);
            network(args, address);
        }
        Source::Http(address) => {
            args.pair("-rw_timeout", timeout);
            network(args, address);
        }
        Source::File(path) => {
            args.flags(&["-re", "-stream_loop", "-1"]);
            args.pair("-i", file_url(path));
        }
        Source::Device(path) => {
            args.flags(&["-fflags", "nobuffer", "-flags", "low_delay", "-f", "v4l2"]);
            if camera.encodes() {
                // The device is asked for what is wanted, and gives the nearest it has.
                args.pair("-framerate", camera.encoding.fps.to_string());
                args.pair("-video_size", camera.encoding.size.to_string());
            }
            args.pair("-i", path);
        }
        Source::Test => {
            args.flags(&["-re", "-f", "lavfi"]);
            args.pair("-i", test_picture(&camera.encoding, ffmpeg));
        }
    }
}

fn network(args: &mut Args, address: &Address) {
    args.flags(&["-fflags", "nobuffer", "-flags", "low_delay"]);
    args.flags(&[
        "-probesize",
        PROBE_BYTES,
        "-analyzeduration",
        PROBE_MICROSECONDS,
    ]);
    args.pair("-i", address.expose());
}

/// `file:` before the whole path, so that no name can be taken for a protocol or an option.
fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    url
}

/// testsrc2 moves everywhere and counts its own time; the wall clock comes on top where
/// ffmpeg can write text.
fn test_picture(encoding: &Encoding, ffmpeg: &Ffmpeg) -> String {
    let mut graph = format!("testsrc2=size={}:rate={}", encoding.size, encoding.fps);
    if ffmpeg.draws_text() {
        let height = encoding.size.height / 12;
        graph.push_str(&format!(
            ",drawtext=text='%{{localtime\\:%X}}':fontsize={height}:fontcolor=white:box=1:\
             boxcolor=black@0.6:boxborderw=6:x=(w-tw)/2:y=h-th-{}",
            encoding.size.height / 24
        ));
    }
    graph
}

/// The rate is set by `-r`: the `fps` filter holds one picture back, `-r` none (measured: 67 ms at
/// 15 pictures a second).
fn picture(args: &mut Args, encoding: &Encoding, ffmpeg: &Ffmpeg) {
    let size = encoding.size;
    args.pair("-vf", format!("scale={}:{}", size.width, size.height));
    args.pair("-r", encoding.fps.to_string());
    args.flags(ffmpeg.constant_rate_flags());
}

fn rate(args: &mut Args, encoding: &Encoding) {
    args.pair("-b:v", encoding.bitrate.to_string());
    args.pair("-maxrate", encoding.bitrate.to_string());
    args.pair(
        "-bufsize",
        crate::config::Bitrate(encoding.buffer).to_string(),
    );
    args.pair("-bf", "0");
    args.pair("-g", encoding.gop.to_string());
}

fn h264(args: &mut Args, camera: &CameraConfig, ffmpeg: &Ffmpeg) {
    let encoding = &camera.encoding;
    args.flags(&["-c:v", "libx264", "-profile:v", "baseline"]);
    args.pair("-level", h264_level(encoding));
    args.pair("-preset", encoding.preset.as_str());
    args.flags(&["-tune", "zerolatency", "-pix_fmt", "yuv420p"]);
    picture(args, encoding, ffmpeg);
    rate(args, encoding);
    args.pair("-keyint_min", encoding.gop.to_string());
    args.pair("-sc_threshold", "0");
}

fn mpeg1(args: &mut Args, camera: &CameraConfig, ffmpeg: &Ffmpeg) {
    // `-strict unofficial` allows 15 pictures a second and low_delay; low_delay saves one
    // picture of delay.
    args.flags(&[
        "-c:v",
        "mpeg1video",
        "-strict",
        "unofficial",
        "-flags",
        "low_delay",
    ]);
    args.flags(&["-pix_fmt", "yuv420p"]);
    picture(args, &camera.encoding, ffmpeg);
    rate(args, &camera.encoding);
}

/// ISO 14496-10 table A-1: level, macroblocks a second, macroblocks a picture, kbit/s.
const LEVELS: [(&str, u64, u64, u64); 10] = [
    ("3.0", 40_500, 1_620, 10_000),
    ("3.1", 108_000, 3_600, 14_000),
    ("3.2", 216_000, 5_120, 20_000),
    ("4.0", 245_760, 8_192, 20_000),
    ("4.1", 245_760, 8_192, 50_000),
    ("4.2", 522_240, 8_704, 50_000),
    ("5.0", 589_824, 22_080, 135_000),
    ("5.1", 983_040, 36_864, 240_000),
    ("5.2", 2_073_600, 36_864, 240_000),
    ("6.2", 16_711_680, 139_264, 800_000),
];

/// The lowest level from 3.0 on that fits: what every decoder takes, and no lie about more.
fn h264_level(encoding: &Encoding) -> &'static str {
    let size = encoding.size;
    let blocks = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
    let per_second = (blocks as f64 * encoding.fps.as_f64()).ceil() as u64;
    let kbits = encoding.bitrate.0.max(encoding.buffer).div_ceil(1000);
    LEVELS
        .iter()
        .find(|(_, speed, picture, rate)| {
            per_second <= *speed && blocks <= *picture && kbits <= *rate
        })
        .map_or("6.2", |(name, ..)| name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::IngestArgs;

    fn line(flags: &[&str]) -> String {
        line_with(flags, &Ffmpeg::assumed("ffmpeg".into()))
    }

    fn line_with(flags: &[&str], ffmpeg: &Ffmpeg) -> String {
        let base = ["fanlight-ingest", "--camera", "gate"];
        let args = IngestArgs::try_parse_from(base.iter().chain(flags).copied()).unwrap();
        let config = args.validate().unwrap();
        let words = build(&config.camera, ffmpeg);
        let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
        shlex::try_join(words).unwrap()
    }

    #[test]
    fn rtsp() {
        let url = "--input=rtsp://cam:p%40ss@10.0.0.1:554/s?x=1";
        insta::assert_snapshot!("rtsp_h264", line(&[url]));
        insta::assert_snapshot!("rtsp_mpeg1", line(&[url, "--codec", "mpeg1"]));
        insta::assert_snapshot!("rtsp_copy", line(&[url, "--codec", "copy"]));
        insta::assert_snapshot!(
            "rtsp_tuned",
            line(&[
                "--input=rtsps://10.0.0.1/s",
                "--size",
                "1280x720",
                "--fps",
                "30",
                "--bitrate",
                "1500k",
                "--buffer",
                "300k",
                "--gop-seconds",
                "1",
                "--preset",
                "ultrafast",
                "--rtsp-transport",
                "udp",
                "--ffmpeg-args",
                "-metadata title='front door'",
                "--ffmpeg-loglevel",
                "debug",
                "--stall-timeout",
                "3s",
            ])
        );
    }

    #[test]
    fn other_sources() {
        insta::assert_snapshot!(
            "http_copy",
            line(&["--input=http://h/v.mjpg", "--codec", "copy"])
        );
        insta::assert_snapshot!("test_h264", line(&["--input=test"]));
        insta::assert_snapshot!(
            "device_mpeg1",
            line(&["--input=/dev/video0", "--codec=mpeg1"])
        );
        let file = tempfile::Builder::new()
            .prefix("-odd:name")
            .tempfile()
            .unwrap();
        let path = file.path().to_str().unwrap();
        let text = line(&[&format!("--input={path}"), "--codec", "copy"]);
        insta::assert_snapshot!("file_copy", text.replace(path, "PATH"));
    }

    #[test]
    fn old_versions_get_their_own_flags() {
        let old = Ffmpeg::assumed("ffmpeg".into())
            .with_version(4, 3)
            .with_stimeout();
        let text = line_with(&["--input=rtsp://10.0.0.1/s"], &old);
        assert!(text.contains("-stimeout 5000000"), "{text}");
        assert!(
            text.contains("-vsync cfr") && !text.contains("-fps_mode"),
            "{text}"
        );
    }

    #[test]
    fn the_level_fits_the_picture() {
        let level = |size: &str, fps: &str, bitrate: &str| {
            let text = line(&[
                "--input=test",
                "--size",
                size,
                "--fps",
                fps,
                "--bitrate",
                bitrate,
            ]);
            let words = shlex::split(&text).unwrap();
            words[words.iter().position(|w| w == "-level").unwrap() + 1].clone()
        };
        assert_eq!(level("640x480", "15", "800k"), "3.0");
        assert_eq!(level("1280x720", "30", "1500k"), "3.1");
        assert_eq!(level("1920x1080", "30", "4M"), "4.0");
        assert_eq!(level("1920x1080", "60", "4M"), "4.2");
        assert_eq!(level("3840x2160", "30", "12M"), "5.1");
        assert_eq!(level("640x480", "15", "30M"), "4.1");
    }

    #[test]
    fn one_input_one_output_and_never_sound() {
        for flags in [
            &["--input=test"][..],
            &["--input=rtsp://h/s", "--codec", "copy"],
            &["--input=http://h/s", "--codec", "mpeg1"],
        ] {
            let words = shlex::split(&line(flags)).unwrap();
            assert_eq!(words.iter().filter(|w| *w == "-i").count(), 1);
            assert_eq!(words.last().unwrap(), "pipe:1");
            assert!(words.contains(&"-an".to_owned()) && words.contains(&"-c:v".to_owned()));
        }
    }
}
