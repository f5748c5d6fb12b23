//! What ffmpeg's log means: every line is read, redacted and logged, and the newest ones tell
//! why it ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::cause::{Cause, CauseKind};

/// A line is cut here; ffmpeg's own are shorter, a stream's metadata need not be.
const MAX_LINE: usize = 2048;

/// How long a line can be the reason of what comes after it.
const RELEVANT: Duration = Duration::from_secs(15);

/// Lines logged in each window; a broken stream causes thousands.
const BURST: u32 = 30;
const WINDOW: Duration = Duration::from_secs(10);

/// Texts in ffmpeg's messages and what they mean, most telling first.
const TABLE: &[(&str, CauseKind)] = &[
    ("401 Unauthorized", CauseKind::Auth),
    ("Server returned 401", CauseKind::Auth),
    ("403 Forbidden", CauseKind::Auth),
    ("Server returned 403", CauseKind::Auth),
    ("authorization failed", CauseKind::Auth),
    ("Failed to resolve hostname", CauseKind::Dns),
    ("Connection refused", CauseKind::Refused),
    ("No route to host", CauseKind::Unreachable),
    ("Network is unreachable", CauseKind::Unreachable),
    ("Host is unreachable", CauseKind::Unreachable),
    ("not on whitelist", CauseKind::Forbidden),
    ("Protocol not found", CauseKind::Forbidden),
    ("404 Not Found", CauseKind::NotFound),
    ("Server returned 404", CauseKind::NotFound),
    ("Stream Not Found", CauseKind::NotFound),
    ("Unknown encoder", CauseKind::MissingEncoder),
    ("Unrecognized option", CauseKind::BadOption),
    ("Error splitting the argument list", CauseKind::BadOption),
    ("Option not found", CauseKind::BadOption),
    ("matches no streams", CauseKind::NoVideo),
    ("does not contain any stream", CauseKind::NoVideo),
    ("MPEG-1/2 does not support", CauseKind::Encoder),
    ("Error while opening encoder", CauseKind::Encoder),
    ("Error initializing output stream", CauseKind::Encoder),
    ("Decoder not found", CauseKind::Codec),
    ("Unknown decoder", CauseKind::Codec),
    ("Unsupported codec", CauseKind::Codec),
    ("not currently supported in container", CauseKind::Codec),
    ("Could not find tag for codec", CauseKind::Codec),
    ("certificate", CauseKind::Tls),
    ("TLS", CauseKind::Tls),
    ("503 Service Unavailable", CauseKind::Busy),
    ("453 Not Enough Bandwidth", CauseKind::Busy),
    ("500 Internal Server Error", CauseKind::Busy),
    ("5XX Server Error", CauseKind::Busy),
    ("Device or resource busy", CauseKind::Busy),
    ("No such file or directory", CauseKind::NotFound),
    ("No such device", CauseKind::NotFound),
    ("Permission denied", CauseKind::Denied),
    ("Connection timed out", CauseKind::Timeout),
    ("Operation timed out", CauseKind::Timeout),
    ("Connection reset by peer", CauseKind::Unreachable),
    ("Broken pipe", CauseKind::Unreachable),
    ("Could not find codec parameters", CauseKind::Format),
    (
        "Invalid data found when processing input",
        CauseKind::Format,
    ),
    ("moov atom not found", CauseKind::Format),
];

/// What a line says about why ffmpeg will end; `None` for most lines.
#[must_use]
pub fn classify(line: &str) -> Option<CauseKind> {
    rank(line).map(|(_, kind)| kind)
}

fn rank(line: &str) -> Option<(usize, CauseKind)> {
    let hit = TABLE.iter().position(|(text, _)| line.contains(text))?;
    // A decoder that stumbles over one picture says the same as an input that is no video.
    let decoding = line.contains("while decoding stream") || line.contains("error while decoding");
    (!decoding).then_some((hit, TABLE[hit].1))
}

/// The newest telling lines of one ffmpeg; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    lines: Arc<Mutex<VecDeque<(Instant, usize, CauseKind)>>>,
}

