//! One life of one ffmpeg: its process, the reading of its output, and why it ended.
//!
//! Reading never waits for anything but ffmpeg: an undrained pipe freezes the picture.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use bytes::BytesMut;
use fanlight_bus::RunId;
use fanlight_mpegts::{Chunker, Diagnosis, ErrorCounts};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tracing::Instrument;

use crate::cause::{Cause, CauseKind};
use crate::config::CameraConfig;
use crate::feed::{Feed, Shared};
use crate::ffmpeg::process::{Ending, Pipes, Process, describe};
use crate::ffmpeg::stderr::{self, Hints};
use crate::ffmpeg::{Ffmpeg, args};
use crate::outbox::DropReason;
use crate::status::unix_ns;

/// Room for one read: what a Linux pipe holds.
const READ: usize = 64 * 1024;

/// Reads before other tasks get a turn.
const MAX_READS: usize = 16;

/// How long the end of the log is waited for after ffmpeg has gone.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// A running ffmpeg and what has come from it.
#[derive(Debug)]
pub struct Run {
    process: Process,
    stdout: pipe::Receiver,
    log: JoinHandle<()>,
    hints: Hints,
    buffer: BytesMut,
    chunker: Chunker,
    feed: Feed,
    shared: Arc<Shared>,
    /// Already counted in the metrics.
    errors: ErrorCounts,
    packets_counted: u64,
    started: Instant,
    /// How long ffmpeg waits for the network; `None` where there is none.
    patience: Option<Duration>,
    live: bool,
    /// Open for as long as the run is, and with it in the trace.
    span: tracing::Span,
}

/// What one turn of reading has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: usize,
    /// Pictures that started.
    pub pictures: u64,
    /// Key pictures among them.
    pub keys: u64,
    /// Nothing more will come.
    pub ended: bool,
}

impl Run {
    /// Starts ffmpeg.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn start(
        camera: &CameraConfig,
        ffmpeg: &Ffmpeg,
        shared: &Arc<Shared>,
        run: RunId,
    ) -> Result<Self, Cause> {
        // As grave as the gravest of its lines: no level then parts a line from its camera.
        let stream = &shared.stream;
        let span = tracing::error_span!(parent: None, "ffmpeg", camera = %stream.camera, rendition = stream.variant(), %run);
        let spawned = Process::spawn(ffmpeg.program(), args::build(camera, ffmpeg)).await;
        let (process, Pipes { stdout, stderr }) = spawned.map_err(|error| {
            tracing::error!(parent: &span, %error, "ffmpeg not started");
            Cause::with_detail(CauseKind::Spawn, error.kind().to_string())
        })?;
        tracing::info!(parent: &span, pid = process.id(), source = %camera.source, "ffmpeg started");
        let hints = Hints::default();
        let log = stderr::drain(stderr, hints.clone()).instrument(span.clone());
        let fps = camera.encodes().then(|| camera.encoding.fps.as_f64());
        Ok(Self {
            process,
            stdout,
            log: tokio::spawn(log),
            hints,
            buffer: BytesMut::with_capacity(READ),
            chunker: Chunker::new(),
            feed: Feed::new(shared.clone(), run, fps),
            shared: shared.clone(),
            errors: ErrorCounts::default(),
            packets_counted: 0,
            started: Instant::now(),
            patience: camera.source.is_network().then_some(camera.stall_timeout),
            live: false,
            span,
        })
    }

    /// Waits for output and publishes all there is. Cancel-safe: once it has read, it does not
    /// wait.
    pub async fn read(&mut self) -> Progress {
        let mut progress = Progress::default();
        let (pictures, keys) = (self.chunker.pictures(), self.chunker.key_pictures());
        self.make_room();
        let mut read = tokio::select! {
            biased;
            read = self.stdout.read_buf(&mut self.buffer) => read,
            // Its children may hold the pipe open.
            () = self.process.ended() => {
                let read = self.stdout.try_read_buf(&mut self.buffer);
                progress.ended = read.is_err();
                read
            }
        };
        let mut reads = 1;
        while self.take(read, &mut progress) && reads < MAX_READS {
            self.make_room();
            read = self.stdout.try_read_buf(&mut self.buffer);
            reads += 1;
        }
        // A complete picture need not wait for the next one.
        let time = unix_ns();
        while let Some(chunk) = self.chunker.idle() {
            self.feed.publish(chunk, time);
        }
        progress.pictures = self.chunker.pictures() - pictures;
        progress.keys = self.chunker.key_pictures() - keys;
        self.count(&progress);
        progress
    }

    /// Publishes what was read. Returns whether more may wait: a short read says that the pipe is
    /// dry, without another to be told so.
    fn take(&mut self, read: io::Result<usize>, progress: &mut Progress) -> bool {
        match read {
            Ok(0) => progress.ended = true,
            Ok(n) => {
                progress.bytes += n;
                let full = self.buffer.len() == self.buffer.capacity();
                self.chunker.push(self.buffer.split().freeze());
                self.publish_complete();
                return full;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(parent: &self.span, %error, "reading from ffmpeg failed");
                progress.ended = true;
            }
        }
        false
    }

    fn make_room(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < READ / 4 {
            self.buffer.reserve(READ);
        }
    }

    fn publish_complete(&mut self) {
        let time = unix_ns();
        while let Some(chunk) = self.chunker.next_chunk() {
            self.feed.publish(chunk, time);
        }
    }

    fn count(&mut self, progress: &Progress) {
        let metrics = &self.shared.metrics;
        metrics.received_bytes.inc_by(progress.bytes as u64);
        metrics.frames.inc_by(progress.pictures);
        let packets = self.chunker.packets();
        metrics.ts_packets.inc_by(packets - self.packets_counted);
        self.packets_counted = packets;
        let errors = self.chunker.errors();
        if errors != self.errors {
            metrics.ts_errors(&errors.since(&self.errors));
            self.errors = errors;
        }
        if progress.keys > 0 && !self.live {
            self.live = true;
            let took = self.started.elapsed();
            metrics.start_duration.observe(took.as_secs_f64());
            tracing::info!(parent: &self.span, took = ?took, format = ?self.chunker.format(), "live");
        }
    }

    /// What is wrong with the stream for good, as far as it shows.
    #[must_use]
    pub fn fault(&self) -> Option<Cause> {
        fault(&self.chunker)
    }

    /// More about the lack of key pictures. Without counts: it is announced at every change.
    #[must_use]
    pub fn no_key_cause(&self) -> Cause {
        no_key_cause(&self.chunker)
    }

    /// Ends ffmpeg, publishes what is still complete and tells why it ended.
    pub async fn end(self, ending: Ending) -> Cause {
        let lived = self.started.elapsed();
        let Self {
            process,
            stdout,
            mut log,
            hints,
            mut chunker,
            mut feed,
            shared,
            patience,
            span,
            ..
        } = self;
        let status = if ending == Ending::Asked {
            // Its last pictures, and room in the pipe for it to end in order.
            tokio::select! {
                status = process.end(ending).instrument(span.clone()) => status,
                never = pump(&stdout, &mut chunker) => never,
            }
        } else {
            // A writer that waits for us gets a broken pipe instead.
            drop(stdout);
            process.end(ending).instrument(span.clone()).await
        };
        if tokio::time::timeout(LAST_WORDS, &mut log).await.is_err() {
            log.abort();
        }
        let time = unix_ns();
        let mut cut = 0;
        while let Some(chunk) = chunker.finish() {
            // Half a picture would smear over the next run's first ones.
            if chunk.complete {
                feed.publish(chunk, time);
            } else {
                cut += 1;
            }
        }
        if cut > 0 {
            shared.metrics.dropped(DropReason::Incomplete, cut);
        }
        shared.gop().clear();
        let how = status.map_or_else(|| "not reaped".to_owned(), describe);
        tracing::info!(parent: &span, %how, "ffmpeg ended");
        let waited = patience.is_some_and(|patience| lived >= patience);
        why_ended(status, &hints, &chunker, waited)
    }
}

