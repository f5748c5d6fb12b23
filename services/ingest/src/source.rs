//! Where a camera's picture comes from: the text of `--input`, judged before ffmpeg sees it.
//!
//! ffmpeg takes far more than cameras (`concat:`, `pipe:`, `subfile,,`, options that start
//! with `-`). What is not on the list here is refused, and each kind gets a protocol
//! whitelist, so that a playlist behind HTTP cannot make ffmpeg read local files.

use std::fmt;
use std::path::{Path, PathBuf};

use fanlight_ops::secret::{redact_url, register_url};
use url::Url;

/// A source that ffmpeg may open.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A camera that speaks RTSP.
    Rtsp(Address),
    /// A camera or server that speaks HTTP.
    Http(Address),
    /// A file, played in a loop in real time.
    File(PathBuf),
    /// A Video4Linux2 device.
    Device(PathBuf),
    /// A moving picture with a clock, made by ffmpeg itself.
    Test,
}

/// A URL as the user wrote it: userinfo may be a secret, and ffmpeg decodes its escapes
/// itself, so the text is passed on unchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: String,
    tls: bool,
}

/// Why a text is no source, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSource {
    /// What is wrong; holds no credential.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

const REMEDY: &str = "give rtsp://, rtsps://, http:// or https://, a file, /dev/video0 or `test`";

/// Endings of URLs that ask for a playlist.
const PLAYLISTS: [&str; 3] = [".m3u8", ".m3u", ".mpd"];

/// ffmpeg's names of what holds pictures itself.
const MEDIA: &str = "mpjpeg,mjpeg,mjpeg_2000,smjpeg,jpeg_pipe,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,\
                     live_flv,mov,matroska,asf,avi,ogg,nut,ivf";

/// Longest text taken.
const MAX_LENGTH: usize = 4096;

impl Source {
    /// Judges the text of `--input`. Only the name is looked at: whether a file exists is
    /// asked by [`exists`](Self::exists).
    ///
    /// # Errors
    /// A sentence that names what is wrong without repeating a credential.
    pub fn parse(text: &str) -> Result<Self, BadSource> {
        let bad = |problem: &str| BadSource {
            problem: problem.to_owned(),
            remedy: REMEDY.to_owned(),
        };
        if text.is_empty() {
            return Err(bad("the input is empty"));
        }
        if text.len() > MAX_LENGTH || text.chars().any(char::is_control) {
            return Err(bad("the input is too long or holds control characters"));
        }
        if text.starts_with('-') {
            let remedy = format!("{REMEDY}; write ./-name for a file whose name starts with `-`");
            return Err(BadSource {
                problem: "the input starts with `-` and would be taken for an option".to_owned(),
                remedy,
            });
        }
        if text == "test" {
            return Ok(Self::Test);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Self::parse_url(scheme, text);
        }
        if text.starts_with("/dev/video") {
            return Ok(Self::Device(PathBuf::from(text)));
        }
        // `concat:a|b`, `pipe:0`, `subfile,,start,0:x`: a word before the first `:` is a
        // protocol to ffmpeg.
        if let Some((word, _)) = text.split_once(':')
            && !word.contains('/')
        {
            let word = word.split(',').next().unwrap_or(word);
            return Err(BadSource {
                problem: format!("`{}:` is not allowed as input", word.escape_default()),
                remedy: format!("{REMEDY}; write ./{} for a file", "name:with:colons"),
            });
        }
        if text == "." || text == ".." || text.ends_with('/') {
            return Err(bad("the input is a folder"));
        }
        Ok(Self::File(PathBuf::from(text)))
    }