impl Hints {
    const MAX: usize = 16;

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, usize, CauseKind)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a line.
    pub fn note(&self, line: &str, now: Instant) {
        let Some((rank, kind)) = rank(line) else {
            return;
        };
        let mut lines = self.lock();
        if lines.len() == Self::MAX {
            lines.pop_front();
        }
        lines.push_back((now, rank, kind));
    }

    /// The most telling of the recent lines.
    #[must_use]
    pub fn cause(&self, now: Instant) -> Option<Cause> {
        let lines = self.lock();
        let recent = lines
            .iter()
            .filter(|(at, ..)| now.duration_since(*at) <= RELEVANT);
        recent
            .min_by_key(|(_, rank, _)| *rank)
            .map(|(.., kind)| (*kind).into())
    }
}

/// Reads a log to its end. Never waits for anything but the next line.
pub async fn drain(mut stderr: impl AsyncRead + Unpin, hints: Hints) {
    let mut lines = Lines::default();
    let mut log = Log::new(Instant::now());
    let mut buffer = vec![0; 8 * 1024];
    let mut note = |line: &str| {
        let now = Instant::now();
        hints.note(line, now);
        log.write(line, now);
    };
    loop {
        match stderr.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => lines.push(&buffer[..read], &mut note),
        }
    }
    lines.finish(&mut note);
}

/// Writes ffmpeg's lines into our log, not more than a person can read.
#[derive(Debug)]
struct Log {
    /// Lines that tell why ffmpeg ends are not lost among the others.
    telling: Limit,
    other: Limit,
}

impl Log {
    fn new(now: Instant) -> Self {
        Self {
            telling: Limit::new(now),
            other: Limit::new(now),
        }
    }

    fn write(&mut self, line: &str, now: Instant) {
        // The redactor works again on the way into the log; here it also covers whoever reads
        // the event by other means.
        let line = fanlight_ops::secret::redact(line);
        let severity = severity(&line);
        // Who switched these on wants all of them.
        if matches!(severity, "debug" | "trace") {
            tracing::debug!(target: "ffmpeg", "{line}");
            return;
        }
        let limit = match classify(&line) {
            Some(_) => &mut self.telling,
            None => &mut self.other,
        };
        let Some(suppressed) = limit.allow(now) else {
            return;
        };
        let suppressed = (suppressed > 0).then_some(suppressed);
        match severity {
            "panic" | "fatal" | "error" | "warning" => {
                tracing::warn!(target: "ffmpeg", suppressed, "{line}");
            }
            _ => tracing::info!(target: "ffmpeg", suppressed, "{line}"),
        }
    }
}

/// The severity that `-loglevel level+…` puts in brackets before the message.
fn severity(line: &str) -> &str {
    let brackets = line
        .split('[')
        .skip(1)
        .filter_map(|part| part.split_once(']'));
    let known = |word: &str| {
        matches!(
            word,
            "panic" | "fatal" | "error" | "warning" | "info" | "verbose" | "debug" | "trace"
        )
    };
    brackets
        .map(|(word, _)| word)
        .find(|word| known(word))
        .unwrap_or("info")
}

/// Cuts a byte stream into lines at `\n` or `\r`, each at most [`MAX_LINE`] long.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let over = part.last().is_some_and(|b| matches!(b, b'\n' | b'\r'));
            let room = MAX_LINE.saturating_sub(self.rest.len());
            let text = if over { &part[..part.len() - 1] } else { part };
            self.rest.extend_from_slice(&text[..text.len().min(room)]);
            if over {
                self.finish(&mut line);
            }
        }
    }

    fn finish(&mut self, mut line: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.rest);
        if !text.trim().is_empty() {
            line(text.trim_end());
        }
        self.rest.clear();
    }
}

