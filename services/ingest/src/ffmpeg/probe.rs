//! What the given ffmpeg can do, asked once at start.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fanlight_ops::exit::ConfigProblem;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Below it `-omit_video_pes_length` and the flags of the TS muxer are not all there.
const OLDEST: (u32, u32) = (4, 2);

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most of an answer that is read: a program that is no ffmpeg may write for ever.
const MAX_ANSWER: u64 = 256 * 1024;

const INSTALL: &str =
    "install it (`apt install ffmpeg`, `brew install ffmpeg`) or name it with --ffmpeg";

/// An ffmpeg program and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    program: PathBuf,
    version: Option<(u32, u32)>,
    stimeout: bool,
    drawtext: bool,
}

impl Ffmpeg {
    /// Starts the program and asks. Something that is not ffmpeg but takes the same command
    /// line is taken for a current one.
    ///
    /// # Errors
    /// It cannot be started or is too old.
    pub async fn probe(program: &Path) -> Result<Self, ConfigProblem> {
        let bad = |problem: String| ConfigProblem::new("--ffmpeg", problem, INSTALL);
        let shown = program.display();
        let text = answer(program, &["-hide_banner", "-version"])
            .await
            .map_err(|error| {
                bad(match error.kind() {
                    std::io::ErrorKind::NotFound => format!("there is no program `{shown}`"),
                    _ => format!("`{shown}` cannot be run: {error}"),
                })
            })?;
        let version = parse_version(&text);
        if let Some(found) = version
            && found < OLDEST
        {
            let (major, minor) = found;
            let (old_major, old_minor) = OLDEST;
            return Err(bad(format!(
                "`{shown}` is version {major}.{minor}, older than {old_major}.{old_minor}"
            )));
        }
        let ask = async |args: &[&str]| answer(program, args).await.unwrap_or_default();
        let (rtsp, drawtext) = tokio::join!(
            ask(&["-hide_banner", "-h", "demuxer=rtsp"]),
            // Draws for real: the filter may be there and no font.
            ask(&[
                "-hide_banner",
                "-nostdin",
                "-loglevel",
                "error",
                "-f",
                "lavfi",
                "-i",
                "color=size=32x32:rate=1:duration=1,drawtext=text=0",
                "-frames:v",
                "1",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "gray",
                "pipe:1",
            ]),
        );
        Ok(Self {
            program: program.to_owned(),
            version,
            stimeout: rtsp
                .lines()
                .any(|l| l.trim_start().starts_with("-stimeout")),
            drawtext: drawtext.len() == 32 * 32,
        })
    }

    /// A current ffmpeg that draws text, unasked.
    #[must_use]
    pub fn assumed(program: PathBuf) -> Self {
        Self {
            program,
            version: None,
            stimeout: false,
            drawtext: true,
        }
    }

    #[cfg(test)]
    pub(crate) fn with_version(self, major: u32, minor: u32) -> Self {
        let version = Some((major, minor));
        Self { version, ..self }
    }

    #[cfg(test)]
    pub(crate) fn with_stimeout(self) -> Self {
        Self {
            stimeout: true,
            ..self
        }
    }

    /// The program to start.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Version, for the log.
    #[must_use]
    pub fn version(&self) -> String {
        match self.version {
            Some((major, minor)) => format!("{major}.{minor}"),
            None => "unknown".to_owned(),
        }
    }

    /// The socket time-out of RTSP: before ffmpeg 5 `-timeout` there meant to listen.
    pub(crate) fn rtsp_timeout_flag(&self) -> &'static str {
        if self.stimeout {
            "-stimeout"
        } else {
            "-timeout"
        }
    }

    pub(crate) fn draws_text(&self) -> bool {
        self.drawtext
    }

    pub(crate) fn constant_rate_flags(&self) -> &'static [&'static str] {
        match self.version {
            Some(version) if version < (5, 1) => &["-vsync", "cfr"],
            _ => &["-fps_mode", "cfr"],
        }
    }
}

async fn answer(program: &Path, args: &[&str]) -> std::io::Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // An answer that is late or endless is judged by what came.
        let mut stdout = stdout.take(MAX_ANSWER);
        let read = stdout.read_to_end(&mut text);
        let _late = tokio::time::timeout(PATIENCE, read).await;
    }
    let _ended_already = child.start_kill();
    let _status = child.wait().await;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `ffmpeg version 5.1.9-0+deb12u1`, `n7.1`; builds from git (`N-12345-g…`) have no number.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text.lines().next()?.strip_prefix("ffmpeg version ")?;
    let word = word.split_whitespace().next()?.trim_start_matches('n');
    let mut numbers = word.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((
        major,
        numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (line, version) in [
            ("ffmpeg version 5.1.9-0+deb12u1 Copyright", Some((5, 1))),
            ("ffmpeg version n7.1 Copyright", Some((7, 1))),
            ("ffmpeg version 4.1.11-0+deb10u1", Some((4, 1))),
            ("ffmpeg version 8-full", Some((8, 0))),
            ("ffmpeg version N-118442-gabc", None),
            ("something else", None),
            ("", None),
        ] {
            assert_eq!(parse_version(line), version, "{line}");
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Ffmpeg::probe(Path::new("/nonexistent/ffmpeg"))
            .await
            .unwrap_err();
        assert_eq!(error.key, "--ffmpeg");
        assert!(error.problem.contains("/nonexistent/ffmpeg"), "{error}");
        assert!(error.remedy.contains("install"), "{error}");
    }

    #[tokio::test]
    async fn an_old_version_is_refused_and_a_current_one_asked() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ffmpeg");
        std::fs::write(&path, "#!/bin/sh\necho ffmpeg version 3.4.1 Copyright\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Ffmpeg::probe(&path).await.unwrap_err();
        assert!(
            error.problem.contains("version 3.4, older than 4.2"),
            "{error}"
        );
        let real = Ffmpeg::probe(Path::new("ffmpeg")).await.unwrap();
        assert_ne!(real.version(), "unknown");
    }
}