    fn parse_url(scheme: &str, text: &str) -> Result<Self, BadSource> {
        let bad = |problem: String| BadSource {
            problem,
            remedy: REMEDY.to_owned(),
        };
        let lower = scheme.to_ascii_lowercase();
        let (make, tls): (fn(Address) -> Self, bool) = match lower.as_str() {
            "rtsp" => (Self::Rtsp, false),
            "rtsps" => (Self::Rtsp, true),
            "http" => (Self::Http, false),
            "https" => (Self::Http, true),
            _ => {
                return Err(bad(format!(
                    "the scheme `{}` is not allowed as input",
                    scheme.escape_default()
                )));
            }
        };
        // The text may hold a password: the parser's message must not repeat it.
        register_url(text);
        let url = Url::parse(text).map_err(|error| {
            let remedy = "write for example `rtsp://user:password@192.168.1.20:554/stream`, with \
                          special characters in the password as %40 (`@`), %3A (`:`), %2F (`/`)";
            BadSource {
                problem: format!("not a URL: {error}"),
                remedy: remedy.to_owned(),
            }
        })?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("the URL has no host".to_owned()));
        }
        let url = text.to_owned();
        Ok(make(Address { url, tls }))
    }

    /// The name that ffmpeg is given, and whether it is a file: for files only, checks that it
    /// is there.
    ///
    /// # Errors
    /// The file is missing, unreadable or a folder.
    pub fn exists(&self) -> Result<(), BadSource> {
        let Self::File(path) = self else {
            return Ok(());
        };
        let bad = |problem: String| BadSource {
            problem,
            remedy: "name a video file that exists and can be read".to_owned(),
        };
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Err(bad(format!("{} is a folder", path.display()))),
            Ok(_) => match std::fs::File::open(path) {
                Ok(_) => Ok(()),
                Err(error) => Err(bad(format!("open {}: {error}", path.display()))),
            },
            Err(error) => Err(bad(format!("open {}: {error}", path.display()))),
        }
    }

    /// Protocols that ffmpeg may use for this source; `None` where it opens none.
    #[must_use]
    pub fn protocols(&self) -> Option<&'static str> {
        match self {
            Self::Rtsp(address) if address.tls => Some("rtsps,tls,tcp,udp,rtp,srtp"),
            Self::Rtsp(_) => Some("rtsp,tcp,udp,rtp"),
            // A server may redirect to TLS, and HLS may be encrypted.
            Self::Http(_) => Some("http,https,tls,tcp,crypto"),
            Self::File(_) => Some("file"),
            Self::Device(_) | Self::Test => None,
        }
    }

    /// What ffmpeg may take the answer of a web server for; `None` for anything. A playlist names
    /// further addresses, also such that only this host can reach, so it is read only where the
    /// user's own URL asks for one.
    #[must_use]
    pub fn formats(&self) -> Option<&'static str> {
        let Self::Http(address) = self else {
            return None;
        };
        let url = Url::parse(address.expose()).ok();
        let path = url
            .as_ref()
            .map_or("", |url| url.path())
            .to_ascii_lowercase();
        let asked = PLAYLISTS.iter().any(|ending| path.ends_with(ending));
        (!asked).then_some(MEDIA)
    }

    /// Host and port that ffmpeg will connect to; `None` where there is no network.
    #[must_use]
    pub fn endpoint(&self) -> Option<(String, u16)> {
        let (address, plain, tls) = match self {
            Self::Rtsp(address) => (address, 554, 322),
            Self::Http(address) => (address, 80, 443),
            Self::File(_) | Self::Device(_) | Self::Test => return None,
        };
        let url = Url::parse(address.expose()).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let port = url.port().unwrap_or(if address.tls { tls } else { plain });
        Some((host, port))
    }

    /// Whether it is reached over a network.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Rtsp(_) | Self::Http(_))
    }
}

impl Address {
    /// The whole URL with its credentials, for ffmpeg alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }
}

/// Without credentials.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |p: &Path| p.display().to_string();
        f.write_str(&match self {
            Self::Rtsp(address) | Self::Http(address) => shown(address.expose()),
            Self::File(file) => path(file),
            Self::Device(device) => path(device),
            Self::Test => "test".to_owned(),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.expose()))
    }
}