/// What is wrong with a stream for good, as far as it shows.
pub(crate) fn fault(chunker: &Chunker) -> Option<Cause> {
    match chunker.diagnosis()? {
        Diagnosis::NotTransportStream { .. } => Some(CauseKind::NotMpegTs.into()),
        Diagnosis::NoVideo { .. } => Some(CauseKind::NoVideo.into()),
        Diagnosis::UnsupportedVideo { name } => Some(Cause::with_detail(CauseKind::Codec, name)),
        _ => None,
    }
}

/// Why there are no key pictures in a stream.
pub(crate) fn no_key_cause(chunker: &Chunker) -> Cause {
    let detail = match chunker.diagnosis() {
        Some(Diagnosis::KeysWithoutTables { .. }) => "they come without PAT and PMT",
        Some(Diagnosis::KeysWithoutParameterSets { .. }) => "they come without parameter sets",
        _ => return CauseKind::NoKeyPictures.into(),
    };
    Cause::with_detail(CauseKind::NoKeyPictures, detail)
}

/// Why an ffmpeg ended. `waited` tells that it lived as long as it waits for the network.
pub(crate) fn why_ended(
    status: Option<ExitStatus>,
    hints: &Hints,
    chunker: &Chunker,
    waited: bool,
) -> Cause {
    let how = status.map_or_else(|| "not reaped".to_owned(), describe);
    let garbage = matches!(
        chunker.diagnosis(),
        Some(Diagnosis::NotTransportStream { .. })
    );
    if status.is_some_and(|s| s.code().is_none()) {
        Cause::with_detail(CauseKind::Killed, how)
    } else if let Some(cause) = hints.cause(Instant::now()) {
        // A camera that takes the connection and then says nothing makes ffmpeg 5 speak of
        // invalid data, after its time-out.
        if cause.kind == CauseKind::Format && chunker.packets() == 0 && waited {
            return CauseKind::Timeout.into();
        }
        cause
    } else if garbage {
        CauseKind::NotMpegTs.into()
    } else {
        Cause::with_detail(CauseKind::Exited, how)
    }
}

/// Reads until it is dropped.
async fn pump<T>(stdout: &pipe::Receiver, chunker: &mut Chunker) -> T {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        let _an_error_shows_in_the_read = stdout.readable().await;
        match stdout.try_read_buf(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(1..) => chunker.push(buffer.split().freeze()),
            Ok(0) | Err(_) => std::future::pending().await,
        }
    }
}
