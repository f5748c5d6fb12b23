//! `fanlight-ingest doctor`: goes the way of a picture, from ffmpeg over the camera to NATS, with
//! the options of the service, and says of each step whether it works and what to do if not.
//! It reads the camera once, as the service would, and publishes no picture.

mod look;
mod remedy;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use fanlight_bus::diagnose::{self, Access, NoAccess};
use fanlight_bus::{Announcement, Bus, NatsConfig, State, StreamId};
use fanlight_ops::doctor::{Report, is_running};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::cause::CauseKind;
use crate::config::{CameraConfig, CodecChoice, DoctorArgs};
use crate::ffmpeg::Ffmpeg;
use crate::source::Source;
use look::Sight;

/// Longest wait for a name or a connection.
const NETWORK_LIMIT: Duration = Duration::from_secs(4);

/// Longest wait for the encoder's first picture.
const ENCODER_LIMIT: Duration = Duration::from_secs(15);

/// What a publisher needs for whole pictures at usual rates; below it, pictures are sent in parts.
const ROOMY_PAYLOAD: usize = 256 << 10;

/// A message must hold our headers and at least a few packets.
const SMALLEST_PAYLOAD: usize = 8 << 10;

/// Checks everything and writes what was found to standard output.
pub async fn run(args: &DoctorArgs) -> ExitCode {
    let mut report = Report::new(args.flags);
    match args.ingest.validate() {
        Err(error) => report.bad_configuration(&error),
        Ok(config) => {
            let stream = config.camera.stream.clone();
            report.ok("configuration", format!("camera `{}`", stream.camera));
            let running = is_running("ingest", config.admin_listen).await;
            camera(&mut report, &config.camera, &config.ffmpeg).await;
            broker(&mut report, config.nats, &stream, running).await;
            admin(&mut report, config.admin_listen, running).await;
        }
    }
    report.finish("fanlight-ingest")
}

async fn admin(report: &mut Report, address: SocketAddr, running: bool) {
    report.port("--admin-listen", address, running).await;
}

/// ffmpeg and what it makes of the camera.
async fn camera(report: &mut Report, camera: &CameraConfig, program: &Path) {
    let ffmpeg = match Ffmpeg::probe(program).await {
        Ok(ffmpeg) => ffmpeg,
        Err(bad) => return report.problem("ffmpeg", bad.problem, &bad.remedy),
    };
    let found = format!("version {} ({})", ffmpeg.version(), program.display());
    report.ok("ffmpeg", found);
    if camera.encodes() && !encoder(report, camera, &ffmpeg).await {
        return;
    }
    let reached = match &camera.source {
        Source::Rtsp(_) | Source::Http(_) => network(report, &camera.source).await,
        Source::Device(path) => device(report, path),
        Source::File(_) | Source::Test => true,
    };
    if reached {
        source(report, camera, &ffmpeg).await;
    }
}

/// Encodes the test picture with the camera's settings.
async fn encoder(report: &mut Report, camera: &CameraConfig, ffmpeg: &Ffmpeg) -> bool {
    const CHECK: &str = "encoder";
    let name = match camera.codec {
        CodecChoice::H264 => "libx264",
        CodecChoice::Mpeg1 => "mpeg1video",
        CodecChoice::Copy => return true,
    };
    let test = CameraConfig {
        source: Source::Test,
        start_timeout: ENCODER_LIMIT,
        ..camera.clone()
    };
    match look::look(&test, ffmpeg).await {
        Ok(_) => {
            let encoding = &camera.encoding;
            let (size, fps, rate) = (encoding.size, encoding.fps, encoding.bitrate);
            report.ok(
                CHECK,
                format!("{name} makes {size} at {fps} fps, {rate} bit/s"),
            );
            true
        }
        // A full ffmpeg without lavfi's test picture says nothing about its encoder.
        Err(cause) if cause.kind == CauseKind::Format => true,
        Err(cause) => {
            report.problem(CHECK, format!("{name}: {cause}"), remedy::of(cause.kind));
            false
        }
    }
}

/// Name and port, so that what ffmpeg says later is about the camera.
async fn network(report: &mut Report, source: &Source) -> bool {
    let Some((host, port)) = source.endpoint() else {
        return true;
    };
    let resolved = timeout(NETWORK_LIMIT, lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match resolved {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let Some(first) = addresses.first() else {
        report.problem(
            "address",
            format!("the camera's host name `{host}` cannot be resolved here"),
            remedy::of(CauseKind::Dns),
        );
        return false;
    };
    if host.parse::<IpAddr>().is_err() {
        report.ok("address", format!("`{host}` is {}", first.ip()));
    }
    let mut refused = false;
    for address in &addresses {
        match timeout(NETWORK_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                report.ok("camera port", format!("{port} of `{host}` is open"));
                return true;
            }
            Ok(Err(error)) => refused |= error.kind() == std::io::ErrorKind::ConnectionRefused,
            Err(_) => {}
        }
    }
    let (says, kind) = if refused {
        ("nobody listens there", CauseKind::Refused)
    } else {
        ("no answer comes from there", CauseKind::Unreachable)
    };
    report.problem(
        "camera port",
        format!("{port} of `{host}`: {says}"),
        remedy::of(kind),
    );
    false
}

fn device(report: &mut Report, path: &Path) -> bool {
    let (says, kind) = match std::fs::File::open(path) {
        Ok(_) => return true,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            ("may not be read by this user", CauseKind::Denied)
        }
        Err(_) => ("does not exist", CauseKind::NotFound),
    };
    report.problem(
        "device",
        format!("{} {says}", path.display()),
        remedy::of(kind),
    );
    false
}