/// Scheme, host and port: paths of cameras often hold a key, queries a password.
fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => {
            let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
            format!(
                "{}://{}{port}/…",
                url.scheme(),
                url.host_str().unwrap_or_default()
            )
        }
        Err(_) => redact_url(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_read_only_where_it_is_asked_for() {
        for (url, asked) in [
            ("http://h/mjpg", false),
            ("http://h/x?list=a.m3u8", false),
            ("http://h/live/index.M3U8?token=1", true),
            ("https://h/manifest.mpd", true),
        ] {
            let formats = Source::parse(url).unwrap().formats();
            assert_eq!(formats.is_none(), asked, "{url}");
            assert!(formats.is_none_or(|f| !f.contains("hls") && !f.contains("concat")));
        }
        assert!(Source::parse("rtsp://h/1").unwrap().formats().is_none());
    }

    #[test]
    fn knows_its_kinds() {
        let kind = |text: &str| Source::parse(text).unwrap();
        assert!(matches!(kind("rtsp://h/s"), Source::Rtsp(a) if !a.tls));
        assert!(matches!(kind("rtsps://h:322/s"), Source::Rtsp(a) if a.tls));
        assert!(matches!(kind("RTSP://h/s"), Source::Rtsp(_)));
        assert!(matches!(kind("http://h/mjpg"), Source::Http(_)));
        assert!(matches!(kind("https://h/x.m3u8"), Source::Http(a) if a.tls));
        assert_eq!(kind("test"), Source::Test);
        assert_eq!(kind("/dev/video0"), Source::Device("/dev/video0".into()));
        for file in ["a.mp4", "/srv/a b.mkv", "./-x.ts", "./a:b.mp4", "/x/a:b"] {
            assert_eq!(kind(file), Source::File(file.into()), "{file}");
        }
    }

    #[test]
    fn refuses_everything_else_with_a_sentence() {
        for (text, word) in [
            ("", "empty"),
            ("-i", "starts with `-`"),
            ("-f lavfi", "starts with `-`"),
            ("concat:a.ts|b.ts", "`concat:`"),
            ("file:/etc/passwd", "`file:`"),
            ("file:///etc/passwd", "`file`"),
            ("pipe:0", "`pipe:`"),
            ("subfile,,start,0,end,9,,:a.ts", "`subfile:`"),
            ("udp://239.0.0.1:1234", "`udp`"),
            ("rtmp://h/x", "`rtmp`"),
            ("tcp://h:1", "`tcp`"),
            ("rtsp+x://h", "`rtsp+x`"),
            ("rtsp://", "URL"),
            ("rtsp://h:99999/x", "URL"),
            ("a\nb", "control"),
            ("/srv/", "folder"),
        ] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.problem.contains(word), "{text:?}: {error:?}");
            assert!(error.remedy.contains("rtsp://"), "{error:?}");
        }
    }

    #[test]
    fn passes_the_text_on_and_shows_no_secret() {
        let text = "rtsp://cam:p%40ss-canary@10.0.0.1:554/key-in-path?token=abc";
        let source = Source::parse(text).unwrap();
        let Source::Rtsp(address) = &source else {
            panic!()
        };
        assert_eq!(address.expose(), text);
        assert_eq!(source.to_string(), "rtsp://10.0.0.1:554/…");
        assert!(!format!("{source:?} {address:?}").contains("canary"));
        let error = Source::parse("rtsp://cam:hunter2canary@h:port/x").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2canary"), "{error:?}");
    }

    #[test]
    fn network_sources_never_reach_files() {
        for text in ["rtsp://h/", "rtsps://h/", "http://h/", "https://h/"] {
            let source = Source::parse(text).unwrap();
            assert!(source.is_network());
            let protocols: Vec<_> = source.protocols().unwrap().split(',').collect();
            assert!(!protocols.contains(&"file") && !protocols.contains(&"concat"));
        }
        assert_eq!(Source::File("a".into()).protocols(), Some("file"));
    }

    #[test]
    fn the_endpoint_is_the_one_ffmpeg_takes() {
        for (text, host, port) in [
            ("rtsp://cam:p%40ss@10.0.0.1/s", "10.0.0.1", 554),
            ("rtsps://cam.example/s", "cam.example", 322),
            ("rtsp://[fe80::1]:8554/s", "fe80::1", 8554),
            ("http://cam/v", "cam", 80),
            ("https://cam/v", "cam", 443),
        ] {
            let found = Source::parse(text).unwrap().endpoint().unwrap();
            assert_eq!(found, (host.to_owned(), port), "{text}");
        }
        assert_eq!(Source::Test.endpoint(), None);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::File("/nonexistent/a.mp4".into())
            .exists()
            .unwrap_err();
        assert!(error.problem.contains("/nonexistent/a.mp4"), "{error:?}");
        assert!(Source::File("/".into()).exists().is_err());
        assert!(Source::Test.exists().is_ok());
    }
}
