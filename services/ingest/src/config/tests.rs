use clap::Parser;

use super::*;

fn args(flags: &[&str]) -> IngestArgs {
    let base = ["fanlight-ingest"];
    IngestArgs::try_parse_from(base.iter().chain(flags).copied()).unwrap()
}

fn problems(flags: &[&str]) -> Vec<String> {
    let error = args(flags).validate().unwrap_err();
    error.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_the_old_guides() {
    let config = args(&["--camera", "gate", "--input", "test"])
        .validate()
        .unwrap();
    let camera = &config.camera;
    assert_eq!(camera.stream.to_string(), "gate/main");
    assert_eq!(camera.codec, CodecChoice::H264);
    let e = &camera.encoding;
    assert_eq!(
        (e.size.to_string().as_str(), e.fps.to_string().as_str()),
        ("640x480", "15")
    );
    assert_eq!((e.bitrate.0, e.buffer, e.gop), (800_000, 400_000, 30));
    assert_eq!(camera.rtsp_transport, RtspTransport::Tcp);
    assert_eq!((camera.gop_cache, camera.outbox), (8 << 20, 8 << 20));
    assert_eq!(config.admin_listen.port(), 9104);
}

#[test]
fn every_problem_is_listed_with_its_key() {
    let all = problems(&[
        "--camera",
        "Front Door",
        "--rendition",
        "A",
        "--input",
        "concat:a|b",
        "--codec",
        "vp9",
        "--size",
        "640",
        "--fps",
        "0",
        "--bitrate",
        "fast",
        "--buffer",
        "x",
        "--gop-seconds",
        "0",
        "--preset",
        "warp",
        "--rtsp-transport",
        "pigeon",
        "--ffmpeg-args",
        "-a 'b",
        "--ffmpeg-loglevel",
        "loud",
        "--gop-cache",
        "1",
        "--outbox",
        "-",
        "--stall-timeout",
        "0",
        "--start-timeout",
        "x",
        "--admin-listen",
        "9104",
        "--nats-url",
        "http://x",
        "--nats-prefix",
        "a..b",
    ]);
    for key in [
        "--camera",
        "--rendition",
        "--input",
        "--codec",
        "--size",
        "--fps",
        "--bitrate",
        "--buffer",
        "--gop-seconds",
        "--preset",
        "--rtsp-transport",
        "--ffmpeg-args",
        "--ffmpeg-loglevel",
        "--gop-cache",
        "--outbox",
        "--stall-timeout",
        "--start-timeout",
        "--admin-listen",
        "--nats-url",
        "--nats-prefix",
    ] {
        let named = format!("`{key}`:");
        assert_eq!(
            all.iter().filter(|p| p.starts_with(&named)).count(),
            1,
            "{key}: {all:#?}"
        );
    }
    assert_eq!(all.len(), 20);
    assert!(
        all.iter()
            .any(|p| p.contains("`640` cannot be used; write WIDTHxHEIGHT"))
    );
}

#[test]
fn the_input_is_needed_once() {
    assert!(problems(&["--camera", "a"])[0].contains("there is no input"));
    let both = problems(&["--camera", "a", "--input", "test", "--input-file", "/x"]);
    assert!(both[0].contains("give one of them"), "{both:?}");
    assert!(problems(&["--input", "test"])[0].contains("no camera id"));
    let missing = problems(&["--camera", "a", "--input", "/nonexistent/clip.mp4"]);
    assert!(missing[0].contains("/nonexistent/clip.mp4"), "{missing:?}");
}

#[test]
fn the_input_file_holds_the_url() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "rtsp://cam:secretword@10.0.0.1/x\n").unwrap();
    let path = path.to_str().unwrap();
    let config = args(&["--camera", "a", "--input-file", path])
        .validate()
        .unwrap();
    assert_eq!(config.camera.source.to_string(), "rtsp://10.0.0.1/…");
    assert!(!format!("{config:?}").contains("secretword"));
}

#[test]
fn no_problem_repeats_a_password() {
    for input in [
        "rtsp://cam:canary-word@host:port/x",
        "udp://cam:canary-word@host:1/x",
        "-rtsp://cam:canary-word@host:1/x",
    ] {
        let input = format!("--input={input}");
        let text = format!("{:?}", problems(&["--camera", "a", &input]));
        assert!(!text.contains("canary-word"), "{text}");
    }
}

#[test]
fn mpeg1_takes_the_rates_it_can_say() {
    let with = |fps| {
        args(&[
            "--camera", "a", "--input", "test", "--codec", "mpeg1", "--fps", fps,
        ])
    };
    assert!(with("15").validate().is_ok() && with("29.97").validate().is_ok());
    let error = with("20").validate().unwrap_err().to_string();
    assert!(
        error.contains("--fps") && error.contains("MPEG-1"),
        "{error}"
    );
}

#[test]
fn extra_arguments_are_split_like_a_shell_does() {
    let extra = [
        "--camera",
        "a",
        "--input",
        "test",
        "--ffmpeg-args",
        "-x264-params 'a=1:b=2' -y",
    ];
    let config = args(&extra).validate().unwrap();
    assert_eq!(config.camera.ffmpeg_args, ["-x264-params", "a=1:b=2", "-y"]);
}

#[test]
fn yaml_has_the_same_keys() {
    let yaml = "url: rtsp://10.0.0.1/x\ncodec: mpeg1\nsize: 320x240\nfps: 25\nbitrate: 500k\n\
                gopSeconds: 1.5\nrtspTransport: udp\ngop-cache: 4MiB\n";
    let options: CameraOptions = serde_norway::from_str(yaml).unwrap();
    let stream = StreamId::main("gate".parse().unwrap());
    let config = options
        .resolve(stream.clone(), &|k| format!("cameras.gate.{k}"))
        .unwrap();
    assert_eq!((config.encoding.gop, config.gop_cache), (38, 4 << 20));
    assert!(serde_norway::from_str::<CameraOptions>("url: test\nfsp: 15\n").is_err());
    let options: CameraOptions = serde_norway::from_str("url: test\nsize: 7\n").unwrap_or_default();
    let bad = options
        .resolve(stream, &|k| format!("cameras.gate.{k}"))
        .unwrap_err();
    assert!(bad[0].key.starts_with("cameras.gate."), "{bad:?}");
}

#[test]
fn the_other_commands_need_no_camera_and_doctor_takes_the_services_flags() {
    let parse = |line: &[&str]| Cli::try_parse_from([&["fanlight-ingest"], line].concat());
    let cli = parse(&["healthcheck", "--ready", "--admin-listen", "127.0.0.1:1"]).unwrap();
    assert_eq!(cli.ingest.admin_listen, "127.0.0.1:1");
    assert!(matches!(
        cli.command,
        Some(Command::Healthcheck { ready: true })
    ));
    let line = "doctor --camera gate --input test --fps 5 --admin-listen 127.0.0.1:2 --json";
    let cli = parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
    let Some(Command::Doctor(doctor)) = cli.command else {
        panic!("{line}");
    };
    assert!(doctor.flags.json);
    assert_eq!(doctor.ingest.validate().unwrap().admin_listen.port(), 2);
}
