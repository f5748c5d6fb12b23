//! One short run of ffmpeg with the service's own command line: what is in the source, and when
//! the first key picture comes out.

use std::time::Duration;

use bytes::BytesMut;
use fanlight_mpegts::Chunker;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use crate::cause::{Cause, CauseKind};
use crate::config::CameraConfig;
use crate::ffmpeg::process::{Ending, Pipes, Process};
use crate::ffmpeg::stderr::Hints;
use crate::ffmpeg::{Ffmpeg, args};
use crate::run::{fault, no_key_cause, why_ended};

/// Room for one read.
const READ: usize = 64 * 1024;

/// Most of the log that is kept: a source's metadata need not be short.
const MAX_LOG: usize = 256 * 1024;

/// How long the end of the log is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, PartialEq)]
pub(super) struct Sight {
    /// Codec, size and rate of the source, in ffmpeg's words.
    pub(super) input: Option<String>,
    /// From the start of ffmpeg to the first key picture.
    pub(super) took: Duration,
    /// RFC 6381 codec of what comes out.
    pub(super) codec: String,
}

/// Runs ffmpeg up to the first key picture, at most for `--start-timeout`.
pub(super) async fn look(camera: &CameraConfig, ffmpeg: &Ffmpeg) -> Result<Sight, Cause> {
    // Without its notes on the source ffmpeg does not say what it reads.
    let talkative = CameraConfig {
        ffmpeg_loglevel: "info".to_owned(),
        ..camera.clone()
    };
    let start = Instant::now();
    let spawned = Process::spawn(ffmpeg.program(), args::build(&talkative, ffmpeg)).await;
    let (mut process, Pipes { stdout, stderr }) =
        spawned.map_err(|error| Cause::with_detail(CauseKind::Spawn, error.kind().to_string()))?;
    let log = tokio::spawn(read_log(stderr));
    let mut chunker = Chunker::new();
    let limit = tokio::time::sleep(camera.start_timeout);
    tokio::pin!(limit);
    let seen = tokio::select! {
        seen = first_key(&stdout, &mut chunker) => seen,
        () = process.ended() => Seen::Nothing,
        () = &mut limit => Seen::TooLate,
    };
    let took = start.elapsed();
    let ending = match seen {
        Seen::Nothing => Ending::Leaving,
        Seen::Key | Seen::TooLate => Ending::Asked,
    };
    let status = tokio::select! {
        status = process.end(ending) => status,
        never = discard(&stdout) => never,
    };
    let log = match tokio::time::timeout(LAST_WORDS, log).await {
        Ok(Ok(log)) => log,
        Ok(Err(_)) | Err(_) => String::new(),
    };
    let hints = Hints::default();
    let now = Instant::now();
    for line in log.lines() {
        hints.note(line, now);
    }
    match seen {
        Seen::Key => Ok(Sight {
            input: input_of(&log),
            took,
            codec: chunker
                .format()
                .map(|f| f.codec.to_string())
                .unwrap_or_default(),
        }),
        Seen::Nothing => {
            let waited = camera.source.is_network() && took >= camera.stall_timeout;
            Err(fault(&chunker).unwrap_or_else(|| why_ended(status, &hints, &chunker, waited)))
        }
        Seen::TooLate => Err(missing(&chunker, &hints, camera.start_timeout)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A key picture.
    Key,
    /// ffmpeg ended first.
    Nothing,
    /// ffmpeg goes on.
    TooLate,
}

async fn first_key(stdout: &pipe::Receiver, chunker: &mut Chunker) -> Seen {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        let _an_error_shows_in_the_read = stdout.readable().await;
        match stdout.try_read_buf(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(1..) => chunker.push(buffer.split().freeze()),
            Ok(0) | Err(_) => return Seen::Nothing,
        }
        while chunker.next_chunk().is_some() || chunker.idle().is_some() {}
        if chunker.key_pictures() > 0 {
            return Seen::Key;
        }
        if fault(chunker).is_some() {
            return Seen::TooLate;
        }
    }
}

/// Keeps the pipe empty, so that ffmpeg can end in order.
async fn discard<T>(stdout: &pipe::Receiver) -> T {
    let mut buffer = vec![0; READ];
    loop {
        let _an_error_shows_in_the_read = stdout.readable().await;
        match stdout.try_read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(1..) => {}
            Ok(0) | Err(_) => std::future::pending().await,
        }
    }
}

/// Why there was no key picture in time although ffmpeg works.
fn missing(chunker: &Chunker, hints: &Hints, limit: Duration) -> Cause {
    if let Some(cause) = fault(chunker) {
        return cause;
    }
    if chunker.pictures() > 0 {
        return no_key_cause(chunker);
    }
    if let Some(cause) = hints.cause(Instant::now()) {
        return cause;
    }
    let kind = match chunker.packets() {
        0 => CauseKind::Silent,
        _ => CauseKind::NoPictures,
    };
    Cause::with_detail(kind, format!("for {} s", limit.as_secs_f64()))
}

/// Reads to the end and keeps the beginning.
async fn read_log(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let room = MAX_LOG - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What ffmpeg says about the first video stream of its input: `h264, 640x480, 15 fps`.
fn input_of(log: &str) -> Option<String> {
    let input = log.split("Output #0").next().unwrap_or_default();
    let line = input
        .lines()
        .find(|l| l.contains("Stream #0") && l.contains(" Video: "))?;
    let (_, video) = line.split_once(" Video: ")?;
    let codec = video.split([' ', ',']).next()?;
    let mut found = vec![codec.to_owned()];
    let words = || video.split(", ").map(str::trim);
    let size = |word: &str| -> Option<String> {
        let word = word.split(' ').next()?;
        let (width, height) = word.split_once('x')?;
        let number = |s: &str| s.parse::<u32>().is_ok_and(|n| n > 1);
        (number(width) && number(height)).then(|| word.to_owned())
    };
    found.extend(words().find_map(size));
    found.extend(words().find(|w| w.ends_with(" fps")).map(str::to_owned));
    Some(found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_told_in_ffmpegs_words() {
        // As printed by ffmpeg 5.1.
        let log = "[info] Input #0, rtsp, from 'x':\n\
                   [info]   Stream #0:0: Audio: pcm_mulaw, 8000 Hz, mono\n\
                   [info]   Stream #0:1: Video: h264 (Constrained Baseline), yuv420p(tv, bt709, \
                   progressive), 640x360 [SAR 1:1 DAR 16:9], 15 fps, 15 tbr, 90k tbn\n\
                   [info] Output #0, mpegts, to 'pipe:1':\n\
                   [info]   Stream #0:0: Video: mpeg1video, yuv420p, 320x240, 30 fps\n";
        assert_eq!(input_of(log).unwrap(), "h264, 640x360, 15 fps");
        let raw = "  Stream #0:0: Video: rawvideo (I420 / 0x30323449), yuv420p, 320x240, 10 tbr";
        assert_eq!(input_of(raw).unwrap(), "rawvideo, 320x240");
        assert_eq!(input_of("Output #0\n Stream #0:0: Video: h264, 1x1"), None);
    }
}