/// Reads the camera as the service does, up to the first key picture.
async fn source(report: &mut Report, camera: &CameraConfig, ffmpeg: &Ffmpeg) {
    const CHECK: &str = "picture";
    let sight = match look::look(camera, ffmpeg).await {
        Ok(sight) => sight,
        Err(cause) => {
            return report.problem(CHECK, cause.to_string(), remedy::of(cause.kind));
        }
    };
    let Sight { input, took, codec } = sight;
    if let Some(input) = input {
        report.ok("source", format!("it sends {input}"));
    }
    let seconds = took.as_secs_f64();
    report.ok(
        CHECK,
        format!("the first key picture was there after {seconds:.1} s"),
    );
    if camera.codec == CodecChoice::Copy && !codec.starts_with("avc1") {
        report.warning(
            "codec",
            format!("--codec copy passes on `{codec}`, which not every browser shows"),
            "set the camera to H.264 or use --codec h264",
        );
    }
}

/// NATS: who we are there, what we may do, and who else publishes this camera.
async fn broker(report: &mut Report, config: NatsConfig, stream: &StreamId, running: bool) {
    let subjects = &config.subjects;
    let (media, status, gop) = (
        subjects.media(stream),
        subjects.status(stream),
        subjects.gop(stream),
    );
    let publish = [media, status];
    let subscribe = [gop, subjects.all_status()];
    match diagnose::access(config.clone(), &publish, &subscribe).await {
        Err(error) => return remedy::no_access(report, &error),
        Ok(access) => judge(report, &access),
    }
    match Bus::nats(config).await {
        Ok(bus) => {
            others(report, &bus, stream, running).await;
            bus.close().await;
        }
        Err(error) => remedy::no_access(report, &NoAccess::Config(error)),
    }
}

fn judge(report: &mut Report, access: &Access) {
    let ms = access.round_trip.as_secs_f64() * 1000.0;
    report.ok(
        "nats",
        format!("version {}, answers in {ms:.1} ms", access.version),
    );
    for (verb, denied) in [
        ("publish", &access.publish_denied),
        ("subscribe to", &access.subscribe_denied),
    ] {
        if !denied.is_empty() {
            report.problem(
                "nats permissions",
                format!("this user may not {verb} {}", denied.join(", ")),
                "extend the user's permissions in the server's configuration (docs/wire.md lists the subjects)",
            );
        }
    }
    if access.publish_denied.is_empty() && access.subscribe_denied.is_empty() {
        report.ok(
            "nats permissions",
            "may publish and subscribe to its subjects",
        );
    }
    let says = format!("the server takes {} bytes a message", access.max_payload);
    let remedy = "set `max_payload: 1MB` in the server's configuration";
    match access.max_payload {
        ..SMALLEST_PAYLOAD => report.problem("max_payload", says, remedy),
        SMALLEST_PAYLOAD..ROOMY_PAYLOAD => {
            report.warning(
                "max_payload",
                says + ", so pictures go in many parts",
                remedy,
            );
        }
        _ => report.ok("max_payload", says),
    }
}

/// Other ingests of this camera, and the clocks of all.
async fn others(report: &mut Report, bus: &Bus, stream: &StreamId, running: bool) {
    let period = Duration::from_secs(Announcement::PERIOD_SECONDS) + Duration::from_millis(500);
    if !diagnose::connected(bus, NETWORK_LIMIT).await {
        return remedy::no_access(report, &NoAccess::Lost);
    }
    let heard = diagnose::listen(bus, period).await.unwrap_or_default();
    let own = heard.iter().filter(|h| h.announcement.stream() == *stream);
    let live = own.filter(|h| h.announcement.state == State::Live).count();
    match live {
        0 => {}
        1 if running => report.ok("other ingests", "only the one that runs here publishes it"),
        n => report.warning(
            "other ingests",
            format!("{n} publish `{}` already", stream.camera),
            "give this camera another --camera, or mean it: the one started last wins",
        ),
    }
    let name = |a: &Announcement| a.camera.to_string();
    report.clocks(heard.iter().map(|h| (name(&h.announcement), h.offset())));
}
