//! Why a camera shows no picture: a word for programs, a sentence for people, and whether
//! trying again soon can help. Never holds an address or a credential.

use std::borrow::Cow;
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $permanent:literal, $words:literal;)*) => {
        /// The kind of a [`Cause`]; label set of `ffmpeg_restarts_total{reason}`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CauseKind {
            $($(#[$doc])* $name,)*
        }

        impl CauseKind {
            /// Every kind, so that counters can start at 0.
            pub const ALL: &'static [CauseKind] = &[$(CauseKind::$name,)*];

            /// The word used in metrics and announcements.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(CauseKind::$name => $label,)* }
            }

            /// Trying again at once cannot help: somebody has to change something. Such a
            /// camera is tried slowly, so that it is not hammered and locks nobody out.
            #[must_use]
            pub const fn is_permanent(self) -> bool {
                match self { $(CauseKind::$name => $permanent,)* }
            }

            /// A sentence for somebody who looks at the page.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(CauseKind::$name => $words,)* }
            }
        }
    };
}

kinds! {
    /// RTSP or HTTP 401 or 403.
    Auth = "auth", true, "the camera refused the user name or password";
    /// Nobody listens on the port.
    Refused = "refused", false, "the camera refused the connection: it is off, restarting, or the port is wrong";
    /// No route to the host.
    Unreachable = "unreachable", false, "the camera cannot be reached over the network";
    /// The name does not resolve.
    Dns = "dns", false, "the camera's host name cannot be resolved";
    /// A socket operation took longer than `--stall-timeout`.
    Timeout = "timeout", false, "the camera did not answer in time";
    /// Path, stream or device does not exist.
    NotFound = "not_found", true, "the camera knows no such stream, or the file or device does not exist";
    /// It answers 5xx, 453, or the device is in use.
    Busy = "busy", false, "the camera is busy or reports an internal error";
    /// The operating system forbids it.
    Denied = "denied", true, "access to the file or device is denied";
    /// TLS handshake or certificate.
    Tls = "tls", true, "the encrypted connection to the camera failed: check its certificate";
    /// The source has no video stream.
    NoVideo = "no_video", true, "the source has no video";
    /// The video codec cannot be read or carried.
    Codec = "codec", true, "the video codec of the source is not supported; with --codec copy, try --codec h264";
    /// The input is no media.
    Format = "format", false, "the source sends something that is not video";
    /// This ffmpeg lacks an encoder.
    MissingEncoder = "missing_encoder", true, "this ffmpeg was built without the encoder: install a full ffmpeg";
    /// The encoder refuses the settings.
    Encoder = "encoder", true, "the encoder refused its settings: check --size, --fps, --bitrate and --ffmpeg-args";
    /// ffmpeg does not know an option.
    BadOption = "bad_option", true, "ffmpeg refused its options: check --ffmpeg-args and the version of ffmpeg";
    /// The input led to a protocol that is not allowed.
    Forbidden = "forbidden", true, "the source leads to a protocol that is not allowed";
    /// ffmpeg could not be started.
    Spawn = "spawn", true, "ffmpeg could not be started";
    /// ffmpeg wrote nothing for too long.
    Silent = "silent", false, "the camera sends nothing";
    /// Bytes come, pictures do not.
    NoPictures = "no_pictures", false, "data comes from the source, but no pictures";
    /// What comes out of ffmpeg is not MPEG-TS.
    NotMpegTs = "not_mpegts", true, "the program given as --ffmpeg does not write MPEG-TS";
    /// Pictures come, but none to start from.
    NoKeyPictures = "no_key_pictures", false, "no key pictures: set a key frame (I frame) interval of 1 to 4 seconds in the camera and turn smart codecs off, or use --codec h264";
    /// ffmpeg left without a reason we know.
    Exited = "exited", false, "ffmpeg ended";
    /// ffmpeg was ended by a signal that is not ours.
    Killed = "killed", false, "ffmpeg was killed";
}

/// Why a camera shows no picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What kind.
    pub kind: CauseKind,
    detail: Option<Cow<'static, str>>,
}

impl Cause {
    /// A cause whose sentence says more than its kind's. `detail` must hold neither address
    /// nor credential.
    pub fn with_detail(kind: CauseKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: Some(detail.into()),
        }
    }
}

impl From<CauseKind> for Cause {
    fn from(kind: CauseKind) -> Self {
        Self { kind, detail: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.words())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_differ_and_fit_a_metric() {
        let mut labels: Vec<_> = CauseKind::ALL.iter().map(|k| k.label()).collect();
        assert!(
            labels
                .iter()
                .all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), CauseKind::ALL.len());
    }

    #[test]
    fn the_sentence_carries_the_detail() {
        let cause = Cause::with_detail(CauseKind::Exited, "exit status 1");
        assert_eq!(cause.to_string(), "ffmpeg ended (exit status 1)");
        assert!(
            Cause::from(CauseKind::Auth)
                .to_string()
                .contains("password")
        );
    }
}