/// At most [`BURST`] lines in a [`WINDOW`].
#[derive(Debug)]
struct Limit {
    since: Instant,
    lines: u32,
    suppressed: u32,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            lines: 0,
            suppressed: 0,
        }
    }

    /// `Some(n)` when a line may be logged, `n` being those left out before it.
    fn allow(&mut self, now: Instant) -> Option<u32> {
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= BURST {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_messages_are_understood() {
        // As printed by ffmpeg 5.1.
        for (line, kind) in [
            (
                "[rtsp @ 0x1] method DESCRIBE failed: 401 Unauthorized",
                CauseKind::Auth,
            ),
            (
                "rtsp://h/x: Server returned 401 Unauthorized (authorization failed)",
                CauseKind::Auth,
            ),
            (
                "[tcp @ 0x1] Connection to tcp://127.0.0.1:9?timeout=3 failed: Connection refused",
                CauseKind::Refused,
            ),
            (
                "[tcp @ 0x1] Failed to resolve hostname nohost.invalid: Name or service not known",
                CauseKind::Dns,
            ),
            ("rtsp://h/x: Connection timed out", CauseKind::Timeout),
            (
                "[rtsp @ 0x1] method DESCRIBE failed: 404 Not Found",
                CauseKind::NotFound,
            ),
            (
                "/dev/video9: No such file or directory",
                CauseKind::NotFound,
            ),
            (
                "/etc/passwd: Invalid data found when processing input",
                CauseKind::Format,
            ),
            ("Stream map '0:v:0' matches no streams.", CauseKind::NoVideo),
            ("Unknown encoder 'libx264'", CauseKind::MissingEncoder),
            (
                "[http @ 0x1] Protocol 'file' not on whitelist 'http,tcp'!",
                CauseKind::Forbidden,
            ),
            (
                "[mpeg1video @ 0x1] MPEG-1/2 does not support 15/1 fps",
                CauseKind::Encoder,
            ),
            ("Unrecognized option 'nope'.", CauseKind::BadOption),
            (
                "[rtsp @ 0x1] method SETUP failed: 503 Service Unavailable",
                CauseKind::Busy,
            ),
        ] {
            assert_eq!(classify(line), Some(kind), "{line}");
        }
        for line in [
            "frame=  100 fps= 15",
            "[h264 @ 0x1] error while decoding MB 3 4, bytestream -5",
            "Error while decoding stream #0:0: Invalid data found when processing input",
            "",
        ] {
            assert_eq!(classify(line), None, "{line}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_telling_recent_line_wins() {
        let hints = Hints::default();
        let start = Instant::now();
        hints.note("x: Invalid data found when processing input", start);
        hints.note("method DESCRIBE failed: 401 Unauthorized", start);
        hints.note("x: Invalid data found when processing input", start);
        assert_eq!(hints.cause(start), Some(CauseKind::Auth.into()));
        let later = start + RELEVANT + Duration::from_secs(1);
        assert_eq!(hints.cause(later), None, "an old line is no reason");
        for _ in 0..100 {
            hints.note("x: Connection timed out", later);
        }
        assert_eq!(hints.lock().len(), Hints::MAX);
    }

    #[test]
    fn lines_are_cut_anywhere_and_bounded() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for part in ["one\ntw", "o\r\n", "\n", "three"] {
            lines.push(part.as_bytes(), |l| seen.push(l.to_owned()));
        }
        lines.push(&vec![b'x'; 100_000], |l| seen.push(l.to_owned()));
        lines.finish(|l| seen.push(l.to_owned()));
        assert_eq!(&seen[..2], ["one", "two"]);
        assert_eq!((seen.len(), seen[2].len()), (3, MAX_LINE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_not_logged() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let allowed = (0..1000).filter(|_| limit.allow(start).is_some()).count();
        assert_eq!(allowed, BURST as usize);
        assert_eq!(limit.allow(start + WINDOW), Some(1000 - BURST));
    }

    #[test]
    fn severity_is_read_from_the_brackets() {
        assert_eq!(severity("[tcp @ 0x55] [error] Connection failed"), "error");
        assert_eq!(severity("[warning] deprecated"), "warning");
        assert_eq!(severity("plain"), "info");
    }
}
