//! What to do about each fault, short enough to stand behind it in one sentence.

use fanlight_bus::diagnose::NoAccess;
use fanlight_ops::doctor::Report;

use crate::cause::CauseKind;

/// What to do about a camera that shows no picture because of `kind`.
pub(super) fn of(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Auth => {
            "correct user and password in --input, with `@`, `:` and `/` in them written as %40, %3A and %2F"
        }
        CauseKind::Refused => {
            "switch on RTSP in the camera, wait for its restart, or correct the port"
        }
        CauseKind::Unreachable => {
            "check power, cable, VLAN and firewall between this machine and the camera"
        }
        CauseKind::Dns => "correct the name or give the camera's IP address",
        CauseKind::Timeout | CauseKind::Silent => {
            "restart the camera, and look for a firewall that drops its packets"
        }
        CauseKind::NotFound => "correct the path in --input: the camera's manual names its streams",
        CauseKind::Busy => "end other readers of the camera: it serves only so many",
        CauseKind::Denied => "let this user read the file or device (group `video` for cameras)",
        CauseKind::Tls => "renew the camera's certificate or use the address without TLS",
        CauseKind::NoVideo | CauseKind::NoPictures | CauseKind::Format => {
            "correct --input: ffplay shows what is really at this address"
        }
        CauseKind::Codec => "use --codec h264",
        CauseKind::MissingEncoder => {
            "install a full ffmpeg (`apt install ffmpeg`) or use --codec copy"
        }
        CauseKind::Encoder => "correct --size, --fps, --bitrate or --ffmpeg-args",
        CauseKind::BadOption => "correct --ffmpeg-args or install a current ffmpeg",
        CauseKind::Forbidden => "give the address to which the source leads as --input",
        CauseKind::Spawn | CauseKind::NotMpegTs => "name a real ffmpeg with --ffmpeg",
        CauseKind::NoKeyPictures => {
            "set a key frame interval of 1 to 4 s in the camera and turn smart codecs off, or use --codec h264"
        }
        CauseKind::Exited | CauseKind::Killed => {
            "run it again with --ffmpeg-loglevel debug, and look for the memory limit"
        }
    }
}

/// Reports that there is no broker.
pub(super) fn no_access(report: &mut Report, error: &NoAccess) {
    report.problem("nats", error.to_string(), error.remedy());
}
