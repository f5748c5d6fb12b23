//! [`Checker`]: verifies a received stream, for tests and the command-line viewer.

use std::time::Duration;

use bytes::Bytes;

use crate::chunker::{Chunker, RawChunk};
use crate::clock::{Timestamp, ticks_to_duration};
use crate::codec::VideoFormat;
use crate::event::{ErrorCounts, TsErrorKind};

/// A picture that comes this many frame times after the one before leaves a gap.
const GAP_FRAMES: f64 = 1.5;
/// Longest step between pictures that is no gap where the stream tells no frame rate.
const GAP_WITHOUT_RATE: Duration = Duration::from_millis(500);

/// Counts pictures and checks that nothing is missing.
#[derive(Debug, Default)]
pub struct Checker {
    chunker: Chunker,
    max_step: Option<Duration>,
    last: Option<Timestamp>,
    report: Report,
}

/// What a [`Checker`] has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Bytes received.
    pub bytes: u64,
    /// Whole transport packets.
    pub packets: u64,
    /// Bytes that belonged to no packet.
    pub skipped_bytes: u64,
    /// Pictures received, the one in progress included.
    pub pictures: u64,
    /// Key chunks: a decoder can start at each.
    pub key_pictures: u64,
    /// True if the first picture was a key chunk.
    pub starts_with_key: bool,
    /// Jumps of continuity counters: packets are missing.
    pub continuity_errors: u64,
    /// Errors by kind, continuity included.
    pub errors: ErrorCounts,
    /// Steps in decoding time that were too long: pictures are missing.
    pub gaps: u64,
    /// Steps back in decoding time: another run, or pictures out of order.
    pub backward_steps: u64,
    /// The longest step between two pictures.
    pub longest_step: Duration,
    /// Decoding time from the first to the last picture, gaps included, steps back left out.
    pub duration: Duration,
    /// The latest format.
    pub format: Option<VideoFormat>,
}

// === impl Checker ===

impl Checker {
    /// A checker that calls a step of more than 1.5 frame times a gap (500 ms where the stream
    /// tells no frame rate).
    pub fn new() -> Checker {
        Checker::default()
    }

    /// A checker that calls a step of more than `max_step` a gap.
    pub fn with_max_step(max_step: Duration) -> Checker {
        Checker {
            max_step: Some(max_step),
            ..Checker::default()
        }
    }

    /// Adds received bytes: a message, or any part of the stream.
    pub fn push(&mut self, bytes: Bytes) {
        self.report.bytes += bytes.len() as u64;
        self.chunker.push(bytes);
        while let Some(chunk) = self.chunker.idle() {
            self.note(&chunk);
        }
    }

    /// Says that the stream is over, and gives the final report.
    pub fn finish(mut self) -> Report {
        while let Some(chunk) = self.chunker.finish() {
            self.note(&chunk);
        }
        self.report()
    }

    /// What was seen so far.
    pub fn report(&self) -> Report {
        let errors = self.chunker.errors();
        Report {
            packets: self.chunker.packets(),
            skipped_bytes: self.chunker.skipped_bytes(),
            pictures: self.chunker.pictures(),
            key_pictures: self.chunker.key_pictures(),
            continuity_errors: errors.get(TsErrorKind::Continuity),
            errors,
            format: self.chunker.format().cloned(),
            ..self.report.clone()
        }
    }

    fn note(&mut self, chunk: &RawChunk) {
        if !chunk.starts_unit() {
            return;
        }
        if self.last.is_none() {
            self.report.starts_with_key = chunk.key;
        }
        let Some(time) = chunk.dts.or(chunk.pts) else {
            return;
        };
        if let Some(last) = self.last.replace(time) {
            let step = ticks_to_duration(time.since(last));
            if time.since(last) <= 0 {
                self.report.backward_steps += 1;
            }
            self.report.gaps += u64::from(step > self.max_step());
            self.report.longest_step = self.report.longest_step.max(step);
            self.report.duration += step;
        }
    }

    fn max_step(&self) -> Duration {
        let by_rate = || {
            let fps = self.chunker.format()?.fps?;
            Some(Duration::from_secs_f64(GAP_FRAMES / fps))
        };
        self.max_step.or_else(by_rate).unwrap_or(GAP_WITHOUT_RATE)
    }
}

/// True if `payload` is whole packets and the picture in it starts a key chunk, in full or as the
/// first part of one that was split.
pub fn is_key_chunk(payload: &Bytes) -> bool {
    let mut chunker = Chunker::new();
    chunker.push(payload.clone());
    let first = chunker.finish();
    chunker.skipped_bytes() == 0 && first.is_some_and(|chunk| chunk.key)
}
